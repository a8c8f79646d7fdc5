/** The TLS table through our client: what becomes of the message in each cell. client.test.ts sets Postfix beside it. */
import { afterAll, describe, expect, test } from 'vitest';
import { runOurs } from './our-client.ts';
import { removeTableCertificates, tlsTable } from './tls-table.ts';

describe('smtp_tls_security_level before every offer and certificate', () => {
  afterAll(removeTableCertificates);

  test.concurrent.each(tlsTable.map((cell, index) => [cell.scenario.name, index, cell] as const))(
    '%s',
    async (_, index, { scenario, verdict, kind }) => {
      // No cell asks a name server.
      const account = await runOurs(scenario, index, '127.0.0.1:9');
      expect(account.verdicts).toHaveLength(1);
      expect(account.verdicts[0]?.replace(/^\S+ \S+ /, '')).toMatch(verdict);
      const lines = account.remarks.filter((remark) => remark.includes('TLS connection established'));
      expect(lines.map((line) => line.split(' ', 1)[0])).toEqual(kind === undefined ? [] : [kind]);
    },
  );

  test('the table has at least 80 cells', () => {
    expect(tlsTable.length).toBeGreaterThanOrEqual(80);
  });
});
