/**
 * What a daemon gets to report with: `emit` for the steps of mails' lives, `log` for remarks about itself. Both end
 * in the same places, as `log_format` says: Postfix-format lines and JSON records go to the file `maillog_file`, or to
 * the standard output when there is none; with `both`, lines go there and records to the standard output. Neither
 * call blocks. Call `shutdown` last: it resolves when everything is written.
 */
import { type Config, parseListenAddress } from '@mailfleet/config';
import { type Logger, pino } from 'pino';
import type { MailEvent } from './event.ts';
import { type LogOutput, openLogOutput } from './log-output.ts';
import { type LineStyle, maillogLines } from './maillog.ts';
import { makeMaillogFormat } from './maillog-format.ts';
import { recordOf } from './record.ts';
import { remarkOf } from './remark.ts';
import { facilityNumber, openSyslogOutput } from './syslog-output.ts';

/** Takes every event; must not throw, and keeps what it does short. */
export type EventSink = (event: MailEvent) => void;

export interface Telemetry {
  emit(event: MailEvent): void;
  /** The daemon's own log; warnings and errors name what happened, where, and what to do. */
  readonly log: Logger;
  shutdown(): Promise<void>;
}

export interface TelemetryOptions {
  readonly config: Config;
  /** Daemon name of the program tag, e.g. `qmgr`: `postfix/qmgr[123]`. */
  readonly program: string;
  /** More consumers of events: metrics, webhooks, tests. */
  readonly sinks?: readonly EventSink[];
}

/** Throws a sentence when `maillog_file` cannot be opened. */
export function createTelemetry(options: TelemetryOptions): Telemetry {
  const { config, program } = options;
  const { lines, records } = openOutputs(config);
  const outputs = new Set([lines, records].filter((output) => output !== undefined));
  const reopen = (): void => {
    for (const output of outputs) output.reopen();
  };
  process.on('SIGHUP', reopen);

  const resolutionLimit = config.get('delay_logging_resolution_limit');
  const style: LineStyle = { resolutionLimit, addressFormat: config.get('info_log_address_format') };
  const syslogName = config.get('syslog_name');
  const format = makeMaillogFormat({ syslogName, host: config.get('myhostname') });
  const recordLog = pino(
    { name: syslogName, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (record: string) => records?.write(record) },
  );
  const sinks: EventSink[] = [...(options.sinks ?? [])];
  if (lines !== undefined) {
    sinks.push((event) => {
      for (const line of maillogLines(event, program, style)) lines.write(format(line, event.syslogName));
    });
  }
  if (records !== undefined) {
    sinks.push((event) => {
      const { level, record, message } = recordOf(event, program, resolutionLimit);
      recordLog[level](record, message);
    });
  }

  const ownLog = pino(
    { name: syslogName, timestamp: pino.stdTimeFunctions.isoTime },
    {
      write: (record: string) => {
        records?.write(record);
        lines?.write(format({ program, text: remarkOf(record) }));
      },
    },
  );

  return {
    log: ownLog.child({ program }),
    emit: (event) => {
      for (const sink of sinks) sink(event);
    },
    shutdown: async () => {
      process.off('SIGHUP', reopen);
      await Promise.all([...outputs].map((output) => output.close()));
    },
  };
}

/** One output for both when both go to the same place: lines of two writers could mix in the middle. */
function openOutputs(config: Config): { readonly lines?: LogOutput; readonly records?: LogOutput } {
  const file = config.get('maillog_file');
  const format = config.get('log_format');
  const server = config.get('syslog_server');
  // As with Postfix a file of its own takes syslog's place.
  if (server !== '' && file === '' && format !== 'json') {
    const target = parseListenAddress('syslog_server', server);
    if ('path' in target)
      throw new Error('syslog_server: Node cannot speak to a socket in the file system; name host:port');
    const lines = openSyslogOutput({ ...target, facility: facilityNumber(config.get('syslog_facility')) });
    return format === 'both' ? { lines, records: openLogOutput('') } : { lines };
  }
  const output = openLogOutput(file);
  switch (format) {
    case 'json':
      return { records: output };
    case 'both':
      return { lines: output, records: file === '' || file === '/dev/stdout' ? output : openLogOutput('') };
    default:
      return { lines: output };
  }
}
