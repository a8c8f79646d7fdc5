/**
 * One session with an LDAP server: connected, secured and bound when it is first needed, and again after it broke. The driver
 * would by itself connect anew without TLS and without a name, so each of its clients may connect once.
 */
import { readFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { Client, Entry } from 'ldapts';
import { AnswerError } from './hosts.ts';

export type Scope = 'base' | 'one' | 'sub';

export interface LdapServer {
  readonly bind: boolean;
  /** Empty: anonymous. */
  readonly name: string;
  readonly password: string;
  readonly timeoutMs: number;
  readonly startTls: boolean;
  /** Entries of one search; 0: the server's limit. */
  readonly sizeLimit: number;
  readonly dereference: 'never' | 'search' | 'find' | 'always';
  readonly tls: {
    readonly caFile: string;
    readonly certFile: string;
    readonly keyFile: string;
    readonly verify: boolean;
  };
}

/** Result codes of RFC 4511 appendix A. */
const NO_SUCH_OBJECT = 32;
const HOST_TROUBLE = [
  1, // operations error
  49, // invalid credentials
  51, // busy
  52, // unavailable
];

const IDLE_MS = 60_000;

export class LdapSession {
  readonly #url: string;
  readonly #server: LdapServer;
  #client: Promise<Client> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #searches = 0;

  constructor(url: string, server: LdapServer) {
    this.#url = url;
    this.#server = server;
  }

  /** No entries: there are none, or the base does not exist. Throws AnswerError when the server refuses the search. */
  async search(
    base: string,
    scope: Scope,
    filter: string,
    attributes: readonly string[],
  ): Promise<readonly Entry[]> {
    const { timeoutMs, sizeLimit, dereference } = this.#server;
    clearTimeout(this.#idle);
    this.#searches += 1;
    try {
      const client = await this.#connected();
      const { searchEntries } = await client.search(base, {
        scope,
        filter,
        attributes: [...attributes],
        sizeLimit,
        derefAliases: dereference,
        timeLimit: Math.ceil(timeoutMs / 1000),
      });
      return searchEntries;
    } catch (error) {
      const code = resultCode(error);
      if (code === NO_SUCH_OBJECT) return [];
      const said = code === undefined ? error : new Error(refusal(error as Error, code));
      if (said instanceof Error && code !== undefined && !HOST_TROUBLE.includes(code)) {
        throw new AnswerError(said.message);
      }
      this.#end();
      throw said;
    } finally {
      this.#searches -= 1;
      if (this.#searches === 0) this.#idle = setTimeout(() => this.#end(), IDLE_MS).unref();
    }
  }

  async #connected(): Promise<Client> {
    const kept = await this.#client?.catch(() => undefined);
    if (kept?.isConnected === true) return kept;
    this.#client = this.#connect();
    return this.#client;
  }

  async #connect(): Promise<Client> {
    const { bind, name, password, timeoutMs, startTls, tls } = this.#server;
    const { Client } = await import('ldapts');
    const socketPath = /^ldapi:\/\/(.*)$/.exec(this.#url)?.[1];
    let connections = 0;
    const once = (): void => {
      connections += 1;
      if (connections > 1) throw new Error('the connection was lost');
    };
    const plain = (port: number, host: string): Socket => {
      once();
      const socket =
        socketPath === undefined
          ? connectSocket(port, host)
          : connectSocket(decodeURIComponent(socketPath).replace(/^(?!\/)/, '/'));
      return socket.unref();
    };
    const tlsOptions = {
      rejectUnauthorized: tls.verify,
      ...(tls.caFile === '' ? {} : { ca: readFileSync(tls.caFile) }),
      ...(tls.certFile === '' ? {} : { cert: readFileSync(tls.certFile) }),
      ...(tls.keyFile === '' ? {} : { key: readFileSync(tls.keyFile) }),
    };
    const secure = (port: number, host: string, options: ConnectionOptions): Socket => {
      once();
      return connectTls({ ...options, port, host }).unref();
    };
    const client = new Client({
      url: socketPath === undefined ? this.#url : 'ldap://localhost',
      timeout: timeoutMs,
      connectTimeout: timeoutMs,
      createConnection: plain as typeof connectSocket,
      // With these options it would speak TLS from the start.
      ...(this.#url.startsWith('ldaps:')
        ? { tlsOptions, createSecureConnection: secure as typeof connectTls }
        : {}),
    });
    try {
      if (startTls) await client.startTLS(tlsOptions);
      if (bind) await client.bind(name, password);
    } catch (error) {
      void client.unbind().catch(() => {});
      throw error;
    }
    return client;
  }

  #end(): void {
    const ending = this.#client;
    this.#client = undefined;
    void ending?.then((client) => client.unbind()).catch(() => {});
  }
}

/** The driver has the meaning of a code in the name of its error, and often nothing in its message. */
function refusal({ name, message }: Error, code: number): string {
  const words = name
    .replace(/Error$/, '')
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toLowerCase();
  return `the server refuses: ${words} (${code}) ${message.replace(/\s*Code: 0x[0-9a-f]+$/, '')}`.trim();
}

/** Of what the server answered; the driver's own errors have none. */
function resultCode(error: unknown): number | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === 'number' ? code : undefined;
}
