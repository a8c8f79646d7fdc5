/**
 * Concurrency feedback amounts: `n`, `n/m` or `n/concurrency` (default_destination_concurrency_positive_feedback of
 * postconf(5)).
 */

/** By how much one result moves a window of the given size. */
export type Feedback = (window: number) => number;

const FORM = /^\s*([0-9.]+)\s*(?:\/\s*(?:(concurrency)|([0-9.]+))\s*)?$/i;

/** What the text says; undefined when it is not a feedback amount between 0 and 1. */
export function parseFeedback(text: string): Feedback | undefined {
  const [, numerator, concurrency, divisor] = FORM.exec(text) ?? [];
  const amount = Number(numerator) / (divisor === undefined ? 1 : Number(divisor));
  if (!(amount >= 0 && amount <= 1)) return undefined;
  return concurrency === undefined ? () => amount : (window) => amount / window;
}
