/**
 * tcp tables: `tcp:host:port`. The question is a line `get key`, the answer a line `200 value`, `500 text` for a miss or
 * `400 text` for an error, where keys and values have `%XX` for a percent sign, blanks and what cannot be printed. Facts: tcp_table(5).
 */
import { type BareTable, failedTable, found, type LookupResult, lookupError, MISS } from '../table.ts';
import { parseSocketAddress, SocketPool } from './socket-pool.ts';

/** Longest line, either way. */
const LINE_BYTES = 4096;
const TIMEOUT_MS = 100_000;
const IDLE_MS = 10_000;
const AGE_MS = 100_000;

export function openTcpTable(spec: string, name: string): BareTable {
  const address = name.startsWith('unix:') ? undefined : parseSocketAddress(name);
  if (address === undefined) return failedTable(`"${spec}" is not tcp:host:port`);
  const pool = new SocketPool({
    address,
    timeoutMs: TIMEOUT_MS,
    idleMs: IDLE_MS,
    ageMs: AGE_MS,
    answerLimit: LINE_BYTES,
  });
  return {
    keys: 'pattern',
    find: async (key) => {
      const question = Buffer.from(`get ${encode(key)}\n`);
      if (question.length > LINE_BYTES)
        return lookupError(`${spec}: a query is at most ${LINE_BYTES} bytes long`);
      try {
        const line = await pool.exchange(question, (bytes) => {
          const end = bytes.indexOf(0x0a);
          return end < 0 ? undefined : { answer: bytes.toString('latin1', 0, end), length: end + 1 };
        });
        return resultOf(spec, line.replace(/\r$/, ''));
      } catch (error) {
        return lookupError(`${spec}: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
  };
}

function resultOf(spec: string, line: string): LookupResult {
  const [, code, coded] = /^(\d{3}) (.*)$/s.exec(line) ?? [];
  const text = coded === undefined ? undefined : decode(coded);
  if (code === undefined || text === undefined)
    return lookupError(`${spec}: the server's answer is malformed`);
  switch (code) {
    case '200':
      return found(text);
    case '500':
      return MISS;
    case '400':
      return lookupError(`${spec}: the server says ${text}`);
    default:
      return lookupError(`${spec}: the server answers ${code}, which is none of 200, 400 and 500`);
  }
}

/** As bytes: what is not ASCII is coded too. */
function encode(key: string): string {
  return Array.from(Buffer.from(key), (byte) =>
    byte > 0x20 && byte < 0x7f && byte !== 0x25
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('');
}

/** Undefined: a percent sign without two digits. */
function decode(text: string): string | undefined {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return undefined;
  const latin1 = text.replace(/%(..)/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return Buffer.from(latin1, 'latin1').toString();
}
