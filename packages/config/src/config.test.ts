// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in main.cf syntax look like template strings
import { hostname } from 'node:os';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { createConfig } from './config.ts';
import { makeConfig } from './load.ts';
import type { System } from './system.ts';

const system: System = {
  hostname: 'mail',
  root: false,
  stateDirectory: '/home/op/.local/state',
  processId: 7,
  processName: 'mailfleet',
};
const configOn = (values: Record<string, string>, overrides: Partial<System> = {}) =>
  createConfig(new Map(Object.entries(values)), { ...system, ...overrides });

describe('get', () => {
  test('converts by the declared type, and the compiler knows it', () => {
    const config = makeConfig({ smtp_helo_timeout: '2m', relayhost: '[mx.example]:587, fallback.example' });
    expectTypeOf(config.get('smtp_helo_timeout')).toEqualTypeOf<number>();
    expectTypeOf(config.get('soft_bounce')).toEqualTypeOf<boolean>();
    expectTypeOf(config.get('transport_maps')).toEqualTypeOf<readonly string[]>();
    expectTypeOf(config.get('log_format')).toEqualTypeOf<'postfix' | 'json' | 'both'>();
    expectTypeOf(config.get('lmtp_lhlo_name')).toEqualTypeOf<string>();
    expectTypeOf(config.get('fallback_relay')).toEqualTypeOf<readonly string[] | undefined>();
    expect(config.get('smtp_helo_timeout')).toBe(120_000);
    expect(config.get('soft_bounce')).toBe(false);
    expect(config.get('relayhost')).toEqual(['[mx.example]:587', 'fallback.example']);
    expect(config.get('message_size_limit')).toBe(10_240_000);
    expect(config.get('fallback_relay')).toBeUndefined();
  });

  test('a time without a letter has the unit of its default', () => {
    expect(makeConfig({ maximal_queue_lifetime: '2' }).get('maximal_queue_lifetime')).toBe(2 * 86_400_000);
  });

  test('follows references through defaults, also the conditional ones', () => {
    expect(makeConfig({ myhostname: 'mx.example' }).get('smtp_helo_name')).toBe('mx.example');
    expect(makeConfig({ compatibility_level: '0' }).get('append_dot_mydomain')).toBe(true);
    expect(makeConfig().get('append_dot_mydomain')).toBe(false);
    expect(makeConfig().get('smtp_tls_security_level')).toBe('may');
    expect(makeConfig({ fallback_relay: 'a b' }).get('smtp_fallback_relay')).toEqual(['a', 'b']);
    expect(makeConfig({ fallback_relay: 'a b' }).get('lmtp_fallback_relay')).toEqual([]);
  });

  test('empty is not absent', () => {
    expect(makeConfig({ notify_classes: '' }).get('notify_classes')).toEqual([]);
    expect(makeConfig().get('notify_classes')).toEqual(['resource', 'software']);
  });
});

describe('names that depend on the machine', () => {
  test('a short host name gets mydomain if that is set, else localdomain', () => {
    expect(configOn({}).get('myhostname')).toBe('mail.localdomain');
    expect(configOn({ mydomain: 'example.com' }).get('myhostname')).toBe('mail.example.com');
    expect(configOn({}, { hostname: 'mx.example.org' }).get('myhostname')).toBe('mx.example.org');
    expect(makeConfig().get('myhostname').startsWith(hostname())).toBe(true);
  });

  test('mydomain comes from myhostname', () => {
    expect(configOn({ myhostname: 'a.b.example' }).get('mydomain')).toBe('b.example');
    expect(configOn({ myhostname: 'a' }).get('mydomain')).toBe('localdomain');
    expect(configOn({ myhostname: 'h.$other', other: 'x.y' }).get('mydomain')).toBe('x.y');
  });

  test('data_directory is one that the user can write', () => {
    expect(configOn({}).get('redis_directory')).toBe('/home/op/.local/state/mailfleet/redis');
    expect(configOn({}, { root: true }).get('redis_directory')).toBe('/var/lib/mailfleet/redis');
  });
});

describe('getFor', () => {
  test('takes the LMTP form for lmtp', () => {
    const config = makeConfig({ smtp_helo_timeout: '1', lmtp_lhlo_timeout: '2', smtp_tls_cert_file: '/a' });
    expect(config.getFor('smtp', 'smtp_helo_timeout')).toBe(1000);
    expect(config.getFor('lmtp', 'smtp_helo_timeout')).toBe(2000);
    expect(config.getFor('lmtp', 'smtp_tcp_port')).toBe('24');
    expect(config.getFor('smtp', 'smtp_tls_key_file')).toBe('/a');
    expect(config.getFor('lmtp', 'smtp_tls_key_file')).toBe('');
  });
});

describe('getTransport', () => {
  test('the transport’s own value, then the default parameter', () => {
    const config = makeConfig({
      slow_destination_rate_delay: '1m',
      default_destination_concurrency_limit: '7',
      slow_initial_destination_concurrency: '2',
    });
    expect(config.getTransport('slow', 'destination_rate_delay')).toBe(60_000);
    expect(config.getTransport('fast', 'destination_rate_delay')).toBe(0);
    expect(config.getTransport('fast', 'destination_concurrency_limit')).toBe(7);
    expect(config.getTransport('smtp', 'destination_concurrency_limit')).toBe(7);
    expect(config.getTransport('local', 'destination_concurrency_limit')).toBe(2);
    expect(config.getTransport('slow', 'initial_destination_concurrency')).toBe(2);
    expect(config.getTransport('fast', 'initial_destination_concurrency')).toBe(5);
    expect(config.getTransport('a_b', 'transport_rate_delay')).toBe(0);
    expect(config.getTransport('x', 'destination_concurrency_positive_feedback')).toBe('1');
    expectTypeOf(config.getTransport('x', 'recipient_limit')).toEqualTypeOf<number>();
  });

  test('the value is checked like the default parameter', () => {
    expect(() => makeConfig({ slow_destination_rate_delay: 'often' })).toThrow(
      /slow_destination_rate_delay: "often" is not a time/,
    );
  });
});

test('raw, isSet, expand and with', () => {
  const config = makeConfig({ myhostname: 'mx.example' });
  expect(config.raw('myorigin')).toBe('$myhostname');
  expect(config.raw('nothing')).toBeUndefined();
  expect([config.isSet('myhostname'), config.isSet('myorigin')]).toEqual([true, false]);
  expect(config.expand('at $myorigin')).toBe('at mx.example');
  const other = config.with({ myorigin: 'example.org' });
  expect([config.get('myorigin'), other.get('myorigin')]).toEqual(['mx.example', 'example.org']);
  expect(() => config.with({ soft_bounce: 'perhaps', myhostname: '${' })).toThrow(
    /soft_bounce: .*; myhostname: /,
  );
});
