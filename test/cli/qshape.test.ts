/** `mailfleet qshape` beside Debian's qshape, on the same mail: tables are compared byte for byte. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeConfig } from '@mailfleet/config';
import { type EmbeddedRedis, openQueue, type Queue, startEmbeddedRedis } from '@mailfleet/queue';
import { installed } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mailfleet } from '../fleet/fleet.ts';

const QSHAPE = '/usr/sbin/qshape';
/** Sender, recipients, age in minutes. No two domains have the same count, since qshape leaves their order to chance. */
const MAIL: readonly (readonly [sender: string, recipients: readonly string[], minutes: number])[] = [
  ['me@sender.example', ['u1@one.example', 'u2@one.example', 'u3@one.example', 'u@two.example'], 1],
  ['me@sender.example', ['U4@ONE.example', 'v@two.example', 'w@a.sub.parent.example'], 7],
  ['Me@sender.EXAMPLE', ['u5@one.example', 'x@a.sub.parent.example', 'y@b.sub.parent.example'], 100],
  ['', ['u6@one.example', 'z@a-domain-name-that-is-longer-than-its-column-can-show.sub.parent.example'], 700],
  [
    '',
    ['u7@one.example', 'q@two.example', 'q2@two.example', 'q3@two.example', 'r@a.sub.parent.example'],
    5000,
  ],
];

let directory: string;
let redis: EmbeddedRedis;
let queue: Queue;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailfleet-qshape-'));
  redis = await startEmbeddedRedis({ directory, socket: true });
  queue = await openQueue({ config: makeConfig(), redisUrl: redis.url });
  const nowMs = Date.now();
  for (const [sender, addresses, minutes] of MAIL) {
    const arrivalMs = nowMs - minutes * 60_000 - 30_000;
    const queueId = queue.newQueueId();
    const recipients = addresses.map((address, index) => ({
      index,
      address,
      transport: 'smtp',
      nexthop: 'x',
    }));
    await queue.accept({
      envelope: { queueId, sender, sizeBytes: 1, arrivalMs, createdMs: nowMs },
      recipients,
      content: { kind: 'inline', bytes: Buffer.from('x') },
    });
    await writeQueueFile(join(directory, 'postfix', queueId), sender, addresses, arrivalMs);
  }
});
afterAll(async () => {
  await queue?.close();
  await redis?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** A queue file as Postfix has it before cleanup: its age is that of the file. */
async function writeQueueFile(
  path: string,
  sender: string,
  recipients: readonly string[],
  arrivalMs: number,
): Promise<void> {
  const record = (type: string, text: string): string => `${type}${String.fromCharCode(text.length)}${text}`;
  const records = [
    record('S', sender),
    ...recipients.map((recipient) => record('R', recipient)),
    ...[record('M', ''), record('N', 'x'), record('X', ''), record('E', '')],
  ];
  await promisify(execFile)('mkdir', ['-p', join(path, '..')]);
  await writeFile(path, records.join(''), 'latin1');
  await utimes(path, arrivalMs / 1000, arrivalMs / 1000);
  await chmod(path, 0o700);
}

const ours = async (...options: string[]): Promise<string> => {
  const { code, stdout, stderr } = await mailfleet(['qshape', '-o', `redis_url=${redis.url}`, ...options]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
};

describe.skipIf(!installed(['qshape']))('beside qshape', () => {
  test.each([
    [[]],
    [['-s']],
    [['-b', '6', '-t', '10']],
    [['-l', '-b', '20']],
    [['-l', '-b', '15', '-t', '60', '-w', '132']],
    [['-p', '-m', '2']],
    [['-p', '-m', '3', '-s', '-b', '3']],
  ])('%j: the same table', async (options) => {
    const { stdout } = await promisify(execFile)(QSHAPE, [...options, join(directory, 'postfix')]);
    expect(await ours(...options)).toBe(stdout);
  });
});

test('other queues, the first domains, and JSON', async () => {
  expect(await ours('deferred', 'hold', '-b', '2')).toBe(
    `${'T  5 5+'.padStart(80)}\n${'TOTAL  0  0  0'.padStart(80)}\n`,
  );
  expect((await ours('-n', '1')).match(/^ *\S+/gm)).toHaveLength(3);
  expect(JSON.parse(await ours('--json', '-b', '3', '-n', '2', 'incoming'))).toEqual({
    bucket_limits: [5, 10],
    rows: [
      { domain: 'TOTAL', total: 17, by_age: [4, 3, 10] },
      { domain: 'one.example', total: 7, by_age: [3, 1, 3] },
      { domain: 'two.example', total: 5, by_age: [1, 1, 3] },
    ],
  });
  const { code, stderr } = await mailfleet(['qshape', 'maildrop']);
  expect(stderr).toContain('Allowed choices are incoming, active, deferred, hold');
  expect(code).not.toBe(0);
});
