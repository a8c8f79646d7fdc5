/** Against the faults that smtp-sink, Postfix's own receiver, can show: refusals, hang-ups, delays, and less to offer. */
import { installed } from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import type { Protocol } from './delivery.ts';
import { deliver, type TestDelivery } from './test-agent.ts';
import { startSink } from './test-sink.ts';

const name = 'mx1.test[127.0.0.1]';
const refused = (text: string): string => `host ${name} refused to talk to me: ${text}`;
const said = (text: string, stage: string): string => `host ${name} said: ${text} (in reply to ${stage})`;
const lost = (where: string): string => `deferred 4.4.2 lost connection with ${name} while ${where}`;
const timedOut = (where: string): string =>
  `deferred 4.4.2 conversation with ${name} timed out while ${where}`;
const hard = '500 5.3.0 Error: command failed';
const soft = '450 4.3.0 Error: command failed';
const busy = '421 4.0.0 Server closing connection';
const dot = 'sending end of data -- message may be sent more than once';
const delivered = 'delivered 2.0.0 250 2.0.0 Ok';

type Fault = [flags: string[], verdict: string, delivery?: TestDelivery];

const faults: Readonly<Record<string, readonly Fault[]>> = {
  'a refusal for good (-f)': [
    [['-f', 'CONNECT'], `deferred 4.3.0 ${refused(hard)}`],
    [['-f', 'CONNECT'], `bounced 5.3.0 ${refused(hard)}`, { config: { smtp_skip_5xx_greeting: 'no' } }],
    [['-f', 'EHLO'], delivered],
    [['-f', 'EHLO,HELO'], `bounced 5.3.0 ${refused(hard)}`],
    [['-f', 'MAIL'], `bounced 5.3.0 ${said(hard, 'MAIL FROM command')}`],
    [['-f', 'RCPT'], `bounced 5.3.0 ${said(hard, 'RCPT TO command')}`],
    [['-f', 'DATA'], `bounced 5.3.0 ${said(hard, 'DATA command')}`],
    [['-f', '.'], `bounced 5.3.0 ${said(hard, 'end of DATA command')}`],
    [['-f', 'MAIL,RSET'], `bounced 5.3.0 ${said(hard, 'MAIL FROM command')}`],
    [['-f', 'QUIT'], delivered, { config: { smtp_skip_quit_response: 'no' } }],
    [
      ['-B', '552 5.2.3 too large', '-f', 'DATA'],
      `bounced 5.2.3 ${said('552 5.2.3 too large', 'DATA command')}`,
    ],
  ],
  'a refusal for now (-r)': [
    [['-r', 'CONNECT'], `deferred 4.3.0 ${refused(soft)}`],
    [['-r', 'EHLO'], delivered],
    [['-r', 'EHLO,HELO'], `deferred 4.3.0 ${refused(soft)}`],
    [['-r', 'MAIL'], `deferred 4.3.0 ${said(soft, 'MAIL FROM command')}`],
    [['-r', 'RCPT'], `deferred 4.3.0 ${said(soft, 'RCPT TO command')}`],
    [['-r', 'DATA'], `deferred 4.3.0 ${said(soft, 'DATA command')}`],
    [['-r', '.'], `deferred 4.3.0 ${said(soft, 'end of DATA command')}`],
    [
      ['-b', '452 4.5.3 too many', '-r', 'RCPT'],
      `deferred 4.5.3 ${said('452 4.5.3 too many', 'RCPT TO command')}`,
    ],
  ],
  'a hang-up (-q)': [
    [['-q', 'CONNECT'], lost('receiving the initial server greeting')],
    [['-q', 'EHLO'], lost('performing the EHLO handshake')],
    [['-q', 'MAIL'], lost('sending MAIL FROM')],
    [['-q', 'RCPT'], lost('sending RCPT TO')],
    [['-q', 'DATA'], lost('sending DATA command')],
    [['-q', '.'], lost(dot)],
    [['-q', 'QUIT'], delivered, { config: { smtp_skip_quit_response: 'no' } }],
    [['-p', '-q', 'RCPT'], lost('sending RCPT TO')],
  ],
  '421 and a hang-up (-Q)': [
    [['-Q', 'CONNECT'], `deferred 4.0.0 ${refused(busy)}`],
    [['-Q', 'EHLO'], `deferred 4.0.0 ${refused(busy)}`],
    [['-Q', '.'], `deferred 4.0.0 ${said(busy, 'end of DATA command')}`],
    [['-p', '-Q', 'MAIL'], `deferred 4.0.0 ${said(busy, 'MAIL FROM command')}`],
  ],
  // One by one (-p): with more commands in its input, smtp-sink answers them before the one that it delays.
  'a delay (-w, -W)': [
    [['-p', '-w', '1'], delivered],
    [['-p', '-w', '3'], timedOut('sending DATA command'), { config: { smtp_data_init_timeout: '1s' } }],
    [
      ['-p', '-W', 'EHLO:3'],
      timedOut('performing the EHLO handshake'),
      { config: { smtp_helo_timeout: '1s' } },
    ],
    [['-p', '-W', 'MAIL:3'], timedOut('sending MAIL FROM'), { config: { smtp_mail_timeout: '1s' } }],
    [['-p', '-W', 'RCPT:3'], timedOut('sending RCPT TO'), { config: { smtp_rcpt_timeout: '1s' } }],
    [['-p', '-W', '.:3'], timedOut(dot), { config: { smtp_data_done_timeout: '1s' } }],
  ],
  'less to offer': [
    [['-8'], delivered],
    [['-N'], delivered],
    [['-p'], delivered],
    [['-e'], delivered],
    [['-E'], 'delivered 2.0.0 250 2.0.0 Ok'],
    [['-P'], delivered],
  ],
  'commands logged (-s)': [[['-s', 'EHLO,MAIL,RCPT,DATA,.,QUIT'], delivered]],
};

describe.skipIf(!installed(['smtp-sink'])).each(Object.entries(faults))('%s', (_, cases) => {
  it.concurrent.each<Fault>(cases)('%j: %s', async (flags, verdict, delivery) => {
    await using sink = await startSink(...flags);
    const { verdicts } = await deliver({ servers: [sink], ...delivery });
    expect(verdicts).toEqual([verdict]);
  });
});

describe.skipIf(!installed(['smtp-sink']))('LMTP (-L)', () => {
  it.concurrent.each<Fault>([
    [['-f', 'LHLO'], `bounced 5.3.0 ${refused(hard)}`],
    [['-r', 'LHLO'], `deferred 4.3.0 ${refused(soft)}`],
    [['-f', '.'], `bounced 5.3.0 ${said(hard, 'end of DATA command')}`],
    [['-r', '.'], `deferred 4.3.0 ${said(soft, 'end of DATA command')}`],
    [['-q', 'LHLO'], lost('performing the LHLO handshake')],
    [['-q', '.'], lost(dot)],
    [['-p', '-w', '1'], 'delivered 2.2.0 250 2.2.0 Ok'],
  ])('%j: %s, for each recipient', async (flags, verdict) => {
    await using sink = await startSink('-L', ...flags);
    const protocol: Protocol = 'lmtp';
    const requests = [['a@example.com', 'b@example.com']];
    const { verdicts } = await deliver({ protocol, servers: [sink], requests });
    expect(verdicts).toEqual([verdict, verdict]);
  });
});

it.skipIf(!installed(['smtp-sink']))(
  'a server that hangs up in the middle of the content (-A): its last words count, however the packets fall',
  { timeout: 30_000 },
  async () => {
    await using sink = await startSink('-A', '0');
    const content = Buffer.alloc(4_000_000, 'x'.repeat(70).concat('\r\n'));
    const sender = async (): Promise<void> => {
      for (let message = 0; message < 40; message++) {
        const { verdicts } = await deliver({ servers: [sink], content });
        expect(verdicts).toEqual([`bounced 5.0.0 ${said('550 This violates SMTP', 'end of DATA command')}`]);
      }
    };
    await Promise.all([sender(), sender(), sender()]);
  },
);
