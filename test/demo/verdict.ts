/** Judges how every message of the demo ended, and words the summary. Pure: the counts come in, text or JSON goes out. */
import type { Injected } from './inject.ts';
import { DOMAINS, type Peers } from './peers.ts';

type Sightings = Pick<Peers, 'deliveries' | 'greylisted' | 'returned'>;

export interface Verdict {
  readonly messages: number;
  readonly delivered: number;
  readonly deferredThenDelivered: number;
  readonly returned: number;
  readonly deliveredTwice: number;
  /** Messages that have not ended as their domain says they should. */
  readonly missing: readonly string[];
  /** Returned messages by reason. */
  readonly reasons: Readonly<Record<string, number>>;
}

export function judge(injected: readonly Injected[], seen: Sightings): Verdict {
  const ends = new Map(DOMAINS.map((domain) => [domain.name, domain.ends]));
  const endedWell = ({ recipient, domain }: Injected): boolean =>
    ends.get(domain) === 'returned'
      ? seen.returned.has(recipient) && !seen.deliveries.has(recipient)
      : seen.deliveries.get(recipient) === 1;
  const delivered = injected.filter(({ recipient }) => seen.deliveries.has(recipient));
  const reasons: Record<string, number> = {};
  for (const reason of seen.returned.values()) {
    const key = reason.replaceAll(/user\d+@/g, '');
    reasons[key] = (reasons[key] ?? 0) + 1;
  }
  return {
    messages: injected.length,
    delivered: delivered.length,
    deferredThenDelivered: delivered.filter(({ recipient }) => seen.greylisted.has(recipient)).length,
    returned: seen.returned.size,
    deliveredTwice: [...seen.deliveries.values()].filter((count) => count > 1).length,
    missing: injected.filter((message) => !endedWell(message)).map(({ recipient }) => recipient),
    reasons,
  };
}

export interface Report extends Verdict {
  readonly seconds: number;
  /** First-attempt deliveries per second, from the first message in to the last of them out. */
  readonly messagesPerSecond: number;
  readonly example: { readonly queueId: string; readonly logLine: string; readonly timeline: string };
}

export function reportText(report: Report): string {
  const reasons = Object.entries(report.reasons)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `    ${String(count).padStart(5)}  ${reason}`);
  return [
    '',
    `  ${report.messages} messages in ${report.seconds.toFixed(1)} s`,
    '',
    `  delivered               ${report.delivered}`,
    `    of these deferred first ${report.deferredThenDelivered}`,
    `  returned to the sender  ${report.returned}`,
    ...reasons,
    `  delivered twice         ${report.deliveredTwice}`,
    `  not ended as expected   ${report.missing.length}${report.missing.length === 0 ? '' : ` (${report.missing.slice(0, 5).join(', ')} …)`}`,
    `  first attempts          ${Math.round(report.messagesPerSecond)} messages/s`,
    '',
    '  The log line of one message:',
    `    ${report.example.logLine}`,
    '',
    `  Its timeline (mailfleet log ${report.example.queueId}):`,
    ...report.example.timeline
      .trimEnd()
      .split('\n')
      .map((line) => `    ${line}`),
    '',
  ].join('\n');
}
