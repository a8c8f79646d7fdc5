/**
 * Postfix's client and ours before the same servers with the same message: same commands, same decisions, same words. What differs on
 * purpose is in differences.ts with its reason, and in docs/differences-from-postfix.md.
 */

import { randomInt } from 'node:crypto';
import { type DnsServer, installed, startDnsServer } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { differences } from './differences.ts';
import { runOurs } from './our-client.ts';
import { runPostfix } from './postfix-client.ts';
import { type Account, withoutAnonymous } from './scenario.ts';
import { scenarios } from './scenarios.ts';
import { removeCertificates } from './tls-scenarios.ts';
import { removeTableCertificates } from './tls-table.ts';

/** Scenarios of ours that run side by side. */
const WIDTH = 16;

describe.skipIf(!installed(['postfix']))('the client beside that of Postfix', () => {
  let theirs: readonly Account[] = [];
  const ours: Account[] = [];
  let dns: DnsServer | undefined;

  beforeAll(async () => {
    const zones = Object.assign({}, ...scenarios.map((scenario) => scenario.zones ?? {}));
    // At port 53, where Postfix asks; on an address that nobody else's name server has.
    dns = await startDnsServer({ zones, host: `127.53.${randomInt(256)}.${1 + randomInt(254)}`, port: 53 });
    const { address } = dns;
    const postfix = await runPostfix(scenarios, dns.host);
    theirs = postfix.accounts;
    const waiting = [...scenarios.entries()];
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        ours[next[0]] = withoutAnonymous(await runOurs(next[1], next[0], address), postfix.anonymous);
      }
    };
    await Promise.all(Array.from({ length: WIDTH }, work));
  }, 90_000);

  afterAll(async () => {
    removeCertificates();
    removeTableCertificates();
    await dns?.close();
  });

  test.each(scenarios.map((scenario, index) => [scenario.name, index] as const))('%s', (name, index) => {
    const difference = differences[name];
    const [we, they] = [ours[index], theirs[index]];
    if (difference === undefined) {
      expect(we).toEqual(they);
      return;
    }
    const { in: part, because } = difference;
    expect(we?.[part], `no longer differs: ${because}`).not.toEqual(they?.[part]);
    expect({ ...we, [part]: [] }).toEqual({ ...they, [part]: [] });
  });

  test('every scenario has a name of its own, and every difference a scenario', () => {
    const names = scenarios.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(differences).filter((name) => !names.includes(name))).toEqual([]);
  });
});
