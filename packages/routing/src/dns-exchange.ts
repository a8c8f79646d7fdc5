/**
 * One question to the name servers: UDP first, TCP when the answer was cut, the next server or another round when there was no
 * answer. Each UDP attempt has its own socket (a port of the system's choice) and a random id, which together are
 * what keeps forged answers out (RFC 5452); the socket is connected, so that only the asked server is heard.
 *
 * Ends at the latest after rounds × servers × (UDP + TCP) time limits. Never throws.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { decodeReply, encodeQuery, type Question, RCODE, type Reply } from './dns-message.ts';

export interface NameServer {
  readonly host: string;
  readonly port: number;
}

export interface ExchangeOptions {
  readonly servers: readonly NameServer[];
  /** Time limit of one attempt. */
  readonly timeoutMs: number;
  /** Rounds over all servers. */
  readonly attempts: number;
}

/** `silent`: no server answered. */
export type ExchangeResult = Reply | { readonly kind: 'malformed' } | { readonly kind: 'silent' };

export async function exchange(question: Question, options: ExchangeOptions): Promise<ExchangeResult> {
  let last: ExchangeResult = { kind: 'silent' };
  for (let attempt = 0; attempt < options.attempts; attempt++) {
    for (const server of options.servers) {
      const result = await askServer(question, server, options.timeoutMs);
      if (result.kind === 'reply' && !isServerTrouble(result.rcode)) return result;
      if (result.kind !== 'silent') last = result;
    }
  }
  return last;
}

/** Trouble of this server, not a property of the name: another one may know better. */
export function isServerTrouble(rcode: number): boolean {
  return rcode === RCODE.SERVFAIL || rcode === RCODE.REFUSED || rcode === RCODE.NOTIMP;
}

async function askServer(question: Question, server: NameServer, timeoutMs: number): Promise<ExchangeResult> {
  let result = await askOverUdp(question, server, timeoutMs, true);
  // A server from before EDNS says FORMERR (RFC 6891 section 7).
  if (result.kind === 'reply' && result.rcode === RCODE.FORMERR) {
    result = await askOverUdp(question, server, timeoutMs, false);
  }
  if (result.kind === 'reply' && result.truncated) return askOverTcp(question, server, timeoutMs);
  return result;
}

function askOverUdp(
  question: Question,
  server: NameServer,
  timeoutMs: number,
  edns: boolean,
): Promise<ExchangeResult> {
  return new Promise((resolve) => {
    const id = randomInt(0x1_0000);
    const socket = createSocket(server.host.includes(':') ? 'udp6' : 'udp4');
    let finished = false;
    const finish = (result: ExchangeResult): void => {
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => finish({ kind: 'silent' }), timeoutMs);
    // Port unreachable arrives here: nobody listens, so there is nothing to wait for.
    socket.on('error', () => finish({ kind: 'silent' }));
    socket.on('message', (packet) => {
      const reply = decodeReply(packet, question, id);
      if (reply.kind === 'reply') finish(reply);
      else if (reply.kind === 'malformed') finish({ kind: 'malformed' });
    });
    socket.on('connect', () => {
      if (!finished) socket.send(encodeQuery(question, id, edns));
    });
    socket.connect(server.port, server.host);
  });
}

function askOverTcp(question: Question, server: NameServer, timeoutMs: number): Promise<ExchangeResult> {
  return new Promise((resolve) => {
    const id = randomInt(0x1_0000);
    const socket = connect(server.port, server.host);
    let input: Buffer = Buffer.alloc(0);
    const finish = (result: ExchangeResult): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => finish({ kind: 'silent' }), timeoutMs);
    socket.on('error', () => finish({ kind: 'silent' }));
    socket.on('end', () => finish({ kind: 'silent' }));
    socket.on('connect', () => {
      const query = encodeQuery(question, id, true);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      socket.write(Buffer.concat([length, query]));
    });
    socket.on('data', (chunk) => {
      input = Buffer.concat([input, chunk]);
      if (input.length < 2 || input.length < 2 + input.readUInt16BE(0)) return;
      const reply = decodeReply(input.subarray(2, 2 + input.readUInt16BE(0)), question, id);
      finish(reply.kind === 'reply' ? reply : { kind: 'malformed' });
    });
  });
}
