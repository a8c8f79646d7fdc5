/**
 * Where the dashboard listens and who may come in. Without a password it shows only to this machine: any other
 * address is refused at start-up, and a request that names another host is refused too, because a web page elsewhere
 * can point its own name at 127.0.0.1 (DNS rebinding).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import type { Config } from '@mailfleet/config';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface Access {
  readonly addresses: readonly [ListenAddress, ...ListenAddress[]];
  /** Absent: everyone who reaches us may read. */
  readonly checkPassword?: (password: string) => boolean;
}

/** Throws a sentence when the configuration would show the dashboard to strangers or cannot be read. */
export async function readAccess(config: Config): Promise<Access> {
  const [first, ...others] = config.get('dashboard_listen').map(parseAddress);
  if (first === undefined) {
    throw new Error('dashboard_listen is empty: write address:port, for example 127.0.0.1:8080');
  }
  const addresses = [first, ...others] as const;
  const file = config.get('dashboard_password_file');
  if (file !== '') {
    return { addresses, checkPassword: passwordCheck(await readPassword(file)) };
  }
  const open = addresses.find(({ host }) => !isLoopback(host));
  if (open !== undefined) {
    throw new Error(
      `dashboard_listen names ${open.host}, which other machines can reach, and dashboard_password_file is empty: name a file that holds a password, or listen on 127.0.0.1`,
    );
  }
  return { addresses };
}

function parseAddress(text: string): ListenAddress {
  const match = /^(?:\[([\da-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65535) {
    throw new Error(
      `dashboard_listen has "${text}": write address:port, for example 127.0.0.1:8080 or [::1]:8080`,
    );
  }
  return { host, port };
}

/** True for names and addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** The host of a Host header without port and brackets. */
export function hostName(header: string | undefined): string {
  return (header ?? '')
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
}

async function readPassword(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new Error(
      `dashboard_password_file ${file} cannot be read: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
  const password = text.split(/\r?\n/, 1)[0]?.trim() ?? '';
  if (password === '') {
    throw new Error(`dashboard_password_file ${file} has an empty first line: write the password there`);
  }
  return password;
}

/** Compares digests, so that neither length nor common prefix shows in the time it takes. */
function passwordCheck(password: string): (offered: string) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const expected = digest(password);
  return (offered) => timingSafeEqual(digest(offered), expected);
}
