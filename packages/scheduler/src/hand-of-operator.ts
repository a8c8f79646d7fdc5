/** What operators ask of a leader beside commands on messages: what they set on destinations, and questions. */
import type { InboxEntry, Lease, SchedulerPort } from '@mailfleet/queue';
import type { Telemetry } from '@mailfleet/telemetry';
import type { SchedulerCore } from './core/scheduler.ts';
import type { Question } from './core/turn.ts';
import type { Sites } from './sites.ts';

/** Before anything is batched: all that operators have set on the shard's destinations. */
export async function readControls(
  port: Pick<SchedulerPort, 'controlsPage'>,
  shard: number,
  core: Pick<SchedulerCore, 'control'>,
  now: () => number,
): Promise<void> {
  for (let cursor = ''; ; ) {
    const page = await port.controlsPage(shard, cursor);
    for (const control of page.controls) {
      const { kind, transport, nexthop } = control;
      core.control({ kind, transport, nexthop, control }, now());
    }
    cursor = page.cursor;
    if (cursor === '') return;
  }
}

/** From memory, as it is after a turn; of a destination its site, too. */
export async function answerAll(
  port: Pick<SchedulerPort, 'answer'>,
  lease: Lease,
  core: Pick<SchedulerCore, 'explain'>,
  questions: readonly Question[],
  now: () => number,
  sites: Sites | undefined,
): Promise<void> {
  await Promise.all(
    questions.map(async ({ question, subject }) => {
      if (subject.destination !== undefined) await sites?.learn(lease.shard, [subject.destination]);
      await port.answer(lease, question, core.explain(subject, now()));
    }),
  );
}

/** The log tells what was set, lifted, and why. */
export function tellControls(telemetry: Pick<Telemetry, 'log'>, entries: readonly InboxEntry[]): void {
  for (const entry of entries) {
    if (entry.kind !== 'control') continue;
    const { kind, transport, nexthop, control } = entry.change;
    const name = `${transport}:${nexthop}`;
    if (control === undefined) telemetry.log.info(`destination ${name}: ${kind} lifted by the operator`);
    else {
      const { value, untilMs, reason } = control;
      const what =
        kind === 'pause' ? 'paused' : `${kind} ${kind === 'rate-delay' ? `${value / 1000}s` : value}`;
      telemetry.log.info(
        `destination ${name}: ${what} by the operator until ${new Date(untilMs).toISOString()}: ${reason}`,
      );
    }
  }
}
