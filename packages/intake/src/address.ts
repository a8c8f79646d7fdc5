/**
 * The one door for addresses: text from a client becomes an `Address`, or a reason why not. An Address is in internal
 * (unquoted) form, has local part and domain within the limits of RFC 5321 section 4.5.3.1, and holds no control
 * character, so that CR or LF cannot reach a command line, a log or a header by way of it.
 *
 * Lenient where real mail needs it: dots may stand anywhere in a local part (some providers gave such addresses out),
 * host names may hold underscores. Quoted local parts are taken apart here and quoted again where they go out.
 */
import { isIPv4, isIPv6 } from 'node:net';

declare const checked: unique symbol;
/** A checked address; empty only for the null sender. */
export type Address = string & { readonly [checked]: true };

export type ParsedAddress =
  | { readonly ok: true; readonly address: Address; readonly needsSmtputf8: boolean }
  | { readonly ok: false; readonly reason: string };

export interface AddressRules {
  /** Non-ASCII local parts and domains are allowed (RFC 6531). */
  readonly smtputf8: boolean;
  /** Domain for an address without one (myorigin); absent: such an address is refused. */
  readonly origin?: string;
  /** Goes behind a domain without a dot (mydomain); absent: nothing does. */
  readonly mydomain?: string;
}

const LOCAL_LIMIT = 64;
const DOMAIN_LIMIT = 255;
/** 256 octets of a path less its angle brackets. */
const ADDRESS_LIMIT = 254;
const ATOMS = /^[\w!#$%&'*+\-/=?^`{|}~.\u{80}-\u{10ffff}]+$/u;
const LABEL = /^[\p{L}\p{N}_](?:[\p{L}\p{N}\p{M}_-]*[\p{L}\p{N}\p{M}_])?$/u;
const CONTROL = /[\p{Cc}\u2028\u2029\p{Cs}]/u;

/** The null sender, `<>`. */
export const NULL_SENDER = '' as Address;

/** Checks an address in external form (local part quoted where needed), without angle brackets. */
export function parseAddress(text: string, rules: AddressRules): ParsedAddress {
  if (text === '') return refuse('the address is empty');
  if (CONTROL.test(text)) return refuse('the address holds a control character');
  if (!text.isWellFormed() || text.includes('\ufffd')) return refuse('the address is not valid UTF-8');
  const split = splitLocal(text);
  if (split === undefined) return refuse('the part before the @ is malformed');
  const { local } = split;
  const named = split.domain ?? rules.origin;
  const domain = named === undefined ? undefined : withDot(named, rules.mydomain);
  if (local === '') return refuse('the part before the @ is empty');
  if (domain === undefined) return refuse('the address has no domain');
  if (!isDomain(domain)) return refuse(`"${domain.slice(0, 80)}" is no valid domain`);
  const needsSmtputf8 = !isAscii(local) || !isAscii(domain);
  if (needsSmtputf8 && !rules.smtputf8)
    return refuse('the address is not ASCII and SMTPUTF8 was not requested');
  if (Buffer.byteLength(local) > LOCAL_LIMIT)
    return refuse(`the part before the @ is longer than ${LOCAL_LIMIT} bytes`);
  if (Buffer.byteLength(domain) > DOMAIN_LIMIT)
    return refuse(`the domain is longer than ${DOMAIN_LIMIT} bytes`);
  const address = `${local}@${domain}`;
  if (Buffer.byteLength(address) > ADDRESS_LIMIT)
    return refuse(`the address is longer than ${ADDRESS_LIMIT} bytes`);
  return { ok: true, address: address as Address, needsSmtputf8 };
}

function withDot(domain: string, mydomain: string | undefined): string {
  const whole = mydomain === undefined || domain === '' || /[.[]/.test(domain);
  return whole ? domain : `${domain}.${mydomain}`;
}

/** The part behind the last @, in lower case. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

function refuse(reason: string): ParsedAddress {
  return { ok: false, reason };
}

/** Local part unquoted, and what follows its @; undefined when the local part is neither atoms nor a quoted string. */
function splitLocal(text: string): { local: string; domain?: string } | undefined {
  if (!text.startsWith('"')) {
    const at = text.indexOf('@');
    const local = at < 0 ? text : text.slice(0, at);
    if (local !== '' && !ATOMS.test(local)) return undefined;
    return at < 0 ? { local } : { local, domain: text.slice(at + 1) };
  }
  const [quoted = '', inner = ''] = /^"((?:[^"\\]|\\.)*)"(?=@|$)/u.exec(text) ?? [];
  if (quoted === '') return undefined;
  const local = inner.replace(/\\(.)/gu, '$1');
  return quoted.length === text.length ? { local } : { local, domain: text.slice(quoted.length + 1) };
}

function isDomain(domain: string): boolean {
  if (domain.startsWith('[') && domain.endsWith(']')) {
    const literal = domain.slice(1, -1);
    return /^ipv6:/i.test(literal) ? isIPv6(literal.slice(5)) && !literal.includes('%') : isIPv4(literal);
  }
  return domain.split('.').every((label) => label.length <= 63 && LABEL.test(label));
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
