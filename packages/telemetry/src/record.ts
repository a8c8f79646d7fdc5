/**
 * Events as JSON records: the event's own fields, with delays in seconds instead of instants, for log pipelines that
 * would rather not parse. Field names are those of event.ts; `event` names the kind.
 */
import { delaysOf } from './delay.ts';
import type { MailEvent } from './event.ts';
import { statusWord } from './maillog.ts';

export interface EventRecord {
  readonly level: 'info' | 'warn';
  readonly record: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** @param daemon the process's program name, for events that do not say */
export function recordOf(event: MailEvent, daemon: string, resolutionLimit: number): EventRecord {
  switch (event.kind) {
    case 'delivered':
    case 'deferred':
    case 'bounced': {
      const { kind, times, ...fields } = event;
      const record = {
        event: kind,
        ...fields,
        status: statusWord(event),
        ...delaysOf(times, resolutionLimit),
      };
      return { level: 'info', record, message: event.reason };
    }
    case 'remark': {
      const { kind, warning, text, ...fields } = event;
      return { level: warning === true ? 'warn' : 'info', record: { event: kind, ...fields }, message: text };
    }
    default: {
      const { kind, ...fields } = event;
      const level = kind === 'in-doubt' || kind === 'corrupt' ? 'warn' : 'info';
      return { level, record: { event: kind, program: daemon, ...fields }, message: kind };
    }
  }
}
