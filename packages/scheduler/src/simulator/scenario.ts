/**
 * What the simulator plays: destinations whose sizes follow Zipf's law, small mail that comes at an even rate, and one long
 * list in the middle of it. Some destinations are slow, some greylist, some are down for the first half hour.
 */
import { randomFrom } from '@mailfleet/test-kit';

export interface ScenarioOptions {
  /** Small messages, one recipient each. */
  readonly messages: number;
  readonly destinations: number;
  /** Recipients of the list. */
  readonly list: number;
  readonly perSecond: number;
  readonly seed: number;
}

/** The scenario at any size: a fleet and a rate in proportion to the number of messages, so that waits are alike. */
export function scaledTo(messages: number): ScenarioOptions & { readonly sessions: number } {
  return {
    messages,
    destinations: Math.ceil(messages / 20),
    list: Math.ceil(messages / 5),
    perSecond: messages / 4_000,
    sessions: Math.ceil(messages / 2_500),
    seed: 1,
  };
}

export type DestinationKind = 'well' | 'slow' | 'greylisting' | 'refusing' | 'silent';

export interface Scenario {
  readonly options: ScenarioOptions;
  /** Destination of each small message, and of each recipient of the list. */
  readonly messageTo: Int32Array;
  readonly listTo: Int32Array;
  readonly listArrivalMs: number;
  arrivalMs(message: number): number;
  kindOf(destination: number): DestinationKind;
}

/** Refusing and silent destinations come back then. */
export const BACK_MS = 1_800_000;
/** How long a greylisting server wants a message to wait. */
export const GREYLIST_MS = 60_000;

export function makeScenario(options: ScenarioOptions): Scenario {
  const { messages, destinations, list, perSecond, seed } = options;
  const random = randomFrom(seed).next;
  const draw = zipf(destinations, random);
  return {
    options,
    messageTo: Int32Array.from({ length: messages }, draw),
    listTo: Int32Array.from({ length: list }, draw),
    // When the queue has settled, and with most of the small mail still to come.
    listArrivalMs: Math.floor((messages / perSecond) * 100),
    arrivalMs: (message) => (message * 1000) / perSecond,
    kindOf,
  };
}

/** By rank, so that each kind has large and small ones. */
function kindOf(destination: number): DestinationKind {
  if (destination % 1000 === 137) return 'silent';
  if (destination % 1000 === 637) return 'refusing';
  if (destination % 50 === 13) return 'slow';
  if (destination % 33 === 7) return 'greylisting';
  return 'well';
}

/** Draws ranks: the k-th has a share of 1/k. */
function zipf(count: number, random: () => number): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank += 1) {
    sum += 1 / (rank + 1);
    sums[rank] = sum;
  }
  return () => {
    const wanted = random() * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
