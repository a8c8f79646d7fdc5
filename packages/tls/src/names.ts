/**
 * Names of servers: what is one, and which names of a certificate satisfy the names that a policy asks for (RFC 6125 as Postfix reads it).
 * Names are compared as A-labels without regard to case.
 */
import { domainToASCII } from 'node:url';

const hostName =
  /^(?=.{1,255}$)(?!.*\.\d+$)(?!\d+$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;

/** A domain name in its wire form: no address, no brackets, no port. */
export const isHostName = (name: string): boolean => hostName.test(name);

/** Ideographic and other full stops that IDNA takes for a dot (RFC 3490 section 3.1). */
const DOTS = /[\u3002\uff0e\uff61]/g;

/** The A-label form in lower case, without a final dot; a leading dot or wildcard stays. Undefined: no name at all. */
export const asciiName = (name: string): string | undefined => {
  const dotted = name.replace(DOTS, '.').replace(/(.)\.$/, '$1');
  if (/^[\x21-\x7e]+$/.test(dotted)) return dotted.toLowerCase();
  const [, lead = '', rest = ''] = /^(\*\.|\.)?(.*)$/.exec(dotted) ?? [];
  const ascii = domainToASCII(rest);
  return ascii === '' ? undefined : `${lead}${ascii}`;
};

/**
 * Whether a name of a certificate satisfies a wanted name; `.x` wants anything below x. A wildcard of the certificate must be the whole
 * leftmost label and stands for one label; `*.x` satisfies `.x` too.
 */
export const nameMatches = (wanted: string, presented: string): boolean => {
  const want = asciiName(wanted);
  const have = asciiName(presented);
  if (want === undefined || have === undefined) return false;
  if (want.startsWith('.')) {
    if (want.length === 1) return false;
    if (have.includes('*')) return isWildcard(have) && have.slice(1).endsWith(want);
    return have.endsWith(want) && have.length > want.length;
  }
  if (!have.includes('*')) return have === want;
  const dot = want.indexOf('.');
  return isWildcard(have) && dot > 0 && want.slice(dot) === have.slice(1);
};

/** No certificate may stand for all names of a top-level domain. */
const isWildcard = (name: string): boolean => /^\*\.[^.*]+\.[^*]+$/.test(name);

/** MTA-STS (RFC 8461 section 4.1): an exact name, or `*.rest`, where `*` stands for one label. */
export const matchesMxPattern = (host: string, pattern: string): boolean => {
  const name = asciiName(host);
  const wanted = asciiName(pattern);
  if (name === undefined || wanted === undefined) return false;
  if (!wanted.startsWith('*.')) return name === wanted;
  const dot = name.indexOf('.');
  return dot > 0 && name.slice(dot) === wanted.slice(1);
};
