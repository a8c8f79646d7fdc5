/**
 * Log lines to a syslog server over UDP (RFC 5426), in the traditional form (RFC 3164) that receivers of Postfix's lines expect: the
 * priority, made of syslog_facility and of what the line says of itself, and the line. A datagram may be lost, and nobody is told:
 * who wants every line keeps a maillog_file. The socket /dev/log takes datagrams, too, which Node cannot send there.
 */
import { createSocket } from 'node:dgram';
import type { LogOutput } from './log-output.ts';

const FACILITIES: readonly string[] =
  'kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console solaris-cron local0 local1 local2 local3 local4 local5 local6 local7'.split(
    ' ',
  );

/** Severities of RFC 5424 section 6.2.1, by how the text of a line begins. */
const SEVERITIES = { warning: 4, error: 3, fatal: 2, panic: 2 } as const;
const INFO = 6;

/** What every receiver takes is 480 bytes, what nearly all take is this. */
const LONGEST = 8_192;

export interface SyslogTarget {
  readonly host: string;
  readonly port: number;
  /** Number of the facility. */
  readonly facility: number;
}

/** Throws a sentence when the facility is none. */
export function facilityNumber(name: string): number {
  const number = FACILITIES.indexOf(name.toLowerCase());
  if (number < 0) throw new Error(`syslog_facility: "${name}" is none of ${FACILITIES.join(', ')}`);
  return number;
}

/** `<22>Nov 26 …`, without the line end. */
export function syslogDatagram(line: string, facility: number): Buffer {
  const [, word] = /\]: (warning|error|fatal|panic): /.exec(line) ?? [];
  const severity = word === undefined ? INFO : SEVERITIES[word as keyof typeof SEVERITIES];
  return Buffer.from(`<${facility * 8 + severity}>${line.trimEnd()}`).subarray(0, LONGEST);
}

export function openSyslogOutput({ host, port, facility }: SyslogTarget): LogOutput {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.unref();
  let pending = 0;
  let complained = false;
  let drained: (() => void) | undefined;
  const onSent = (error: Error | null): void => {
    pending -= 1;
    if (error !== null && !complained) {
      complained = true;
      process.stderr.write(`cannot send the log to ${host}:${port}: ${error.message}; trying again\n`);
    }
    if (pending === 0) drained?.();
  };
  socket.on('error', (error) => onSent(error));
  return {
    write(line) {
      pending += 1;
      socket.send(syslogDatagram(line, facility), port, host, onSent);
    },
    reopen: () => undefined,
    async close() {
      if (pending > 0) {
        await new Promise<void>((resolve) => {
          drained = resolve;
        });
      }
      socket.close();
    },
  };
}
