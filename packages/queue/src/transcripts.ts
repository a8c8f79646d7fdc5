/**
 * Requests for transcripts of sessions. They are worth less than the work of whoever asks: while Redis is away, or while many are
 * on their way, there are none.
 */
import type { QueueContext } from './context.ts';
import type { IntakePort, TranscriptPort } from './ports.ts';

/** Requests of one process that may be on their way to Redis. */
const IN_FLIGHT = 20;

export function makeTranscriptPort(
  context: QueueContext,
  { newQueueId }: Pick<IntakePort, 'newQueueId'>,
): TranscriptPort {
  let inFlight = 0;
  return {
    async requestTranscript(notice) {
      if (context.redis.status !== 'ready') throw new Error('no connection to Redis at this moment');
      if (inFlight >= IN_FLIGHT) throw new Error(`${IN_FLIGHT} others are on their way`);
      inFlight += 1;
      try {
        const { notices } = await context.bull();
        await notices.addTranscript({ ...notice, noticeQueueId: newQueueId() });
      } finally {
        inFlight -= 1;
      }
    },
  };
}
