/**
 * Blocks of IP addresses, as cidr tables and network lists write them: `10.0.0.0/8`, `[2001:db8::]/32`, or one address.
 * Bits of the host part must be zero. An IPv4 address inside IPv6 (`::ffff:10.0.0.1`) counts as IPv4 in lists, and as what it is
 * in cidr tables.
 */
import ipaddr from 'ipaddr.js';

export interface AddressBlock {
  readonly family: 'ipv4' | 'ipv6';
  contains(address: IpAddress): boolean;
}

export type IpAddress = ipaddr.IPv4 | ipaddr.IPv6;

/** Undefined for what is no address in its full form; octal and shortened IPv4 forms are none. */
export function parseAddress(text: string): IpAddress | undefined {
  const address = parseExactAddress(/^\[(.*)\]$/.exec(text)?.[1] ?? text);
  return address === undefined ? undefined : ipaddr.process(address.toString());
}

/** Without brackets, and without a second thought about IPv4 inside IPv6. */
export function parseExactAddress(text: string): IpAddress | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  return text.includes(':') && ipaddr.IPv6.isValid(text) ? ipaddr.IPv6.parse(text) : undefined;
}

/** A string is what is wrong with the text. */
export function parseBlock(text: string, parse = parseAddress): AddressBlock | string {
  const match = /^(\[[^\]]*\]|[^/[\]]+)(?:\/(\d+))?$/.exec(text);
  const address = parse(match?.[1] ?? '');
  if (match === null || address === undefined)
    return `"${text}" is not an address or a block such as 10.0.0.0/8`;
  const bits = address.toByteArray().length * 8;
  const length = match[2] === undefined ? bits : Number(match[2]);
  if (length > bits) return `"${text}": the prefix length is at most ${bits}`;
  const hostBits = address
    .toByteArray()
    .some((byte, index) => (byte & (0xff >> Math.min(8, Math.max(0, length - index * 8)))) !== 0);
  if (hostBits)
    return `"${text}" has bits outside its prefix of ${length}; write the first address of the block`;
  const family = address.kind();
  return {
    family,
    contains: (other) =>
      other.kind() === family && (other as ipaddr.IPv6).match(address as ipaddr.IPv6, length),
  };
}
