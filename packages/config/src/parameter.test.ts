import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { splitList } from './convert.ts';
import { makeConfig } from './load.ts';
import { findParameter, isParameterName, parameters, transportFormOf } from './parameter.ts';
import { referenceText } from './reference.ts';

test('every default is valid and refers to names that exist', () => {
  makeConfig();
  // Of services outside delivery; their tables may be written through the proxy, but nothing here reads them.
  const foreign = ['address_verify_map', 'postscreen_cache_map', 'domain_to_ascii'];
  for (const { name, default: value, computed } of parameters) {
    if (value === null || computed === true) continue;
    for (const [, reference = ''] of value.matchAll(/\$[{(]?([A-Za-z0-9_]+)/g)) {
      expect(
        isParameterName(reference) || foreign.includes(reference),
        `${name} refers to ${reference}`,
      ).toBe(true);
    }
  }
});

test('entries are complete: documentation, values that the default is one of, no reason on a seed', () => {
  for (const parameter of parameters) {
    const { name, doc, values, type, min, max, seed, moot } = parameter;
    expect(doc, name).toMatch(/^[A-Z`].*[.)]$/s);
    if (type === 'enum') expect(values?.length, name).toBeGreaterThan(0);
    if (min !== undefined && max !== undefined) expect(min, name).toBeLessThan(max);
    expect(seed === true && moot !== undefined, name).toBe(false);
    if (type === 'list' && values !== undefined) {
      for (const word of splitList(String(parameter.default)) ?? []) {
        if (!word.startsWith('$')) expect(values, name).toContain(word);
      }
    }
  }
});

test('the LMTP forms', () => {
  expect(findParameter('lmtp_tls_key_file')).toMatchObject({
    default: '$lmtp_tls_cert_file',
    mirrorOf: 'smtp_tls_key_file',
    type: 'file',
  });
  expect(findParameter('lmtp_lhlo_timeout')).toMatchObject({ mirrorOf: 'smtp_helo_timeout', seed: true });
  expect(findParameter('lmtp_requiretls_policy')?.default).toBe('opportunistic');
  expect(parameters.filter(({ mirrorOf }) => mirrorOf !== undefined)).toHaveLength(135);
});

test('the forms of transports are known by their ending', () => {
  expect(transportFormOf('slow_destination_rate_delay')?.name).toBe('transport_destination_rate_delay');
  expect(transportFormOf('x_transport_rate_delay')?.name).toBe('transport_transport_rate_delay');
  expect(transportFormOf('x_initial_destination_concurrency')?.name).toBe(
    'transport_initial_destination_concurrency',
  );
  expect(transportFormOf('slow_maps')).toBeUndefined();
  expect(transportFormOf('slow_retry_time')).toBeUndefined();
});

test('docs/parameters.md is what the registry says (npm run docs)', () => {
  expect(readFileSync(new URL('../../../docs/parameters.md', import.meta.url), 'utf8')).toBe(referenceText());
});
