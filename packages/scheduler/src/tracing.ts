/**
 * Spans of the scheduler: `schedule` of each message, from activation to its batch, and `batch` of each batch of several
 * messages, in a trace of its own with links to theirs. A batch of one message stays in that message's trace, job
 * included. Messages without a trace context cost nothing.
 */
import type { Batch, DeliveryRequest } from '@mailfleet/smtp';
import { contextFrom, linksTo, traceparentOf, tracer } from '@mailfleet/telemetry';
import { context, ROOT_CONTEXT, type Span, SpanKind, trace } from '@opentelemetry/api';

/** Calls `add` within the right contexts, once for all batches when none is traced. */
export async function addTraced(
  batches: readonly Batch[],
  add: (batches: readonly Batch[]) => Promise<void>,
): Promise<void> {
  if (!batches.some(({ requests }) => requests.some(isTraced))) return await add(batches);
  await Promise.all(batches.map((batch) => addOne(batch, add)));
}

async function addOne(batch: Batch, add: (batches: readonly Batch[]) => Promise<void>): Promise<void> {
  const schedules = batch.requests.map((request) => scheduleSpan(batch, request));
  const requests = batch.requests.map((request, index) => continued(request, schedules[index]));
  const [only] = schedules;
  const own = schedules.length === 1 ? undefined : batchSpan(batch, requests);
  const traceparent = own === undefined ? undefined : traceparentOf(own);
  const traced = { ...batch, requests, ...(traceparent === undefined ? {} : { traceparent }) };
  const span = own ?? only;
  try {
    const spanContext = span === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, span);
    await context.with(spanContext, add, undefined, [traced]);
  } finally {
    for (const schedule of schedules) schedule?.end();
    own?.end();
  }
}

function isTraced({ envelope }: DeliveryRequest): boolean {
  return envelope.traceparent !== undefined;
}

function scheduleSpan(batch: Batch, request: DeliveryRequest): Span | undefined {
  if (!isTraced(request)) return undefined;
  const { queueId, traceparent } = request.envelope;
  return tracer().startSpan(
    'schedule',
    {
      startTime: request.activatedMs,
      attributes: {
        'mailfleet.queue_id': queueId,
        'mailfleet.transport': batch.transport,
        'mailfleet.nexthop': batch.nexthop,
        'mailfleet.batch_id': batch.id,
      },
    },
    contextFrom(traceparent),
  );
}

/** The worker's span becomes the child of ours. */
function continued(request: DeliveryRequest, span: Span | undefined): DeliveryRequest {
  const traceparent = span === undefined ? undefined : traceparentOf(span);
  if (traceparent === undefined) return request;
  return { ...request, envelope: { ...request.envelope, traceparent } };
}

function batchSpan(batch: Batch, requests: readonly DeliveryRequest[]): Span {
  return tracer().startSpan(
    'batch',
    {
      root: true,
      kind: SpanKind.PRODUCER,
      links: linksTo(...requests.map(({ envelope }) => envelope.traceparent)),
      attributes: {
        'mailfleet.batch_id': batch.id,
        'mailfleet.transport': batch.transport,
        'mailfleet.nexthop': batch.nexthop,
        'mailfleet.requests': requests.length,
      },
    },
    ROOT_CONTEXT,
  );
}
