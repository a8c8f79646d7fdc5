/**
 * `smtp_tls_loglevel`: a number (1 the summary, 2 more words, 3 and 4 dumps of packets, which Node's TLS does not hand out) or names of what to
 * log (postconf(5)).
 */

export interface TlsLogging {
  /** One line for each handshake. */
  readonly summary: boolean;
  /** Why a certificate is not trusted, also where nothing depends on it. */
  readonly untrusted: boolean;
  /** Names and fingerprints of the certificate. */
  readonly peerCertificate: boolean;
  /** Which name or fingerprint satisfied the policy. */
  readonly match: boolean;
  /** What is offered before the handshake. */
  readonly verbose: boolean;
}

type Name = keyof TlsLogging;

const names: Readonly<Record<string, readonly Name[]>> = {
  none: [],
  routine: ['summary'],
  debug: ['summary', 'verbose'],
  'ssl-expert': ['summary', 'verbose'],
  'ssl-developer': ['summary', 'verbose'],
  summary: ['summary'],
  untrusted: ['untrusted'],
  peercert: ['peerCertificate'],
  certmatch: ['match'],
  verbose: ['verbose'],
};

/** Names that Postfix knows, of what cannot be logged here. */
const withoutWords: readonly string[] = [
  'cache',
  'dane',
  'ssl-debug',
  'ssl-handshake-packet-dump',
  'ssl-session-packet-dump',
  'tlsext',
  'trace',
];

/** @returns with `unknown` the words that are no level */
export const parseLogLevel = (
  words: readonly string[],
): TlsLogging & { readonly unknown: readonly string[] } => {
  const unknown: string[] = [];
  const on = new Set<Name>();
  for (const word of words) {
    const name = /^\d$/.test(word)
      ? ['none', 'routine', 'debug'][Math.min(Number(word), 2)]
      : word.toLowerCase();
    const found = names[name ?? ''];
    if (found === undefined) {
      if (!withoutWords.includes(word.toLowerCase())) unknown.push(word);
    } else for (const each of found) on.add(each);
  }
  return {
    summary: on.has('summary'),
    untrusted: on.has('untrusted'),
    peerCertificate: on.has('peerCertificate') || on.has('verbose'),
    match: on.has('match') || on.has('verbose'),
    verbose: on.has('verbose'),
    unknown,
  };
};
