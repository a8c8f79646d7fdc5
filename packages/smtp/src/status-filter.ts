/**
 * `smtp_delivery_status_filter`: may replace the status and text of an outcome just before it is recorded.
 *
 * The key is `d.ddd.ddd text`, the result has the same form. A failure may become another failure, permanent or not; a success
 * stays one. What breaks these rules, or a table that cannot be asked, leaves the outcome alone with a warning. Which
 * host was tried next is decided long before.
 */
import type { Config } from '@mailfleet/config';
import { openMaps, tableOptions } from '@mailfleet/lookup';
import type { Outcome, Protocol, RequestResult } from './delivery.ts';

export type StatusFilter = (result: RequestResult, warn: (text: string) => void) => Promise<RequestResult>;

/** Undefined when no filter is configured. */
export const openStatusFilter = (config: Config, protocol: Protocol): StatusFilter | undefined => {
  const specs = config.getFor(protocol, 'smtp_delivery_status_filter');
  if (specs.length === 0) return undefined;
  const name = `${protocol}_delivery_status_filter`;
  const table = openMaps(specs, { ...tableOptions(config), fold: false });

  const filter = async (outcome: Outcome, warn: (text: string) => void): Promise<Outcome> => {
    const answer = await table.lookup(`${outcome.status} ${outcome.reason}`);
    if (answer.kind === 'miss') return outcome;
    if (answer.kind === 'error') {
      warn(`${name}: ${answer.reason}; the delivery status stays as it is`);
      return outcome;
    }
    const [, status, reason] = /^([245]\.\d{1,3}\.\d{1,3})\s+(\S.*)$/s.exec(answer.value) ?? [];
    const succeeds = outcome.kind === 'delivered';
    if (status === undefined || reason === undefined || status.startsWith('2') !== succeeds) {
      warn(`${name}: bad status code: ${answer.value}`);
      return outcome;
    }
    if (succeeds) return { ...outcome, status, reason };
    return status.startsWith('4')
      ? { ...outcome, kind: 'deferred', action: 'delayed', status, reason }
      : { ...outcome, kind: 'bounced', action: 'failed', status, reason };
  };

  return async (result, warn) => {
    const outcomes: Outcome[] = [];
    for (const outcome of result.outcomes) outcomes.push(await filter(outcome, warn));
    const { hopStatus, ...rest } = result;
    // Nobody was deferred in the end: nothing to throttle for.
    const throttles = hopStatus !== undefined && outcomes.some(({ kind }) => kind === 'deferred');
    return { ...rest, outcomes, ...(throttles ? { hopStatus } : {}) };
  };
};
