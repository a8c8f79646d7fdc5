/**
 * `mailfleet queue` and `mailfleet log` on a fleet with real mail in its queue. Listings are compared with what Debian's
 * postqueue prints for the same messages. The tests share a fleet and its queue, which fills up from one to the next.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { makeConfig } from '@mailfleet/config';
import { openQueue, type Queue, type QueueName } from '@mailfleet/queue';
import { installed, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';
import { startPostfix } from '../peers/postfix.ts';

const MAIN = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const EX_USAGE = 64;
const EX_UNAVAILABLE = 69;

const REPLIES: Readonly<Record<string, string>> = {
  full: '452 4.2.2 mailbox <x> is full',
  slow: '450 4.7.1 come back later, the list of those who wait is long today',
  busy: '450 b',
};
const refusing = {
  rcpt: ({ recipient = '' }: { readonly recipient?: string }) => REPLIES[recipient.replace(/\W.*|\d/g, '')],
};

let peer: Awaited<ReturnType<typeof startSmtpServer>>;
let fleet: Fleet;
/** For waiting: a command costs half a second. */
let queue: Queue;

beforeAll(async () => {
  peer = await startSmtpServer({ hooks: refusing });
  fleet = await startFleet({ parameters: { relayhost: `[127.0.0.1]:${peer.port}` } });
  queue = await openQueue({ config: makeConfig(), redisUrl: `unix://${fleet.directory}/redis/redis.sock` });
});
afterAll(async () => {
  await queue?.close();
  await fleet?.[Symbol.asyncDispose]();
  await peer?.close();
});

const HELD = 2;
/** Sender, recipients and size of what both queues get; the last is put on hold. */
const MESSAGES: readonly (readonly [from: string, to: readonly string[], bytes: number])[] = [
  ['me@example.com', ['full1@example.org', 'busy@example.org', 'full2@example.org'], 3_000],
  ['', ['slow@example.org'], 12_345],
  ['me@example.com', ['full@example.org', 'fine@example.org'], 700],
];

async function send(
  port: number,
  [from, to, bytes]: readonly [string, readonly string[], number],
): Promise<string> {
  const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
  const { response } = await transport.sendMail({
    envelope: { from, to: [...to] },
    subject: 'x',
    text: 'line of text\n'.repeat(bytes / 13),
  });
  return /queued as (\w+)/.exec(response)?.[1] ?? '';
}

/** Waits until the message is in this queue, or in none. */
function waitForQueue(queueId: string, name: QueueName | undefined): Promise<unknown> {
  const isThere = async (): Promise<boolean> => (await queue.find(queueId))?.listing?.queue === name;
  return waitFor(isThere, 20_000, `${queueId} in ${name ?? 'no queue'}`);
}

/** A command that succeeds: its standard output. */
async function ask(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await fleet.command(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

interface Listed {
  readonly queue_id: string;
  readonly queue_name: string;
  readonly message_size: number;
  readonly recipients: readonly { readonly address: string; readonly delay_reason?: string }[];
}
const parse = (lines: string): Listed[] =>
  lines
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Listed);
const reasons = (listed: readonly Listed[]): number =>
  listed.flatMap(({ recipients }) => recipients).filter((recipient) => recipient.delay_reason !== undefined)
    .length;

/** A listing with what differs from run to run made equal: ids (columns kept), sizes, times; messages in one order. */
function comparable(listing: string): string[] {
  const [header = '', ...rest] = listing.split('\n');
  const text = rest
    .join('\n')
    .replace(/^(\w+)([*!#]+| ) *\d+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d /gm, 'ID$2 SIZE DATE ')
    .replace(/^-- \d+ Kbytes/m, '-- SIZE Kbytes');
  return [header, ...text.split('\n\n').toSorted()];
}

/** The columns that `comparable` takes out: how far from id and marks the size ends, and the width of the date. */
function columns(listing: string): string[] {
  return [...listing.matchAll(/^(\w+[*!#]*)( *\d+) (\w{3} \w{3} [ \d]\d [\d:]{8}) /gm)].map(
    ([, id = '', size = '', date = '']) => {
      // The id of a message without marks has a blank.
      const width = Math.max(/\w$/.test(id) ? id.length + 1 : id.length, 17);
      return `${id.length + size.length - width} ${date.length}`;
    },
  );
}

test('an empty queue', async () => {
  expect(await ask('queue', '-p')).toBe('Mail queue is empty\n');
  expect(await ask('queue')).toBe('Mail queue is empty\n');
  expect(await ask('queue', '-j')).toBe('');
});

describe.skipIf(!installed(['postfix', 'postqueue', 'postsuper']))('beside postqueue', () => {
  test('-p and -j show deferred and held mail as postqueue does', async () => {
    await using postfix = await startPostfix({ relayPort: peer.port });
    expect(await ask('queue', '-p')).toBe(await postfix.postqueue('-p'));
    const theirs: string[] = [];
    const ours: string[] = [];
    for (const message of MESSAGES) {
      theirs.push(await send(postfix.smtpPort, message));
      ours.push(await send(fleet.smtpPort, message));
    }
    await waitFor(
      async () => reasons(parse(await postfix.postqueue('-j'))) === 5,
      20_000,
      'deferrals of Postfix',
    );
    for (const queueId of ours) await waitForQueue(queueId, 'deferred');
    await postfix.hold(theirs[HELD] ?? '');
    await ask('queue', '--hold', ours[HELD] ?? '');
    await postfix.expire(theirs[HELD] ?? '');
    await ask('queue', '--expire', ours[HELD] ?? '');

    const [theirList, ourList] = [await postfix.postqueue('-p'), await ask('queue', '-p')];
    expect(comparable(ourList)).toEqual(comparable(theirList));
    expect(new Set(columns(ourList))).toEqual(new Set(columns(theirList)));
    const [theirJson, ourJson] = [await postfix.postqueue('-j'), await ask('queue', '-j')];
    const shape = (lines: string): unknown =>
      parse(lines)
        .map((listed) => ({
          ...listed,
          keys: Object.keys(listed),
          ...{ queue_id: '', arrival_time: 0, message_size: 0 },
          recipients: listed.recipients.toSorted((a, b) => (a.address < b.address ? -1 : 1)),
        }))
        .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    // Beside Postfix's keys each deferral has its class.
    const classes = [...ourJson.matchAll(/,"delay_class":"([a-z-]+)"/g)].map(([, name]) => name);
    expect(classes.toSorted()).toEqual(['mailbox-full', 'mailbox-full', 'mailbox-full', 'other', 'policy']);
    expect(shape(ourJson.replaceAll(/,"delay_class":"[a-z-]+"/g, ''))).toEqual(shape(theirJson));
    for (const [list, json] of [
      [theirList, theirJson],
      [ourList, ourJson],
    ] as const) {
      const bytes = parse(json).reduce((sum, listed) => sum + listed.message_size, 0);
      expect(/^-- (\d+) Kbytes in 3 Requests\.$/m.exec(list)?.[1]).toBe(String(Math.floor(bytes / 1024)));
    }
  });
});

test('hold, release and delete; a message that is not there draws a sentence', async () => {
  const queueId = await send(fleet.smtpPort, ['me@example.com', ['busy@example.org'], 100]);
  await waitForQueue(queueId, 'deferred');
  await ask('queue', '--hold', queueId);
  expect(parse(await ask('queue', '-j')).find((one) => one.queue_id === queueId)?.queue_name).toBe('hold');
  expect(await ask('queue', '--release', queueId)).toBe(`${queueId} hold\n-- Released 1 message.\n`);
  await waitForQueue(queueId, 'deferred');
  expect(await ask('queue', '--delete', queueId, '--dry-run')).toBe(
    `${queueId} deferred\n-- Would delete 1 message.\n`,
  );
  expect(await ask('queue', '-j')).toContain(queueId);
  await ask('queue', '--delete', queueId);
  expect(await ask('queue', '-j')).not.toContain(queueId);
  expect(await ask('log', queueId)).toMatch(/ held\n.* released\n.* removed\n$/s);
  const logged = (await fleet.maillog()).match(new RegExp(`postfix/postsuper.*: ${queueId}: .*`, 'g')) ?? [];
  expect(logged.map((line) => line.replace(/^.*\w: /, ''))).toEqual([
    'placed on hold',
    'released from hold',
    'removed',
  ]);

  for (const option of ['-i', '--hold', '--release', '--delete']) {
    expect(await fleet.command(['queue', option, queueId])).toEqual({
      code: EX_UNAVAILABLE,
      stdout: '',
      stderr: `mailfleet: no message ${queueId} in a queue where this can be done; see mailfleet queue -p\n`,
    });
  }
  expect(await fleet.command(['queue', '-f', '--delete', queueId])).toEqual({
    code: EX_USAGE,
    stdout: '',
    stderr:
      'mailfleet: queue takes one of -p, -j, -f, -i, -s, --hold, --release, --requeue, --delete, --expire, --expire-release\n',
  });
});

test('-i tries one deferred message at once, -f all; a held one stays', async () => {
  const first = await send(fleet.smtpPort, ['me@example.com', ['busy1@example.org'], 100]);
  const second = await send(fleet.smtpPort, ['me@example.com', ['busy2@example.org'], 100]);
  const third = await send(fleet.smtpPort, ['me@example.com', ['busy3@example.org'], 100]);
  for (const queueId of [first, second, third]) await waitForQueue(queueId, 'deferred');
  await ask('queue', '--hold', third);
  peer.hooks = {};
  const count = peer.messageCount;
  await ask('queue', '-i', first);
  await peer.waitForMessages(count + 1, 10_000);
  await waitForQueue(first, undefined);
  await waitForQueue(second, 'deferred');
  await ask('queue', '-f');
  await waitForQueue(second, undefined);
  await waitForQueue(third, 'hold');
  expect(peer.messages.slice(count)[0]?.recipients).toEqual(['busy1@example.org']);
});

test('selectors: listings and commands for the messages that they name; ids on standard input', async () => {
  peer.hooks = refusing;
  const mine = await send(fleet.smtpPort, ['select@example.com', ['busy@select.example'], 100]);
  const notice = await send(fleet.smtpPort, ['', ['busy@select.example', 'busy@other.example'], 100]);
  for (const queueId of [mine, notice]) await waitForQueue(queueId, 'deferred');
  const listed = async (...options: string[]): Promise<string[]> =>
    parse(await ask('queue', '-j', ...options)).map((one) => one.queue_id);
  expect((await listed('--domain', 'Select.example')).sort()).toEqual([mine, notice].sort());
  expect(await listed('--sender', '@example.com', '--recipient', '@select.example')).toEqual([mine]);
  expect(await listed('--sender', '<>', '--recipient', 'busy@other.example')).toEqual([notice]);
  expect(await listed('--domain', 'select.example', '--older-than', '1h')).toEqual([]);
  expect(await listed('--domain', 'select.example', '--queue', 'hold', 'incoming')).toEqual([]);

  const selector = ['--sender', 'select@example.com'];
  expect(await ask('queue', '--hold', ...selector, '--dry-run')).toBe(
    `${mine} deferred\n-- Would hold 1 message.\n`,
  );
  await waitForQueue(mine, 'deferred');
  expect(await ask('queue', '--hold', ...selector)).toBe(`${mine} deferred\n-- Held 1 message.\n`);
  await waitForQueue(mine, 'hold');
  const { stdout } = await fleet.command(['queue', '--release', '-'], `${mine}\n\n${mine}\n`);
  expect(stdout).toBe(`${mine} hold\n-- Released 1 message.\n`);
  expect(await ask('queue', '--delete', '--domain', 'select.example')).toMatch(
    /\n-- Deleted 2 messages\.\n$/,
  );

  for (const [args, sentence] of [
    [['--delete'], 'say which messages: queue ids, ALL, - or a selector such as --sender'],
    [['--delete', mine, ...selector], 'name messages by queue id or by selector, not by both'],
    [['--dry-run'], '--dry-run goes with a command, such as --delete'],
  ] as const) {
    const { code, stderr } = await fleet.command(['queue', ...args]);
    expect(stderr).toContain(`mailfleet: ${sentence}`);
    expect(code).toBe(EX_USAGE);
  }
  const { code, stderr } = await fleet.command(['queue', '--hold', '--older-than', 'long']);
  expect(stderr).toContain(`'--older-than <time>' argument 'long' is invalid. "long" is not a time`);
  expect(code).not.toBe(0);
});

test('-s tries the mail for a site at once; --requeue makes new mail by the tables of today', async () => {
  peer.hooks = refusing;
  const site = await send(fleet.smtpPort, ['me@example.com', ['busy@site.example'], 100]);
  const routed = await send(fleet.smtpPort, ['me@example.com', ['busy@route.example'], 100]);
  for (const queueId of [site, routed]) await waitForQueue(queueId, 'deferred');
  peer.hooks = {};
  expect(await ask('queue', '-s', 'site.example')).toBe(`${site} deferred\n-- Flushed 1 message.\n`);
  await waitForQueue(site, undefined);
  await waitForQueue(routed, 'deferred');

  await using other = await startSmtpServer({});
  await ask('queue', '--requeue', routed, '-o', `relayhost=[127.0.0.1]:${other.port}`);
  await other.waitForMessages(1, 10_000);
  expect(other.messages[0]?.recipients).toEqual(['busy@route.example']);
  expect(await ask('log', routed)).toMatch(/ requeued as \w+\n$/);
  await waitForQueue(routed, undefined);
});

test('--expire returns a deferred message at once', async () => {
  peer.hooks = refusing;
  const queueId = await send(fleet.smtpPort, ['me@example.com', ['busy@expire.example'], 100]);
  await waitForQueue(queueId, 'deferred');
  peer.hooks = {};
  const count = peer.messageCount;
  expect(await ask('queue', '--expire', queueId)).toBe(`${queueId} deferred\n-- Expired 1 message.\n`);
  await waitForQueue(queueId, undefined);
  await peer.waitForMessages(count + 1, 10_000);
  expect(peer.messages.at(-1)).toMatchObject({ recipients: ['me@example.com'] });
  expect(await fleet.maillog()).toContain(
    `${queueId}: from=<me@example.com>, status=force-expired, returned to sender`,
  );
});

test('a listing of several pages has each message once', async () => {
  const before = new Set(parse(await ask('queue', '-j')).map((listed) => listed.queue_id));
  // One reply for all: the destination counts as dead after it, and what comes in is deferred without an attempt.
  peer.hooks = { greeting: { reply: '421 4.3.2 not now', close: true } };
  const submit = async (n: number): Promise<string> => {
    const response = await fetch(`${fleet.httpUrl}/v1/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ from: 'me@example.com', to: [`r${n}@example.org`], subject: 'x', text: 'x' }),
    });
    return ((await response.json()) as { id: string }).id;
  };
  const ids: string[] = [];
  for (let n = 0; n < 1_200; n += 60)
    ids.push(...(await Promise.all(Array.from({ length: 60 }, (_, i) => submit(n + i)))));
  const settled = async (): Promise<boolean> => {
    const { incoming, active } = await queue.counts();
    return incoming + active === 0;
  };
  await waitFor(settled, 30_000, 'all messages in the deferred queue');

  const listed = parse(await ask('queue', '-j')).map((one) => one.queue_id);
  expect(listed.filter((queueId) => !before.has(queueId)).toSorted()).toEqual(ids.toSorted());
  const printed = await ask('queue', '-p');
  expect(printed.match(/^-{4}Queue ID/gm)).toHaveLength(1);
  expect(printed.match(/^\w{10,}[ *!]/gm)).toHaveLength(1_200 + before.size);
  expect(printed).toMatch(new RegExp(`^-- \\d+ Kbytes in ${1_200 + before.size} Requests\\.\n$`, 'm'));
});

test('log: the timeline of a message, as text and as JSON; an unknown id draws a sentence', async () => {
  const [queueId = ''] = parse(await ask('queue', '-j'))
    .filter(({ recipients }) => recipients.some(({ address }) => address.startsWith('r0@')))
    .map((listed) => listed.queue_id);
  const text = await ask('log', queueId);
  expect(text).toMatch(/^\S+Z +\+\d\.\d{3}s accepted from=<me@example\.com> recipients=1\n/);
  expect(text).toMatch(
    / deferred to=<r0@example\.org> relay=\S+ dsn=4\.3\.2 class=system \(.*421 4\.3\.2 not now.*\)\n/,
  );
  expect(text).toMatch(/\nnow in the deferred queue, next attempt \S+Z\n$/);
  const view = JSON.parse(await ask('log', '--json', queueId)) as {
    listing: { queue: string };
    timeline: { kind: string }[];
  };
  expect(view.listing.queue).toBe('deferred');
  expect(view.timeline[0]?.kind).toBe('accepted');
  expect(await fleet.command(['log', '4nonsense'])).toEqual({
    code: EX_UNAVAILABLE,
    stdout: '',
    stderr:
      'mailfleet: nothing is known of 4nonsense; finished messages are kept for message_timeline_time\n',
  });
});

test('log without an id: the end of maillog_file in whole lines; -f goes on with what is added', async () => {
  const log = await ask('log');
  const whole = await fleet.maillog();
  expect(Buffer.byteLength(whole)).toBeGreaterThan(16_384);
  expect(log.length).toBeLessThanOrEqual(16_384);
  expect(`\n${whole}`.endsWith(`\n${log}`)).toBe(true);

  const following = spawn(
    process.execPath,
    [
      '--conditions=source',
      MAIN,
      'log',
      '-f',
      '-c',
      fleet.directory,
      '-o',
      `maillog_file=${fleet.directory}/maillog`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  following.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await waitFor(() => output !== '', 30_000, 'the end of the log so far');
  const queueId = await send(fleet.smtpPort, ['me@example.com', ['follow@example.org'], 100]);
  await waitFor(() => output.includes(`${queueId}: from=<me@example.com>`), 10_000, 'the new lines');
  following.kill();
  await once(following, 'exit');
  const now = await fleet.maillog();
  expect(`\n${now}`).toContain(`\n${output.trimEnd()}\n`);
});

test('log of a fleet that logs to the standard output says where to look', async () => {
  const { code, stderr } = await fleet.command(['log', '-o', 'maillog_file=']);
  expect(stderr).toBe(
    'mailfleet: maillog_file is not set, so the log goes to the standard output of the daemons; set it to a file\n',
  );
  expect(code).toBe(78);
});
