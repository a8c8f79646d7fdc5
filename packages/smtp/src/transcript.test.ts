/** notify_classes: which sessions leave a transcript for the postmaster, and what is in it. */
import { type Hooks, type SmtpServer, startSmtpServer } from '@mailfleet/test-kit';
import { afterEach, expect, test } from 'vitest';
import { deliver, type TestDelivery } from './test-agent.ts';

const servers: SmtpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function transcriptsOf(classes: string, hooks: Hooks, more: Partial<TestDelivery> = {}) {
  const server = await startSmtpServer({ hooks, keywords: ['PIPELINING'] });
  servers.push(server);
  const config = { notify_classes: classes, double_bounce_sender: 'twice' };
  const { results } = await deliver({ servers: [server], config, ...more });
  return results.flatMap(({ transcripts = [] }) => transcripts);
}

const SECRET = 'this is the secret content';
const content = `Subject: x\r\n\r\n${SECRET}\r\n`;

test('notify_classes = protocol: a reply that no server should give is told with the whole dialogue but the content', async () => {
  const [transcript, ...more] = await transcriptsOf('protocol', { dot: '500 5.5.2 what' }, { content });
  expect(more).toEqual([]);
  expect(transcript).toMatchObject({
    classes: ['protocol'],
    relay: expect.stringMatching(/^mx1\.test\[127\.0\.0\.1\]:\d+$/),
  });
  expect(transcript?.lines).toEqual([
    'In: 220 sink.test ESMTP',
    'Out: EHLO client.test',
    'In: 250-sink.test',
    'In: 250 PIPELINING',
    'Out: MAIL FROM:<sender@example.org>',
    'Out: RCPT TO:<one@example.com>',
    'Out: DATA',
    expect.stringMatching(/^In: 250 /),
    expect.stringMatching(/^In: 250 /),
    expect.stringMatching(/^In: 354 /),
    'Out: .',
    'Out: QUIT',
    'In: 500 5.5.2 what',
    expect.stringMatching(/^In: 221 /),
  ]);
  expect(JSON.stringify(transcript)).not.toContain(SECRET);
});

test('no message sent as a chunk shows its content either', async () => {
  const server = await startSmtpServer({
    hooks: { rcpt: '503 5.5.1 no' },
    keywords: ['PIPELINING', 'CHUNKING'],
  });
  servers.push(server);
  const { results } = await deliver({ servers: [server], config: { notify_classes: 'protocol' }, content });
  expect(results[0]?.transcripts?.[0]?.lines.join('\n')).toContain('BDAT');
  expect(JSON.stringify(results)).not.toContain(SECRET);
});

test.each([
  ['protocol', { greeting: '220 hm' }, 0],
  ['protocol', { greeting: '502 hm' }, 1],
  ['protocol', { rcpt: '550 5.1.1 unknown' }, 0],
  ['protocol', { rcpt: '503 5.5.1 not now' }, 1],
  ['protocol', { mail: '555 5.5.4 hm' }, 1],
  ['data, policy, resource, software, bounce, 2bounce, delay', { rcpt: '503 5.5.1 not now' }, 0],
] as const)('notify_classes = %s and %j make %d', async (classes, hooks, count) => {
  expect(await transcriptsOf(classes, hooks as Hooks)).toHaveLength(count);
});

test('notify_classes = data: a message that cannot be read', async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('Subject: x\r\n\r\n');
    throw new Error('the disk is gone');
  }
  const unreadable = { content: async () => broken() };
  expect(await transcriptsOf('data', {}, unreadable)).toMatchObject([{ classes: ['data'] }]);
  expect(await transcriptsOf('protocol', {}, unreadable)).toEqual([]);
});

test.each(['', 'Twice@client.test'])('mail from <%s> leaves none: it is a notice itself', async (sender) => {
  expect(await transcriptsOf('protocol', { rcpt: '503 5.5.1 no' }, { envelope: { sender } })).toEqual([]);
});
