/**
 * Packets of the milter protocol, version 6: a length of four bytes, a letter, and what belongs to it. Pure; nothing that a milter
 * sends is trusted: a packet that is not what its letter promises throws with what is wrong.
 */

/** What a milter may be allowed to do (SMFIF_). */
export const ACTIONS = {
  addHeaders: 0x01,
  changeBody: 0x02,
  addRecipients: 0x04,
  deleteRecipients: 0x08,
  changeHeaders: 0x10,
  quarantine: 0x20,
  changeSender: 0x40,
  addRecipientsWithParameters: 0x80,
} as const;

/** Steps that a milter may leave out, replies that it may owe, and what else it may ask for (SMFIP_). */
export const STEPS = {
  connect: { skip: 0x01, silent: 0x1000 },
  helo: { skip: 0x02, silent: 0x2000 },
  mail: { skip: 0x04, silent: 0x4000 },
  rcpt: { skip: 0x08, silent: 0x8000 },
  body: { skip: 0x10, silent: 0x80000 },
  header: { skip: 0x20, silent: 0x80 },
  endOfHeaders: { skip: 0x40, silent: 0x40000 },
  data: { skip: 0x200, silent: 0x10000 },
} as const;
export type Step = keyof typeof STEPS;

/** Commands that are none of SMTP: there are none here. */
const UNKNOWN = 0x100 | 0x20000;
const SKIP = 0x400;
export const LEADING_SPACE = 0x100000;

const ALL_ACTIONS = Object.values(ACTIONS).reduce((all, one) => all | one, 0);
/** Of version 2: steps up to the end of headers, none of them silent, and no change of the sender. */
const VERSION_2 = { actions: 0x3f, steps: 0x7f };
const ALL_STEPS =
  Object.values(STEPS).reduce((all, { skip, silent }) => all | skip | silent, 0) |
  UNKNOWN |
  SKIP |
  LEADING_SPACE;

/** Bytes of a body in one packet, as libmilter has it. */
export const BODY_CHUNK = 65_535;
/** Bytes of a packet from a milter: twice what libmilter sends at most. */
const PACKET_LIMIT = 2 * 65_536;
const ADDRESS_LIMIT = 512;

export type Version = 2 | 3 | 4 | 6;

export interface Agreement {
  readonly version: number;
  readonly actions: number;
  readonly steps: number;
}

export type Reply =
  | { readonly kind: 'continue' | 'accept' | 'reject' | 'tempfail' | 'discard' | 'skip' | 'progress' }
  | { readonly kind: 'reply'; readonly code: number; readonly status: string; readonly text: string }
  | Change;

/** What a milter may answer to the end of a message, as often as it likes, before its last word. */
export type Change =
  | { readonly kind: 'add-header'; readonly name: string; readonly value: string }
  | {
      readonly kind: 'insert-header' | 'change-header';
      readonly index: number;
      readonly name: string;
      readonly value: string;
    }
  | {
      readonly kind: 'change-sender' | 'add-recipient' | 'delete-recipient';
      /** In internal form; empty for the null sender. */
      readonly address: string;
    }
  | { readonly kind: 'replace-body'; readonly bytes: Buffer }
  | { readonly kind: 'quarantine'; readonly reason: string };

export function packet(letter: string, ...parts: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + parts.reduce((sum, { length }) => sum + length, 0));
  head.write(letter, 4, 'latin1');
  return Buffer.concat([head, ...parts]);
}

/** Texts as the protocol has them, each with a NUL behind it; a NUL within ends nothing. */
export function texts(...all: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    all.flatMap((text) => [
      typeof text === 'string' ? Buffer.from(text.replaceAll('\0', '')) : text.filter((byte) => byte !== 0),
      Buffer.of(0),
    ]),
  );
}

/** The first whole packet, letter and data; undefined while it is not there. */
export function firstPacket(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 4) return undefined;
  const length = bytes.readUInt32BE();
  if (length === 0 || length > PACKET_LIMIT) throw new Error(`sent a packet of ${length} bytes`);
  return bytes.length < 4 + length ? undefined : bytes.subarray(4, 4 + length);
}

export function offer(version: Version): Buffer {
  const limits = version === 2 ? VERSION_2 : { actions: ALL_ACTIONS, steps: ALL_STEPS };
  const data = Buffer.alloc(12);
  data.writeUInt32BE(version);
  data.writeUInt32BE(limits.actions, 4);
  data.writeUInt32BE(limits.steps, 8);
  return packet('O', data);
}

/** What the milter makes of the offer. */
export function agreement(answer: Buffer, version: Version): Agreement {
  if (letterOf(answer) !== 'O' || answer.length < 13)
    throw new Error('did not answer the offer of a protocol');
  const agreed = {
    version: answer.readUInt32BE(1),
    actions: answer.readUInt32BE(5),
    steps: answer.readUInt32BE(9),
  };
  if (agreed.version < 2 || agreed.version > version) {
    throw new Error(`wants protocol version ${agreed.version}, and milter_protocol says ${version}`);
  }
  const offered = offer(version);
  if ((agreed.actions & ~offered.readUInt32BE(9)) !== 0) throw new Error('wants to do what was not offered');
  if ((agreed.steps & ~offered.readUInt32BE(13)) !== 0) throw new Error('wants steps that were not offered');
  return agreed;
}

const PLAIN = {
  c: 'continue',
  a: 'accept',
  r: 'reject',
  t: 'tempfail',
  d: 'discard',
  s: 'skip',
  p: 'progress',
  // "Shut the connection down": the client of an SMTP server would come again.
  '4': 'tempfail',
} as const;

export function parseReply(answer: Buffer): Reply {
  const letter = letterOf(answer);
  const data = answer.subarray(1);
  if (letter in PLAIN) return { kind: PLAIN[letter as keyof typeof PLAIN] };
  switch (letter) {
    case 'y':
      return smtpReply(strings(data, 1)[0] ?? '');
    case 'h': {
      const [name = '', value = ''] = strings(data, 2);
      return { kind: 'add-header', name: headerName(name), value };
    }
    case 'i':
    case 'm': {
      if (data.length < 4) throw new Error('sent a header without its index');
      const [name = '', value = ''] = strings(data.subarray(4), 2);
      const kind = letter === 'i' ? 'insert-header' : 'change-header';
      return { kind, index: data.readUInt32BE(), name: headerName(name), value };
    }
    case 'e':
      return { kind: 'change-sender', address: address(data) };
    case '+':
    case '2':
      return { kind: 'add-recipient', address: someAddress(data) };
    case '-':
      return { kind: 'delete-recipient', address: someAddress(data) };
    case 'b':
      return { kind: 'replace-body', bytes: data };
    case 'q':
      return { kind: 'quarantine', reason: oneLine(strings(data, 1)[0] ?? '') };
    default:
      throw new Error(`sent a packet of a kind that is not known (0x${answer.toString('hex', 0, 1)})`);
  }
}

function letterOf(answer: Buffer): string {
  return answer.toString('latin1', 0, 1);
}

function strings(data: Buffer, count: number): string[] {
  const all: string[] = [];
  for (let from = 0; all.length < count; ) {
    const end = data.indexOf(0, from);
    if (end < 0) throw new Error('sent a text without its end');
    all.push(data.toString('utf8', from, end));
    from = end + 1;
  }
  return all;
}

function headerName(name: string): string {
  if (!/^[!-9;-~]{1,200}$/.test(name)) throw new Error('sent a header name that is none');
  return name;
}

/** `550 5.7.1 text`, the enhanced status optional, further lines the same; a percent sign stands twice. */
function smtpReply(text: string): Reply {
  const lines = text.split(/\r?\n/).filter((line) => line !== '');
  const [, code, status] =
    /^([45]\d\d)(?:[ -]([45]\.\d{1,3}\.\d{1,3})(?= |$))?(?:[ -]|$)/.exec(lines[0] ?? '') ?? [];
  if (code === undefined || (status !== undefined && status[0] !== code[0])) {
    throw new Error('sent a reply that is none of SMTP');
  }
  const words = lines.map((line) => line.replace(/^\d{3}[ -]?(?:[45]\.\d{1,3}\.\d{1,3}(?: |$))?/, ''));
  return {
    kind: 'reply',
    code: Number(code),
    status: status ?? `${code[0]}.7.1`,
    text: oneLine(words.join(' ').replaceAll('%%', '%')),
  };
}

function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, 500);
}

function someAddress(data: Buffer): string {
  const found = address(data);
  if (found === '') throw new Error('sent an empty recipient');
  return found;
}

/** The internal form of an address that may stand in angle brackets, its local part in quotes. Whether it is a good one, others decide. */
function address(data: Buffer): string {
  const text = (strings(data, 1)[0] ?? '').trim();
  const external = /^<(.*)>$/s.exec(text)?.[1] ?? text;
  const [quoted = '', inner = ''] = /^"((?:[^"\\]|\\.)*)"(?=@|$)/su.exec(external) ?? [];
  if (quoted === '' && /[\s"]|@.*@/su.test(external)) throw new Error('sent an address that cannot be one');
  const internal = inner.replace(/\\(.)/gsu, '$1') + external.slice(quoted.length);
  if (/[\p{Cc}\u2028\u2029\ufffd]/u.test(internal) || Buffer.byteLength(internal) > ADDRESS_LIMIT) {
    throw new Error('sent an address that cannot be one');
  }
  return internal;
}
