/**
 * A table that is out of order, here a database that does not answer, bounces no mail, whatever parameter names it, and what is said of it
 * shows no password. What a failure means to each parameter is tested with it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refusingPort, type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deliver } from './test-agent.ts';

const PASSWORD = 'Geheim4711';
let directory: string;
let broken: string;
let server: SmtpServer;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-broken-table-'));
  server = await startSmtpServer();
  const file = join(directory, 'table.cf');
  const port = refusingPort();
  writeFileSync(
    file,
    `hosts = 127.0.0.1:${port}\nuser = mail\npassword = ${PASSWORD}\nquery = SELECT v FROM t WHERE k = '%s'\n`,
  );
  broken = `pgsql:${file}`;
});
afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

it.each<[string, string]>([
  ['smtp_tls_policy_maps', 'deferred 4.7.5'],
  ['smtp_discard_ehlo_keyword_address_maps', 'deferred 4.3.0'],
  ['smtp_reply_filter', 'deferred 4.3.0'],
  ['smtp_delivery_status_filter', 'delivered'],
  ['smtp_header_checks', 'deferred 4.3.0'],
  ['smtp_body_checks', 'deferred 4.3.0'],
  ['smtp_generic_maps', 'deferred 4.3.0'],
])('%s: %s', async (parameter, verdict) => {
  const result = await deliver({
    servers: [server],
    config: {
      [parameter]: broken,
      smtp_tls_security_level: parameter === 'smtp_tls_policy_maps' ? 'may' : 'none',
    },
  });
  expect(result.verdicts.map((text) => text.slice(0, verdict.length))).toEqual([verdict]);
  expect(JSON.stringify([result.remarks, result.outcomes])).not.toContain(PASSWORD);
  expect(result.remarks.join('\n')).toContain('ECONNREFUSED');
});
