/**
 * What one milter says of one message: the dialogue of cleanup(8) for mail that came by no SMTP session, from a client
 * `localhost [127.0.0.1]`. Rejects when the milter cannot be reached or does not keep to the protocol.
 */
import { quoteAddress } from '@mailfleet/mime';
import {
  ACTIONS,
  type Agreement,
  agreement,
  BODY_CHUNK,
  type Change,
  LEADING_SPACE,
  offer,
  packet,
  parseReply,
  type Reply,
  STEPS,
  type Step,
  texts,
} from './codec.ts';
import type { MilterConnection } from './connection.ts';
import type { HeaderBlock } from './header-block.ts';
import type { MilterSettings } from './settings.ts';

export type Verdict =
  | { readonly kind: 'pass' }
  | { readonly kind: 'discard' }
  | { readonly kind: 'refuse'; readonly code: number; readonly status: string; readonly reason: string };

/** A message as it stands; addresses in internal form. */
export interface MilterMail {
  readonly queueId: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly header: HeaderBlock;
  body(): AsyncIterable<Buffer>;
}

export interface MilterPart {
  readonly verdict: Verdict;
  /** What it asks for; body pieces were handed on before. */
  readonly changes: readonly Exclude<Change, { kind: 'replace-body' }>[];
  /** Whether header values are as they stand behind the colon. */
  readonly leadingSpace: boolean;
}

/** Replies to one question: waiting words and changes, bodies apart. */
const REPLY_LIMIT = 10_000;

const REJECT: Verdict = { kind: 'refuse', code: 550, status: '5.7.1', reason: 'Command rejected' };
export const TEMPFAIL: Verdict = {
  kind: 'refuse',
  code: 451,
  status: '4.7.1',
  reason: 'Service unavailable - try again later',
};
/** There is no command that could be refused for one recipient. */
const NO_RECIPIENT_REFUSED: Verdict = {
  kind: 'refuse',
  code: 451,
  status: '4.3.5',
  reason: 'a milter refuses one recipient, which it cannot for mail that does not come by SMTP',
};

/** @param replaceBody takes the pieces of another body, one at a time */
export async function consult(
  connection: MilterConnection,
  settings: MilterSettings,
  mail: MilterMail,
  replaceBody: (piece: Buffer) => Promise<void>,
): Promise<MilterPart> {
  return new Session(connection, settings, mail).run(replaceBody);
}

class Session {
  readonly #connection: MilterConnection;
  readonly #settings: MilterSettings;
  readonly #mail: MilterMail;
  #agreed: Agreement = { version: 0, actions: 0, steps: 0 };

  constructor(connection: MilterConnection, settings: MilterSettings, mail: MilterMail) {
    this.#connection = connection;
    this.#settings = settings;
    this.#mail = mail;
  }

  async run(replaceBody: (piece: Buffer) => Promise<void>): Promise<MilterPart> {
    const { connectTimeoutMs, commandTimeoutMs, version } = this.#settings;
    await this.#connection.send(offer(version), connectTimeoutMs);
    this.#agreed = agreement(await this.#connection.receive(connectTimeoutMs), version);
    const leadingSpace = (this.#agreed.steps & LEADING_SPACE) !== 0;
    const changes: MilterPart['changes'][number][] = [];
    const verdict =
      (await this.#envelope()) ??
      (await this.#content(leadingSpace)) ??
      (await this.#end(replaceBody, (change) => changes.push(change)));
    // Its word is said; how it takes a goodbye changes nothing.
    await this.#connection.quit(packet('Q'), commandTimeoutMs).catch(() => {});
    return { verdict, changes: verdict.kind === 'pass' ? changes : [], leadingSpace };
  }

  async #envelope(): Promise<Verdict | undefined> {
    const { hostname, software } = this.#settings;
    const { queueId, sender, recipients } = this.#mail;
    // Family 4, port 0.
    const client = Buffer.concat([texts('localhost'), Buffer.from('4\0\0'), texts('127.0.0.1')]);
    const about = ['j', hostname, '{daemon_name}', hostname, 'v', software, '_', 'localhost [127.0.0.1]'];
    // cleanup(8) puts no angle brackets around addresses.
    const from = quoteAddress(sender);
    const early =
      (await this.#step('connect', 'C', client, about)) ??
      (await this.#step('helo', 'H', texts('localhost'), [])) ??
      (await this.#step('mail', 'M', texts(from), ['i', queueId, '{mail_addr}', from]));
    if (early !== undefined) return early;
    for (const recipient of recipients) {
      const plain = quoteAddress(recipient);
      const about = ['i', queueId, '{rcpt_addr}', plain];
      const verdict = await this.#step('rcpt', 'R', texts(plain), about);
      if (verdict?.kind === 'refuse') return NO_RECIPIENT_REFUSED;
      if (verdict !== undefined) return verdict;
    }
    return this.#agreed.version > 3 ? this.#step('data', 'T', Buffer.alloc(0), ['i', queueId]) : undefined;
  }

  async #content(leadingSpace: boolean): Promise<Verdict | undefined> {
    const { header, queueId } = this.#mail;
    for (const [name, value] of header.shown(leadingSpace)) {
      const verdict = await this.#step('header', 'L', texts(name, value));
      if (verdict !== undefined) return verdict;
    }
    const verdict = await this.#step('endOfHeaders', 'N', Buffer.alloc(0), ['i', queueId]);
    if (verdict !== undefined || (this.#agreed.steps & STEPS.body.skip) !== 0) return verdict;
    for await (const chunk of this.#mail.body()) {
      for (let from = 0; from < chunk.length; from += BODY_CHUNK) {
        const reply = await this.#ask('body', 'B', chunk.subarray(from, from + BODY_CHUNK));
        if (reply?.kind === 'skip') return undefined;
        const verdict = verdictOf(reply);
        if (verdict !== undefined) return verdict;
      }
    }
    return undefined;
  }

  async #end(
    replaceBody: (piece: Buffer) => Promise<void>,
    note: (change: MilterPart['changes'][number]) => void,
  ): Promise<Verdict> {
    const { contentTimeoutMs } = this.#settings;
    const macros = macrosOf('E', ['i', this.#mail.queueId]);
    await this.#connection.send(Buffer.concat([macros, packet('E')]), contentTimeoutMs);
    for (let replies = 0; replies < REPLY_LIMIT; ) {
      const reply = parseReply(await this.#connection.receive(contentTimeoutMs));
      if (isChange(reply)) this.#mayMake(reply);
      if (reply.kind === 'replace-body') {
        await replaceBody(reply.bytes);
        continue;
      }
      replies += 1;
      if (isChange(reply)) note(reply);
      else if (reply.kind === 'continue') return { kind: 'pass' };
      else if (reply.kind !== 'progress') return verdictOf(reply) ?? { kind: 'pass' };
    }
    throw new Error(`sent ${REPLY_LIMIT} replies, and no last one`);
  }

  #mayMake({ kind }: Change): void {
    if ((this.#agreed.actions & ALLOWS[kind]) === 0)
      throw new Error(`asks for what it did not announce (${kind})`);
  }

  async #step(
    step: Step,
    letter: string,
    data: Buffer,
    macros: readonly string[] = [],
  ): Promise<Verdict | undefined> {
    return verdictOf(await this.#ask(step, letter, data, macros));
  }

  /** Undefined: it did not want to know, or said nothing, as agreed. */
  async #ask(
    step: Step,
    letter: string,
    data: Buffer,
    macros: readonly string[] = [],
  ): Promise<Reply | undefined> {
    const { commandTimeoutMs, contentTimeoutMs } = this.#settings;
    const { skip, silent } = STEPS[step];
    if ((this.#agreed.steps & skip) !== 0) return undefined;
    const isContent = step === 'header' || step === 'endOfHeaders' || step === 'body';
    const timeoutMs = isContent ? contentTimeoutMs : commandTimeoutMs;
    const before = macros.length === 0 ? [] : [macrosOf(letter, macros)];
    await this.#connection.send(Buffer.concat([...before, packet(letter, data)]), timeoutMs);
    if ((this.#agreed.steps & silent) !== 0) return undefined;
    for (let replies = 0; replies < REPLY_LIMIT; replies += 1) {
      const reply = parseReply(await this.#connection.receive(timeoutMs));
      if (isChange(reply)) throw new Error(`asks for a change before the end of the message (${reply.kind})`);
      if (reply.kind !== 'progress') return reply;
    }
    throw new Error(`sent ${REPLY_LIMIT} replies, and no last one`);
  }
}

const ALLOWS: Readonly<Record<Change['kind'], number>> = {
  'add-header': ACTIONS.addHeaders,
  'insert-header': ACTIONS.addHeaders,
  'change-header': ACTIONS.changeHeaders,
  'change-sender': ACTIONS.changeSender,
  'add-recipient': ACTIONS.addRecipients | ACTIONS.addRecipientsWithParameters,
  'delete-recipient': ACTIONS.deleteRecipients,
  'replace-body': ACTIONS.changeBody,
  quarantine: ACTIONS.quarantine,
};

function isChange(reply: Reply): reply is Change {
  return reply.kind in ALLOWS;
}

function macrosOf(letter: string, values: readonly string[]): Buffer {
  return packet('D', Buffer.from(letter, 'latin1'), texts(...values));
}

/** Undefined: go on. */
function verdictOf(reply: Reply | undefined): Verdict | undefined {
  switch (reply?.kind) {
    case 'accept':
      return { kind: 'pass' };
    case 'discard':
      return { kind: 'discard' };
    case 'reject':
      return REJECT;
    case 'tempfail':
      return TEMPFAIL;
    case 'reply':
      return { kind: 'refuse', code: reply.code, status: reply.status, reason: reply.text };
    default:
      return undefined;
  }
}
