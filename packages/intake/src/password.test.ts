/** What is said of a broken intake_password_maps shows none of its passwords. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { afterAll, expect, test } from 'vitest';
import { createIntake } from './intake.ts';
import { passwordCheck } from './password.ts';

const directory = mkdtempSync(join(tmpdir(), 'mailfleet-passwords-'));
writeFileSync(join(directory, 'users'), 'hunter2\nann right\n');

afterAll(() => rmSync(directory, { recursive: true, force: true }));

test.each([
  ['a table that always fails', 'fail:hunter2', /fail:… fails every lookup/],
  ['a line with a password alone', `texthash:${directory}/users`, /users:1: the key "…" has no value/],
])('intake_password_maps: %s', async (_, maps, expected) => {
  const said: string[] = [];
  const say = (sentence: string): void => void said.push(sentence);
  const intake = createIntake({
    config: makeConfig({ myhostname: 'mx.test', intake_password_maps: maps }),
    queue: {} as never,
    telemetry: { emit: () => undefined, log: { warn: say, error: say } as never },
  });
  const check = passwordCheck(intake);
  await new Promise((resolve) => {
    check(
      { method: 'PLAIN', username: 'ann', password: 'wrong' } as never,
      { remoteAddress: '192.0.2.1' } as never,
      resolve,
    );
  });
  expect(said.join('\n')).toMatch(expected);
  expect(said.join('\n')).not.toContain('hunter2');
});
