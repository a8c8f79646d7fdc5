/** REQUIRETLS and TLS-Required at the ways in (requiretls_enable, requiretls_esmtp_header): what is offered, believed and kept. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type CertificateAuthority, makeCertificates } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningIntake, type Store, startIntake, startStore } from './fixture.ts';

let store: Store;
let authority: CertificateAuthority;
let intake: RunningIntake;
let certificate: Record<string, string>;

beforeAll(async () => {
  store = await startStore();
  authority = makeCertificates();
  const { certFile, keyFile } = authority.issue(['localhost']);
  certificate = { intake_tls_cert_file: certFile, intake_tls_key_file: keyFile };
  intake = await startIntake(store, certificate);
});
afterAll(async () => {
  await intake[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  authority.remove();
});

/** Replies to EHLO in clear, EHLO inside TLS, and to each line. */
const inTls = async (port: number, lines: readonly string[]): Promise<string[]> => {
  let socket: Socket = connectTcp(port, '127.0.0.1');
  const read = (): Promise<string> =>
    new Promise((resolve, reject) => {
      let text = '';
      const onData = (chunk: Buffer): void => {
        text += chunk.toString();
        if (!/^\d{3} .*\r\n$/m.test(text)) return;
        socket.off('data', onData);
        resolve(text);
      };
      socket.on('data', onData).once('error', reject);
    });
  const ask = (line: string): Promise<string> => {
    socket.write(`${line}\r\n`);
    return read();
  };
  await read();
  const replies = [await ask('EHLO client.test')];
  await ask('STARTTLS');
  socket = connectTls({ socket, ca: authority.ca.cert, servername: 'localhost' });
  replies.push(await ask('EHLO client.test'));
  for (const line of lines) replies.push(await ask(line));
  socket.destroy();
  return replies;
};

const stored = async (reply: string | undefined) => {
  const queueId = /queued as (\w+)/.exec(reply ?? '')?.[1] ?? '';
  const found = (await intake.stored()).find(({ envelope }) => envelope.queueId === queueId);
  return { envelope: found?.envelope, content: await intake.content(queueId) };
};

const mail = (parameters: string, header = 'Subject: x'): string[] => [
  `MAIL FROM:<ann@example.com>${parameters}`,
  'RCPT TO:<bob@example.net>',
  'DATA',
  `${header}\r\n\r\ntext\r\n.`,
];

it('REQUIRETLS is offered and taken inside TLS only', async () => {
  const replies = await inTls(intake.daemon.smtpPort, mail(' REQUIRETLS'));
  expect(replies[0]).not.toContain('REQUIRETLS');
  expect(replies[1]).toMatch(/^250[- ]REQUIRETLS\r$/m);
  const { envelope, content } = await stored(replies.at(-1));
  expect(envelope?.requireTls).toBe(true);
  expect(content).toContain('\r\nRequire-TLS-ESMTP: yes\r\n');

  const [, , plain] = await inTls(intake.daemon.smtpPort, ['MAIL FROM:<ann@example.com> REQUIRETLS=1']);
  expect(plain).toMatch(/^501 5\.5\.4 /);
});

it('requiretls_enable = no and requiretls_esmtp_header = no', async () => {
  await using off = await startIntake(store, { ...certificate, requiretls_enable: 'no' });
  const replies = await inTls(off.daemon.smtpPort, ['MAIL FROM:<ann@example.com> REQUIRETLS']);
  expect(replies[1]).not.toContain('REQUIRETLS');
  expect(replies[2]).toMatch(/^555 5\.5\.4 Unsupported option: REQUIRETLS/);

  await using silent = await startIntake(store, { ...certificate, requiretls_esmtp_header: 'no' });
  const asked = await inTls(silent.daemon.smtpPort, mail(' REQUIRETLS'));
  const first = await stored(asked.at(-1));
  expect(first.envelope?.requireTls).toBe(true);
  expect(first.content).not.toContain('Require-TLS-ESMTP');
  const header = await inTls(silent.daemon.smtpPort, mail('', 'Require-TLS-ESMTP: yes'));
  expect((await stored(header.at(-1))).envelope).not.toHaveProperty('requireTls');
});

describe('the header of a message', () => {
  it.each([
    ['TLS-Required: No', { tlsOptional: true }],
    ['tls-required:   no  ', { tlsOptional: true }],
    ['TLS-Required: yes', {}],
    ['Require-TLS-ESMTP: yes', { requireTls: true }],
    ['X-Other: no', {}],
  ])('%s: %j', async (header, flags) => {
    const replies = await inTls(intake.daemon.smtpPort, mail('', header));
    const { envelope } = await stored(replies.at(-1));
    const { requireTls, tlsOptional } = envelope ?? {};
    expect(JSON.parse(JSON.stringify({ requireTls, tlsOptional }))).toEqual(flags);
  });
});

it('requireTls over HTTP, for a composed message and a raw one', async () => {
  const post = async (query: string, type: string, body: string) => {
    const response = await fetch(`${intake.http}/v1/messages${query}`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    });
    const { id } = (await response.json()) as { id: string };
    return (await intake.stored()).find(({ envelope }) => envelope.queueId === id)?.envelope;
  };
  const composed = { from: 'ann@example.com', to: 'bob@example.net', subject: 'x', text: 'y' };
  expect(await post('', 'application/json', JSON.stringify({ ...composed, requireTls: true }))).toMatchObject(
    {
      requireTls: true,
    },
  );
  const raw = 'From: ann@example.com\r\nTo: bob@example.net\r\n\r\nx\r\n';
  expect(await post('?requireTls=true', 'message/rfc822', raw)).toMatchObject({ requireTls: true });
  expect(await post('?requireTls=false', 'message/rfc822', raw)).not.toHaveProperty('requireTls');
});
