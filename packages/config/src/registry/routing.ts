/** Parameters: routing. See entry.ts for what the fields mean. */
import type { Entries } from './entry.ts';

export const routing = {
  default_transport: {
    type: 'string',
    default: 'smtp',
    minLength: 1,
    since: '<=2.0',
    doc: '`transport:nexthop` of mail to domains that are not ours; without a nexthop, the recipient domain.',
  },
  relay_transport: {
    type: 'string',
    default: 'relay',
    minLength: 1,
    since: '2.0',
    doc: '`transport:nexthop` of mail to relay_domains.',
  },
  local_transport: {
    type: 'string',
    default:
      'error:5.1.1 local delivery is not part of Mailfleet; set local_transport, for example to lmtp:unix:/path/of/lmtp-socket',
    minLength: 1,
    since: '<=2.0',
    doc: '`transport:nexthop` of mail to mydestination. Postfix has `local:$myhostname` here; Mailfleet has no local delivery, so that such mail bounces until a transport is named, usually LMTP.',
  },
  virtual_transport: {
    type: 'string',
    default: 'virtual',
    minLength: 1,
    since: '2.0',
    doc: '`transport:nexthop` of mail to virtual mailbox domains.',
  },
  transport_maps: {
    type: 'maps',
    default: '',
    since: '<=2.0',
    doc: 'Tables that map address or domain to transport:nexthop.',
  },
  relayhost: {
    type: 'list',
    default: '',
    since: '<=2.0',
    doc: 'Next-hop for non-local mail without another route; a permanent lookup failure of it is demoted to 4.3.5.',
  },
  sender_dependent_relayhost_maps: {
    type: 'maps',
    default: '',
    since: '2.3',
    doc: 'Per-sender replacement of relayhost.',
  },
  sender_dependent_default_transport_maps: {
    type: 'maps',
    default: '',
    since: '2.7',
    doc: 'Per-sender replacement of default_transport.',
  },
  empty_address_relayhost_maps_lookup_key: {
    type: 'string',
    default: '<>',
    since: '2.5',
    doc: 'Key of the null sender in sender_dependent_relayhost_maps.',
  },
  empty_address_default_transport_maps_lookup_key: {
    type: 'string',
    default: '<>',
    since: '2.7',
    doc: 'Key of the null sender in sender_dependent_default_transport_maps.',
  },
  virtual_mailbox_domains: {
    type: 'list',
    default: '$virtual_mailbox_maps',
    since: '2.0',
    doc: 'Domains that are delivered through virtual_transport.',
  },
  virtual_mailbox_maps: {
    type: 'maps',
    default: '',
    since: '<=2.0',
    doc: 'Tables of the addresses in virtual_mailbox_domains; here only the default of that list.',
  },
} as const satisfies Entries;
