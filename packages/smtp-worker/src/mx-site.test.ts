/** Which destinations are of one site by their mail hosts, and when that is told. */
import type { HostsResult } from '@mailfleet/routing';
import { expect, test, vi } from 'vitest';
import { siteOfHosts, tellingSites } from './mx-site.ts';

const hosts = (...names: readonly string[]) => names.map((host) => ({ host }));

test('the same hosts in any order and case are one site, others are not', () => {
  const site = siteOfHosts(hosts('mx2.example', 'MX1.example', 'mx2.example'));
  expect(site).toMatch(/^mx1\.example\+1-[0-9a-f]{8}$/);
  expect(siteOfHosts(hosts('mx1.example', 'mx2.example'))).toBe(site);
  expect(siteOfHosts(hosts('mx1.example', 'mx3.example'))).not.toBe(site);
  expect(siteOfHosts(hosts('mx1.example'))).toBe('mx1.example');
});

const found = (...names: readonly string[]) =>
  ({ kind: 'found', hosts: hosts(...names) }) as unknown as HostsResult;

test('a site is told once, and again when it changes; a named host and a failure are not told', async () => {
  const answers = new Map([
    ['a.example', found('mx.example')],
    ['[b.example]', found('b.example')],
    ['c.example', { kind: 'failed' } as HostsResult],
  ]);
  const reportSite = vi.fn(async () => undefined);
  const find = tellingSites(
    async (destination) => answers.get(destination) ?? found(),
    'smtp',
    { reportSite },
    () => undefined,
  );
  for (const destination of ['a.example', 'a.example', '[b.example]', 'c.example']) {
    expect(await find(destination)).toBe(answers.get(destination));
  }
  expect(reportSite.mock.calls).toEqual([[{ transport: 'smtp', nexthop: 'a.example' }, 'mx.example']]);
  answers.set('a.example', found('other.example'));
  await find('a.example');
  expect(reportSite).toHaveBeenLastCalledWith({ transport: 'smtp', nexthop: 'a.example' }, 'other.example');
});

test('a site that cannot be told does not stop the delivery', async () => {
  const warn = vi.fn();
  const reportSite = () => Promise.reject(new Error('away'));
  const find = tellingSites(async () => found('mx.example'), 'smtp', { reportSite }, warn);
  await find('a.example');
  await vi.waitFor(() => expect(warn).toHaveBeenCalledWith('site of a.example not told: Error: away'));
});
