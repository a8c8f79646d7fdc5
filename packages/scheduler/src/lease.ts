/**
 * Keeping a shard's lease: renews it at a third of its time. The lease counts as lost when the queue says so, and when no
 * renewal was confirmed within its time, measured from before it was asked for, so that we stop before another may start.
 */
import type { Lease, SchedulerPort } from '@mailfleet/queue';

export interface KeptLease {
  readonly lease: Lease;
  /** Aborts when the lease is lost. */
  readonly lost: AbortSignal;
  /** False once its time is over, even if nothing had a chance to notice (a paused process). */
  isHeld(): boolean;
  /** Ends the renewals, and gives back a lease that is still held. */
  release(): Promise<void>;
}

/** Undefined: another scheduler leads the shard. */
export async function takeLease(
  port: Pick<SchedulerPort, 'acquireLease' | 'renewLease' | 'releaseLease'>,
  shard: number,
  holder: string,
  ttlMs: number,
): Promise<KeptLease | undefined> {
  let confirmedMs = performance.now();
  const lease = await port.acquireLease(shard, holder, ttlMs);
  if (lease === undefined) return undefined;
  const lost = new AbortController();
  const isHeld = (): boolean => !lost.signal.aborted && performance.now() - confirmedMs < ttlMs;

  let renewing = false;
  const renew = async (): Promise<void> => {
    if (!isHeld()) lost.abort();
    if (renewing || lost.signal.aborted) return;
    renewing = true;
    const askedMs = performance.now();
    try {
      if (await port.renewLease(lease, holder, ttlMs)) confirmedMs = askedMs;
      else lost.abort();
    } catch {
      // Redis is in trouble; the next round asks again, and isHeld says when it is too late.
    } finally {
      renewing = false;
    }
  };
  const timer = setInterval(() => void renew(), ttlMs / 3);

  return {
    lease,
    lost: lost.signal,
    isHeld,
    release: async () => {
      clearInterval(timer);
      if (isHeld()) await port.releaseLease(lease, holder);
      lost.abort();
    },
  };
}
