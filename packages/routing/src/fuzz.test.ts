/**
 * Destinations and DNS packets as nobody meant them: whatever comes in, the answer is a value, soon. The same in every
 * run: the seeds are in the names, and `TEST_SEED=<seed>` tries another one.
 */
import { type Random, randomFrom, startDnsServer, testSeeds } from '@mailfleet/test-kit';
import { type Answer, encode } from 'dns-packet';
import { describe, expect, test } from 'vitest';
import { lookupRecords } from './dns-lookup.ts';
import { decodeReply, type LookupType, type Question } from './dns-message.ts';
import { isHostname, isNumericAddress, toALabel } from './hostname.ts';
import { parseDestination, parseNexthop } from './nexthop.ts';
import { createResolver, parseNameServer, parseResolvConf } from './resolver.ts';
import { makeServicePorts } from './service-port.ts';

const syntax = {
  defaultService: 'smtp',
  servicePorts: makeServicePorts(['smtp=25', 'lmtp=24', 'submission=587']),
  utf8Names: true,
};
const pieces = [
  ...['[', ']', ':', '.', ',', ' ', '\t', '-', '_', '%', '@', '\0', '\r\n', 'ü', '\u{1f4e7}', '\ud800'],
  ...['a', 'm1.t', '25', '65536', '0', '127.0.0.1', '256.1.1.1', '::', '::1', 'fd00', 'ffff:1.2.3.4'],
  ...['ipv6:', 'IPv6:', 'inet:', 'unix:', '/socket', 'smtp', 'submission', 'a'.repeat(64), 'b.'.repeat(130)],
] as unknown as [string, ...string[]];
const types: readonly [LookupType, ...LookupType[]] = ['A', 'AAAA', 'MX', 'SRV', 'TLSA', 'TXT'];

describe.each(testSeeds)('random input, seed %i', (seed) => {
  test('destinations', () => {
    const random = randomFrom(seed);
    let parsed = 0;
    for (let round = 0; round < 20_000; round++) {
      const text = random.text(pieces, 6);
      const result = parseDestination(text, syntax);
      if (!result.ok) {
        expect(result.reason).not.toBe('');
        continue;
      }
      parsed += 1;
      const { host, port, service, bracketed } = result.destination;
      expect(port >= 1 && port <= 65_535, text).toBe(true);
      expect(isNumericAddress(host) || isHostname(toALabel(host) ?? ''), text).toBe(true);
      expect(/[\0\r\n\s,[\]]/.test(host), text).toBe(false);
      // The same again from its parts.
      const again = bracketed ? `[${host}]:${service}` : `${host}:${service}`;
      expect(parseDestination(again, syntax)).toMatchObject({
        ok: true,
        destination: { host, port, bracketed },
      });
    }
    expect(parsed).toBeGreaterThan(500);
  });

  test('lists of destinations lose nothing but what separates them', () => {
    const random = randomFrom(seed + 1);
    for (let round = 0; round < 5000; round++) {
      const text = random.text(pieces, 8);
      const smtp = parseNexthop(text, 'smtp');
      const kept = smtp.kind === 'tcp' ? smtp.destinations.join('') : undefined;
      expect(kept, text).toBe(text.replace(/[\s,]/g, ''));
      const lmtp = parseNexthop(text, 'lmtp');
      expect(lmtp.kind).toBe(text.startsWith('unix:') ? 'unix' : 'tcp');
    }
  });

  test('name servers and resolv.conf', () => {
    const random = randomFrom(seed + 2);
    const words = [...pieces, 'nameserver ', 'options ', 'timeout:', 'search ', '\n'] as [
      string,
      ...string[],
    ];
    for (let round = 0; round < 2000; round++) {
      const text = random.text(words, 12);
      expect(parseNameServer(text).port).toBeGreaterThanOrEqual(0);
      const system = parseResolvConf(text);
      expect(system.servers.length).toBeGreaterThan(0);
      expect(system.timeoutMs).toBeGreaterThan(0);
    }
  });

  test('packets with bytes changed, cut off or added', async () => {
    const random = randomFrom(seed + 3);
    const kinds = new Set<string>();
    for (let round = 0; round < 5000; round++) {
      const question: Question = { name: 'a.test', type: random.pick(types) };
      const packet = damaged(answerTo(question, random), random);
      const reply = decodeReply(packet, question, 7);
      kinds.add(reply.kind);
      if (reply.kind === 'foreign') continue;
      const result = await lookupRecords(async () => reply as never, question.name, question.type);
      kinds.add(result.kind);
      if (result.kind === 'ok') expect(result.records.length).toBeGreaterThan(0);
      else expect(result.reason).not.toBe('');
    }
    expect([...kinds]).toEqual(expect.arrayContaining(['reply', 'malformed', 'foreign', 'ok', 'notfound']));
  });

  test('a server that answers noise, over real sockets', async () => {
    const random = randomFrom(seed + 4);
    await using dns = await startDnsServer({
      zones: {
        '*.test': {
          A: {
            respond: (query) => {
              const noise = random.bytes(100);
              // Half of it with the right id, so that it is looked at.
              if (noise.length >= 2 && random.below(2) === 1) noise.writeUInt16BE(query.id ?? 0);
              return noise;
            },
          },
        },
      },
    });
    const resolver = createResolver({ servers: [dns.address], timeoutMs: 20, attempts: 1 });
    const names = Array.from({ length: 40 }, (_, index) => `n${index}.test`);
    const results = await Promise.all(names.map((name) => resolver.lookup(name, 'A')));
    expect(results.every((result) => result.kind !== 'ok')).toBe(true);
  });
});

test('names that point at themselves end', () => {
  const question: Question = { name: 'a.test', type: 'MX' };
  const packet = encode({
    type: 'response',
    id: 7,
    questions: [{ name: 'a.test', type: 'MX' }],
    answers: [{ type: 'MX', name: 'a.test', ttl: 1, data: { preference: 1, exchange: 'm.test' } }],
  });
  // The name of the answer becomes a pointer to itself, then to the other end of a circle of two.
  const answerAt = 12 + 'a.test'.length + 2 + 4;
  for (const target of [answerAt, answerAt + 2]) {
    const circle = Buffer.concat([
      packet.subarray(0, answerAt),
      Buffer.from([0xc0, target, 0xc0, answerAt]),
      packet.subarray(answerAt + 4),
    ]);
    expect(decodeReply(circle, question, 7).kind).toBe('malformed');
  }
});

function answerTo(question: Question, random: Random): Buffer {
  const name = random.pick([question.name, 'b.test', 'A.TEST']);
  const known: Readonly<Record<LookupType, Answer>> = {
    A: { type: 'A', name, ttl: 5, data: '192.0.2.1' },
    AAAA: { type: 'AAAA', name, ttl: 5, data: '2001:db8::1' },
    CNAME: { type: 'CNAME', name, ttl: 5, data: 'c.test' },
    NS: { type: 'NS', name, ttl: 5, data: 'ns.test' },
    MX: { type: 'MX', name, ttl: 5, data: { preference: 1, exchange: 'm.test' } },
    SRV: { type: 'SRV', name, ttl: 5, data: { priority: 1, weight: 1, port: 25, target: 's.test' } },
    TLSA: {
      type: 'TLSA',
      name,
      ttl: 5,
      data: { usage: 3, selector: 1, matchingType: 1, certificate: random.bytes(40) },
    },
    TXT: { type: 'TXT', name, ttl: 5, data: ['text'] },
  };
  return encode({
    type: 'response',
    id: 7,
    questions: [{ name: question.name, type: question.type }],
    answers: [
      { type: 'CNAME', name: question.name, ttl: 5, data: 'b.test' },
      ...Array.from({ length: random.below(4) }, () => known[random.pick(types)]),
      known[question.type],
    ],
  });
}

function damaged(packet: Buffer, random: Random): Buffer {
  const copy = Buffer.from(packet);
  for (let times = random.below(4); times > 0; times--) copy[random.below(copy.length)] = random.below(256);
  if (random.below(4) === 0) return copy.subarray(0, random.below(copy.length + 1));
  return random.below(8) === 0 ? Buffer.concat([copy, random.bytes(20)]) : copy;
}
