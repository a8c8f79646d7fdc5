/** dnssec_probe: one question, one warning, and only where validation was to be expected. */
import { type DnsEntry, startDnsServer, waitFor } from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import { type DnssecProbe, parseDnssecProbe } from './dnssec-probe.ts';
import { createResolver } from './resolver.ts';

const secure = { records: ['ns.test'], ad: true };

describe('dnssec_probe = ns:.', () => {
  const cases: readonly (readonly [DnsEntry, string | undefined])[] = [
    [secure, undefined],
    ['ns.test', "dnssec_probe 'ns:.' received a response that is not DNSSEC validated"],
    ['SERVFAIL', "dnssec_probe 'ns:.' received a response that is not DNSSEC validated"],
    ['TIMEOUT', "dnssec_probe 'ns:.' received no response"],
  ];
  it.each(cases)('answer %j: warning %j', async (answer, words) => {
    await using dns = await startDnsServer({
      zones: {
        'a.test': { A: '127.0.0.1' },
        'b.test': { A: { records: ['127.0.0.1'], ad: true } },
        '': { NS: answer },
      },
    });
    const warnings: string[] = [];
    const resolver = createResolver({
      servers: [dns.address],
      timeoutMs: 200,
      attempts: 1,
      dnssecProbe: parseDnssecProbe(['ns:.']) as DnssecProbe,
      warn: (sentence) => warnings.push(sentence),
    });
    const probes = (): number => dns.queries.filter(({ type }) => type === 'NS').length;
    await resolver.lookup('b.test', 'A', { dnssec: true });
    await resolver.lookup('a.test', 'A');
    expect(probes()).toBe(0);
    await resolver.lookup('a.test', 'A', { dnssec: true });
    await resolver.lookup('a.test', 'A', { dnssec: true });
    await waitFor(() => probes() > 0, 2000, 'the probe');
    if (words === undefined) return;
    await waitFor(() => warnings.length > 0, 2000, 'the warning');
    expect(warnings).toEqual([`DNSSEC validation may be unavailable; reason: ${words}`]);
    expect(probes()).toBe(1);
  });

  it.each([
    [[], undefined],
    [['ns:.'], { name: '.', type: 'NS' }],
    [['A:example.com.'], { name: 'example.com', type: 'A' }],
    [['nonsense:.'], { error: expect.stringContaining('is not "type:name"') }],
    [['ns'], { error: expect.stringContaining('is not "type:name"') }],
  ])('%j is read as %j', (words, probe) => {
    expect(parseDnssecProbe(words)).toEqual(probe);
  });
});
