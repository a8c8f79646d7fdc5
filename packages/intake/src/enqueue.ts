/**
 * The one core way in: whatever comes by SMTP, HTTP, sendmail or TypeScript ends here. Checks the envelope, completes the
 * header, spools the content, routes each recipient and asks the queue to accept; the answer is `ok` only when the message
 * is durable. A refusal leaves nothing stored.
 *
 * Content is read once and in constant memory. After a refusal it may be left unread: SMTP's and HTTP's callers drain.
 */
import {
  ContentCompletion,
  type ContentFacts,
  ContentFilter,
  type ContentRefusal,
  quoteAddress,
  quotePhrase,
  receivedHeader,
  structureLimits,
} from '@mailfleet/mime';
import type { Content, NewMessage, RoutedRecipient } from '@mailfleet/queue';
import type { Envelope } from '@mailfleet/smtp';
import { contextFrom, traceparentOf, withSpan } from '@mailfleet/telemetry';
import { SpanKind } from '@opentelemetry/api';
import type { Address, AddressRules } from './address.ts';
import { HeaderEnvelope } from './header-envelope.ts';
import { type Intake, withinDeadline } from './intake.ts';
import { askMilters } from './milters.ts';
import { removeDuplicates, type SubmittedRecipient } from './recipients.ts';
import { type Refusal, refusal } from './refusal.ts';
import {
  type CheckedEnvelope,
  checkCount,
  checkEnvelope,
  checkRecipient,
  checkSender,
  noRecipients,
  type Submission,
  withNotify,
} from './submission.ts';
import { requireTlsHeader, TlsHeaders } from './tls-headers.ts';

export interface Enqueued {
  readonly ok: true;
  readonly queueId: string;
  /** Accepted recipients, duplicates removed. */
  readonly recipients: readonly string[];
}

export type EnqueueResult = Enqueued | Refusal;

interface HeaderReader {
  header(name: string, value: string): void;
}

/** How long an idempotency key is remembered: a client's retries end well within a day. */
const IDEMPOTENCY_MS = 24 * 60 * 60 * 1000;

export async function enqueue(intake: Intake, submission: Submission): Promise<EnqueueResult> {
  const checked = checkEnvelope(intake, submission);
  if (!checked.ok) return checked;
  const { traceparent } = submission;
  const parent = traceparent === undefined ? {} : { parent: contextFrom(traceparent) };
  return withSpan('accept', { kind: SpanKind.SERVER, ...parent }, async (span, context) => {
    try {
      const result = await store(intake, submission, checked.envelope, traceparentOf(context));
      span.setAttributes(
        result.ok
          ? { 'mailfleet.queue_id': result.queueId, 'mailfleet.recipients': result.recipients.length }
          : { 'mailfleet.refused': result.error },
      );
      return result;
    } catch (error) {
      intake.telemetry.log.error(
        { err: error },
        'a message could not be stored; its sender was told to try again',
      );
      span.recordException(error instanceof Error ? error : String(error));
      return refusal(
        'unavailable',
        451,
        '4.3.0',
        'the queue cannot take mail at this moment; try again later',
      );
    }
  });
}

/** Throws when the queue or a lookup table is out of order. */
async function store(
  intake: Intake,
  submission: Submission,
  { sender: namedSender, recipients: named, smtputf8, rules }: CheckedEnvelope,
  traceparent: string | undefined,
): Promise<EnqueueResult> {
  const { queue, config } = intake;
  const nowMs = Date.now();
  const queueId = await chooseQueueId(intake, submission.idempotencyKey);
  const headerEnvelope = new HeaderEnvelope(config.get('intake_recipient_limit'));
  const tlsHeaders = new TlsHeaders(config);
  const completion = makeCompletion(intake, submission, queueId, nowMs, namedSender, named, [
    tlsHeaders,
    ...(submission.recipientsFromHeader === true || namedSender === undefined ? [headerEnvelope] : []),
  ]);
  const source = interruptible(chunksOf(submission.content));
  const inspection = inspectionBy(intake, queueId);
  const completed = completion.complete(source.chunks);
  const spooled = await queue.spoolContent(inspection?.stream(completed) ?? completed);
  const facts = completion.facts();

  const give = async (why: Refusal): Promise<Refusal> => {
    await queue.dropContent(spooled);
    return why;
  };
  if (facts.refused !== undefined)
    return give(contentRefusal(facts.refused, config.get('message_size_limit')));
  if (source.interrupted() !== undefined) {
    return give(refusal('content-interrupted', 451, '4.4.2', 'the connection ended before the message did'));
  }
  if (inspection?.failure?.kind === 'unfit') {
    return give(refusal('content-rejected', 550, '5.6.0', inspection.failure.reason, 'content'));
  }
  if (inspection?.failure !== undefined) {
    return give(refusal('unavailable', 451, '4.3.0', 'the content could not be checked; try again later'));
  }
  const sentence = inspection?.sentence;
  if (sentence?.kind === 'reject') {
    const code = sentence.status.startsWith('4') ? 451 : 550;
    return give(refusal('content-rejected', code, sentence.status, sentence.reason, 'content'));
  }
  const firstSender = namedSender ?? headerSender(headerEnvelope, rules);
  if (typeof firstSender === 'object') return give(firstSender);
  const gathered = gatherRecipients(intake, submission, named, headerEnvelope, rules);
  if (!gathered.ok) return give(gathered);
  const accepted = gathered.recipients.map(({ address }) => address);
  if (sentence?.kind === 'discard') {
    await queue.dropContent(spooled);
    return { ok: true, queueId, recipients: accepted };
  }
  const submitted = { queueId, sender: firstSender, recipients: gathered.recipients, content: spooled };
  const filtered = await askMilters(intake, submission, submitted, rules);
  if (filtered.kind === 'refused') return filtered.refusal;
  if (filtered.kind === 'discarded') return { ok: true, queueId, recipients: accepted };
  const { sender, recipients, content, hold } = filtered;
  const addresses = recipients.map(({ address }) => address);
  const routes = await routeAll(intake, recipients, sender);
  if (!routes.ok) {
    await queue.dropContent(content);
    return routes;
  }

  const declared = facts.eightBit ? '8bit' : submission.encoding;
  const encoding = intake.checks?.convert === true ? '7bit' : declared;
  const { envid, ret, verp, originalClient } = submission;
  const tlsWishes = tlsHeaders.wishes(submission.requireTls === true);
  const client = originalClient ?? submission.client;
  const envelope: Envelope = {
    queueId,
    sender,
    sizeBytes: sizeOf(content),
    arrivalMs: nowMs,
    createdMs: nowMs,
    ...(encoding === undefined ? {} : { encoding }),
    ...(smtputf8 || isUtf8Mail(intake, submission, [sender, ...addresses], facts) ? { smtputf8: true } : {}),
    ...(envid === undefined ? {} : { envid }),
    ...(verp === undefined || sender === '' ? {} : { verp }),
    ...(ret === undefined ? {} : { ret }),
    ...tlsWishes,
    ...(client === undefined ? {} : { client }),
    ...(facts.messageId === undefined ? {} : { messageId: facts.messageId }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
  await accept(intake, { envelope, recipients: routes.routed, content, hold }, submission);
  return { ok: true, queueId, recipients: addresses };
}

/** What header_checks and body_checks make of the content; undefined: there are none. */
function inspectionBy({ checks, telemetry }: Intake, queueId: string): ContentFilter | undefined {
  if (checks === undefined) return undefined;
  return new ContentFilter(checks, (text, warning) =>
    telemetry.emit({ kind: 'remark', program: 'cleanup', queueId, text, ...(warning ? { warning } : {}) }),
  );
}

/** Checks and milters may have made it another. */
function sizeOf(content: Content): number {
  return content.kind === 'inline' ? content.bytes.length : content.sizeBytes;
}

async function chooseQueueId(intake: Intake, idempotencyKey: string | undefined): Promise<string> {
  const { queue } = intake;
  const fresh = queue.newQueueId();
  // A repeat runs all the way with the first one's id: had the first died between claim and accept, its id alone would
  // promise a message that is nowhere. `accept` finds an id that is there already and changes nothing.
  if (idempotencyKey === undefined) return fresh;
  return withinDeadline(intake, queue.claimIdempotencyKey(idempotencyKey, fresh, IDEMPOTENCY_MS));
}

/**
 * From here on content is never dropped: a call that fails may have been carried out, and a message whose content is
 * gone would be lost. The queue sweeps files that no message names.
 */
async function accept(
  intake: Intake,
  message: NewMessage,
  { by = 'pickup', client, saslMethod, uid, idempotencyKey }: Submission,
): Promise<void> {
  const remember = idempotencyKey === undefined ? {} : { rememberMs: IDEMPOTENCY_MS };
  const outcome = await withinDeadline(
    intake,
    intake.queue.accept({
      ...message,
      latestMs: Date.now() + intake.queueDeadlineMs,
      ...remember,
    }),
  );
  if (outcome === 'exists' && idempotencyKey !== undefined) return;
  const { envelope } = message;
  intake.telemetry.emit({
    kind: 'accepted',
    queueId: envelope.queueId,
    by,
    ...(client?.name === undefined ? {} : { clientName: client.name }),
    ...(client?.address === undefined ? {} : { clientAddress: client.address }),
    ...(client?.saslUsername === undefined ? {} : { saslUsername: client.saslUsername }),
    ...(saslMethod === undefined ? {} : { saslMethod }),
    ...(envelope.messageId === undefined ? {} : { messageId: envelope.messageId }),
    ...(uid === undefined ? {} : { submitter: { uid, from: envelope.sender } }),
  });
}

function makeCompletion(
  { config }: Intake,
  submission: Submission,
  queueId: string,
  timeMs: number,
  sender: string | undefined,
  named: readonly SubmittedRecipient[],
  readers: readonly HeaderReader[],
): ContentCompletion {
  const { client, tls, uid, fullName } = submission;
  const hostname = config.get('myhostname');
  const [first, second] = named;
  const only = second === undefined && submission.recipientsFromHeader !== true ? first : undefined;
  const received = receivedHeader({
    by: hostname,
    software: config.get('mail_name'),
    queueId,
    timeMs,
    ...(client?.protocol === undefined ? {} : { protocol: client.protocol }),
    ...(client?.helo === undefined ? {} : { helo: client.helo }),
    ...(client?.name === undefined ? {} : { clientName: client.name }),
    ...(client?.address === undefined ? {} : { clientAddress: client.address }),
    ...(tls === undefined ? {} : { tls }),
    ...(uid === undefined ? {} : { origin: `from userid ${uid}` }),
    ...(only === undefined ? {} : { recipient: quoteAddress(only.address) }),
  });
  // Without a named sender the header has a From, or the message is refused.
  const from = quoteAddress(sender || `MAILER-DAEMON@${config.get('myorigin')}`);
  const addMissing = {
    queueId,
    timeMs,
    hostname,
    from: fullName === undefined || fullName === '' ? from : `${quotePhrase(fullName)} <${from}>`,
    undisclosedRecipients: config.get('undisclosed_recipients_header'),
  };
  return new ContentCompletion({
    received: Buffer.concat([received, requireTlsHeader(config, submission.requireTls === true)]),
    dropHeaders: config.get('message_drop_headers').map((name) => name.toLowerCase()),
    limits: structureLimits(config),
    hopcountLimit: config.get('hopcount_limit'),
    sizeLimit: config.get('message_size_limit'),
    detectEncoding: config.get('detect_8bit_encoding_header'),
    ...(submission.addMissingHeaders === false ? {} : { addMissing }),
    onHeader: (name, value) => {
      for (const reader of readers) reader.header(name, value);
    },
  });
}

/** Whether mail of this source counts as SMTPUTF8 mail for what is in it (smtputf8_autodetect_classes). */
function isUtf8Mail(
  { config, smtputf8 }: Intake,
  { by }: Submission,
  addresses: readonly string[],
  { utf8Header }: ContentFacts,
): boolean {
  if (!smtputf8) return false;
  const classes = config.get('smtputf8_autodetect_classes').map((name) => name.toLowerCase());
  const detects = classes.includes('all') || classes.includes(by === 'smtpd' ? 'smtpd' : 'sendmail');
  return detects && (utf8Header || addresses.some((address) => /\P{ASCII}/u.test(address)));
}

function headerSender(headerEnvelope: HeaderEnvelope, rules: AddressRules): Address | Refusal {
  const text = headerEnvelope.sender();
  if (text !== undefined) return checkSender(text, rules);
  return refusal(
    'bad-sender',
    501,
    '5.1.7',
    'no sender: the envelope names none and the header has no From',
    'sender',
  );
}

function gatherRecipients(
  intake: Intake,
  submission: Submission,
  named: readonly SubmittedRecipient[],
  headerEnvelope: HeaderEnvelope,
  rules: AddressRules,
): { readonly ok: true; readonly recipients: readonly SubmittedRecipient[] } | Refusal {
  const all = [...named];
  if (submission.recipientsFromHeader === true) {
    for (const address of headerEnvelope.recipients()) {
      const checked = checkRecipient(withNotify({ address }, submission.notify), rules, 'header');
      if (!checked.ok) return checked;
      all.push(checked.recipient);
    }
    const tooMany = checkCount(intake, all.length);
    if (tooMany !== undefined) return tooMany;
    if (all.length === 0) return noRecipients();
  }
  const recipients = removeDuplicates(all, {
    limit: intake.config.get('duplicate_filter_limit'),
    addressOnly: !intake.config.get('enable_original_recipient'),
  });
  return { ok: true, recipients };
}

/**
 * Routes are decided here, once: a table that cannot answer now refuses the message, since its recipient would keep that
 * answer for as long as it is queued. What leads to the error transport is the scheduler's to bounce.
 */
async function routeAll(
  { router }: Intake,
  recipients: readonly SubmittedRecipient[],
  sender: string,
): Promise<{ readonly ok: true; readonly routed: readonly RoutedRecipient[] } | Refusal> {
  const routes = await Promise.all(recipients.map(({ address }) => router.route(address, sender)));
  const routed: RoutedRecipient[] = [];
  for (const [index, recipient] of recipients.entries()) {
    const route = routes[index];
    if (route === undefined) continue;
    const moved = route.address === recipient.address ? {} : { originalAddress: recipient.address };
    const base = { ...recipient, ...moved, index, address: route.address };
    if (route.kind === 'error') {
      const sentence = `<${recipient.address}>: ${route.reason}`;
      return refusal('unavailable', 451, route.status, sentence, `recipients[${index}]`);
    }
    routed.push({ ...base, transport: route.transport, nexthop: route.nexthop });
  }
  return { ok: true, routed };
}

function contentRefusal(why: ContentRefusal, sizeLimit: number): Refusal {
  return why === 'too-large'
    ? refusal(
        'too-large',
        552,
        '5.3.4',
        `the message is larger than ${sizeLimit} bytes (message_size_limit)`,
        'content',
      )
    : refusal('too-many-hops', 554, '5.4.6', 'too many hops: the message goes round in circles', 'content');
}

async function* chunksOf(content: Submission['content']): AsyncGenerator<Uint8Array> {
  if (typeof content === 'string') yield Buffer.from(content);
  else if (content instanceof Uint8Array) yield content;
  else yield* content;
}

/** Ends quietly when the source breaks: spooling is then in order, and the error is the client's, not the queue's. */
function interruptible(source: AsyncIterable<Uint8Array>): {
  readonly chunks: AsyncIterable<Uint8Array>;
  interrupted(): unknown;
} {
  let interrupted: unknown;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      interrupted = error ?? new Error('the source broke');
    }
  }
  return { chunks: chunks(), interrupted: () => interrupted };
}
