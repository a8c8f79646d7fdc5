/**
 * Ages by domain, as qshape(1) shows them: who has how much mail, and for how long. Pure: messages are added one by one, so
 * memory follows the number of domains and not that of messages. The layout is qshape's, column for column.
 */
export interface ShapeOptions {
  /** Age groups; the last has no limit. */
  readonly buckets: number;
  /** Width of the first group, in minutes. */
  readonly bucketMinutes: number;
  /** Groups of one width; else each is as wide as all before it. */
  readonly linear: boolean;
  /** A row for a parent domain with at least so many subdomains; undefined: no such rows. */
  readonly minSubdomains?: number;
  /** Columns of the screen; rows are longer where the counts need it. */
  readonly width: number;
  /** Most rows of domains. */
  readonly top?: number;
}

export interface ShapeRow {
  /** A parent domain begins with a dot. */
  readonly domain: string;
  /** Of all ages, then of each group. */
  readonly counts: readonly number[];
}

/** Place of an age among the groups: 0 up to `buckets` - 1. */
export function bucketOf(ageMs: number, { buckets, bucketMinutes, linear }: ShapeOptions): number {
  const age = ageMs / (60_000 * bucketMinutes);
  if (age < 1) return 0;
  const bucket = linear ? Math.floor(age) : 1 + Math.floor(Math.log2(age));
  return Math.min(bucket, buckets - 1);
}

export class Shape {
  readonly #options: ShapeOptions;
  readonly #total: number[];
  readonly #domains = new Map<string, number[]>();
  /** Children seen of each parent domain. */
  readonly #children = new Map<string, number>();

  constructor(options: ShapeOptions) {
    this.#options = options;
    this.#total = new Array<number>(options.buckets + 1).fill(0);
  }

  add(address: string, ageMs: number): void {
    const bucket = 1 + bucketOf(ageMs, this.#options);
    count(this.#total, bucket);
    let isNew = this.#count(domainOf(address), bucket);
    if (this.#options.minSubdomains === undefined) return;
    for (let parent = parentOf(domainOf(address)); parent !== undefined; parent = parentOf(parent)) {
      if (isNew) this.#children.set(parent, (this.#children.get(parent) ?? 0) + 1);
      isNew = this.#count(parent, bucket);
    }
  }

  /** The total, and the domains by falling count. */
  rows(): ShapeRow[] {
    const { minSubdomains = 0, top = Infinity } = this.#options;
    const rows = [...this.#domains]
      .filter(([domain]) => !domain.startsWith('.') || (this.#children.get(domain) ?? 0) >= minSubdomains)
      .map(([domain, counts]) => ({ domain, counts }))
      .sort(
        (a, b) =>
          (b.counts[0] ?? 0) - (a.counts[0] ?? 0) ||
          a.domain.length - b.domain.length ||
          (a.domain < b.domain ? -1 : 1),
      );
    return [{ domain: 'TOTAL', counts: this.#total }, ...rows.slice(0, top)];
  }

  /** Limits of the groups in minutes, as the columns are headed. */
  heads(): string[] {
    const { buckets, bucketMinutes, linear } = this.#options;
    const limits: number[] = [];
    for (let i = 0; i < buckets - 1; i += 1) {
      const last = limits.at(-1);
      limits.push(last === undefined ? bucketMinutes : linear ? last + bucketMinutes : 2 * last);
    }
    return ['T', ...limits.map(String), `${limits.at(-1) ?? 0}+`];
  }

  text(): string {
    const heads = this.heads();
    const widths = heads.map((head, i) => {
      const width = Math.max(head.length, String(this.#total[i] ?? 0).length);
      return width > 2 ? width + 1 : 3;
    });
    const left = Math.max(this.#options.width - widths.reduce((sum, width) => sum + width, 0), MIN_DOMAIN);
    const line = (domain: string, cells: readonly (string | number)[]): string =>
      `${fitted(domain, left)}${cells.map((cell, i) => String(cell).padStart(widths[i] ?? 0)).join('')}\n`;
    return [line('', heads), ...this.rows().map(({ domain, counts }) => line(domain, counts))].join('');
  }

  /** Whether the domain is new. */
  #count(domain: string, bucket: number): boolean {
    const counts = this.#domains.get(domain);
    if (counts !== undefined) {
      count(counts, bucket);
      return false;
    }
    const fresh = new Array<number>(this.#options.buckets + 1).fill(0);
    count(fresh, bucket);
    this.#domains.set(domain, fresh);
    return true;
  }
}

/** The domain column has at least so many characters. */
const MIN_DOMAIN = 18;

function count(counts: number[], bucket: number): void {
  counts[0] = (counts[0] ?? 0) + 1;
  counts[bucket] = (counts[bucket] ?? 0) + 1;
}

/** Right of the last @, in lower case, without dots at its ends or side by side. */
function domainOf(address: string): string {
  if (address === '') return 'MAILER-DAEMON';
  const domain = address.toLowerCase().replace(/^.*@/s, '').replaceAll('..', '.');
  return domain.replace(/^\.?(.+?)\.?$/s, '$1');
}

/** `.b.c` of `a.b.c` and `.a.b.c`; a domain of the top level is no parent. */
function parentOf(domain: string): string | undefined {
  const [, parent] = /^\.?[^.]+\.(.*\..*)$/s.exec(domain) ?? [];
  return parent === undefined ? undefined : `.${parent}`;
}

/** The end of a name that is too long. */
function fitted(domain: string, width: number): string {
  if (domain.length <= width) return domain.padStart(width);
  return domain.startsWith('.') ? `.+${domain.slice(2 - width)}` : `+${domain.slice(1 - width)}`;
}
