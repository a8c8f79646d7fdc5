/**
 * One mail transaction: MAIL, RCPT for each recipient, DATA, content, and the replies to all of them (RFC 5321 section 3.3,
 * RFC 2920 for pipelining, RFC 2033 for LMTP).
 *
 * The sender runs ahead of the receiver as far as it may: without PIPELINING by one command, with it by up to 4096 bytes
 * of commands, so that neither side can fill the other's buffers and wait for ever. It never sends content before it has the
 * DATA reply, and once it knows every reply it changes course: RSET instead of more commands that can only fail.
 *
 * Two ways save a round trip: the next request's opening goes out behind the final dot (ahead.ts), and a small content goes out behind
 * RCPT as a BDAT chunk (RFC 3030). In one file, though long, because all of it is one order of commands and replies.
 *
 * Each recipient is marked at the attempt by the reply that decides about it. What is returned says what the
 * connection is good for afterwards.
 */
import { setImmediate as immediate } from 'node:timers/promises';
import type { FilterFailure } from '@mailfleet/mime';
import { inStep, type NextRequest, type Opening, openingOf } from './ahead.ts';
import type { Attempt, Failure, Surroundings } from './attempt.ts';
import type { IoFailure } from './connection.ts';
import { ContentEncoder } from './content/content.ts';
import { foldingNote, isSmall, OutgoingContent, piecesOf } from './content/outgoing.ts';
import { mailCommand, rcptCommand, xforwardCommands } from './envelope.ts';
import { ioFailureOf } from './handshake.ts';
import { isSafe } from './quote.ts';
import { type Reply, replyText } from './reply.ts';
import type { Session } from './session.ts';
import {
  isProtocolError,
  isUnknownCommand,
  PIPELINE_BYTES,
  type Stage,
  timeoutOf,
  whereContent,
  whereOf,
} from './stages.ts';

export type Content = Buffer | AsyncIterable<Uint8Array>;

export type TransactionEnd =
  /** Ran to its end; `open`: no QUIT was sent, and the server waits for a new transaction. */
  | { readonly kind: 'done'; readonly open: boolean }
  /** Nothing was sent: the session is as it was. */
  | { readonly kind: 'untouched' }
  /** The connection is of no use any more; open recipients are marked. */
  | { readonly kind: 'broken' }
  /** A reused session failed before MAIL was answered: nothing happened, a fresh one may be used. */
  | { readonly kind: 'stale' }
  /** An opportunistic TLS session failed: nothing more was marked, the address may be tried in clear. */
  | { readonly kind: 'retry-plaintext' };

export interface TransactionContext {
  readonly around: Surroundings;
  readonly attempt: Attempt;
  readonly session: Session;
  readonly content: Content;
  /** The content once more, if it is a stream that was read. */
  readonly again: () => Promise<Content | undefined>;
  /** Called just before the final dot with the indexes of the recipients that it may deliver to. */
  readonly beforeDot: (recipients: readonly number[]) => void;
  /** The session is to stay open: for another request, or to be parked. */
  readonly keeps: () => boolean;
  /** The request that waits for it, when its transaction may be opened along with the end of this one. */
  readonly next: () => NextRequest | undefined;
}

/** An older network I/O than this makes the sender wait for replies before it sends more. */
const STALE_IO_MS = 10_000;
/** Content that may wait in this process before the sender waits for the network. */
const BACKLOG_BYTES = 256 * 1024;

/** A server that has not shown yet that it answers an opening sent ahead gets no more time than this to begin. */
const FIRST_AHEAD_MS = 10_000;

export class Transaction {
  readonly #context: TransactionContext;
  readonly #pipelining: boolean;
  /** Stages whose replies are due, in order; `#received` of them are here. */
  readonly #due: Stage[] = [];
  #received = 0;
  #unsent = '';
  #mailAnswered = false;
  #mailRejected = false;
  #dataRejected = false;
  /** Positions of the recipients in RCPT order, and how many of their replies are here. */
  #rcpts: readonly number[] = [];
  #rcptReplies = 0;
  /** Positions of accepted recipients, in RCPT order. */
  readonly #accepted: number[] = [];
  #dotReplies = 0;
  /** Content goes with BDAT. */
  #chunked = false;
  /** The reply to BDAT says that the server does not know it after all. */
  #bdatUnknown = false;
  #delivered = false;
  /** What the content goes through on its way out; undefined: nothing. */
  readonly #outgoing: OutgoingContent | undefined;
  /** What came out of it. */
  #prepared: Content | undefined;
  #end: TransactionEnd | undefined;

  constructor(context: TransactionContext) {
    this.#context = context;
    this.#pipelining = context.session.features.pipelining;
    const { attempt, session, around } = context;
    const { envelope } = attempt.request;
    const { dkim } = around.contentRules;
    const plan = around.contentRules.planFor(envelope, session.features, around.settings);
    if (plan === undefined && dkim === undefined) return;
    const { lineLimit } = around.settings;
    const note = (text: string, warning: boolean): void => attempt.remark(text, warning);
    this.#outgoing = new OutgoingContent({ plan, dkim, lineLimit, note, again: context.again });
  }

  async run(): Promise<TransactionEnd> {
    const { attempt, session, around } = this.#context;
    const { envelope } = attempt.request;
    const { features } = session;
    const { settings } = around;

    const opening = session.ahead;
    session.ahead = undefined;
    if (opening !== undefined) return await this.#resume(opening);

    if (features.sizeLimit > 0 && features.sizeLimit < envelope.sizeBytes) {
      attempt.failAll('message', {
        status: '5.3.4',
        reason: `message size ${envelope.sizeBytes} exceeds size limit ${features.sizeLimit} of server ${session.name}`,
      });
      return { kind: 'untouched' };
    }
    if (settings.blockEarlyMailReply && session.tls !== undefined && (await this.#cameEarly())) {
      attempt.failAll('site', { status: '4.7.0', reason: 'unexpected server message' });
      session.reusable = false;
      return { kind: 'untouched' };
    }
    this.#refuseUnsafe();
    const chunked = this.#chunkedOpening();
    // A signature stands before what it signs: a large content is read now, and once more when it is sent.
    if (
      chunked !== undefined ||
      (around.contentRules.dkim !== undefined && !isSmall(this.#context.content))
    ) {
      if (this.#outgoing !== undefined && !(await this.#prepare(this.#outgoing)))
        return { kind: 'untouched' };
    }
    if (chunked !== undefined) return await this.#sendChunked(chunked);

    const rcpts = attempt.recipients.flatMap((_, position) =>
      attempt.isUnmarked(position) ? [position] : [],
    );
    if (rcpts.length === 0) return { kind: 'untouched' };
    this.#rcpts = rcpts;

    if (settings.sendXforward) {
      const { nameAddress, protocolHelo } = xforwardCommands(envelope, features);
      if (nameAddress !== undefined && !(await this.#command(nameAddress, 'xforward1'))) return this.#ended();
      if (protocolHelo !== undefined && !(await this.#command(protocolHelo, 'xforward2')))
        return this.#ended();
    }

    const requireTls = attempt.requireTls !== undefined;
    const mail = mailCommand(envelope, features, settings, requireTls, attempt.wire?.sender);
    if (!(await this.#command(mail, 'mail'))) return this.#ended();
    attempt.setUpDone();

    for (const position of rcpts) {
      const recipient = attempt.recipients[position];
      if (recipient === undefined) continue;
      const rcpt = rcptCommand(
        recipient,
        envelope,
        features,
        settings,
        attempt.wire?.recipients.get(recipient.index),
      );
      if (this.#mustSync(rcpt) && !(await this.#sync())) return this.#ended();
      if (this.#mailRejected) return await this.#abort();
      this.#queue(rcpt, 'rcpt');
    }

    if (this.#probes === 'rcpt') return await this.#abort();
    if (this.#mustSync('DATA') && !(await this.#sync())) return this.#ended();
    if (this.#isSynchronized && this.#accepted.length === 0) return await this.#abort();
    this.#queue('DATA', 'data');
    if (!(await this.#sync())) return this.#ended();
    if (this.#dataRejected) return await this.#abort();
    return this.#probes === 'data' ? this.#hangUp() : await this.#sendContent();
  }

  /** Where an address probe ends; undefined: it is mail. */
  get #probes(): 'rcpt' | 'data' | undefined {
    const { attempt, around } = this.#context;
    return attempt.request.envelope.probe === true ? around.settings.verifyTarget : undefined;
  }

  /** Nothing but content may follow the server's 354, not even QUIT: the connection ends. */
  #hangUp(): TransactionEnd {
    this.#context.attempt.sessionCompleted();
    return { kind: 'broken' };
  }

  /** The server answers what it was not asked yet: somebody may have put words into its mouth before TLS began. */
  async #cameEarly(): Promise<boolean> {
    const { attempt, session, around } = this.#context;
    // What is here already is to be read first.
    await around.sleep(0);
    if (session.connection.unread === 0) return false;
    const name = `${around.settings.protocol}_tls_block_early_mail_reply`;
    attempt.remark(`server ${session.relay} violates ${name} policy`, true);
    return true;
  }

  /** The commands went out behind the last message: what is left of them is to read the replies. */
  async #resume({ request, stages }: Opening): Promise<TransactionEnd> {
    const { attempt, session, around } = this.#context;
    const { connection, endpoint } = session;
    if (request !== attempt.request)
      throw new Error(`${attempt.queueId} was given another request's session`);
    const proven = around.aheadMemory.isProven(endpoint);
    this.#rcpts = attempt.recipients.map((_, position) => position);
    attempt.setUpDone();
    const replies: Reply[] = [];
    for (const stage of stages) {
      const limit = around.settings.timeouts[timeoutOf[stage]];
      const doubtful = !proven && replies.length === 0;
      const reply =
        connection.takeReply() ??
        (await connection.readReply(
          doubtful ? Math.min(limit === 0 ? FIRST_AHEAD_MS : limit, FIRST_AHEAD_MS) : limit,
        ));
      if (typeof reply === 'string') break;
      replies.push(reply);
    }
    const healthy = connection.failure === undefined && connection.unread === 0;
    if (!healthy || !inStep(stages, replies, proven)) {
      session.aheadFailed(attempt);
      return { kind: 'stale' };
    }
    around.aheadMemory.succeeded(endpoint);
    for (const [index, stage] of stages.entries()) {
      const reply = replies[index];
      if (reply === undefined) break;
      this.#due.push(stage);
      this.#received++;
      this.#handle(stage, reply);
    }
    return this.#dataRejected ? await this.#abort() : await this.#sendContent();
  }

  /** MAIL and RCPT commands, when the content may follow them in the same write (RFC 3030 section 2). */
  #chunkedOpening(): Opening | undefined {
    const { attempt, session, around, content } = this.#context;
    const { settings, chunkingMemory } = around;
    const { features } = session;
    if (this.#probes !== undefined) return undefined;
    if (!settings.chunking || !features.chunking || !this.#pipelining || session.delayDot) return undefined;
    if (!isSmall(content)) return undefined;
    if (!chunkingMemory.mayTry(session.endpoint)) return undefined;
    if (attempt.recipients.some((_, position) => !attempt.isUnmarked(position))) return undefined;
    const request = { ...attempt.request, recipients: attempt.recipients };
    const { needsSmtputf8, wire } = attempt;
    return openingOf({ request, needsSmtputf8, wire }, features, settings, {
      requireTls: attempt.requireTls !== undefined,
    });
  }

  /**
   * The whole transaction in one write: the content of a small message is cheaper than the round trip that would tell whether
   * someone wants it. From here on the message may be delivered, so the in-doubt mark comes first.
   */
  async #sendChunked(commands: Opening): Promise<TransactionEnd> {
    const { attempt, session, around } = this.#context;
    const content = this.#prepared ?? this.#context.content;
    if (!Buffer.isBuffer(content)) throw new Error(`${attempt.queueId} has no content that fits a chunk`);
    const { endpoint, connection } = session;
    const proven = around.chunkingMemory.isProven(endpoint);
    const keep = this.#keep();
    this.#chunked = true;
    this.#rcpts = attempt.recipients.map((_, position) => position);
    attempt.setUpDone();
    const chunk = this.#encoder().encodeChunk(content);
    this.#beforeDot(this.#rcpts);
    // A server that turns out not to know BDAT gets the message again, over this session.
    const quitsAlong = proven && !keep;
    const rest = quitsAlong ? 'QUIT\r\n' : proven && keep ? this.#openNext() : '';
    const opening = commands.text.replace(/DATA\r\n$/, `BDAT ${chunk.length} LAST\r\n`);
    connection.write(Buffer.concat([Buffer.from(opening), chunk, Buffer.from(rest)]), opening + rest);
    this.#due.push(...commands.stages.slice(0, -1));
    if (!(await this.#sync())) return this.#ended();
    const replies = around.settings.protocol === 'lmtp' ? Math.max(this.#accepted.length, 1) : 1;
    for (let reply = 0; reply < replies; reply++) this.#due.push('dot');
    if (!(await this.#sync())) return this.#ended();
    if (this.#bdatUnknown) {
      session.features = { ...session.features, chunking: false };
      around.chunkingMemory.failed(endpoint);
      attempt.remark(`host ${session.relay} offers CHUNKING but does not take BDAT: using DATA`);
      this.#queue('RSET', 'rset');
      return (await this.#sync()) ? await new Transaction(this.#context).run() : this.#ended();
    }
    if (this.#accepted.length > 0) around.chunkingMemory.succeeded(endpoint);
    // A refused BDAT leaves the transaction open at some servers.
    if (keep && session.ahead === undefined && !this.#delivered) this.#queue('RSET', 'rset');
    return await this.#finish(keep, quitsAlong);
  }

  /** The last barrier: whatever came in, no address can add a command line of its own. */
  #refuseUnsafe(): void {
    const { attempt } = this.#context;
    if (!isSafe(attempt.wire?.sender ?? attempt.request.envelope.sender)) {
      attempt.failAll('message', {
        status: '5.1.7',
        reason: 'sender address contains a line break or null byte',
      });
    }
    attempt.recipients.forEach((recipient, position) => {
      const address = attempt.wire?.recipients.get(recipient.index) ?? recipient.address;
      if (isSafe(address) || !attempt.isUnmarked(position)) return;
      attempt.failOne(position, {
        status: '5.1.3',
        reason: 'recipient address contains a line break or null byte',
      });
    });
  }

  get #isSynchronized(): boolean {
    return this.#received === this.#due.length;
  }

  #mustSync(command: string): boolean {
    if (this.#isSynchronized) return false;
    if (!this.#pipelining) return true;
    return (
      this.#unsent.length + command.length + 2 > PIPELINE_BYTES ||
      this.#context.session.connection.idleMs > STALE_IO_MS
    );
  }

  #queue(command: string, stage: Stage): void {
    // Commands are ASCII unless SMTPUTF8 is in use; counting those bytes as characters errs by little.
    this.#unsent += `${command}\r\n`;
    this.#due.push(stage);
  }

  async #command(command: string, stage: Stage): Promise<boolean> {
    if (this.#mustSync(command) && !(await this.#sync())) return false;
    this.#queue(command, stage);
    return true;
  }

  #flush(): void {
    if (this.#unsent === '') return;
    this.#context.session.connection.write(this.#unsent);
    this.#unsent = '';
  }

  /** Sends what is queued and reads every reply that is due. False: the connection failed, `#end` says how it ends. */
  async #sync(): Promise<boolean> {
    this.#flush();
    const { connection } = this.#context.session;
    const { timeouts } = this.#context.around.settings;
    while (this.#received < this.#due.length) {
      const stage = this.#due[this.#received];
      if (stage === undefined) break;
      const reply = connection.takeReply() ?? (await connection.readReply(timeouts[timeoutOf[stage]]));
      if (typeof reply === 'string') {
        this.#fail(reply, whereOf[stage]);
        return false;
      }
      this.#received++;
      this.#handle(stage, reply);
      if (this.#end !== undefined) return false;
    }
    return true;
  }

  #handle(stage: Stage, reply: Reply): void {
    const { attempt, session } = this.#context;
    const digit = Math.trunc(reply.code / 100);
    if (reply.garbled) session.reusable = false;
    switch (stage) {
      case 'xforward1':
      case 'xforward2':
        if (digit !== 2) {
          const command = stage === 'xforward1' ? 'name/address' : 'helo/protocol';
          attempt.remark(
            `host ${session.relay} said: ${replyText(reply)} (in reply to XFORWARD ${command} command)`,
            true,
          );
        }
        break;
      case 'mail':
        // A session that ends here has done nothing for this message: a new one is as good as the first would have been.
        if (reply.code === 421 && session.uses > 1) {
          session.reusable = false;
          this.#end = { kind: 'stale' };
          break;
        }
        this.#mailAnswered = true;
        attempt.step('mail');
        if (digit !== 2) {
          this.#mailRejected = true;
          attempt.failAll('message', this.#rejection(reply, 'MAIL FROM command'));
        }
        break;
      case 'rcpt': {
        const position = this.#rcpts[this.#rcptReplies++];
        if (this.#rcptReplies === this.#rcpts.length) attempt.step('rcpt');
        if (this.#mailRejected || position === undefined) break;
        if (digit === 2 && this.#probes === 'rcpt') attempt.deliver(position, reply);
        else if (digit === 2) this.#accepted.push(position);
        else attempt.failOne(position, this.#rejection(reply, 'RCPT TO command'));
        break;
      }
      case 'data':
        attempt.step('data');
        if (digit === 3 && this.#probes === 'data') {
          for (const position of this.#accepted) attempt.deliver(position, reply);
        } else if (digit !== 3) {
          this.#dataRejected = true;
          if (this.#accepted.length > 0) attempt.failAll('message', this.#rejection(reply, 'DATA command'));
        }
        break;
      case 'dot':
        this.#handleDot(reply, digit === 2);
        break;
      case 'rset':
      case 'quit':
        break;
    }
  }

  #handleDot(reply: Reply, accepted: boolean): void {
    const { attempt, around, session } = this.#context;
    if (this.#accepted.length === 0) return;
    if (this.#chunked && !around.chunkingMemory.isProven(session.endpoint) && isUnknownCommand(reply.code)) {
      this.#bdatUnknown = true;
      return;
    }
    attempt.transferDone();
    attempt.step('dot');
    if (accepted) this.#delivered = true;
    // Whoever announces the end of the session will not answer what came behind the dot.
    if (reply.code === 421 && session.ahead !== undefined) session.aheadFailed(attempt);
    if (around.settings.protocol === 'lmtp') {
      const position = this.#accepted[this.#dotReplies++];
      if (position === undefined) return;
      if (accepted) attempt.deliver(position, reply);
      else attempt.failOne(position, this.#rejection(reply, 'end of DATA command'));
    } else if (accepted) {
      for (const position of this.#accepted) attempt.deliver(position, reply);
    } else {
      attempt.failAll('message', this.#rejection(reply, 'end of DATA command'));
    }
  }

  #rejection(reply: Reply, stage: string): Failure {
    if (isProtocolError(reply.code)) this.#context.session.wentWrong('protocol');
    const reason = `host ${this.#context.session.name} said: ${replyText(reply)} (in reply to ${stage})`;
    const digit = reply.status[0];
    return digit === '4' || digit === '5'
      ? { status: reply.status, reason, reply }
      : { status: '5.5.0', reason: `Protocol error: ${reason}`, reply };
  }

  /** RSET instead of commands that can only fail, then QUIT unless the session is wanted. */
  async #abort(): Promise<TransactionEnd> {
    this.#queue('RSET', 'rset');
    return await this.#finish(this.#keep(), false);
  }

  #keep(): boolean {
    return this.#context.keeps() && this.#context.session.mayServeAnother();
  }

  #encoder(): ContentEncoder {
    const { attempt, around } = this.#context;
    const { lineLimit } = around.settings;
    return new ContentEncoder(lineLimit, () => attempt.remark(foldingNote(lineLimit)));
  }

  async #sendContent(): Promise<TransactionEnd> {
    const { session, around } = this.#context;
    const { connection } = session;
    const keep = this.#keep();
    if (this.#accepted.length === 0) {
      // DATA was on its way already: an empty message to nobody (RFC 2920 section 3.1).
      this.#queue('.', 'dot');
      return await this.#finish(keep, false);
    }
    const outgoing = this.#outgoing;
    if (outgoing !== undefined && this.#prepared === undefined && !(await this.#prepare(outgoing))) {
      return { kind: 'broken' };
    }
    const content = this.#prepared ?? this.#context.content;
    const encoder = this.#encoder();
    const quitsAlong = !keep && this.#pipelining;
    const tail = (): string => (quitsAlong ? 'QUIT\r\n' : keep ? this.#openNext() : '');

    if (isSmall(content) && !session.delayDot) {
      this.#beforeDot(this.#accepted);
      const rest = tail();
      connection.write(encoder.encodeWhole(content, rest), `.\r\n${rest}`);
    } else {
      const sent = await this.#sendPieces(encoder, content);
      if (sent !== 'sent') return sent;
      if (outgoing?.failure !== undefined) {
        this.#contentRefused(outgoing.failure);
        return { kind: 'broken' };
      }
      if (session.delayDot) {
        const failure = await connection.drained(around.settings.timeouts.dataXfer);
        if (failure !== undefined) return await this.#contentFailed(failure);
        await around.sleep(around.settings.pix.delayMs);
      }
      this.#beforeDot(this.#accepted);
      const rest = tail();
      connection.write(encoder.end(rest), `.\r\n${rest}`);
    }
    if (connection.backlog > 0) {
      const failure = await connection.drained(around.settings.timeouts.dataXfer);
      if (failure !== undefined) return await this.#contentFailed(failure);
    }
    const dots = around.settings.protocol === 'lmtp' ? this.#accepted.length : 1;
    for (let dot = 0; dot < dots; dot++) this.#due.push('dot');
    return await this.#finish(keep, quitsAlong);
  }

  /** False: the recipients are marked, and no message must be ended. */
  async #prepare(outgoing: OutgoingContent): Promise<boolean> {
    try {
      this.#prepared = await outgoing.prepare(this.#context.content);
    } catch (error) {
      this.#unreadable(error);
      return false;
    }
    if (outgoing.failure !== undefined) this.#contentRefused(outgoing.failure);
    return outgoing.failure === undefined;
  }

  /** After DATA only the end of the connection keeps the server from taking what it has. */
  #contentRefused(failure: FilterFailure): void {
    const { attempt, session } = this.#context;
    const unfit = failure.kind === 'unfit';
    const reason = unfit ? failure.reason : `local data error while talking to ${session.name}`;
    attempt.failAll('message', { status: unfit ? '5.6.0' : '4.3.0', reason });
  }

  /** Not the message's fault for all we know: deferred. */
  #unreadable(error: unknown): void {
    const { attempt } = this.#context;
    attempt.remark(`content cannot be read: ${error instanceof Error ? error.message : String(error)}`, true);
    attempt.finalServer = true;
    attempt.failAll('message', { status: '4.3.0', reason: 'unreadable mail queue entry' });
  }

  /** The next request's commands, to be written behind the dot; empty where its turn must wait for the reply. */
  #openNext(): string {
    const { attempt, session, around, next } = this.#context;
    const { settings, aheadMemory } = around;
    // Recipients left over go to another host before the next request has its turn.
    if (!settings.transactionPipelining || !this.#pipelining || attempt.anyKept) return '';
    if (!aheadMemory.mayTry(session.endpoint)) return '';
    const request = next();
    // Its demands on TLS are those of the message at hand, or it would not be the next one here.
    const options = { requireTls: attempt.requireTls !== undefined, reset: this.#chunked };
    const opening = request && openingOf(request, session.features, settings, options);
    session.ahead = opening;
    return opening?.text ?? '';
  }

  async #sendPieces(encoder: ContentEncoder, content: Content): Promise<'sent' | TransactionEnd> {
    const { session, around } = this.#context;
    const { connection } = session;
    try {
      for await (const piece of piecesOf(content)) {
        // A server that hangs up may have said why. A write that fails makes that unreadable, so reading comes first.
        await immediate();
        connection.write(encoder.encode(piece));
        const failure =
          connection.backlog > BACKLOG_BYTES
            ? await connection.drained(around.settings.timeouts.dataXfer)
            : connection.failure;
        if (failure !== undefined) return await this.#contentFailed(failure);
      }
      return 'sent';
    } catch (error) {
      // The server must not see a dot, so the connection goes.
      session.wentWrong('data');
      this.#unreadable(error);
      return { kind: 'broken' };
    }
  }

  #beforeDot(positions: readonly number[]): void {
    const { attempt, beforeDot } = this.#context;
    beforeDot(positions.map((position) => attempt.recipients[position]?.index ?? -1));
  }

  /** The server hung up on the content: it may have said why (a premature end-of-data reply). */
  async #contentFailed(failure: IoFailure): Promise<TransactionEnd> {
    const { session, around } = this.#context;
    const reply =
      failure === 'lost' ? await session.connection.readReply(around.settings.timeouts.dataDone) : failure;
    if (typeof reply === 'string') {
      this.#fail(failure, whereContent);
      return this.#ended();
    }
    const { attempt } = this.#context;
    // A 2xx to half a message is no delivery: not reported as sent, unlike Postfix.
    if (reply.code >= 200 && reply.code < 300) {
      this.#fail(failure, whereContent);
      return this.#ended();
    }
    attempt.transferDone();
    attempt.failAll('message', this.#rejection(reply, 'end of DATA command'));
    return { kind: 'broken' };
  }

  /** Reads what is due, sends QUIT if the session is not kept, and waits for its reply where main.cf says so. */
  async #finish(keep: boolean, quitSent: boolean): Promise<TransactionEnd> {
    const { attempt, session, around } = this.#context;
    const { skipQuitResponse } = around.settings;
    if (!keep && !quitSent) {
      if (this.#mustSync('QUIT') && !(await this.#sync())) return this.#ended();
      this.#unsent += 'QUIT\r\n';
    }
    if (!(await this.#sync())) return this.#ended();
    attempt.sessionCompleted();
    if (keep) return { kind: 'done', open: true };
    if (!skipQuitResponse) await session.connection.readReply(around.settings.timeouts.quit);
    return { kind: 'done', open: false };
  }

  #fail(failure: IoFailure, phase: string): void {
    const { attempt, session, around } = this.#context;
    session.reusable = false;
    if (this.#chunked) around.chunkingMemory.failed(session.endpoint);
    if (!this.#mailAnswered && session.uses > 1) {
      this.#end = { kind: 'stale' };
    } else if (session.plaintextRetry && attempt.anyUnmarked) {
      this.#end = { kind: 'retry-plaintext' };
    } else {
      attempt.failAll('site', ioFailureOf(session.name, failure, phase));
      this.#end = { kind: 'broken' };
    }
  }

  #ended(): TransactionEnd {
    return this.#end ?? { kind: 'broken' };
  }
}
