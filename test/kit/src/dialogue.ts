/**
 * A whole session as a list of lines that a person can read:
 *
 *   'S: 220 x ESMTP'   send this line           'C: EHLO *'   expect this line; `*` stands for any text
 *   'content'          expect a content up to its final dot, and keep it
 *   'delay 200'        wait so many milliseconds          'starttls'   take the TLS handshake
 *   'raw: bytes'       send these bytes, \r \n \0 \xHH escapes understood, without a CRLF
 *   'eof'              expect the client to close         'close' / 'reset'   close with FIN / with RST
 *   'silence'          say nothing until the client leaves
 *
 * The end of the list closes the connection. The first thing that goes otherwise ends the session and is the result.
 */
import type { TlsOptions, Wire } from './wire.ts';

export interface DialogueResult {
  /** What went otherwise than the script says; undefined when all went as written. */
  readonly problem?: string;
  readonly contents: readonly Buffer[];
}

export async function runDialogue(
  wire: Wire,
  script: readonly string[],
  tls: TlsOptions | undefined,
): Promise<DialogueResult> {
  const contents: Buffer[] = [];
  const fail = (step: number, what: string): DialogueResult => {
    wire.reset();
    return { problem: `step ${step + 1} (${script[step]}): ${what}`, contents };
  };
  for (const [step, line] of script.entries()) {
    if (line.startsWith('S: ')) wire.write(`${line.slice(3)}\r\n`);
    else if (line.startsWith('raw: ')) wire.write(bytesOf(line.slice(5)));
    else if (line.startsWith('C: ')) {
      const got = await wire.readLine();
      if (got === undefined) return fail(step, 'the client closed the connection');
      if (!matches(line.slice(3), got)) return fail(step, `the client sent: ${got}`);
    } else if (line === 'content') {
      const content = await wire.readContent();
      if (content === undefined) return fail(step, 'the client closed the connection before the final dot');
      contents.push(content);
    } else if (line.startsWith('delay ')) {
      wire.flush();
      await new Promise((resolve) => setTimeout(resolve, Number(line.slice(6))));
    } else if (line === 'starttls') {
      if (tls === undefined) return fail(step, 'the server has no certificate: give the tls option');
      await wire.startTls(tls);
    } else if (line === 'eof') {
      const got = await wire.readLine();
      if (got !== undefined) return fail(step, `the client sent: ${got}`);
    } else if (line === 'silence') {
      while ((await wire.readLine()) !== undefined);
    } else if (line === 'close') {
      wire.end();
      return { contents };
    } else if (line === 'reset') {
      wire.reset();
      return { contents };
    } else return fail(step, 'not a line of a dialogue script');
  }
  wire.end();
  return { contents };
}

function matches(pattern: string, line: string): boolean {
  const source = pattern
    .split('*')
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^${source}$`, 's').test(line);
}

function bytesOf(text: string): Buffer {
  const escapes: Record<string, string> = { r: '\r', n: '\n', '0': '\0', '\\': '\\' };
  const bytes = text.replace(
    /\\(?:x([0-9a-f]{2})|([rn0\\]))/gi,
    (_, hex: string | undefined, letter: string) =>
      hex === undefined ? (escapes[letter] ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1');
}
