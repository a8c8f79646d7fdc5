/**
 * One HTTPS request to a server that a stranger named (an MTA-STS policy host, a TLSRPT collector): to a public address, under a
 * certificate that the system's authorities vouch for, without redirects, for a small answer, within one time limit for all of it.
 */
import { request } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';

export interface OutsideOptions {
  /** Addresses of a host name; rejects or answers none when there are none. */
  readonly addresses: (host: string) => Promise<readonly string[]>;
  /** Default 15 s: of connecting, TLS and the answer together. */
  readonly timeoutMs?: number;
  /** For tests: another port, trusted certificates in PEM, and whether loopback will do. */
  readonly port?: number;
  readonly ca?: string;
  readonly allowLocal?: boolean;
}

export interface OutsideRequest {
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Of the answer; a longer one is an error. */
  readonly mostBytes: number;
}

export interface OutsideAnswer {
  readonly status: number;
  /** Media type without parameters, lower case. */
  readonly type: string;
  readonly body: Buffer;
}

const TIMEOUT_MS = 15_000;
const HTTPS_PORT = 443;

/** Addresses where no stranger's web server can be, but something of ours may (RFC 6890). */
const inside = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const) {
  inside.addSubnet(network, bits, 'ipv4');
}
/** Only global unicast is outside (RFC 4291 section 2.4), and of it not what stands for an IPv4 address. */
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');
const translated = new BlockList();
translated.addSubnet('2002::', 16, 'ipv6');
translated.addSubnet('2001::', 32, 'ipv6');

export const isPublic = (address: string): boolean =>
  isIP(address) === 4
    ? !inside.check(address, 'ipv4')
    : isIP(address) === 6 && globalUnicast.check(address, 'ipv6') && !translated.check(address, 'ipv6');

/** Any status is an answer; rejects with a sentence when there is none. */
export const requestOutside = async (
  { url, method, headers, body, mostBytes }: OutsideRequest,
  options: OutsideOptions,
): Promise<OutsideAnswer> => {
  const host = url.hostname;
  if (url.protocol !== 'https:' || isIP(host.replace(/^\[|\]$/g, '')) !== 0) {
    throw new Error(`${url.href} is no https: address of a host name`);
  }
  if (url.port !== '' || url.username !== '') throw new Error(`${url.href} has a port or a user`);
  const found = await options.addresses(host);
  const address = found.find((each) => options.allowLocal === true || isPublic(each));
  if (address === undefined) throw new Error(`${host} has no public address`);
  const family = isIP(address);
  const lookup: LookupFunction = (_name, { all }, callback) => {
    if (all === true) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
  return await new Promise((resolve, reject) => {
    const sent = request({
      host,
      servername: host,
      port: options.port ?? HTTPS_PORT,
      path: `${url.pathname}${url.search}`,
      method,
      headers,
      lookup,
      agent: false,
      rejectUnauthorized: true,
      signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= mostBytes) chunks.push(chunk);
        else sent.destroy(new Error(`${url.href}: more than ${mostBytes} bytes`));
      });
      response.on('end', () => {
        const type = (response.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
        resolve({ status: response.statusCode ?? 0, type, body: Buffer.concat(chunks) });
      });
      response.on('close', () => reject(new Error(`${url.href}: the answer was cut off`)));
    });
    sent.end(body);
  });
};
