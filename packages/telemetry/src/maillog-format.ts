/**
 * The front of a log line, `Nov 23 22:28:35 host postfix/smtp[123]: `: the traditional syslog stamp in local time
 * (RFC 3164 section 4.1, two-digit day as postlogd(8) writes it), the first label of the host name, and the program tag.
 */
import type { MaillogLine } from './maillog.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

/** Makes a function that turns a line's parts into the whole line, newline included. */
export function makeMaillogFormat(options: {
  readonly syslogName: string;
  /** myhostname, as postlogd(8) does: the machine's own name may be a container's id. */
  readonly host: string;
  readonly pid?: number;
  readonly now?: () => number;
}): (line: MaillogLine, syslogName?: string) => string {
  const { syslogName, host, pid = process.pid, now = Date.now } = options;
  const shortHost = host.split('.', 1)[0] ?? host;
  // Thousands of lines share a second: its stamp is made once.
  let stampSecond = -1;
  let stamp = '';
  return ({ program, text }, name = syslogName) => {
    const nowMs = now();
    const second = Math.floor(nowMs / 1000);
    if (second !== stampSecond) {
      stampSecond = second;
      stamp = syslogStamp(new Date(nowMs));
    }
    return `${stamp} ${shortHost} ${name}/${program}[${pid}]: ${text}\n`;
  };
}

function syslogStamp(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${MONTHS[date.getMonth()]} ${two(date.getDate())} ${clock}`;
}
