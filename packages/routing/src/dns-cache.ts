/**
 * Answers by question for as long as their TTL allows, bounded in number and size, and one query for any number of callers that ask
 * the same at the same time: a batch of a thousand messages for one domain costs one question.
 */
import type { ExchangeResult } from './dns-exchange.ts';
import type { Question, Reply } from './dns-message.ts';

/** What an answer may hold on average: names with hundreds of records each must not fill the memory. */
const RECORDS_PER_ANSWER = 10;

/** No answer is kept longer, whatever its TTL says. */
const LONGEST_TTL_SECONDS = 86_400;

export interface DnsCacheOptions {
  readonly size: number;
  /** Milliseconds, any epoch. */
  now(): number;
}

export type Ask = (question: Question) => Promise<ExchangeResult>;

/** Puts a cache before `ask`. */
export function withDnsCache(ask: Ask, options: DnsCacheOptions): Ask {
  const kept = new Map<string, { readonly result: Reply; readonly untilMs: number }>();
  let records = 0;
  const underWay = new Map<string, Promise<ExchangeResult>>();

  function drop(key: string): void {
    records -= kept.get(key)?.result.answers.length ?? 0;
    kept.delete(key);
  }

  function keep(key: string, result: ExchangeResult): void {
    if (result.kind !== 'reply' || result.ttlSeconds <= 0) return;
    const most = RECORDS_PER_ANSWER * options.size - result.answers.length;
    if (most < 0) return;
    drop(key);
    for (const oldest of kept.keys()) {
      if (kept.size < options.size && records <= most) break;
      drop(oldest);
    }
    records += result.answers.length;
    const untilMs = options.now() + Math.min(result.ttlSeconds, LONGEST_TTL_SECONDS) * 1000;
    kept.set(key, { result, untilMs });
  }

  return async (question) => {
    const key = `${question.type}${question.dnssec === true ? '+' : ''} ${question.name.toLowerCase()}`;
    const entry = kept.get(key);
    if (entry !== undefined) {
      // Moved to the end or dropped: the Map's order is from least to most recently used.
      if (entry.untilMs > options.now()) {
        kept.delete(key);
        kept.set(key, entry);
        return entry.result;
      }
      drop(key);
    }
    let query = underWay.get(key);
    if (query === undefined) {
      query = ask(question).then((result) => {
        underWay.delete(key);
        keep(key, result);
        return result;
      });
      underWay.set(key, query);
    }
    return query;
  };
}
