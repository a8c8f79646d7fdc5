/**
 * SRV records in the order in which to try them (RFC 2782): by priority, and within one priority at random with
 * the weights as odds. A weight of zero is a very small one, so such a record is seldom first but never left out.
 */
import type { RecordData } from './dns-message.ts';

type Srv = RecordData['SRV'];

const ZERO_WEIGHT = 0.01;

export function orderSrvRecords(records: readonly Srv[], random: () => number): Srv[] {
  const odds = (record: Srv): number => record.weight || ZERO_WEIGHT;
  const left = [...records].sort((a, b) => a.priority - b.priority);
  const ordered: Srv[] = [];
  while (left[0] !== undefined) {
    const { priority } = left[0];
    const group = left.filter((record) => record.priority === priority);
    let at = random() * group.reduce((sum, record) => sum + odds(record), 0);
    const drawn = group.find((record) => {
      at -= odds(record);
      return at < 0;
    });
    // Rounding may leave a hair above zero after the last one.
    const next = drawn ?? group.at(-1) ?? left[0];
    ordered.push(next);
    left.splice(left.indexOf(next), 1);
  }
  return ordered;
}
