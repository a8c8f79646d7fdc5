import { makeConfig } from '@mailfleet/config';
import { describe, expect, test } from 'vitest';
import { readDestinationSyntax } from './host-search.ts';
import { parseDestination } from './nexthop.ts';
import { createRouter, type Route } from './router.ts';

const BASE = {
  mydestination: 'local.test',
  relay_domains: 'relay.test',
  virtual_mailbox_domains: 'virtual.test',
  local_transport: 'lmtp:unix:/run/Local',
  virtual_transport: 'lmtp',
  myorigin: 'local.test',
  proxy_interfaces: '192.0.2.7',
};

function route(
  recipient: string,
  config: Record<string, string> = {},
  sender = 's@sender.test',
): Promise<Route> {
  return createRouter(makeConfig({ ...BASE, ...config })).route(recipient, sender);
}

async function way(recipient: string, config: Record<string, string> = {}, sender?: string): Promise<string> {
  const result = await route(recipient, config, sender);
  return result.kind === 'routed'
    ? `${result.transport}:${result.nexthop}`
    : `${result.status} ${result.reason}`;
}

test('double_bounce_sender: mail to it is discarded, whatever the tables say', async () => {
  const config = {
    myhostname: 'mx.local.test',
    double_bounce_sender: 'twice',
    transport_maps: 'inline:{x=smtp:y}',
  };
  expect(await way('Twice@MX.local.test', config)).toBe(
    'discard:undeliverable postmaster notification discarded',
  );
  expect(await way('double-bounce@mx.local.test', { ...config, transport_maps: '' })).toBe(
    'smtp:mx.local.test',
  );
});

describe('classes of domains', () => {
  test.each([
    ['u@other.test', 'smtp:other.test'],
    ['u@OTHER.Test', 'smtp:other.test'],
    ['u@bücher.example', 'smtp:xn--bcher-kva.example'],
    ['u@[192.0.2.1]', 'smtp:[192.0.2.1]'],
    ['u@[IPv6:2001:db8::1]', 'smtp:[ipv6:2001:db8::1]'],
    ['u@[192.0.2.7]', 'lmtp:unix:/run/Local'],
    ['u@local.test', 'lmtp:unix:/run/Local'],
    ['u', 'lmtp:unix:/run/Local'],
    ['u@virtual.test', 'lmtp:virtual.test'],
    ['u@relay.test', 'relay:relay.test'],
    ['u@sub.relay.test', 'relay:sub.relay.test'],
    ['"a@b"@other.test', 'smtp:other.test'],
  ])('%s goes to %s', async (recipient, expected) => {
    expect(await way(recipient)).toBe(expected);
  });

  test('a route says what its transport speaks, and the whole address', async () => {
    expect(await route('u@virtual.test')).toEqual({
      kind: 'routed',
      transport: 'lmtp',
      agent: 'lmtp',
      nexthop: 'virtual.test',
      address: 'u@virtual.test',
    });
    expect(await route('u@relay.test')).toMatchObject({ agent: 'smtp' });
    expect(await route('u')).toMatchObject({ address: 'u@local.test' });
  });

  test('local mail without a local transport goes to error(8), its words untouched', async () => {
    const router = createRouter(makeConfig({ mydestination: 'local.test' }));
    expect(await router.route('u@local.test', '')).toMatchObject({
      agent: 'error',
      nexthop: expect.stringMatching(/^5\.1\.1 .* Mailfleet; set local_transport/),
    });
  });
});

test('enable_idna2003_compatibility: names that IDNA2003 mapped otherwise', async () => {
  expect(await way('u@faß.example')).toBe('smtp:xn--fa-hia.example');
  const old = { enable_idna2003_compatibility: 'yes' };
  expect(await way('u@faß.example', old)).toBe('smtp:fass.example');
  const syntax = readDestinationSyntax(makeConfig(old), 'smtp');
  expect(parseDestination('[faß.example]:26', syntax)).toMatchObject({
    destination: { host: 'fass.example' },
  });
});

describe('relayhost', () => {
  const config = { relayhost: '[Relay.Example]:587' };
  test.each([
    ['other mail', 'u@other.test', config, 'smtp:[relay.example]:587'],
    ['relay domains too', 'u@relay.test', config, 'relay:[relay.example]:587'],
    ['not local mail', 'u@local.test', config, 'lmtp:unix:/run/Local'],
    ['several', 'u@other.test', { relayhost: 'a.test, b.test' }, 'smtp:a.test, b.test'],
    [
      'overruled by relay_transport',
      'u@relay.test',
      { ...config, relay_transport: 'relay:[in.test]' },
      'relay:[in.test]',
    ],
    [
      'overruled by default_transport',
      'u@other.test',
      { ...config, default_transport: 'lmtp:x.test' },
      'lmtp:x.test',
    ],
  ])('%s', async (_, recipient, values, expected) => {
    expect(await way(recipient, values)).toBe(expected);
  });

  test.each([
    ['s@sender.test', 'smtp:[a.test]'],
    ['S+x@sender.test', 'smtp:[a.test]'],
    ['other@sender.test', 'smtp:[b.test]'],
    ['keep@sender.test', 'smtp:[relay.example]:587'],
    ['s@else.test', 'smtp:[relay.example]:587'],
    ['', 'smtp:[null.test]'],
  ])('depends on the sender %j', async (sender, expected) => {
    const maps =
      'inline:{s@sender.test=[a.test], @sender.test=[b.test], keep@sender.test=DUNNO, <>=[null.test]}';
    const values = { ...config, sender_dependent_relayhost_maps: maps, recipient_delimiter: '+' };
    expect(await way('u@other.test', values, sender)).toBe(expected);
  });

  test('the default transport may depend on the sender, a relay domain not', async () => {
    const values = { sender_dependent_default_transport_maps: 'inline:{@sender.test=lmtp:[l.test]}' };
    expect(await way('u@other.test', values)).toBe('lmtp:[l.test]');
    expect(await way('u@relay.test', values)).toBe('relay:relay.test');
    expect(await way('u@other.test', values, 's@else.test')).toBe('smtp:other.test');
  });
});

describe('transport_maps', () => {
  const maps = `inline:{
    { joe@a.test = smtp:[joe.test] } { joe+x@a.test = smtp:[joex.test] } { a.test = lmtp:[a-lmtp.test]:24 }
    { .a.test = smtp:Parent.test } { keep.test = : } { reset.test = relay: } { hop.test = :[hop.test] }
    { local.test = smtp:[away.test] } { bad.test = error:5.7.1 Not here } { later.test = retry:come back }
    { slow.test = slow:x } { sock.test = lmtp:unix:/Run/Sock } { any.relay.test = :other.hop } }`
    .replace(/\n\s*/g, ' ')
    .replaceAll('} {', '}, {');
  const values = { transport_maps: maps, recipient_delimiter: '+', relayhost: '[relay.example]' };
  test.each([
    ['joe@a.test', 'smtp:[joe.test]'],
    ['Joe@A.test', 'smtp:[joe.test]'],
    ['joe+x@a.test', 'smtp:[joex.test]'],
    ['joe+y@a.test', 'smtp:[joe.test]'],
    ['ann@a.test', 'lmtp:[a-lmtp.test]:24'],
    ['ann@x.y.a.test', 'smtp:parent.test'],
    ['u@keep.test', 'smtp:[relay.example]'],
    ['u@reset.test', 'relay:reset.test'],
    ['u@hop.test', 'smtp:[hop.test]'],
    ['u@any.relay.test', 'relay:other.hop'],
    ['u@local.test', 'smtp:[away.test]'],
    ['u@sock.test', 'lmtp:unix:/Run/Sock'],
    ['u@bad.test', 'error:5.7.1 Not here'],
    ['u@later.test', 'retry:come back'],
    ['u@nowhere.test', 'smtp:[relay.example]'],
  ])('%s goes to %s', async (recipient, expected) => {
    expect(await way(recipient, values)).toBe(expected);
  });

  test('a transport that does not exist has no agent, unless master.cf has it', async () => {
    const unknown = { transport: 'slow', agent: 'none', nexthop: 'x' };
    expect(await route('u@slow.test', values)).toMatchObject(unknown);
    const config = makeConfig({ ...BASE, ...values }, 'slow unix - - n - - lmtp\n');
    expect(await createRouter(config).route('u@slow.test', '')).toMatchObject({ ...unknown, agent: 'lmtp' });
  });

  test('parent_domain_matches_subdomains with transport_maps: a domain is its subdomains too', async () => {
    const parents = { ...values, parent_domain_matches_subdomains: 'transport_maps' };
    expect(await way('ann@x.y.a.test', parents)).toBe('lmtp:[a-lmtp.test]:24');
    expect(await way('ann@x.keep.test', parents)).toBe('smtp:[relay.example]');
    expect(await way('ann@x.reset.test', parents)).toBe('relay:x.reset.test');
  });

  test('the wildcard comes last, and patterns see whole addresses only', async () => {
    const both = {
      transport_maps: 'pcre:{{/^other\\.test$$/ smtp:[wrong.test]}}, inline:{*=smtp:[all.test]}',
    };
    expect(await way('u@other.test', both)).toBe('smtp:[all.test]');
    const whole = {
      transport_maps: 'pcre:{{/@other\\.test$$/ smtp:[right.test]}}, inline:{*=smtp:[all.test]}',
    };
    expect(await way('u@other.test', whole)).toBe('smtp:[right.test]');
  });

  test.each([
    ['transport_maps', 'fail:broken'],
    ['sender_dependent_relayhost_maps', 'fail:broken'],
    ['mydestination', 'fail:broken'],
  ])('trouble with %s keeps the mail', async (parameter, value) => {
    expect(await way('u@other.test', { [parameter]: value })).toMatch(
      new RegExp(`^4\\.3\\.0 address lookup failed: ${parameter}: `),
    );
  });
});
