/**
 * Shows a stored message to all milters, one after the other, each with the content as the ones before left it, and makes the changes
 * that they ask for. What a milter asked for before it broke is not done: it counts as one that could not be asked.
 *
 * Only the header stands in memory. A body is read from where it is stored, and another one is stored as it comes.
 */
import { MilterConnection } from './connection.ts';
import { bodyOf, type HeaderBlock, type Opened, readHeader } from './header-block.ts';
import { consult, type MilterPart, TEMPFAIL, type Verdict } from './session.ts';
import type { Milter, MilterSettings } from './settings.ts';

/** Where contents are kept. */
export interface MilterStore<C> {
  read(content: C): Promise<AsyncIterable<Uint8Array>>;
  spool(source: AsyncIterable<Uint8Array>): Promise<C>;
  drop(content: C): Promise<void>;
}

/** Addresses in internal form. */
export interface Submitted<C> {
  readonly queueId: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  /** In wire form. */
  readonly content: C;
}

interface Passed<C> extends Submitted<C> {
  readonly kind: 'pass';
  /** A milter wants it to wait on hold. */
  readonly hold: boolean;
}

/** After anything but `pass` nothing is stored. */
export type MilterResult<C> = Passed<C> | Exclude<Verdict, { kind: 'pass' }>;

/**
 * @param note is told what milters did, for the log
 * Rejects when a content cannot be stored or read; the one that was given is dropped then, too.
 */
export async function applyMilters<C>(
  settings: MilterSettings,
  store: MilterStore<C>,
  mail: Submitted<C>,
  note: (text: string, warning: boolean) => void,
): Promise<MilterResult<C>> {
  const run = new Run(settings, store, mail, note);
  try {
    return await run.result();
  } catch (error) {
    await run.dropAll();
    throw error;
  }
}

class Run<C> {
  readonly #settings: MilterSettings;
  readonly #store: MilterStore<C>;
  readonly #note: (text: string, warning: boolean) => void;
  #mail: Submitted<C>;
  #hold = false;
  /** The first, and in its place what milters made of it. */
  readonly #contents = new Set<C>();

  constructor(
    settings: MilterSettings,
    store: MilterStore<C>,
    mail: Submitted<C>,
    note: (text: string, warning: boolean) => void,
  ) {
    this.#settings = settings;
    this.#store = store;
    this.#mail = mail;
    this.#note = note;
    this.#contents.add(mail.content);
  }

  async result(): Promise<MilterResult<C>> {
    for (const milter of this.#settings.milters) {
      const verdict = await this.#pass(milter);
      if (verdict.kind === 'pass') continue;
      const said = verdict.kind === 'refuse' ? `: ${verdict.status} ${verdict.reason}` : '';
      this.#note(`milter-${verdict.kind === 'refuse' ? 'reject' : 'discard'}: ${milter.name}${said}`, false);
      await this.dropAll();
      return verdict;
    }
    if (this.#mail.recipients.length === 0) {
      this.#note('milter-discard: no recipients are left', false);
      await this.dropAll();
      return { kind: 'discard' };
    }
    return { kind: 'pass', ...this.#mail, hold: this.#hold };
  }

  async dropAll(): Promise<void> {
    for (const content of this.#contents) await this.#store.drop(content);
    this.#contents.clear();
  }

  async #pass(milter: Milter): Promise<Verdict> {
    const { content } = this.#mail;
    const body = new BodySpool(this.#store, this.#settings.sizeLimit);
    const stored = await this.#store.read(content);
    let opened: Opened;
    let part: MilterPart;
    try {
      opened = await readHeader(stored);
      part = await this.#consult(milter, opened, body);
      if (part.verdict.kind !== 'pass') {
        await body.drop();
        return part.verdict;
      }
    } catch (error) {
      await body.drop();
      // A disk of ours that is full is no milter's fault.
      if (body.failure !== undefined) throw body.failure;
      return this.#cannotAsk(milter, error);
    }
    await this.#change(milter, opened, part, await body.spooled());
    return { kind: 'pass' };
  }

  async #consult({ address }: Milter, { header, length }: Opened, body: BodySpool<C>): Promise<MilterPart> {
    if (address === undefined) {
      throw new Error('it is neither inet:host:port nor unix:path (settings in braces are not known here)');
    }
    const { queueId, sender, recipients, content } = this.#mail;
    const { connectTimeoutMs } = this.#settings;
    const store = this.#store;
    async function* bodyBytes(): AsyncGenerator<Buffer> {
      yield* bodyOf(await store.read(content), length);
    }
    using connection = await MilterConnection.open(address, connectTimeoutMs);
    const mail = { queueId, sender, recipients, header, body: bodyBytes };
    return await consult(connection, this.#settings, mail, (piece) => body.push(piece));
  }

  #cannotAsk({ name }: Milter, error: unknown): Verdict {
    const { defaultAction } = this.#settings;
    const why = error instanceof Error && error.message !== '' ? error.message : String(error);
    this.#note(`milter ${name}: ${why}; milter_default_action: ${defaultAction}`, true);
    if (defaultAction === 'quarantine') this.#hold = true;
    if (defaultAction === 'accept' || defaultAction === 'quarantine') return { kind: 'pass' };
    if (defaultAction === 'tempfail') return TEMPFAIL;
    return { kind: 'refuse', code: 550, status: '5.7.1', reason: 'Service unavailable' };
  }

  async #change(
    { name }: Milter,
    { header, length }: Opened,
    part: MilterPart,
    body: { readonly content: C } | undefined,
  ): Promise<void> {
    let { sender } = this.#mail;
    const recipients = [...this.#mail.recipients];
    const changed = header.copy();
    let headerChanged = false;
    for (const change of part.changes) {
      switch (change.kind) {
        case 'change-sender':
          sender = change.address;
          break;
        case 'add-recipient':
          if (!recipients.includes(change.address)) recipients.push(change.address);
          break;
        case 'delete-recipient':
          removeAll(recipients, change.address);
          break;
        case 'quarantine':
          this.#hold = true;
          this.#note(`milter-hold: ${name}: ${change.reason}`, false);
          break;
        default:
          headerChanged = true;
          edit(changed, change, part.leadingSpace);
      }
    }
    const before = this.#mail.content;
    let content = before;
    if (headerChanged || body !== undefined) {
      content = await this.#respool(changed, length, before, body);
      this.#contents.add(content);
      this.#contents.delete(before);
      await this.#store.drop(before);
    }
    this.#mail = { ...this.#mail, sender, recipients, content };
  }

  /** The header as it is now, and the body: another one, or the one that is there. */
  async #respool(
    header: HeaderBlock,
    length: number,
    before: C,
    body: { readonly content: C } | undefined,
  ): Promise<C> {
    const store = this.#store;
    async function* all(): AsyncGenerator<Uint8Array> {
      yield header.bytes();
      if (body === undefined) yield* bodyOf(await store.read(before), length);
      else yield* await store.read(body.content);
    }
    try {
      return await store.spool(all());
    } finally {
      if (body !== undefined) await store.drop(body.content);
    }
  }
}

type HeaderChange = Extract<MilterPart['changes'][number], { readonly name: string }>;

function edit(header: HeaderBlock, change: HeaderChange, leadingSpace: boolean): void {
  const { name, value } = change;
  if (change.kind === 'add-header') header.add(name, value, leadingSpace);
  else if (change.kind === 'insert-header') header.insert(change.index, name, value, leadingSpace);
  else header.change(change.index, name, value, leadingSpace);
}

function removeAll(list: string[], value: string): void {
  for (let at = list.indexOf(value); at >= 0; at = list.indexOf(value)) list.splice(at, 1);
}

/** Stores the pieces of a body as they come, so that the milter waits while one is written. */
class BodySpool<C> {
  readonly #store: MilterStore<C>;
  readonly #sizeLimit: number;
  #pieces: TransformStream<Uint8Array, Uint8Array> | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #content: Promise<C> | undefined;
  #sizeBytes = 0;
  /** Why it could not be stored. */
  failure: unknown;

  constructor(store: MilterStore<C>, sizeLimit: number) {
    this.#store = store;
    this.#sizeLimit = sizeLimit;
  }

  async push(piece: Buffer): Promise<void> {
    this.#sizeBytes += piece.length;
    if (this.#sizeLimit > 0 && this.#sizeBytes > this.#sizeLimit) {
      throw new Error(`replaces the body by one of more than ${this.#sizeLimit} bytes (message_size_limit)`);
    }
    if (this.#content === undefined) {
      this.#pieces = new TransformStream();
      this.#writer = this.#pieces.writable.getWriter();
      this.#content = this.#store.spool(this.#pieces.readable);
      this.#content.catch((error: unknown) => {
        this.failure = error;
      });
    }
    await this.#writer?.write(piece);
  }

  /** Undefined: there was no piece. */
  async spooled(): Promise<{ readonly content: C } | undefined> {
    if (this.#content === undefined) return undefined;
    await this.#writer?.close();
    return { content: await this.#content };
  }

  async drop(): Promise<void> {
    const stored = await this.spooled().catch(() => undefined);
    if (stored !== undefined) await this.#store.drop(stored.content);
  }
}
