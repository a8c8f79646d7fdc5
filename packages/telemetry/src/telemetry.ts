/**
 * What a daemon gets to report with: `emit` for the steps of mails' lives, `log` for remarks about itself. Both end
 * in the same place, as Postfix-format lines or as JSON records (`log_format`), in the file `maillog_file` or on the
 * standard output. Neither call blocks or throws. Call `shutdown` last: it resolves when everything is written.
 */
import { type Logger, pino } from 'pino';
import type { MailEvent } from './event.ts';
import { openLogOutput } from './log-output.ts';
import { maillogLines } from './maillog.ts';
import { makeMaillogFormat } from './maillog-format.ts';
import { recordOf } from './record.ts';
import { remarkOf } from './remark.ts';

/** Takes every event; must not throw, and keeps what it does short. */
export type EventSink = (event: MailEvent) => void;

export interface Telemetry {
  emit(event: MailEvent): void;
  /** The daemon's own log; warnings and errors name what happened, where, and what to do. */
  readonly log: Logger;
  shutdown(): Promise<void>;
}

/** The parameters it reads; a Config has them. */
export interface TelemetryConfig {
  get(name: 'syslog_name' | 'maillog_file' | 'log_format'): string;
  get(name: 'delay_logging_resolution_limit'): number;
}

export interface TelemetryOptions {
  readonly config: TelemetryConfig;
  /** Daemon name of the program tag, e.g. `qmgr`: `postfix/qmgr[123]`. */
  readonly program: string;
  /** More consumers of events: metrics, webhooks, tests. */
  readonly sinks?: readonly EventSink[];
}

/** Throws a sentence when `maillog_file` cannot be opened. */
export function createTelemetry(options: TelemetryOptions): Telemetry {
  const { config, program, sinks = [] } = options;
  const output = openLogOutput(config.get('maillog_file'));
  const resolutionLimit = config.get('delay_logging_resolution_limit');
  const syslogName = config.get('syslog_name');
  const { log, sink } = config.get('log_format') === 'json' ? asJson() : asMaillog();
  const allSinks = [sink, ...sinks];
  process.on('SIGHUP', reopen);

  function asMaillog(): { log: Logger; sink: EventSink } {
    const format = makeMaillogFormat({ syslogName });
    const stream = {
      write: (record: string) => output.write(format({ program, text: remarkOf(record) })),
      flushSync: output.flushSync,
    };
    return {
      log: pino({ base: null, timestamp: false }, stream),
      sink: (event) => {
        for (const line of maillogLines(event, program, resolutionLimit)) output.write(format(line));
      },
    };
  }

  function asJson(): { log: Logger; sink: EventSink } {
    const stream = { write: (record: string) => output.write(record), flushSync: output.flushSync };
    const json = pino({ name: syslogName, timestamp: pino.stdTimeFunctions.isoTime }, stream);
    return {
      log: json.child({ program }),
      sink: (event) => {
        const { level, record, message } = recordOf(event, program, resolutionLimit);
        json[level](record, message);
      },
    };
  }

  function reopen(): void {
    output.reopen();
  }

  return {
    log,
    emit: (event) => {
      for (const each of allSinks) each(event);
    },
    shutdown: async () => {
      process.off('SIGHUP', reopen);
      await output.close();
    },
  };
}
