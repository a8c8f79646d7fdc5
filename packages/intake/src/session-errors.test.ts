/** notify_classes at the intake: which of a client's errors the postmaster hears of. */
import { type Config, makeConfig } from '@mailfleet/config';
import type { TranscriptNotice } from '@mailfleet/queue';
import { expect, test } from 'vitest';
import { SessionErrors } from './session-errors.ts';

type Line = string | readonly [code: number, text: string];

function config(classes: string): Config {
  return makeConfig({ notify_classes: classes, myhostname: 'mx.test' });
}

async function told(
  classes: string,
  session: readonly Line[],
): Promise<readonly Omit<TranscriptNotice, 'noticeQueueId'>[]> {
  const errors = SessionErrors.from(config(classes));
  const notices: Omit<TranscriptNotice, 'noticeQueueId'>[] = [];
  for (const line of session) {
    if (typeof line === 'string') errors?.command(line);
    else errors?.reply(line[0], [line[1]]);
  }
  await errors?.tell(
    { requestTranscript: async (notice) => void notices.push(notice) },
    'unknown[192.0.2.1]:1',
  );
  return notices;
}

test.each([
  [554, '5.7.1 <x@y>: Relay access denied', 'policy'],
  [552, '5.3.4 Message size exceeds fixed limit', 'policy'],
  [452, '4.5.3 Error: too many recipients', 'policy'],
  [452, '4.3.1 Insufficient system storage', 'resource'],
  [451, '4.3.0 Error: internal error, try again later', 'software'],
  [550, '5.1.1 <x@y>: Recipient address rejected', 'bounce'],
  [501, '5.5.4 Syntax: MAIL FROM:<address>', 'protocol'],
  [500, 'Error: command not recognized', 'protocol'],
] as const)(
  'notify_classes: %d %s is of class %s, and told for that class only',
  async (code, text, wanted) => {
    const all = ['bounce', 'policy', 'protocol', 'resource', 'software'];
    const session: Line[] = ['MAIL FROM:<a@b>', [code, text]];
    for (const name of all) {
      const notices = await told(name, session);
      expect(notices.map(({ classes }) => classes)).toEqual(name === wanted ? [[wanted]] : []);
    }
  },
);

test('a session without errors, and one that ends by a time limit, is not told', async () => {
  const good: Line[] = ['EHLO x', [250, 'mx.test'], 'QUIT', [221, 'Bye']];
  expect(await told('protocol, policy, software', good)).toEqual([]);
  expect(await told('protocol, policy, software', [[421, 'Timeout']])).toEqual([]);
});

test('passwords are not in it', async () => {
  const [notice] = await told('protocol', [
    'AUTH LOGIN',
    [334, 'VXNlcm5hbWU6'],
    'c2VjcmV0',
    [535, '5.7.8 no'],
    'FOO',
    [500, '5.5.2 what'],
  ]);
  expect(JSON.stringify(notice)).not.toContain('c2VjcmV0');
});

test.each(['<>', '<double-bounce@mx.test>'])(
  'a session that brings mail from %s is not told: no loops',
  async (sender) => {
    expect(await told('policy', [`MAIL FROM:${sender}`, [554, '5.7.1 no']])).toEqual([]);
  },
);

test('notify_classes without any of the classes of sessions keeps nothing', () => {
  expect(SessionErrors.from(config('2bounce, delay, data'))).toBeUndefined();
});
