/**
 * Answers by question for as long as their TTL allows, bounded in number, and one query for any number of callers that ask
 * the same at the same time: a batch of a thousand messages for one domain costs one question.
 */
import type { ExchangeResult } from './dns-exchange.ts';
import type { Question } from './dns-message.ts';

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
  const kept = new Map<string, { readonly result: ExchangeResult; readonly untilMs: number }>();
  const underWay = new Map<string, Promise<ExchangeResult>>();

  function keep(key: string, result: ExchangeResult): void {
    if (result.kind !== 'reply' || result.ttlSeconds <= 0) return;
    const oldest = kept.size >= options.size ? kept.keys().next().value : undefined;
    if (oldest !== undefined) kept.delete(oldest);
    const untilMs = options.now() + Math.min(result.ttlSeconds, LONGEST_TTL_SECONDS) * 1000;
    kept.set(key, { result, untilMs });
  }

  return async (question) => {
    const key = `${question.type}${question.dnssec === true ? '+' : ''} ${question.name.toLowerCase()}`;
    const entry = kept.get(key);
    if (entry !== undefined) {
      // Moved to the end or dropped: the Map's order is from least to most recently used.
      kept.delete(key);
      if (entry.untilMs > options.now()) {
        kept.set(key, entry);
        return entry.result;
      }
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
