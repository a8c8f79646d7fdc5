import { makeConfig } from '@mailfleet/config';
import { startDnsServer } from '@mailfleet/test-kit';
import { expect, test } from 'vitest';
import { createHostFinder } from './host-finder.ts';
import { createResolver } from './resolver.ts';

test('from the text of a destination to hosts, with main.cf and the own addresses', async () => {
  await using dns = await startDnsServer({
    zones: {
      'd.t': { MX: ['10 m1.t', '20 self.t'] },
      'm1.t': { A: '192.0.2.1' },
      'self.t': { A: '192.0.2.2' },
    },
  });
  const config = makeConfig({ inet_protocols: 'ipv4', proxy_interfaces: '192.0.2.2', lmtp_tcp_port: '2424' });
  const resolver = createResolver({ servers: [dns.address] });
  const find = createHostFinder({ config, protocol: 'smtp', resolver });
  expect(await find('d.t')).toMatchObject({
    kind: 'found',
    hosts: [{ host: 'm1.t', address: '192.0.2.1', port: 25, preference: 10 }],
    finalNexthop: true,
  });
  expect(await find('d.t:0')).toEqual({
    kind: 'failed',
    status: '4.3.0',
    reason: 'bad network port: 0 for destination: d.t:0',
    finalNexthop: false,
  });
  const findLmtp = createHostFinder({ config, protocol: 'lmtp', resolver });
  expect(await findLmtp('self.t')).toMatchObject({ kind: 'found', hosts: [{ port: 2424 }] });
});
