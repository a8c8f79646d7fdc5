/** Parameters: older TLS controls. See entry.ts for what the fields mean. */
import type { Entries } from './entry.ts';

export const tlsObsolete = {
  smtp_use_tls: {
    type: 'boolean',
    default: 'no',
    seed: true,
    since: '2.2',
    lmtp: { since: '2.3' },
    doc: 'Legacy switch equal to level may; used only if smtp_tls_security_level is empty.',
  },
  smtp_enforce_tls: {
    type: 'boolean',
    default: 'no',
    seed: true,
    since: '2.2',
    lmtp: { since: '2.3' },
    doc: 'Legacy switch equal to level encrypt or verify; used only if smtp_tls_security_level is empty.',
  },
  smtp_tls_enforce_peername: {
    type: 'boolean',
    default: 'yes',
    seed: true,
    since: '2.2',
    lmtp: { since: '2.3' },
    doc: 'With smtp_enforce_tls: yes means verify, no means encrypt.',
  },
  smtp_tls_per_site: {
    type: 'maps',
    default: '',
    seed: true,
    since: '2.2',
    lmtp: { since: '2.3' },
    doc: 'Legacy table with NONE, MAY, MUST_NOPEERMATCH or MUST by next-hop and by server name.',
  },
  smtp_tls_cipherlist: {
    type: 'string',
    default: null,
    seed: true,
    obsolete: true,
    since: '2.2',
    doc: 'Pre-2.3 cipher list; no longer read.',
  },
} as const satisfies Entries;
