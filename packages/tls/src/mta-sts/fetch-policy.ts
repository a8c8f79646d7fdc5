/**
 * Gets a domain's MTA-STS policy file over HTTPS (RFC 8461 section 3.3).
 *
 * The domain is a stranger's choice, so is where its name leads: only `mta-sts.<domain>` is asked, at public addresses, under a certificate
 * that the system's authorities vouch for, without redirects, for one small text, within one time limit for all of it.
 */
import { request } from 'node:https';
import type { LookupFunction } from 'node:net';
import { BlockList, isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { MOST_BYTES, readPolicyFile, type StsPolicy } from './policy-file.ts';

export interface FetchPolicyOptions {
  /** Addresses of a host name; rejects or answers none when there are none. */
  readonly addresses: (host: string) => Promise<readonly string[]>;
  /** Default 15 s. */
  readonly timeoutMs?: number;
  /** For tests: port, trusted certificates in PEM, and whether loopback will do. */
  readonly port?: number;
  readonly ca?: string;
  readonly allowLocal?: boolean;
}

/** Of connecting, TLS and the answer together; a delivery waits for it. */
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
const outside6 = new BlockList();
outside6.addSubnet('2000::', 3, 'ipv6');
const translated = new BlockList();
translated.addSubnet('2002::', 16, 'ipv6');
translated.addSubnet('2001::', 32, 'ipv6');

export const isPublic = (address: string): boolean =>
  isIP(address) === 4
    ? !inside.check(address, 'ipv4')
    : isIP(address) === 6 && outside6.check(address, 'ipv6') && !translated.check(address, 'ipv6');

/** Rejects with a sentence that says why there is no policy to be had. */
export const fetchPolicy = async (domain: string, options: FetchPolicyOptions): Promise<StsPolicy> => {
  const host = `mta-sts.${domain}`;
  const found = await options.addresses(host);
  const address = found.find((each) => options.allowLocal === true || isPublic(each));
  if (address === undefined) throw new Error(`${host} has no public address`);
  const family = isIP(address);
  const lookup: LookupFunction = (_name, { all }, callback) => {
    if (all === true) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
  const signal = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
  const file = await new Promise<Buffer>((resolve, reject) => {
    const sent = request({
      host,
      servername: host,
      port: options.port ?? HTTPS_PORT,
      path: '/.well-known/mta-sts.txt',
      lookup,
      signal,
      agent: false,
      rejectUnauthorized: true,
      checkServerIdentity,
      headers: { accept: 'text/plain' },
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const type = (response.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
      const refuse = (why: string): void => {
        sent.destroy();
        reject(new Error(`https://${host}${sent.path}: ${why}`));
      };
      // A redirect would let others speak for the domain (RFC 8461 section 3.3).
      if (response.statusCode !== 200) return refuse(`status ${response.statusCode}`);
      if (type !== 'text/plain') return refuse('the answer is no text/plain');
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MOST_BYTES) refuse(`more than ${MOST_BYTES} bytes`);
        else chunks.push(chunk);
      });
      response.on('end', () => resolve(Buffer.concat(chunks)));
      response.on('close', () => reject(new Error(`https://${host}${sent.path}: the answer was cut off`)));
    });
    sent.end();
  });
  return readPolicyFile(file);
};
