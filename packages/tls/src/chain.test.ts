/** Paths from a server's certificate to a trust anchor, and everything an attacker may present in place of one. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import {
  basicConstraints,
  extendedKeyUsage,
  keyUsage,
  makeCertificates,
  nameConstraints,
  subjectAltName,
  unknownExtension,
} from '@mailfleet/test-kit';
import { afterAll, expect, it } from 'vitest';
import { serverNames } from './certificate.ts';
import { type Anchors, findPath } from './chain.ts';

const SERVERS = '1.3.6.1.5.5.7.3.1';
const CLIENTS = '1.3.6.1.5.5.7.3.2';

const root = makeCertificates('root');
const stranger = makeCertificates('root');
afterAll(() => {
  root.remove();
  stranger.remove();
});

const read = (pem: string): X509Certificate => new X509Certificate(pem);
const anchored = (...pems: string[]): Anchors => ({ certificates: pems.map(read), publicKeys: [] });
const keyed = (pem: string): Anchors => ({ certificates: [], publicKeys: [createPublicKey(pem)] });

/** `depth n`, or why there is no path. */
const verdict = (
  leaf: { readonly cert: string },
  presented: readonly string[],
  anchors: Anchors = anchored(root.ca.cert),
  maxDepth = 9,
): string => {
  const result = findPath(read(leaf.cert), presented.map(read), anchors, { maxDepth, nowMs: Date.now() });
  return result.kind === 'path' ? `depth ${result.depth}` : result.error;
};

const sub = root.authority('sub');
const deep = sub.authority('deep');
const leaf = deep.issue(['mx.test']);
const direct = root.issue(['mx.test']);

it.each<[string, string, string]>([
  ['issued by the root', verdict(direct, []), 'depth 1'],
  ['a chain in order', verdict(leaf, [deep.ca.cert, sub.ca.cert]), 'depth 3'],
  [
    'out of order, with strangers between',
    verdict(leaf, [sub.ca.cert, stranger.ca.cert, direct.cert, deep.ca.cert]),
    'depth 3',
  ],
  ['an intermediate is missing', verdict(leaf, [deep.ca.cert]), 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
  [
    'signed by itself',
    verdict(root.issue(['mx.test'], { selfSigned: true }), []),
    'DEPTH_ZERO_SELF_SIGNED_CERT',
  ],
  [
    'a root of the same name with another key',
    verdict(stranger.issue(['mx.test']), [stranger.ca.cert]),
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ],
  ['an intermediate as the anchor', verdict(leaf, [deep.ca.cert], anchored(sub.ca.cert)), 'depth 2'],
  [
    'the nearest of two anchors counts',
    verdict(leaf, [deep.ca.cert, sub.ca.cert], anchored(root.ca.cert, deep.ca.cert)),
    'depth 1',
  ],
  ['the certificate itself is the anchor', verdict(leaf, [], anchored(leaf.cert)), 'depth 0'],
  ['its key is the anchor', verdict(leaf, [], keyed(leaf.cert)), 'depth 0'],
  ['the key of an issuer that is not presented', verdict(leaf, [], keyed(deep.ca.cert)), 'depth 1'],
  ['the key of the root', verdict(leaf, [deep.ca.cert, sub.ca.cert], keyed(root.ca.cert)), 'depth 3'],
  [
    'another key',
    verdict(leaf, [deep.ca.cert, sub.ca.cert], keyed(stranger.ca.cert)),
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ],
  ['as deep as allowed', verdict(leaf, [deep.ca.cert, sub.ca.cert], anchored(root.ca.cert), 3), 'depth 3'],
  ['deeper', verdict(leaf, [deep.ca.cert, sub.ca.cert], anchored(root.ca.cert), 2), 'CERT_CHAIN_TOO_LONG'],
])('%s: %s', (_, is, wanted) => {
  expect(is).toBe(wanted);
});

it('dates: of the server and of intermediates they count, of an anchor not', () => {
  const old = root.authority('old', { expired: true });
  const issued = old.issue(['mx.test']);
  expect(verdict(root.issue(['mx.test'], { expired: true }), [])).toBe('CERT_HAS_EXPIRED');
  expect(verdict(root.issue(['mx.test'], { notYetValid: true }), [])).toBe('CERT_NOT_YET_VALID');
  expect(verdict(issued, [old.ca.cert])).toBe('CERT_HAS_EXPIRED');
  expect(verdict(issued, [], anchored(old.ca.cert))).toBe('depth 1');
});

it.each<[string, readonly ReturnType<typeof basicConstraints>[], string]>([
  ['an ordinary certificate signs another', [basicConstraints(false)], 'INVALID_CA'],
  ['so does one that does not say what it is', [], 'INVALID_CA'],
  ['an authority', [basicConstraints(true)], 'depth 2'],
  [
    'an authority that may not sign certificates',
    [basicConstraints(true), keyUsage(0x80)],
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ],
  ['one that may', [basicConstraints(true), keyUsage(0x06)], 'depth 2'],
  ['an authority for clients', [basicConstraints(true), extendedKeyUsage(CLIENTS)], 'INVALID_PURPOSE'],
  ['for servers', [basicConstraints(true), extendedKeyUsage(CLIENTS, SERVERS)], 'depth 2'],
  [
    'something critical that nobody knows',
    [basicConstraints(true), unknownExtension(true)],
    'UNHANDLED_CRITICAL_EXTENSION',
  ],
  ['something unknown, not critical', [basicConstraints(true), unknownExtension(false)], 'depth 2'],
  ['for names below mx.test', [basicConstraints(true), nameConstraints(['mx.test'])], 'depth 2'],
  ['for other names', [basicConstraints(true), nameConstraints(['example.com'])], 'PERMITTED_VIOLATION'],
  ['for all but .test', [basicConstraints(true), nameConstraints([], ['test'])], 'PERMITTED_VIOLATION'],
  ['for all but example.com', [basicConstraints(true), nameConstraints([], ['example.com'])], 'depth 2'],
  [
    'for addresses, which are not looked at',
    [basicConstraints(true), nameConstraints(['10.0.0.1'])],
    'PERMITTED_VIOLATION',
  ],
  [
    'the same extension twice',
    [basicConstraints(true), basicConstraints(true)],
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ],
])('an intermediate: %s', (_, extensions, wanted) => {
  const between = root.authority('between', { extensions });
  expect(verdict(between.issue(['a.mx.test', 'mx.test']), [between.ca.cert])).toBe(wanted);
});

it('a name that is excluded is not hidden by a wildcard', () => {
  const between = root.authority('between', {
    extensions: [basicConstraints(true), nameConstraints([], ['secret.mx.test'])],
  });
  expect(verdict(between.issue(['*.mx.test']), [between.ca.cert])).toBe('PERMITTED_VIOLATION');
});

it('a path length counts the authorities below, self-issued ones not', () => {
  const at = (pathLength: number): string => {
    const top = root.authority('top', { extensions: [basicConstraints(true, pathLength)] });
    const below = top.authority('below');
    return verdict(below.issue(['mx.test']), [below.ca.cert, top.ca.cert]);
  };
  expect([at(0), at(1)]).toEqual(['PATH_LENGTH_EXCEEDED', 'depth 3']);
});

it('a server certificate: purpose and unknown extensions count here too', () => {
  const names = subjectAltName(['mx.test']);
  const issue = (...more: ReturnType<typeof extendedKeyUsage>[]) =>
    verdict(root.issue(['mx.test'], { extensions: [names, ...more] }), []);
  expect(issue(extendedKeyUsage(CLIENTS))).toBe('INVALID_PURPOSE');
  expect(issue(extendedKeyUsage(SERVERS))).toBe('depth 1');
  expect(issue(unknownExtension(true))).toBe('UNHANDLED_CRITICAL_EXTENSION');
});

it('certificates that issue each other in many ways cost a bounded number of checks', () => {
  const shared = root.authority('shared');
  const loop = Array.from({ length: 60 }, () =>
    stranger.issue([], {
      commonName: 'shared',
      key: shared.ca.key,
      selfSigned: true,
      extensions: [basicConstraints(true)],
    }),
  );
  const end = shared.issue(['mx.test']);
  const started = performance.now();
  expect(
    verdict(
      end,
      loop.map(({ cert }) => cert),
    ),
  ).toBe('UNABLE_TO_GET_ISSUER_CERT_LOCALLY');
  expect(performance.now() - started).toBeLessThan(1000);
});

it('names: only DNS names count when there are any, else the common name; nothing hides in one', () => {
  const names = (...list: string[]) =>
    serverNames(read(root.issue(list, { commonName: 'common.test' }).cert));
  expect(names('a.test', '*.b.test')).toEqual(['a.test', '*.b.test']);
  expect(names('evil.test, DNS:good.test, x')).toEqual(['']);
  expect(names('good.test\0.evil.test')).toEqual(['']);
  expect(names('10.0.0.1')).toEqual(['common.test']);
});
