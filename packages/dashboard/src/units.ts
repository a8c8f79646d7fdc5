/** Times, durations and sizes as the pages show them. Times are UTC, so that they agree with any fleet member's. */

/** `2026-11-23 22:35:58.123`, UTC. */
export function clockTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').replace('Z', '');
}

/** A length of time at the resolution that matters: `12 ms`, `3.42 s`, `5 min 10 s`, `2 h 3 min`, `4 d 6 h`. */
export function duration(ms: number): string {
  const length = Math.abs(Math.round(ms));
  if (length < 1000) {
    return `${length} ms`;
  }
  if (length < 60_000) {
    return `${(length / 1000).toFixed(length < 10_000 ? 2 : 1)} s`;
  }
  const units = [
    { name: 'd', ms: 86_400_000 },
    { name: 'h', ms: 3_600_000 },
    { name: 'min', ms: 60_000 },
    { name: 's', ms: 1000 },
  ];
  const first = units.findIndex((unit) => length >= unit.ms);
  let rest = length;
  const parts: string[] = [];
  for (const unit of units.slice(first, first + 2)) {
    const count = Math.floor(rest / unit.ms);
    rest -= count * unit.ms;
    if (count > 0) {
      parts.push(`${count} ${unit.name}`);
    }
  }
  return parts.join(' ');
}

/** Time since acceptance, signed: `+1.50 s`. */
export function offset(ms: number): string {
  return `${ms < 0 ? '−' : '+'}${duration(ms)}`;
}

/** `412 B`, `4.1 kB`, `10.5 MB`; a kilobyte is 1000 bytes. */
export function fileSize(bytes: number): string {
  if (bytes < 1000) {
    return `${bytes} B`;
  }
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
