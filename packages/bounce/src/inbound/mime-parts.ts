/**
 * The parts of a multipart/report (RFC 6522) and the fields of their blocks, from bytes of whoever sent them. Reads what it needs and no
 * more: one level of parts, no charset but UTF-8, limits on everything, and never throws.
 */

/** Parts looked at, and bytes of one that are decoded. */
const MOST_PARTS = 10;
const PART_BYTES = 512 * 1024;

/** Fields by name in lower case, unfolded; the first of each name counts. */
export type Fields = ReadonlyMap<string, string>;

export interface Part {
  readonly type: string;
  readonly fields: Fields;
  readonly body: string;
}

export interface ParsedMessage {
  readonly fields: Fields;
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly parts: readonly Part[];
}

export function parseMessage(bytes: Buffer): ParsedMessage {
  const text = bytes.toString('latin1');
  const { fields, body } = splitBlock(text);
  const { type, parameters } = contentType(fields);
  const boundary = parameters.get('boundary');
  const parts = boundary === undefined || boundary === '' ? [] : partsOf(body, boundary);
  return { fields, type, parameters, parts };
}

function partsOf(body: string, boundary: string): Part[] {
  const delimiter = `--${boundary}`;
  const parts: Part[] = [];
  let start = lineWith(body, delimiter, 0);
  while (start >= 0 && parts.length < MOST_PARTS) {
    const content = body.indexOf('\n', start) + 1;
    if (content === 0 || body.startsWith('--', start + delimiter.length)) break;
    const next = lineWith(body, delimiter, content);
    const end = next < 0 ? body.length : next;
    const { fields, body: encoded } = splitBlock(body.slice(content, Math.min(end, content + PART_BYTES)));
    parts.push({ type: contentType(fields).type, fields, body: decoded(encoded, fields) });
    start = next;
  }
  return parts;
}

/** Where a line begins with the text. */
function lineWith(body: string, text: string, from: number): number {
  for (let at = body.indexOf(text, from); at >= 0; at = body.indexOf(text, at + 1)) {
    if (at === 0 || body[at - 1] === '\n') return at;
  }
  return -1;
}

/** Header fields up to the first empty line, and what follows it. */
export function splitBlock(text: string): { readonly fields: Fields; readonly body: string } {
  const end = /(?:^|\n)\r?\n/.exec(text);
  const head = (end === null ? text : text.slice(0, end.index)).replace(/\r$/, '');
  const body = end === null ? '' : text.slice(end.index + end[0].length);
  return { fields: parseFields(head), body };
}

export function parseFields(text: string): Fields {
  const fields = new Map<string, string>();
  for (const line of text.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/)) {
    const [, name = '', value = ''] = /^([!-9;-~]+)[ \t]*:[ \t]*(.*)$/.exec(line) ?? [];
    const key = name.toLowerCase();
    if (key !== '' && !fields.has(key)) fields.set(key, value.trim());
  }
  return fields;
}

function contentType(fields: Fields): Pick<ParsedMessage, 'type' | 'parameters'> {
  const value = fields.get('content-type') ?? 'text/plain';
  const parameters = new Map<string, string>();
  for (const [, name = '', quoted, bare = ''] of value.matchAll(
    /;\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s;]*))/g,
  )) {
    parameters.set(name.toLowerCase(), quoted ?? bare);
  }
  return { type: (/^[^\s;]+/.exec(value)?.[0] ?? '').toLowerCase(), parameters };
}

function decoded(text: string, fields: Fields): string {
  const encoding = fields.get('content-transfer-encoding')?.toLowerCase();
  const bytes =
    encoding === 'base64'
      ? Buffer.from(text, 'base64')
      : Buffer.from(encoding === 'quoted-printable' ? unquoted(text) : text, 'latin1');
  return bytes.toString('utf8');
}

function unquoted(text: string): string {
  return text
    .replace(/[ \t]*=\r?\n/g, '')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
