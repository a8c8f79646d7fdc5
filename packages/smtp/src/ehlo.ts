/**
 * What a server offers: reads the reply to EHLO or LHLO (RFC 5321 section 4.1.1.1) and the greeting.
 *
 * Pure. The first line that has text is the server's name and never a keyword. Keywords and discard names match in
 * any case; unknown ones are ignored.
 */
import { mergeAnnouncements } from './sasl/announcement.ts';

/** Extensions in use on a session, and what became of them. */
export interface Features {
  readonly eightBitMime: boolean;
  readonly pipelining: boolean;
  readonly size: boolean;
  /** Largest message in bytes; 0: not said. */
  readonly sizeLimit: number;
  readonly startTls: boolean;
  readonly dsn: boolean;
  /** BDAT (RFC 3030). */
  readonly chunking: boolean;
  readonly smtputf8: boolean;
  /** REQUIRETLS (RFC 8689), inside TLS only. */
  readonly requireTls: boolean;
  /** XFORWARD attributes on offer, upper case. */
  readonly xforward: ReadonlySet<string>;
  /** SASL mechanisms as announced (RFC 4954); undefined: no AUTH. */
  readonly auth?: readonly string[];
  /** We logged in, and MAIL is to say that the sender did not (`AUTH=<>`). */
  readonly mailAuth?: boolean;
}

export const noFeatures: Features = {
  eightBitMime: false,
  pipelining: false,
  size: false,
  sizeLimit: 0,
  startTls: false,
  dsn: false,
  chunking: false,
  smtputf8: false,
  requireTls: false,
  xforward: new Set(),
};

export interface EhloReply {
  /** First word of the server name line; empty when there is none. */
  readonly serverName: string;
  readonly features: Features;
  /** A SIZE value that is no number. */
  readonly badSize?: string;
}

/** Keywords that can be discarded, in the order in which the log names them. */
const discardable = [
  '8BITMIME',
  'AUTH',
  'ETRN',
  'PIPELINING',
  'SIZE',
  'VERP',
  'VRFY',
  'XCLIENT',
  'XFORWARD',
  'STARTTLS',
  'ENHANCEDSTATUSCODES',
  'DSN',
  'SMTPUTF8',
  'CHUNKING',
  'REQUIRETLS',
] as const;

export interface Discard {
  readonly keywords: ReadonlySet<string>;
  /** Text for the log; undefined when nothing is discarded or `silent-discard` is listed. */
  readonly note?: string;
}

export const parseDiscard = (names: readonly string[]): Discard => {
  const wanted = new Set(names.map((name) => name.toUpperCase()));
  const listed = discardable.filter((name) => wanted.has(name));
  return {
    keywords: new Set(listed),
    ...(listed.length === 0 || wanted.has('SILENT-DISCARD')
      ? {}
      : { note: `discarding EHLO keywords: ${listed.join(', ')}` }),
  };
};

/** @param text all lines of the reply, joined by newlines @param lineLimit characters kept of all AUTH lines */
export const parseEhlo = (text: string, discard: Discard, lineLimit: number): EhloReply => {
  const offered = new Map<string, string[]>();
  const auth: string[][] = [];
  let serverName: string | undefined;
  for (const line of text.split('\n')) {
    const words = line
      .replace(/^\d{3}[- ]?/, '')
      .split(/[ \t=]+/)
      .filter((word) => word !== '');
    const first = words[0];
    if (first === undefined) continue;
    if (serverName === undefined) {
      serverName = first;
      continue;
    }
    offered.set(first.toUpperCase(), words.slice(1));
    if (first.toUpperCase() === 'AUTH') auth.push(words.slice(1));
  }
  const has = (keyword: string): boolean => offered.has(keyword) && !discard.keywords.has(keyword);
  const limit = offered.get('SIZE')?.[0];
  const sizeIsNumber = limit === undefined || /^\d+$/.test(limit);
  const size = has('SIZE');
  return {
    serverName: serverName ?? '',
    features: {
      eightBitMime: has('8BITMIME'),
      pipelining: has('PIPELINING'),
      size,
      sizeLimit: size && limit !== undefined && sizeIsNumber ? Number(limit) : 0,
      startTls: has('STARTTLS'),
      dsn: has('DSN'),
      chunking: has('CHUNKING'),
      smtputf8: has('SMTPUTF8'),
      requireTls: has('REQUIRETLS'),
      xforward: new Set(has('XFORWARD') ? offered.get('XFORWARD')?.map((word) => word.toUpperCase()) : []),
      ...(has('AUTH') ? { auth: mergeAnnouncements(auth, lineLimit) } : {}),
    },
    ...(size && !sizeIsNumber ? { badSize: limit } : {}),
  };
};

export interface Greeting {
  /** First word after the code. */
  readonly serverName: string;
  /** The word ESMTP stands anywhere after the code. */
  readonly esmtp: boolean;
  /** A Cisco PIX that hides its banner: nothing but `220`, `*` and blanks. */
  readonly pix: boolean;
}

export const parseGreeting = (text: string): Greeting => {
  const words = text
    .replace(/^\d{3}[- ]?/gm, '')
    .split(/[ \t\n]+/)
    .filter((word) => word !== '');
  return {
    serverName: words[0] ?? '',
    esmtp: words.some((word) => word.toUpperCase() === 'ESMTP'),
    pix: /^[20* \t\n]*$/.test(text),
  };
};
