import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { makeConfig } from '@mailfleet/config';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { syslogDatagram } from './syslog-output.ts';
import { createTelemetry } from './telemetry.ts';

let server: Socket;
let port: number;
beforeEach(async () => {
  server = createSocket('udp4');
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  port = server.address().port;
});
afterEach(() => server.close());

async function received(values: Record<string, string>): Promise<string> {
  const config = makeConfig({ syslog_server: `127.0.0.1:${port}`, myhostname: 'mx.example.com', ...values });
  const telemetry = createTelemetry({ config, program: 'smtp' });
  const message = once(server, 'message');
  telemetry.emit({
    kind: 'remark',
    program: 'smtp',
    queueId: 'Q1',
    text: 'connect to nowhere',
    warning: true,
  });
  const [bytes] = await message;
  await telemetry.shutdown();
  return String(bytes);
}

test('syslog_server, syslog_name: a datagram holds priority, stamp, host and line', async () => {
  expect(await received({ syslog_name: 'out' })).toMatch(
    /^<20>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d mx out\/smtp\[\d+\]: warning: Q1: connect to nowhere$/,
  );
});

test('syslog_facility is part of the priority', async () => {
  expect(await received({ syslog_facility: 'local3' })).toMatch(/^<156>/);
  expect(() =>
    createTelemetry({
      config: makeConfig({ syslog_server: '127.0.0.1:9', syslog_facility: 'post' }),
      program: 'smtp',
    }),
  ).toThrow(/^syslog_facility: "post" is none of kern, user, mail/);
});

test.each([
  ['x postfix/smtp[1]: Q: to=<a>, status=sent', 22],
  ['x postfix/smtp[1]: warning: x', 20],
  ['x postfix/smtp[1]: error: x', 19],
  ['x postfix/smtp[1]: fatal: x', 18],
])('%s has priority %d with facility mail', (line, priority) => {
  expect(syslogDatagram(`${line}\n`, 2).toString()).toBe(`<${priority}>${line}`);
});
