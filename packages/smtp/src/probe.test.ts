/** Address probes: smtp_address_verify_target says where they end, and nothing is ever delivered. */
import { type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from './test-agent.ts';

const servers: SmtpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const talk = async (script: readonly string[], delivery: TestDelivery = {}): Promise<TestResult> => {
  const server = await startSmtpServer({ scripts: [script] });
  servers.push(server);
  const result = await deliver({ servers: [server], envelope: { probe: true }, ...delivery });
  await server.dialogueDone();
  return result;
};

const hello = ['S: 220 x', 'C: EHLO*', 'S: 250-x', 'S: 250-CHUNKING', 'S: 250 PIPELINING'];
const data = { smtp_address_verify_target: 'data' };

it('smtp_address_verify_target = rcpt: RSET behind RCPT, and the reply to RCPT decides', async () => {
  const { verdicts, dots } = await talk([
    ...hello,
    'C: MAIL*',
    'C: RCPT*',
    'C: RSET',
    'C: QUIT',
    'S: 250 ok',
    'S: 250 2.1.5 welcome',
    'S: 250 ok',
  ]);
  expect(verdicts).toEqual(['delivered 2.1.5 250 2.1.5 welcome']);
  expect(dots).toEqual([]);
  const refused = await talk([
    ...hello,
    'C: MAIL*',
    'C: RCPT*',
    'C: RSET',
    'C: QUIT',
    'S: 250 ok',
    'S: 550 5.1.1 who',
    'S: 250 ok',
  ]);
  expect(refused.verdicts).toEqual([expect.stringMatching(/^bounced 5\.1\.1 .* 550 5\.1\.1 who /)]);
});

it('smtp_address_verify_target = data: the reply to DATA decides, and the connection ends without QUIT', async () => {
  const upToData = [...hello, 'C: MAIL*', 'C: RCPT*', 'C: DATA', 'S: 250 ok', 'S: 250 ok'];
  const taken = await talk([...upToData, 'S: 354 go on', 'eof'], { config: data });
  expect(taken.verdicts).toEqual(['delivered 2.0.0 354 go on']);
  const refused = await talk([...upToData, 'S: 550 5.7.1 no', 'C: RSET', 'C: QUIT', 'S: 250 ok'], {
    config: data,
  });
  expect(refused.verdicts).toEqual([expect.stringMatching(/^bounced 5\.7\.1 .*in reply to DATA/)]);
});

it('lmtp_address_verify_target is LMTP’s own', async () => {
  const script = [
    ...hello,
    'C: MAIL*',
    'C: RCPT*',
    'C: RSET',
    'C: QUIT',
    'S: 250 ok',
    'S: 250 ok',
    'S: 250 ok',
  ];
  const lmtp = script.map((line) => line.replace('EHLO', 'LHLO'));
  const { verdicts } = await talk([...lmtp, 'S: 221 bye'], { protocol: 'lmtp', config: data });
  expect(verdicts).toEqual(['delivered 2.0.0 250 ok']);
});
