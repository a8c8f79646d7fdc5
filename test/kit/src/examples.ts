/**
 * Reads examples of what becomes of a message, from text files that a person can read (packages/mime/examples): before, after, and
 * what is logged. The first lines of each file say how they are written; `main.cf:` lines there hold for all examples.
 */
import { readFileSync } from 'node:fs';

export interface Example {
  readonly name: string;
  /** main.cf lines. */
  readonly config: Readonly<Record<string, string>>;
  readonly input: Buffer;
  /** Expected output, or the failure in its place. */
  readonly output: Buffer | string;
  /** `log:` lines, in order. */
  readonly log: readonly string[];
}

const SIGNS: Readonly<Record<string, string>> = { '␀': '\0', '␡': '\x7f', '␛': '\x1b' };

export function readExamples(file: URL): Example[] {
  const [head = '', ...blocks] = readFileSync(file, 'utf8').split(/^== /m);
  const common = head.split('\n').filter((line) => line.startsWith('main.cf: '));
  return blocks.map((block) => {
    const [name = '', ...lines] = block.split('\n');
    return readExample(name, [...common, ...lines]);
  });
}

function readExample(name: string, lines: readonly string[]): Example {
  const config: Record<string, string> = {};
  const log: string[] = [];
  const parts: Record<'in' | 'out', string[]> = { in: [], out: [] };
  let part: 'in' | 'out' = 'in';
  let encoding: 'utf8' | 'latin1' = 'utf8';
  let failure: string | undefined;
  for (const line of lines) {
    const setting = /^main\.cf: (\w+) = (.*)$/.exec(line);
    if (line === 'in' || line === 'out') part = line;
    else if (line === 'latin1') encoding = 'latin1';
    else if (line === 'same') parts.out = parts.in;
    else if (setting !== null) config[setting[1] ?? ''] = setting[2] ?? '';
    else if (line.startsWith('log: ')) log.push(line.slice(5));
    else if (line.startsWith('| failure: ')) failure = line.slice(11);
    else if (line.startsWith('|')) parts[part].push(unsigned(line.slice(2)));
    else if (line !== '') throw new Error(`example "${name}": not a line of an example: ${line}`);
  }
  const bytes = (all: readonly string[]): Buffer =>
    Buffer.from(all.map((line) => `${line}\r\n`).join(''), encoding);
  return { name, config, input: bytes(parts.in), output: failure ?? bytes(parts.out), log };
}

function unsigned(line: string): string {
  return line
    .replace(/[␀␡␛]/g, (sign) => SIGNS[sign] ?? sign)
    .replace(/·$/, ' ')
    .replace(/→$/, '\t');
}
