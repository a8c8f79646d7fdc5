/**
 * Writes what the core decided in a turn. Outcomes go before conclusions, which take messages out of active and with
 * them the inbox entries that led there: a crash in between repeats work and loses none.
 */
import type { SchedulerPort } from '@mailfleet/queue';
import type { Telemetry } from '@mailfleet/telemetry';
import type { Turn } from './core/turn.ts';
import type { KeptLease } from './lease.ts';
import { addTraced } from './tracing.ts';

/** Outcomes written at once. */
const CHUNK = 500;

/** @param through last inbox entry applied, to be removed; undefined when there was none since the last turn */
export async function carryOut(
  port: SchedulerPort,
  kept: KeptLease,
  telemetry: Pick<Telemetry, 'emit'>,
  turn: Turn,
  through: string | undefined,
  nowMs: number,
): Promise<void> {
  const { batches, locals, conclusions, wakes, events, concluded } = turn;
  const { lease } = kept;
  for (const event of events) telemetry.emit(event);
  for (let from = 0; from < locals.length; from += CHUNK) {
    await Promise.all(locals.slice(from, from + CHUNK).map((local) => port.recordLocal(lease, local)));
  }
  // Adding a batch is not fenced: the next leader could not know of one that we add after our time.
  if (batches.length > 0 && kept.isHeld()) await addTraced(batches, port.addBatches);
  // After the conclusions, which may have put mail back until that time; before the entry that asked for it is removed.
  if (wakes.length > 0) {
    await port.conclude(lease, conclusions, undefined);
    for (const dueMs of wakes) await port.wake(lease, dueMs, nowMs);
    await port.conclude(lease, [], through);
  } else if (conclusions.length > 0 || through !== undefined) {
    await port.conclude(lease, conclusions, through);
  }
  for (const event of concluded) telemetry.emit(event);
}
