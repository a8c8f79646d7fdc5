/** non_smtpd_milters at intake: mail over HTTP is shown to them, mail by SMTP is not, and what they say is answered or stored. */
import { indexed, type MilterServer, type MilterStep, startMilter } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dialogue, type Store, startIntake, startStore } from './fixture.ts';

let store: Store;
beforeAll(async () => {
  store = await startStore();
});
afterAll(() => store[Symbol.asyncDispose]());

const MESSAGE = 'From: ann@example.com\r\nSubject: hello\r\n\r\nthe body\r\n';

const atEnd =
  (...replies: (string | Buffer)[]) =>
  ({ letter }: MilterStep) =>
    letter === 'E' ? replies : undefined;

/** What became of a message over HTTP. */
async function post(
  milter: MilterServer,
  values: Record<string, string> = {},
  body = MESSAGE,
): Promise<{
  status: number;
  answer: { message?: string; accepted?: string[] };
  stored: { queue: string; sender: string; recipients: string[]; content: string; size: number } | undefined;
  files: number;
}> {
  await using intake = await startIntake(store, {
    mydestination: '',
    relayhost: '[127.0.0.1]:9',
    non_smtpd_milters: milter.address,
    ...values,
  });
  const known = new Set((await intake.stored()).map(({ envelope }) => envelope.queueId));
  const before = (await intake.contentFiles()).length;
  const response = await fetch(
    `${intake.http}/v1/messages?from=ann@example.com&to=bob@example.net&to=eve@example.net`,
    { method: 'POST', headers: { 'content-type': 'message/rfc822' }, body },
  );
  const answer = (await response.json()) as { message?: string; accepted?: string[] };
  const found = (await intake.stored()).find(({ envelope }) => !known.has(envelope.queueId));
  const stored = found && {
    queue: found.queue,
    sender: found.envelope.sender,
    recipients: found.recipients.map(({ address }) => address),
    content: found.queue === 'hold' ? '' : await intake.content(found.envelope.queueId),
    size: found.envelope.sizeBytes,
  };
  return { status: response.status, answer, stored, files: (await intake.contentFiles()).length - before };
}

describe('non_smtpd_milters', () => {
  it('are shown mail over HTTP, and their changes are stored', async () => {
    await using milter = await startMilter(
      atEnd(
        indexed('i', 1, 'DKIM-Signature', 'v=1;\n\tb=x'),
        'hX-Spam\0no\0',
        'e<bounces@example.com>\0',
        '-<eve@example.net>\0',
        '+<carl@example.net>\0',
        'bother\r\n',
        'c',
      ),
    );
    const { status, answer, stored } = await post(milter);
    expect({ status, accepted: answer.accepted }).toEqual({
      status: 202,
      accepted: ['bob@example.net', 'carl@example.net'],
    });
    expect(stored).toMatchObject({
      queue: 'incoming',
      sender: 'bounces@example.com',
      recipients: ['bob@example.net', 'carl@example.net'],
    });
    expect(stored?.content).toMatch(
      /^Received: (?:.*\r\n[ \t])*.*\r\nDKIM-Signature: v=1;\r\n\tb=x\r\nFrom: ann@example.com\r\n/,
    );
    expect(stored?.content).toMatch(/\r\nX-Spam: no\r\n\r\nother\r\n$/);
    expect(stored?.size).toBe(stored?.content.length);
    expect(milter.told('M')).toEqual(['ann@example.com']);
    expect(milter.told('L')).toContain('Subject|hello');
    expect(milter.told('L').join('\n')).not.toMatch(/^Received/m);
    expect(milter.told('B')).toEqual(['the body\r\n']);
  });

  it('a message that lies in a file is read and stored anew, and no file is left over', async () => {
    const body = `${MESSAGE}${`${'y'.repeat(98)}\r\n`.repeat(5000)}`;
    await using milter = await startMilter(atEnd('hX-Seen\0yes\0', 'c'));
    const { stored, files } = await post(milter, { content_inline_limit: '10000' }, body);
    expect(milter.told('B').join('')).toBe(body.slice(body.indexOf('the body')));
    expect(stored?.content).toContain('X-Seen: yes\r\n\r\nthe body\r\n');
    expect(stored?.content.endsWith(body.slice(-5000))).toBe(true);
    expect(stored?.size).toBe(stored?.content.length);
    expect(files).toBe(1);
  });

  it.each<[string, string, number, RegExp | undefined]>([
    ['reject', 'r', 422, /Command rejected/],
    ['a reply code', 'y550 5.7.9 no offers\0', 422, /no offers/],
    ['tempfail', 't', 503, /try again later/],
    ['discard', 'd', 202, undefined],
    ['a recipient that is none', '+<a@b..c>\0', 503, /a milter is in error/],
  ])('%s: nothing is stored', async (_name, reply, status, message) => {
    await using milter = await startMilter(atEnd(reply, 'c'));
    const found = await post(milter, { content_inline_limit: '10' });
    expect(found).toMatchObject({ status, files: 0, stored: undefined });
    if (message !== undefined) expect(found.answer.message).toMatch(message);
  });

  it('quarantine, and milter_default_action = quarantine: on hold', async () => {
    await using milter = await startMilter(atEnd('qodd\0', 'c'));
    expect((await post(milter)).stored?.queue).toBe('hold');
    await using broken = await startMilter(({ letter }) => (letter === 'M' ? 'hangup' : undefined));
    expect((await post(broken, { milter_default_action: 'quarantine' })).stored?.queue).toBe('hold');
    expect(await post(broken)).toMatchObject({ status: 503, stored: undefined });
  });

  it('are not asked about mail by SMTP', async () => {
    await using milter = await startMilter(atEnd('r'));
    await using intake = await startIntake(store, {
      mydestination: '',
      relayhost: '[127.0.0.1]:9',
      non_smtpd_milters: milter.address,
    });
    const replies = await dialogue(intake.daemon.smtpPort, [
      'EHLO client.test',
      'MAIL FROM:<ann@example.com>',
      'RCPT TO:<bob@example.net>',
      'DATA',
      Buffer.from(`${MESSAGE}.\r\n`),
    ]);
    expect(replies.at(-1)).toMatch(/^250 /);
    expect(milter.steps).toEqual([]);
  });
});
