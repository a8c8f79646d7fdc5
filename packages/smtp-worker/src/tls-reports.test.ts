/** TLS results of a worker: counted together, told once, and only for domains that ask for reports. */
import type { TlsResult } from '@mailfleet/tls';
import { expect, it } from 'vitest';
import { TlsReportBatches } from './tls-reports.ts';

const success: TlsResult = {
  policy: { type: 'no-policy-found', domain: 'a.test', strings: [], mxHosts: [] },
};
const failure: TlsResult = { ...success, failure: { type: 'starttls-not-supported' } };

const world = (records: Record<string, readonly string[]>) => {
  const told: unknown[] = [];
  const notes: string[] = [];
  const reports = new TlsReportBatches({
    store: {
      count: async ({ day, domain }, results) => {
        if (domain === 'lost.test') throw new Error('Redis is away');
        told.push([
          day,
          domain,
          results.map(({ result, count }) => [result.failure?.type ?? 'success', count]),
        ]);
      },
    },
    dns: {
      txt: async (name) => {
        const found = records[name];
        if (found === undefined) throw new Error('SERVFAIL');
        return found;
      },
    },
    note: (text) => notes.push(text),
    now: () => Date.parse('2026-01-02T23:59:59Z'),
  });
  return { told, notes, reports };
};

const asks = ['v=TLSRPTv1; rua=mailto:r@a.test'];

it('counts what says the same, and tells it once', async () => {
  const { told, reports } = world({ '_smtp._tls.a.test': asks });
  for (let i = 0; i < 3; i++) reports.add('a.test', success);
  reports.add('a.test', failure);
  await reports.flush();
  await reports.flush();
  expect(told).toEqual([
    [
      '2026-01-02',
      'a.test',
      [
        ['success', 3],
        ['starttls-not-supported', 1],
      ],
    ],
  ]);
});

it.each<[string, readonly string[]]>([
  ['no record', []],
  ['two records', [...asks, ...asks]],
  ['another record', ['v=TLSRPTv11; rua=mailto:r@a.test']],
  ['no address', ['v=TLSRPTv1; rua=']],
  ['an address of another kind', ['v=TLSRPTv1; rua=ftp://a.test']],
])('%s: nothing is told', async (_, records) => {
  const { told, reports } = world({ '_smtp._tls.a.test': records });
  reports.add('a.test', success);
  await reports.flush();
  expect(told).toEqual([]);
});

it('trouble with one domain is noted, and the others are told', async () => {
  const { told, notes, reports } = world({ '_smtp._tls.lost.test': asks, '_smtp._tls.a.test': asks });
  for (const domain of ['lost.test', 'silent.test', 'a.test']) reports.add(domain, success);
  await reports.flush();
  expect(told).toHaveLength(1);
  expect(notes).toEqual([
    'TLS results for lost.test are not counted: Redis is away',
    'TLS results for silent.test are not counted: SERVFAIL',
  ]);
});
