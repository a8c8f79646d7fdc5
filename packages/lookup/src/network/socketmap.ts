/**
 * socketmap tables: `socketmap:inet:host:port:name` and `socketmap:unix:path:name`. A question is the netstring of `name key`, an
 * answer the netstring of `OK value`, `NOTFOUND `, or TEMP, TIMEOUT or PERM with a reason; each of these three is an error, since
 * a table must not bounce mail. Facts: socketmap_table(5).
 */
import { type BareTable, failedTable, found, type LookupResult, lookupError, MISS } from '../table.ts';
import { parseSocketAddress, SocketPool } from './socket-pool.ts';

const TIMEOUT_MS = 100_000;
const IDLE_MS = 10_000;
const AGE_MS = 100_000;
/** Digits and punctuation of a netstring. */
const FRAME_BYTES = 12;

export interface SocketmapLimits {
  /** Bytes of `name key`: socketmap_max_query_size. */
  readonly querySizeBytes: number;
  /** Bytes of an answer: socketmap_max_reply_size. */
  readonly replySizeBytes: number;
}

export function openSocketmap(spec: string, name: string, limits: SocketmapLimits): BareTable {
  const colon = name.lastIndexOf(':');
  const address = parseSocketAddress(name.slice(0, Math.max(colon, 0)));
  const map = name.slice(colon + 1);
  if (address === undefined || map === '') {
    return failedTable(`"${spec}" is neither socketmap:inet:host:port:name nor socketmap:unix:path:name`);
  }
  const pool = new SocketPool({
    address,
    timeoutMs: TIMEOUT_MS,
    idleMs: IDLE_MS,
    ageMs: AGE_MS,
    answerLimit: limits.replySizeBytes + FRAME_BYTES,
  });
  return {
    keys: 'pattern',
    find: async (key) => {
      const question = Buffer.from(`${map} ${key}`);
      if (question.length > limits.querySizeBytes) {
        return lookupError(
          `${spec}: the query of ${question.length} bytes is longer than socketmap_max_query_size (${limits.querySizeBytes})`,
        );
      }
      try {
        const answer = await pool.exchange(netstring(question), (bytes) => readNetstring(bytes, limits));
        return resultOf(spec, answer);
      } catch (error) {
        return lookupError(`${spec}: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
  };
}

function resultOf(spec: string, answer: string): LookupResult {
  const [, status, text] = /^([A-Z]+) (.*)$/s.exec(answer) ?? [];
  switch (status) {
    case 'OK':
      return found(text ?? '');
    case 'NOTFOUND':
      return MISS;
    case 'TEMP':
    case 'TIMEOUT':
    case 'PERM':
      return lookupError(`${spec}: the server says ${status} ${text}`);
    default:
      return lookupError(
        `${spec}: the server's answer begins with none of OK, NOTFOUND, TEMP, TIMEOUT, PERM`,
      );
  }
}

function netstring(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${content.length}:`), content, Buffer.from(',')]);
}

function readNetstring(
  bytes: Buffer,
  { replySizeBytes }: SocketmapLimits,
): { answer: string; length: number } | undefined {
  const head = /^(\d{1,10})(:?)/.exec(bytes.toString('latin1', 0, FRAME_BYTES));
  if (head === null || (head[2] === '' && bytes.length > head[0].length)) {
    throw new Error("the server's answer is not a netstring");
  }
  if (head[2] === '') return undefined;
  const size = Number(head[1]);
  if (size > replySizeBytes) {
    throw new Error(
      `the answer of ${size} bytes is longer than socketmap_max_reply_size (${replySizeBytes})`,
    );
  }
  const end = head[0].length + size;
  if (bytes.length <= end) return undefined;
  if (bytes[end] !== 0x2c) throw new Error("the server's answer is not a netstring");
  return { answer: bytes.toString('utf8', head[0].length, end), length: end + 1 };
}
