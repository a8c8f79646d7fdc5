/** Delivers one message without a queue: for programs that keep their mail themselves. */
import { randomBytes } from 'node:crypto';
import type { DeliveryAgent } from './agent.ts';
import type { RequestResult } from './delivery.ts';
import type { Content } from './transaction.ts';

export interface OneMessage {
  /** Destination as in transport(5): `example.com`, `[host]:port`, for LMTP also `unix:/path`. */
  readonly nexthop: string;
  /** Envelope addresses, unquoted; the null sender is empty. No CR, LF or NUL. */
  readonly sender: string;
  readonly recipients: readonly string[];
  /** Header and body; lines may end in LF or CR LF. */
  readonly content: Buffer;
  /** Only ask whether the recipients are taken: nothing is delivered (smtp_address_verify_target). */
  readonly probe?: true;
}

/**
 * One attempt for all recipients: each one's outcome is in the result, and trying the deferred ones again is the caller's.
 * Rejects only on bugs.
 */
export const deliverMessage = async (agent: DeliveryAgent, message: OneMessage): Promise<RequestResult> => {
  const now = Date.now();
  const queueId = randomBytes(8).toString('hex').toUpperCase();
  const content: Content = message.content;
  const results: RequestResult[] = [];
  await agent.deliverBatch(
    {
      id: queueId,
      shard: 0,
      fence: 0,
      transport: agent.transport,
      protocol: agent.protocol,
      nexthop: message.nexthop,
      batchedMs: now,
      requests: [
        {
          envelope: {
            queueId,
            sender: message.sender,
            sizeBytes: message.content.length,
            arrivalMs: now,
            createdMs: now,
            ...(message.probe === true ? { probe: true } : {}),
          },
          recipients: message.recipients.map((address, index) => ({ index, address })),
          contentShard: 0,
          activatedMs: now,
        },
      ],
    },
    {
      content: async () => content,
      beforeDot: () => undefined,
      record: async (result) => {
        results.push(result);
      },
      signal: new AbortController().signal,
    },
  );
  const [result] = results;
  if (result === undefined) throw new Error(`the attempt for ${queueId} left no result`);
  return result;
};
