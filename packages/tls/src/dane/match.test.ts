/** Certificates against TLSA records: usages, selectors, matching types, digest agility, chains good and bad. */
import { createHash, type X509Certificate } from 'node:crypto';
import { makeChains, type TestChain } from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { matchTlsa } from './match.ts';
import { type DaneDigests, parseDaneDigests, type TlsaRecord, usableRecords } from './tlsa.ts';

let chains: TestChain;
beforeAll(() => {
  chains = makeChains();
});
afterAll(() => chains.remove());

const digestsOf = (...words: string[]): DaneDigests => {
  const parsed = parseDaneDigests(words);
  if ('error' in parsed) throw new Error(parsed.error);
  return parsed.digests;
};
const standard = digestsOf('sha512', 'sha256');

const recordOf = (
  certificate: X509Certificate,
  usage: number,
  selector: number,
  matchingType: number,
): TlsaRecord => {
  const data =
    selector === 0 ? certificate.raw : certificate.publicKey.export({ type: 'spki', format: 'der' });
  const digest = ['', 'sha256', 'sha512'][matchingType] ?? '';
  return {
    usage,
    selector,
    matchingType,
    certificate: digest === '' ? data : createHash(digest).update(data).digest(),
  };
};

const verdictOf = (
  chain: readonly X509Certificate[],
  records: readonly TlsaRecord[],
  options: { names?: readonly string[]; has?: string; nowMs?: number; digests?: DaneDigests } = {},
): string => {
  const { names = ['mx.test'], has = 'mx.test', nowMs = Date.now(), digests = standard } = options;
  const usable = usableRecords(records, digests);
  if (usable.length === 0) return 'unusable';
  const verdict = matchTlsa(
    { chain, hasName: (wanted) => wanted.includes(has) },
    { base: 'mx.test', records: usable, names, digests },
    nowMs,
  );
  return verdict.matched ? 'matched' : verdict.reason;
};

const year = 366 * 86_400_000;

describe.each([0, 1])('selector %i', (selector) => {
  describe.each([0, 1, 2])('matching type %i', (type) => {
    it('usage 3 matches the very certificate, whatever its name and dates', () => {
      const { leaf, other } = chains.certificates;
      const records = [recordOf(leaf, 3, selector, type)];
      expect(verdictOf([leaf], records, { has: 'wrong.test', nowMs: Date.now() + year })).toBe('matched');
      expect(verdictOf([other], records)).toBe('no matching TLSA record');
    });

    it('usage 2 matches the chain to the anchor, with name and dates', () => {
      const { leaf, intermediate, root, other } = chains.certificates;
      const records = [recordOf(root, 2, selector, type)];
      const chain = [leaf, intermediate, root];
      expect(verdictOf(chain, records)).toBe('matched');
      expect(verdictOf([leaf, root, intermediate], records)).toBe('matched');
      expect(verdictOf(chain, [recordOf(intermediate, 2, selector, type)])).toBe('matched');
      expect(verdictOf(chain, records, { has: 'wrong.test' })).toBe(
        'certificate has none of the names mx.test',
      );
      expect(verdictOf(chain, records, { nowMs: Date.now() + year })).toContain('CERT_HAS_EXPIRED');
      expect(verdictOf(chain, records, { nowMs: 0 })).toContain('CERT_NOT_YET_VALID');
      expect(verdictOf(chain, [recordOf(other, 2, selector, type)])).toContain('UNABLE_TO_GET');
    });
  });
});

it('a full anchor in DNS need not be presented, a digest of it must', () => {
  const { leaf, intermediate, root } = chains.certificates;
  expect(verdictOf([leaf, intermediate], [recordOf(root, 2, 0, 0)])).toBe('matched');
  expect(verdictOf([leaf, intermediate], [recordOf(root, 2, 1, 0)])).toBe('matched');
  expect(verdictOf([leaf, intermediate], [recordOf(root, 2, 0, 1)])).toContain('UNABLE_TO_GET');
  expect(verdictOf([leaf], [recordOf(root, 2, 1, 0)])).toContain('UNABLE_TO_GET');
});

it('the anchor must have signed: one that merely stands in the chain vouches for nothing', () => {
  const { other, intermediate, root, forged, leaf } = chains.certificates;
  const records = [recordOf(root, 2, 0, 1)];
  expect(verdictOf([other, intermediate, root], records)).toContain('SELF_SIGNED');
  // Names its issuer right, signature by another key.
  expect(verdictOf([forged, intermediate, root], records)).toContain('UNABLE_TO_GET');
  // A usage 2 record of the server's certificate itself is no anchor for it.
  for (const type of [0, 1]) {
    expect(verdictOf([leaf], [recordOf(leaf, 2, 0, type)])).toContain('UNABLE_TO_GET');
    expect(verdictOf([leaf], [recordOf(leaf, 2, 1, type)])).toContain('UNABLE_TO_GET');
  }
});

it('only certificate authorities issue certificates, and only as far down as they may', () => {
  const { byLeaf, leaf, intermediate, root, tooDeep, subordinate } = chains.certificates;
  const records = [recordOf(root, 2, 0, 1)];
  expect(verdictOf([byLeaf, leaf, intermediate, root], records)).not.toBe('matched');
  // The intermediate has path length 0: an authority below it is one too many.
  expect(verdictOf([tooDeep, subordinate, intermediate, root], records)).toContain('PATH_LENGTH_EXCEEDED');
});

it('an authority vouches only for the names it may issue', () => {
  const { constrainedLeaf, constrained, root } = chains.certificates;
  expect(verdictOf([constrainedLeaf, constrained, root], [recordOf(root, 2, 0, 1)])).toContain(
    'PERMITTED_VIOLATION',
  );
});

it('usages 0 and 1, unknown selectors and types, and data of a wrong size are unusable', () => {
  const { leaf } = chains.certificates;
  const good = recordOf(leaf, 3, 1, 1);
  for (const bad of [
    { usage: 0 },
    { usage: 1 },
    { usage: 255 },
    { selector: 2 },
    { matchingType: 3 },
    { matchingType: 255 },
    { certificate: good.certificate.subarray(1) },
    { certificate: new Uint8Array(0) },
    { matchingType: 0 },
    { matchingType: 0, selector: 0 },
  ]) {
    expect(verdictOf([leaf], [{ ...good, ...bad }]), JSON.stringify(bad)).toBe('unusable');
  }
  expect(verdictOf([leaf], [{ ...good, usage: 1 }, good])).toBe('matched');
});

describe('tls_dane_digests', () => {
  it('the best digest of a usage and selector counts, the others do not', () => {
    const { leaf, other } = chains.certificates;
    const strong = recordOf(other, 3, 1, 2);
    const weak = recordOf(leaf, 3, 1, 1);
    expect(verdictOf([leaf], [weak])).toBe('matched');
    expect(verdictOf([leaf], [strong, weak])).toBe('no matching TLSA record');
    expect(verdictOf([leaf], [strong, weak], { digests: digestsOf('sha256', 'sha512') })).toBe('matched');
    // Each selector has its own best digest, and full data counts in any company.
    expect(verdictOf([leaf], [strong, recordOf(leaf, 3, 0, 1)])).toBe('matched');
    expect(verdictOf([leaf], [strong, recordOf(leaf, 3, 1, 0)])).toBe('matched');
  });

  it('a digest that is not listed is unusable; others come with a number', () => {
    const { leaf } = chains.certificates;
    expect(verdictOf([leaf], [recordOf(leaf, 3, 1, 1)], { digests: digestsOf('sha512') })).toBe('unusable');
    const data = leaf.publicKey.export({ type: 'spki', format: 'der' });
    const odd = {
      usage: 3,
      selector: 1,
      matchingType: 7,
      certificate: createHash('sha384').update(data).digest(),
    };
    expect(verdictOf([leaf], [odd], { digests: digestsOf('sha384=7') })).toBe('matched');
    expect(verdictOf([leaf], [odd])).toBe('unusable');
  });

  it.each([
    [['sha384'], 'write name=number'],
    [['sha512', 'sha512'], 'given twice'],
    [['sha384=1'], 'is sha256'],
    [['sha384=0'], 'not from 1 to 254'],
    [['sha384=255'], 'not from 1 to 254'],
    [['nonsense=9'], 'unknown digest'],
  ])('%j: %s', (words, error) => {
    expect(parseDaneDigests(words)).toEqual({ error: expect.stringContaining(error) });
  });
});
