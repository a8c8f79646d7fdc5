/** header_checks and body_checks as mail comes in. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dialogue, type Store, startIntake, startStore } from './fixture.ts';

let store: Store;
beforeAll(async () => {
  store = await startStore();
});
afterAll(() => store[Symbol.asyncDispose]());

const MESSAGE = [
  'Subject: buy now',
  'Content-Type: multipart/mixed; boundary=b',
  '',
  '--b',
  'Content-Type: text/x-virus',
  '',
  'line one',
  'line two',
  '--b',
  'Content-Type: message/rfc822',
  '',
  'X-Inner: secret',
  '',
  'inner',
  '--b--',
  '',
].join('\r\n');

/** The last reply, what was stored, and what the log says. */
async function submit(values: Record<string, string>): Promise<{
  reply: string;
  content: string | undefined;
  remarks: readonly string[];
}> {
  await using intake = await startIntake(store, { mydestination: '', relayhost: '[127.0.0.1]:9', ...values });
  const before = (await intake.stored()).length;
  const replies = await dialogue(intake.daemon.smtpPort, [
    'EHLO client.test',
    'MAIL FROM:<ann@example.com>',
    'RCPT TO:<bob@example.net>',
    'DATA',
    Buffer.from(`${MESSAGE}\r\n.\r\n`),
  ]);
  const stored = (await intake.stored())[before];
  return {
    reply: replies.at(-1) ?? '',
    content: stored && (await intake.content(stored.envelope.queueId)),
    remarks: intake.events.flatMap((event) => (event.kind === 'remark' ? [event.text] : [])),
  };
}

describe('header_checks', () => {
  it('REJECT refuses with its text, and nothing is stored', async () => {
    const { reply, content, remarks } = await submit({
      header_checks: 'regexp:{{/^Subject: buy/ REJECT 5.7.9 no offers}}',
    });
    expect(reply).toBe('550 5.7.9 no offers');
    expect(content).toBeUndefined();
    expect(remarks).toEqual(['reject: header Subject: buy now: 5.7.9 no offers']);
  });

  it('DISCARD takes the message and throws it away', async () => {
    const { reply, content } = await submit({ header_checks: 'regexp:{{/^Subject: buy/ DISCARD}}' });
    expect(reply).toMatch(/^250 /);
    expect(content).toBeUndefined();
  });

  it('REPLACE, PREPEND and IGNORE change the header', async () => {
    const { content } = await submit({
      header_checks: 'regexp:{{/^Subject: buy/ REPLACE Subject: sold}, {/^Content-Type: text/ IGNORE}}',
    });
    expect(content).toContain('Subject: sold\r\n');
    expect(content).not.toContain('text/x-virus');
  });

  it('a table that cannot be asked defers', async () => {
    expect((await submit({ header_checks: 'fail:broken' })).reply).toMatch(/^451 4\.3\.0 /);
  });
});

it.each([
  ['mime_header_checks', 'regexp:{{/x-virus/ REJECT a virus}}', '550 5.7.1 a virus'],
  ['nested_header_checks', 'regexp:{{/^X-Inner/ REJECT inside}}', '550 5.7.1 inside'],
  ['body_checks', 'regexp:{{/^line two/ REJECT two}}', '550 5.7.1 two'],
])('%s', async (parameter, table, expected) => {
  expect((await submit({ [parameter]: table })).reply).toBe(expected);
});

it('body_checks_size_limit: of each body segment only so many bytes are looked at', async () => {
  const checks = { body_checks: 'regexp:{{/^line two/ REJECT two}}' };
  expect((await submit({ ...checks, body_checks_size_limit: '20' })).reply).toMatch(/^550 /);
  expect((await submit({ ...checks, body_checks_size_limit: '5' })).reply).toMatch(/^250 /);
});
