/** Random input that is the same in every run: a test runs for each of `testSeeds` and has the seed in its title. */

/** TEST_SEED=<seed> takes another one, to repeat a failure or to look for new ones. */
export const testSeeds: readonly number[] =
  process.env.TEST_SEED === undefined ? [1, 2, 3] : [Number(process.env.TEST_SEED)];

export interface Random {
  /** From 0 up to 1. */
  next(): number;
  /** A whole number from 0 up to `count`. */
  below(count: number): number;
  pick<T>(values: readonly [T, ...T[]]): T;
  /** Up to `most` of the words, joined. */
  text(words: readonly [string, ...string[]], most: number): string;
  bytes(most: number): Buffer;
}

/** A small generator that is the same everywhere (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (count: number): number => Math.floor(next() * count);
  const pick = <T>(values: readonly [T, ...T[]]): T => values[below(values.length)] ?? values[0];
  return {
    next,
    below,
    pick,
    text: (words, most) => Array.from({ length: below(most + 1) }, () => pick(words)).join(''),
    bytes: (most) => Buffer.from(Array.from({ length: below(most + 1) }, () => below(256))),
  };
}
