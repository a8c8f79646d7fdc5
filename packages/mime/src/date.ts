/** Dates as mail headers show them (RFC 5322 section 3.3), with the zone's name as a comment as Postfix adds it. */

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Mon, 23 Nov 2026 22:28:35 +0100 (CET)` in the process's time zone. */
export function mailDate(timeMs: number): string {
  const date = new Date(timeMs);
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.trunc(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = `${DAYS[date.getDay()]}, ${date.getDate()} ${MONTHS[date.getMonth()]} ${date.getFullYear()}`;
  return `${day} ${time} ${zone} (${zoneName(date)})`;
}

/** `20261123222835`, local time: the first part of a generated Message-Id. */
export function dateDigits(timeMs: number): string {
  const date = new Date(timeMs);
  const day = `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
  return `${day}${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`;
}

const two = (value: number): string => String(value).padStart(2, '0');

const zoneFormat = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' });

/** Names by offset from UTC: asking for one costs more than the rest of a date. */
const zoneNames = new Map<number, string>();

function zoneName(date: Date): string {
  const offset = date.getTimezoneOffset();
  let name = zoneNames.get(offset);
  if (name === undefined) {
    name = zoneFormat.formatToParts(date).find((part) => part.type === 'timeZoneName')?.value ?? 'UTC';
    zoneNames.set(offset, name);
  }
  return name;
}
