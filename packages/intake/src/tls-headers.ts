/**
 * What a message's own header says of TLS: `TLS-Required: No` (RFC 8689 section 3), and `Require-TLS-ESMTP: yes`, by which a REQUIRETLS
 * request survives content filters that know nothing of it (`requiretls_esmtp_header`). REQUIRETLS overrides the former.
 */
import type { Config } from '@mailfleet/config';
import type { Envelope } from '@mailfleet/smtp';

const REQUEST = 'Require-TLS-ESMTP';

/** The line to be put before a message that came with REQUIRETLS; empty for others. */
export function requireTlsHeader(config: Config, requireTls: boolean): Buffer {
  const wanted = requireTls && config.get('requiretls_enable') && config.get('requiretls_esmtp_header');
  return Buffer.from(wanted ? `${REQUEST}: yes\r\n` : '');
}

export class TlsHeaders {
  readonly #believesRequest: boolean;
  #requested = false;
  #optional = false;

  constructor(config: Config) {
    this.#believesRequest = config.get('requiretls_enable') && config.get('requiretls_esmtp_header');
  }

  /** Takes a header: name in lower case, value unfolded. */
  header(name: string, value: string): void {
    const word = value.trim().toLowerCase();
    if (name === 'tls-required' && word === 'no') this.#optional = true;
    if (name === REQUEST.toLowerCase() && word === 'yes' && this.#believesRequest) this.#requested = true;
  }

  /** For the envelope. @param asked REQUIRETLS came with the envelope */
  wishes(asked: boolean): Pick<Envelope, 'requireTls' | 'tlsOptional'> {
    return {
      ...(asked || this.#requested ? { requireTls: true } : {}),
      ...(this.#optional ? { tlsOptional: true } : {}),
    };
  }
}
