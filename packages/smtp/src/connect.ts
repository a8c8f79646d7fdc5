/**
 * Opens a TCP or UNIX-domain connection to one address, from the source address that main.cf asks for.
 *
 * Answers with an open socket or with the DSN status and text of the failure (connect(2) errors in the words of the C library,
 * as mail logs show them). The socket has `noDelay` set and stays half open when the server closes its side, so that
 * a reply that came with the close can still be read.
 */
import { connect as openSocket, type Socket } from 'node:net';
import { getSystemErrorMessage } from 'node:util';
import type { SourceAddresses } from '@mailfleet/routing';

/** Where to connect to. `port` is 0 for a UNIX-domain socket, whose path is the address. */
export interface Endpoint {
  /** Host name as looked up; `myhostname` for a UNIX-domain socket. */
  readonly host: string;
  readonly address: string;
  readonly port: number;
}

export interface ConnectSettings {
  /** 0: the system's own limit. */
  readonly connectTimeoutMs: number;
  readonly bindAddress: string;
  readonly bindAddress6: string;
  readonly bindAddressEnforce: boolean;
  /** Folder that relative UNIX-domain paths start from. */
  readonly queueDirectory: string;
}

export type ConnectResult =
  | { readonly kind: 'connected'; readonly socket: Socket }
  | { readonly kind: 'failed'; readonly status: string; readonly reason: string };

/** `H[A]`, as reasons name a server. */
export const nameAddress = (endpoint: Endpoint): string => `${endpoint.host}[${endpoint.address}]`;

/** `H[A]:P`, as log lines and the relay field name it; UNIX-domain sockets have no port. */
export const nameAddressPort = (endpoint: Endpoint): string =>
  endpoint.port === 0 ? nameAddress(endpoint) : `${nameAddress(endpoint)}:${endpoint.port}`;

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  ETIMEDOUT: 'Connection timed out',
  EHOSTUNREACH: 'No route to host',
  EHOSTDOWN: 'Host is down',
  ENETUNREACH: 'Network is unreachable',
  ENETDOWN: 'Network is down',
  ECONNRESET: 'Connection reset by peer',
  EACCES: 'Permission denied',
  EPERM: 'Operation not permitted',
  ENOENT: 'No such file or directory',
  ENOTDIR: 'Not a directory',
  ENOTSOCK: 'Socket operation on non-socket',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EADDRINUSE: 'Address already in use',
  EAFNOSUPPORT: 'Address family not supported by protocol',
  EPROTOTYPE: 'Protocol wrong type for socket',
  EMFILE: 'Too many open files',
};

/** The C library's words for a system error. */
export const systemErrorText = (error: NodeJS.ErrnoException): string => {
  const known = error.code === undefined ? undefined : words[error.code];
  if (known !== undefined) return known;
  if (error.errno === undefined) return error.message;
  const text = getSystemErrorMessage(error.errno) ?? error.message;
  return text.slice(0, 1).toUpperCase() + text.slice(1);
};

/** Longest path that fits a UNIX-domain socket address on Linux and the BSDs. */
const MAX_PATH_BYTES = 103;

const attempt = (
  endpoint: Endpoint,
  timeoutMs: number,
  localAddress: string | undefined,
): Promise<Socket | NodeJS.ErrnoException> =>
  new Promise((resolve) => {
    const socket =
      endpoint.port === 0
        ? openSocket({ path: endpoint.address, allowHalfOpen: true })
        : openSocket({
            host: endpoint.address,
            port: endpoint.port,
            family: endpoint.address.includes(':') ? 6 : 4,
            noDelay: true,
            allowHalfOpen: true,
            ...(localAddress === undefined ? {} : { localAddress }),
          });
    const end = (result: Socket | NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      socket.off('connect', onConnect).off('error', end);
      if (result !== socket) socket.on('error', () => undefined).destroy();
      resolve(result);
    };
    const onConnect = (): void => end(socket);
    const timer =
      timeoutMs > 0
        ? setTimeout(() => end(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })), timeoutMs)
        : undefined;
    socket.once('connect', onConnect).once('error', end);
  });

/**
 * @param source where to connect from unless main.cf names an address to bind to
 * @param warn receives warnings about settings that could not be followed
 */
export const connectTo = async (
  endpoint: Endpoint,
  settings: ConnectSettings,
  source: SourceAddresses,
  warn: (text: string) => void,
): Promise<ConnectResult> => {
  if (endpoint.port === 0) return connectToPath(endpoint, settings, warn);
  const isIpv6 = endpoint.address.includes(':');
  const asked = (isIpv6 ? settings.bindAddress6 : settings.bindAddress).replace(/^\[(.*)\]$/, '$1');
  const bind = asked || ((isIpv6 ? source.ipv6 : source.ipv4) ?? '');
  let result = await attempt(endpoint, settings.connectTimeoutMs, bind === '' ? undefined : bind);
  if ('syscall' in result && result.syscall === 'bind') {
    warn(`smtp_connect_addr: bind ${bind}: ${systemErrorText(result)}`);
    if (asked !== '' && settings.bindAddressEnforce) {
      return { kind: 'failed', status: '4.4.0', reason: 'server configuration error' };
    }
    result = await attempt(endpoint, settings.connectTimeoutMs, undefined);
  }
  return connectResult(endpoint, result);
};

const connectToPath = async (
  endpoint: Endpoint,
  settings: ConnectSettings,
  warn: (text: string) => void,
): Promise<ConnectResult> => {
  const path = endpoint.address.startsWith('/')
    ? endpoint.address
    : `${settings.queueDirectory}/${endpoint.address}`;
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    warn(`unix-domain name too long: ${endpoint.address}`);
    return { kind: 'failed', status: '4.3.5', reason: 'Server configuration error' };
  }
  return connectResult(
    endpoint,
    await attempt({ ...endpoint, address: path }, settings.connectTimeoutMs, undefined),
  );
};

const connectResult = (endpoint: Endpoint, result: Socket | NodeJS.ErrnoException): ConnectResult =>
  result instanceof Error
    ? {
        kind: 'failed',
        status: '4.4.1',
        reason: `connect to ${nameAddressPort(endpoint)}: ${systemErrorText(result)}`,
      }
    : { kind: 'connected', socket: result };
