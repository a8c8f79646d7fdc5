/**
 * TLS results of this worker (RFC 8460), counted in memory and told to the fleet every few seconds, for domains that publish a record that
 * asks for reports. A delivery waits for none of it; results of the last seconds go with a worker that is killed.
 */
import type { ReportStore } from '@mailfleet/scache';
import type { StsDns, TlsReports } from '@mailfleet/smtp';
import { dayOf, readReportWish, resultKey, type TlsResult } from '@mailfleet/tls';

export interface TlsReportBatchesOptions {
  readonly store: Pick<ReportStore, 'count'>;
  readonly dns: Pick<StsDns, 'txt'>;
  /** Sentences for the log. */
  readonly note: (text: string) => void;
  readonly now?: () => number;
}

const FLUSH_MS = 5_000;
/** Subjects that wait to be told; beyond it the rest of these seconds is not reported. */
const MOST = 10_000;

interface Subject {
  readonly day: string;
  readonly domain: string;
  readonly results: Map<string, { readonly result: TlsResult; count: number }>;
}

export class TlsReportBatches implements TlsReports {
  readonly #options: TlsReportBatchesOptions;
  #timer: NodeJS.Timeout | undefined;
  #waiting = new Map<string, Subject>();
  #flushing: Promise<void> = Promise.resolve();

  constructor(options: TlsReportBatchesOptions) {
    this.#options = options;
  }

  add(domain: string, result: TlsResult): void {
    this.#timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
    const day = dayOf((this.#options.now ?? Date.now)());
    const name = `${day} ${domain}`;
    let subject = this.#waiting.get(name);
    if (subject === undefined) {
      if (this.#waiting.size >= MOST) return;
      subject = { day, domain, results: new Map() };
      this.#waiting.set(name, subject);
    }
    const key = resultKey(result);
    const counted = subject.results.get(key);
    if (counted !== undefined) counted.count++;
    else if (subject.results.size < MOST) subject.results.set(key, { result, count: 1 });
  }

  /** Resolves when all that was added is told, or was tried to; never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const subjects = [...this.#waiting.values()];
    this.#waiting = new Map();
    this.#flushing = this.#flushing.then(async () => {
      for (const subject of subjects) await this.#tell(subject);
    });
    return this.#flushing;
  }

  async #tell({ day, domain, results }: Subject): Promise<void> {
    const { store, dns, note } = this.#options;
    try {
      if (readReportWish(await dns.txt(`_smtp._tls.${domain}`)) === undefined) return;
      await store.count({ day, domain }, [...results.values()]);
    } catch (error) {
      note(
        `TLS results for ${domain} are not counted: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}
