/**
 * Queue ids in the shape of Postfix's long ones (enable_long_queue_ids of postconf(5)), which log tools know: seconds in six
 * digits of base 52, microseconds in four, the letter z, and a tail without z. Postfix's tail is an inode number; ours
 * is drawn at random once per process. Ids of one process rise strictly, so they are unique within it; two processes would have to draw
 * the same tail (one in 17 billion) and accept in the same microsecond. They sort by time.
 */
import { randomInt } from 'node:crypto';

/** Digits and consonants, in ASCII order: no id spells a word. */
const DIGITS = '0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz';
const TAIL_LENGTH = 6;

/** A generator of queue ids; `now` in milliseconds, `tail` replaceable for tests. */
export function makeQueueIds(now: () => number = Date.now, tail: string = randomTail()): () => string {
  let lastUs = 0;
  return () => {
    lastUs = Math.max(Math.floor(now() * 1000), lastUs + 1);
    return `${base52(Math.floor(lastUs / 1e6), 6)}${base52(lastUs % 1e6, 4)}z${tail}`;
  };
}

function base52(value: number, length: number): string {
  let text = '';
  for (let rest = value; rest > 0; rest = Math.floor(rest / 52)) text = `${DIGITS[rest % 52]}${text}`;
  return text.padStart(length, '0');
}

function randomTail(): string {
  // The last digit is z, the separator: a tail draws from the 51 before it.
  return Array.from({ length: TAIL_LENGTH }, () => DIGITS[randomInt(51)]).join('');
}
