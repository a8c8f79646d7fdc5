/**
 * One claimed batch, from the job to the last recorded outcome.
 *
 * Promises: nothing that an earlier hand-out finished is delivered again; the in-doubt mark is written before each
 * final dot; every outcome is durable before this resolves, and is logged only then. The agent fetches contents ahead and
 * does not wait for one record before the next transaction. When an outcome cannot be recorded it stops after
 * the transaction in flight and this rejects: the batch comes back, with the unrecorded message in doubt.
 */
import type { ClaimedBatch, TranscriptNotice, TranscriptPort, WorkerPort } from '@mailfleet/queue';
import type { Batch, DeliveryAgent, DeliveryRequest, RequestResult, Transcript } from '@mailfleet/smtp';
import type { Telemetry } from '@mailfleet/telemetry';
import { outcomeEvent, traceDelivery, withClasses } from './report.ts';
import type { SuppressionList } from './suppression.ts';

export interface BatchDeliveryParts {
  readonly queue: Pick<WorkerPort, 'content' | 'openRecipients' | 'markInDoubt' | 'record'> & TranscriptPort;
  readonly agent: DeliveryAgent;
  /** Undefined: no suppression list is used. */
  readonly suppression?: SuppressionList | undefined;
  readonly telemetry: Pick<Telemetry, 'emit' | 'log'>;
  /** A request came to its end. */
  readonly onRecord?: () => void;
  /** Claims a session to one of these endpoints: the worker that has it, within a few milliseconds. */
  readonly claimElsewhere?: (endpoints: readonly string[]) => Promise<string | undefined>;
}

/** Resolves with the queue ids of requests that were never tried. */
export async function deliverClaimed(
  claimed: ClaimedBatch,
  parts: BatchDeliveryParts,
): Promise<{ readonly returned: readonly string[] }> {
  const { queue, agent, telemetry, claimElsewhere, suppression } = parts;
  const { handOver } = claimed;
  const open = claimed.handedOutBefore > 0 ? await openPart(claimed.batch, parts) : claimed.batch;
  const { batch, results } = (await suppression?.sift(open)) ?? { batch: open, results: [] };
  for (const result of results) {
    await queue.record(open, result);
    for (const outcome of result.outcomes)
      telemetry.emit(outcomeEvent(open, requestOf(open, result), outcome));
  }
  if (batch.requests.length === 0) return { returned: [] };

  return agent.deliverBatch(batch, {
    content: async (request) => {
      const content = await queue.content(request);
      if (content === undefined) {
        telemetry.log.error(
          { queueId: request.envelope.queueId },
          `content is missing from shard ${request.contentShard}: look for a Redis that evicts keys`,
        );
      }
      return content;
    },
    beforeDot: (request, recipients) => queue.markInDoubt(batch, request.envelope.queueId, recipients),
    record: async (decided) => {
      const result = withClasses(decided);
      parts.onRecord?.();
      const { duplicates } = await queue.record(batch, result);
      const request = requestOf(batch, result);
      traceDelivery(batch, request, result);
      suppression?.learn(result).catch((error: unknown) => {
        telemetry.log.warn({ queueId: result.queueId }, `suppression list not written: ${String(error)}`);
      });
      if (result.corruption !== undefined) {
        telemetry.emit({
          kind: 'corrupt',
          queueId: result.queueId,
          program: batch.protocol,
          why: result.corruption,
        });
      }
      for (const transcript of result.transcripts ?? []) tellTranscript(batch, request, transcript, parts);
      const delivered = result.outcomes.some(({ kind }) => kind === 'delivered');
      // A worker that stood still past its lease finishes the transaction that it was in.
      if (duplicates > 0 && delivered) {
        telemetry.emit({
          kind: 'in-doubt',
          queueId: result.queueId,
          batchId: batch.id,
          detail: `another worker was done with it before; ${duplicates} recipients may have got the message twice`,
        });
      }
      // Another worker finished these recipients and reported them. When it finished only some of them the
      // port does not say which, and a line too many is better than a line that is missing.
      if (duplicates >= result.outcomes.length) return;
      for (const outcome of result.outcomes) telemetry.emit(outcomeEvent(batch, request, outcome));
    },
    signal: claimed.signal,
    ...(handOver === undefined || claimElsewhere === undefined
      ? {}
      : {
          handOver: async (endpoints) => {
            const owner = await claimElsewhere(endpoints);
            return owner !== undefined && (await handOver(owner));
          },
        }),
  });
}

/** Asks for a notice to the postmaster; delivery does not wait for it. */
function tellTranscript(
  batch: Batch,
  { envelope }: DeliveryRequest,
  { classes, relay, lines }: Transcript,
  { queue, telemetry }: BatchDeliveryParts,
): void {
  const { queueId, traceparent } = envelope;
  const notice: Omit<TranscriptNotice, 'noticeQueueId'> = {
    shard: batch.shard,
    notice: 'transcript',
    queueId,
    classes,
    program: batch.protocol,
    peer: relay,
    lines,
    atMs: Date.now(),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
  queue.requestTranscript(notice).catch((error: unknown) => {
    telemetry.log.warn({ queueId }, `no transcript for the postmaster: ${String(error)}`);
  });
}

/** What is left of a batch whose former worker died or stalled; says so when a message may go out twice. */
async function openPart(batch: Batch, parts: BatchDeliveryParts): Promise<Batch> {
  const { queue, telemetry } = parts;
  const requests = await Promise.all(
    batch.requests.map(async (request): Promise<DeliveryRequest[]> => {
      const { open, inDoubt } = await queue.openRecipients(batch, request);
      const recipients = request.recipients.filter(({ index }) => open.includes(index));
      if (recipients.length === 0) return [];
      if (inDoubt) {
        telemetry.emit({
          kind: 'in-doubt',
          queueId: request.envelope.queueId,
          batchId: batch.id,
          detail: `a worker vanished after the final dot; ${recipients.length} recipients may get the message twice`,
        });
      }
      return [{ ...request, recipients }];
    }),
  );
  return { ...batch, requests: requests.flat() };
}

/** A message with many recipients has several requests in a batch: the recipients tell them apart. */
function requestOf(batch: Batch, result: RequestResult): DeliveryRequest {
  const [first] = result.outcomes;
  const request = batch.requests.find(
    ({ envelope, recipients }) =>
      envelope.queueId === result.queueId &&
      (first === undefined || recipients.some(({ index }) => index === first.recipient)),
  );
  if (request === undefined)
    throw new Error(`batch ${batch.id} has no request that ${result.queueId} answers`);
  return request;
}
