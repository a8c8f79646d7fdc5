/** Refusals of a former leader's writes. */
import { type Lease, LeaseLostError } from './ports.ts';

/** Turns a script's refusal into LeaseLostError. */
export async function fenced<T>(lease: Lease, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && error.message.includes('FENCED')) throw new LeaseLostError(lease.shard);
    throw error;
  }
}
