import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MatchList } from './match-items.ts';
import { matchDomains, matchNetworks } from './match-list.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'mailfleet-match-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function kinds(list: MatchList, ...subjects: string[]): Promise<string[]> {
  return Promise.all(subjects.map(async (subject) => (await list.match(subject)).kind));
}

describe('networks', () => {
  test('blocks and addresses of both families', async () => {
    const list = matchNetworks(['127.0.0.0/8', '[::1]/128', '192.0.2.7', 'fd00::/8']);
    expect(
      await kinds(list, '127.1.2.3', '::1', '[::1]', '192.0.2.7', 'fd12::1', '::ffff:127.0.0.1'),
    ).toEqual(Array(6).fill('match'));
    expect(await kinds(list, '128.0.0.1', '::2', '192.0.2.8', 'unknown', '')).toEqual(Array(5).fill('miss'));
  });

  test('the first match decides, also an exclusion', async () => {
    const list = matchNetworks(['!10.1.0.0/16', '10.0.0.0/8']);
    expect(await kinds(list, '10.1.0.1', '10.2.0.1')).toEqual(['miss', 'match']);
  });

  test('files and tables, with exclusions inside a file', async () => {
    const path = join(directory, 'networks');
    writeFileSync(path, '# local\n!10.0.0.1, 10.0.0.0/24\n  10.0.2.0/24\n');
    expect(
      await kinds(matchNetworks([path, '10.0.0.0/8']), '10.0.0.1', '10.0.0.2', '10.0.2.2', '10.9.9.9'),
    ).toEqual(['miss', 'match', 'match', 'match']);
    expect(
      await kinds(matchNetworks([`!${path}`, '10.0.0.0/8']), '10.0.0.1', '10.0.0.2', '10.9.9.9'),
    ).toEqual(['match', 'miss', 'match']);
    expect(await kinds(matchNetworks(['cidr:{{10.0.0.0/8 x}}']), '10.0.0.1', '11.0.0.1')).toEqual([
      'match',
      'miss',
    ]);
  });

  test('what cannot be decided is an error', async () => {
    expect(await kinds(matchNetworks(['10.0.0.1/8']), '10.0.0.1')).toEqual(['error']);
    expect(await kinds(matchNetworks([join(directory, 'none')]), '10.0.0.1')).toEqual(['error']);
    expect(await kinds(matchNetworks(['fail:x', '10.0.0.0/8']), '10.0.0.1')).toEqual(['error']);
    expect(await kinds(matchNetworks(['10.0.0.0/8', 'fail:x']), '10.0.0.1')).toEqual(['match']);
  });
});

describe('domains', () => {
  test('a pattern is the domain, with a leading dot its subdomains', async () => {
    const list = matchDomains(['Example.com', '.example.org']);
    expect(
      await kinds(list, 'EXAMPLE.com', 'a.example.com', 'a.b.example.org', 'example.org', 'xexample.com'),
    ).toEqual(['match', 'miss', 'match', 'miss', 'miss']);
  });

  test('with parent_domain_matches_subdomains a pattern holds both', async () => {
    const list = matchDomains(['!not.example.com', 'example.com'], { parentMatchesSubdomains: true });
    expect(await kinds(list, 'example.com', 'a.example.com', 'x.not.example.com', 'example.org')).toEqual([
      'match',
      'match',
      'miss',
      'miss',
    ]);
  });

  test('tables are asked for parents too, patterns only for the whole domain', async () => {
    expect(await kinds(matchDomains(['inline:{.example.com=x}']), 'a.b.example.com', 'example.com')).toEqual([
      'match',
      'miss',
    ]);
    const bare = matchDomains(['inline:{example.com=x}'], { parentMatchesSubdomains: true });
    expect(await kinds(bare, 'a.b.example.com', 'example.com', 'com')).toEqual(['match', 'match', 'miss']);
    expect(await kinds(matchDomains(['regexp:{{/^\\.example/ x}}']), 'a.example')).toEqual(['miss']);
  });
});
