/**
 * Our routes beside those of Debian's trivial-rewrite(8), which is asked over its socket: the same main.cf and tables, many addresses. What
 * is on purpose otherwise stands in docs/differences-from-postfix.md.
 */
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { createRouter } from '@mailfleet/routing';
import { installed } from '@mailfleet/test-kit';
import { describe, expect, test } from 'vitest';
import { startPostfix } from '../peers/postfix.ts';

/** One question and its answer, in the form of Postfix's internal services: `name NUL value NUL … NUL`. */
async function resolve(
  socketPath: string,
  sender: string,
  address: string,
): Promise<{ readonly transport: string; readonly nexthop: string }> {
  const socket = connect(socketPath);
  const request = { request: 'resolve', sender, address };
  const text = Object.entries(request).map(([name, value]) => `${name}\0${value}\0`);
  socket.write(`${text.join('')}\0`);
  let answer = '';
  for await (const chunk of socket) {
    answer += String(chunk);
    const values = new Map(
      [...answer.matchAll(/([a-z_]+)\0([^\0]*)\0/g)].map((match) => [match[1] ?? '', match[2] ?? '']),
    );
    const [transport, nexthop] = [values.get('transport'), values.get('nexthop')];
    if (transport !== undefined && nexthop !== undefined && answer.endsWith('\0\0')) {
      socket.destroy();
      return { transport, nexthop };
    }
  }
  throw new Error(`no answer from trivial-rewrite(8) but ${JSON.stringify(answer)}`);
}

const CONFIG = {
  myhostname: 'mx.test',
  myorigin: 'mx.test',
  mydestination: 'local.test',
  local_transport: 'lmtp:unix:/run/Local',
  virtual_mailbox_domains: 'virtual.test',
  virtual_transport: 'lmtp:[virtual-lmtp.test]',
  relay_domains: 'relay.test',
  relayhost: '[relayhost.test]:587',
  recipient_delimiter: '+',
  default_transport: 'smtp',
  relay_transport: 'relay',
  transport_maps:
    'inline:{ { joe@a.test = smtp:[joe.test] }, { joe+x@a.test = smtp:[joex.test] }, { a.test = lmtp:[a.test]:24 }, { .a.test = smtp:[parent.test] }, { keep.test = : }, { reset.test = relay: }, { hop.test = :[hop.test] }, { gone.test = error:5.7.1 not here }, { bare.test = smtp }, { sub.relay.test = :[sub-hop.test] } }',
  sender_dependent_relayhost_maps:
    'inline:{ { s@sender.test = [s.test] }, { @sender.test = [sender.test]:26 }, { <> = [null.test] } }',
  sender_dependent_default_transport_maps: 'inline:{ { @lmtp-sender.test = lmtp:[sd.test] } }',
};

const ADDRESSES = [
  'u@other.test',
  'u@local.test',
  'u@virtual.test',
  'u@relay.test',
  'u@x.relay.test',
  'u@sub.relay.test',
  'joe@a.test',
  'joe+x@a.test',
  'joe+y@a.test',
  'ann@a.test',
  'ann@b.a.test',
  'ann@c.b.a.test',
  'u@keep.test',
  'u@reset.test',
  'u@hop.test',
  'u@gone.test',
  'u@bare.test',
  '"quoted local"@other.test',
  'u@[192.0.2.1]',
];
const SENDERS = [
  '',
  'any@else.test',
  's@sender.test',
  's+x@sender.test',
  'o@sender.test',
  'x@lmtp-sender.test',
];

const ready = installed(['postfix']);

describe.skipIf(!ready)('routes beside trivial-rewrite(8)', () => {
  test.concurrent.each<[string, Record<string, string>]>([
    [
      'transport_maps, relayhost, sender_dependent_relayhost_maps, sender_dependent_default_transport_maps',
      {},
    ],
    ['without relayhost', { relayhost: '', sender_dependent_relayhost_maps: '' }],
    [
      'a nexthop in default_transport and relay_transport',
      { default_transport: 'smtp:[dt.test]', relay_transport: 'relay:[rt.test]' },
    ],
    [
      'a wildcard in transport_maps',
      { transport_maps: 'inline:{ { * = smtp:[all.test] }, { local.test = : } }' },
    ],
    [
      'parent_domain_matches_subdomains without relay_domains, with transport_maps',
      { parent_domain_matches_subdomains: 'transport_maps' },
    ],
  ])('%s', async (_, values) => {
    const parameters = { ...CONFIG, ...values };
    await using postfix = await startPostfix({ parameters });
    const socket = join(dirname(postfix.logFile), 'spool/private/rewrite');
    const router = createRouter(makeConfig(parameters));
    const ours: string[] = [];
    const theirs: string[] = [];
    for (const sender of SENDERS) {
      for (const address of ADDRESSES) {
        const route = await router.route(address.replaceAll('"', ''), sender);
        const { transport, nexthop } = await resolve(socket, sender, address.replaceAll('"', ''));
        const asked = `<${sender}> to <${address}>: `;
        theirs.push(`${asked}${transport}:${nexthop}`);
        ours.push(
          asked + (route.kind === 'routed' ? `${route.transport}:${route.nexthop}` : `error ${route.reason}`),
        );
      }
    }
    expect(ours).toEqual(theirs);
  });
});
