/** What one request's result tells the outside: an event for each recipient, and one span in the message's trace. */
import type { Batch, DeliveryRequest, Outcome, RequestResult } from '@mailfleet/smtp';
import {
  contextFrom,
  linksTo,
  type MailEvent,
  outcomeClass,
  traceparentOf,
  tracer,
} from '@mailfleet/telemetry';
import { type Attributes, context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';

/** The delivery record of one recipient. `protocol` names the program in the log: smtp or lmtp. */
export function outcomeEvent(batch: Batch, request: DeliveryRequest, outcome: Outcome): MailEvent {
  const original = request.recipients.find(({ index }) => index === outcome.recipient)?.originalAddress;
  return {
    kind: outcome.kind,
    queueId: request.envelope.queueId,
    program: batch.protocol,
    to: outcome.address,
    ...(original === undefined ? {} : { origTo: original }),
    relay: outcome.relay,
    ...(outcome.connectionUse === undefined ? {} : { connUse: outcome.connectionUse }),
    times: outcome.times,
    dsn: outcome.status,
    reason: outcome.reason,
    ...(outcome.class === undefined ? {} : { class: outcome.class }),
    ...(outcome.tls === undefined ? {} : { tls: outcome.tls }),
    ...(outcome.cipher === undefined ? {} : { cipher: outcome.cipher }),
    ...(outcome.tlsStatus === undefined ? {} : { tlsStatus: outcome.tlsStatus }),
    ...(outcome.softBounce === true ? { softBounce: true } : {}),
  };
}

/**
 * Makes the span `deliver <transport>` after the fact, from the times in the result: nothing has to be carried through
 * the delivery, and with tracing off this costs one call. A batch of one message has its job in the message's own trace:
 * then it is a child of the job's span. Otherwise it is a child of the message's, linked to the batch's and to the job's.
 */
export function traceDelivery(batch: Batch, request: DeliveryRequest, result: RequestResult): void {
  const { outcomes, steps } = result;
  const startMs = Math.min(
    ...steps.map(({ atMs }) => atMs),
    ...outcomes.map(({ times }) => times.handedOffMs),
  );
  const message = contextFrom(request.envelope.traceparent);
  const job = context.active();
  const own = trace.getSpanContext(message)?.traceId === trace.getSpanContext(job)?.traceId;
  const span = tracer().startSpan(
    `deliver ${batch.transport}`,
    { kind: SpanKind.CLIENT, startTime: startMs },
    own ? job : message,
  );
  if (!span.isRecording()) return;
  if (!own) span.addLinks(linksTo(batch.traceparent, traceparentOf(job)));
  const login = steps.find(({ step }) => step === 'authenticated')?.detail;
  span.setAttributes({
    'mailfleet.queue_id': result.queueId,
    'mailfleet.batch_id': batch.id,
    'mailfleet.transport': batch.transport,
    'mailfleet.nexthop': batch.nexthop,
    'mailfleet.recipients': outcomes.length,
    ...(login === undefined ? {} : { 'mailfleet.sasl_mechanism': login }),
    ...worstOf(outcomes),
  });
  for (const { atMs, step, detail } of steps)
    span.addEvent(step, detail === undefined ? {} : { detail }, atMs);
  const failed = outcomes.find(({ kind }) => kind !== 'delivered');
  if (failed !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: failed.reason });
  span.end(Math.max(startMs, ...outcomes.map(({ times }) => times.doneMs)));
}

/** The result with the class of each outcome. */
export function withClasses(result: RequestResult): RequestResult {
  return {
    ...result,
    outcomes: result.outcomes.map((outcome) => {
      const found = outcomeClass(outcome);
      return found === undefined ? outcome : { ...outcome, class: found };
    }),
  };
}

const SEVERITY = ['delivered', 'deferred', 'bounced'] as const;

/** Attributes of the outcome that matters most to whoever looks at the trace. */
function worstOf(outcomes: readonly Outcome[]): Attributes {
  const [worst] = outcomes.toSorted((a, b) => SEVERITY.indexOf(b.kind) - SEVERITY.indexOf(a.kind));
  if (worst === undefined) return {};
  return {
    'mailfleet.relay': worst.relay,
    'mailfleet.dsn': worst.status,
    'mailfleet.status': worst.kind,
    ...(worst.class === undefined ? {} : { 'mailfleet.class': worst.class }),
    ...tlsOf(worst),
  };
}

/** By the names of the semantic conventions for TLS. */
function tlsOf({ tls, cipher, tlsStatus }: Outcome): Attributes {
  return {
    'tls.established': tls !== undefined,
    ...(tls === undefined
      ? {}
      : { 'tls.protocol.name': 'tls', 'tls.protocol.version': tls.replace('TLSv', '') }),
    ...(cipher === undefined ? {} : { 'tls.cipher': cipher }),
    ...(tlsStatus === undefined ? {} : { 'mailfleet.tls_status': tlsStatus }),
  };
}
