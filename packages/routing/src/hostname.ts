/**
 * What counts as a host name and as a numeric address, and the A-label form of a name (RFC 1123 section 2.1, RFC 5890).
 *
 * These checks stand before every DNS query and behind every name that a DNS answer brings, so nothing else in this
 * package needs to look at the characters of a name.
 */
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { toASCII } from 'tr46';

const LONGEST_NAME = 255;
const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** Letters, digits, `_`, `-` in labels of 1..63 bytes, not all digits and dots, no dot at either end. */
export function isHostname(name: string): boolean {
  if (name.length > LONGEST_NAME || /^[\d.]*$/.test(name)) return false;
  return name.split('.').every((label) => LABEL.test(label));
}

/** Four decimal octets; the first may be 0 only in 0.0.0.0. */
export function isIPv4Address(text: string): boolean {
  return isIPv4(text) && (!text.startsWith('0.') || text === '0.0.0.0');
}

/** 2..7 colons, no zone id. */
export function isIPv6Address(text: string): boolean {
  return isIPv6(text) && !text.includes('%') && text.split(':').length <= 8;
}

export function isNumericAddress(text: string): boolean {
  return isIPv4Address(text) || isIPv6Address(text);
}

/** One spelling for each address, so that addresses compare as text; IPv4-mapped IPv6 becomes IPv4. */
export function normalizeAddress(address: string): string {
  const parsed = ipaddr.parse(address);
  if ('isIPv4MappedAddress' in parsed && parsed.isIPv4MappedAddress())
    return parsed.toIPv4Address().toString();
  return parsed.toString();
}

/**
 * The form of a name that goes into DNS: A-labels in place of non-ASCII labels. An ASCII name passes unchanged, whether
 * valid or not; undefined when a non-ASCII name has no ASCII form. `transitional`: as IDNA2003 mapped it (enable_idna2003_compatibility).
 */
export function toALabel(name: string, transitional = false): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range is meant
  if (/^[\x00-\x7f]*$/.test(name)) return name;
  return (
    toASCII(name, {
      checkBidi: true,
      checkJoiners: true,
      verifyDNSLength: true,
      transitionalProcessing: transitional,
    }) ?? undefined
  );
}
