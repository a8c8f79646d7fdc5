/**
 * Queue ids of notices. They follow from what the notice is about, so that a request that runs twice (the process
 * died between posting the notice and saying so) makes the same id, and the queue answers that it has it. Whom it reports is
 * part of that: a pass that a change of leader repeats in part may bounce more recipients, and they get a notice of their own.
 */
import { createHash } from 'node:crypto';
import type { NoticeRequest } from '@mailfleet/queue';

/** Digits of a long queue id's tail: no vowels, and no z, which stands before the tail. */
const digits = '0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxy';
const tailLength = 10;

/**
 * The id has the shape of a long queue id and starts with the time of the original, beside which it then sorts. Its
 * tail is longer than that of an ordinary one: the two cannot meet.
 * @param reported indexes of the recipients that the material is about, in any order
 */
export function noticeQueueId(
  { queueId, shard, pass, notice }: NoticeRequest,
  audience: 'sender' | 'postmaster',
  reported: readonly number[],
): string {
  const indexes = reported.toSorted((a, b) => a - b).join(',');
  const identity = [queueId, shard, pass, notice, audience, indexes].join('/');
  let rest = createHash('sha256').update(identity).digest().readBigUInt64BE();
  let tail = '';
  while (tail.length < tailLength) {
    tail += digits[Number(rest % BigInt(digits.length))];
    rest /= BigInt(digits.length);
  }
  return `${queueId.slice(0, 10)}z${tail}`;
}
