/** Parameters: DNS. See entry.ts for what the fields mean. */
import type { Entries } from './entry.ts';

export const dns = {
  dns_ncache_ttl_fix_enable: {
    type: 'boolean',
    default: 'no',
    since: '3.1',
    moot: 'the resolver is our own and reads the TTL of a negative reply itself',
    doc: 'Work around resolvers that hide negative-reply TTLs.',
  },
  dnssec_probe: {
    type: 'list',
    default: 'ns:.',
    since: '3.6',
    doc: 'Query used to find out whether the resolver validates; empty disables the probe.',
  },
  use_srv_lookup: {
    type: 'list',
    default: '',
    since: '3.8',
    doc: 'Service names for which SRV records are used.',
  },
  allow_srv_lookup_fallback: {
    type: 'boolean',
    default: 'no',
    since: '3.8',
    doc: 'After an empty SRV result fall back to MX or address lookup.',
  },
  ignore_srv_lookup_error: {
    type: 'boolean',
    default: 'no',
    since: '3.8',
    doc: 'After an SRV lookup error fall back to MX or address lookup.',
  },
  known_tcp_ports: {
    type: 'list',
    default: 'lmtp=24, smtp=25, smtps=submissions=465, submission=587',
    since: '3.6',
    doc: 'Service-name to port list consulted before the system services database.',
  },
  tcp_windowsize: {
    type: 'size',
    default: '0',
    since: '2.6',
    moot: 'Node cannot set the buffers of a TCP socket; sysctl net.ipv4.tcp_rmem and tcp_wmem do it for the host or container',
    doc: 'Socket buffer override; 0 keeps the system default.',
  },
} as const satisfies Entries;
