/**
 * The operator's hand on destinations. What is set is durable on the destination's shard, ordered by its end, and told to
 * the leader through its inbox. Who leads next reads it before it leads.
 */
import { keysOfShard, type QueueContext } from './context.ts';
import type { DestinationControl, DestinationName, DestinationPort } from './destination-ports.ts';
import { controlMember, formatControl, formatName, pauseReason } from './destination-words.ts';
import { controlsOf, pageOfControls } from './destinations.ts';
import { makeExplain } from './explain.ts';
import type { ShardKeys } from './keys.ts';
import type { OperatorPort, QueueListing } from './operator-ports.ts';
import { liftControl, setControl } from './scripts/destinations.ts';
import { shardOf } from './shard.ts';

/** The operator's port with its part about destinations; its listings tell of pauses. */
export function withDestinations(
  context: QueueContext,
  operator: OperatorPort,
): OperatorPort & DestinationPort {
  const { run, shards, now, config } = context;
  const hasSites = config.get('destination_site_rollup') || config.get('destination_site_maps').length > 0;
  /** A site may have mail on every shard, and a name does not tell whether it is one. */
  const keysFor = ({ transport, nexthop }: DestinationName): readonly ShardKeys[] =>
    hasSites ? shards : [keysOfShard(context, shardOf(transport, nexthop, shards.length))];
  const find: OperatorPort['find'] = async (queueId) => {
    const view = await operator.find(queueId);
    if (view?.listing === undefined) return view;
    const [listing = view.listing] = await withPauses(context, [view.listing]);
    return { ...view, listing };
  };
  return {
    ...operator,
    find,
    explain: makeExplain(context, find),
    async list(options) {
      const page = await operator.list(options);
      return { ...page, messages: await withPauses(context, page.messages) };
    },
    async setControl(control) {
      const member = controlMember(control, control.kind);
      const args = [member, control.untilMs, formatControl(control), now()];
      await Promise.all(
        keysFor(control).map((keys) => run(setControl, [keys.controls, keys.controlled, keys.inbox], args)),
      );
    },
    async liftControl(name, kind) {
      const args = [controlMember(name, kind), now()];
      const lifted = await Promise.all(
        keysFor(name).map((keys) => run(liftControl, [keys.controls, keys.controlled, keys.inbox], args)),
      );
      return lifted.includes(1);
    },
    async listControls({ cursor = '0 ', limit }) {
      const controls: DestinationControl[] = [];
      const space = cursor.indexOf(' ');
      let shard = Number(cursor.slice(0, space));
      let place = cursor.slice(space + 1);
      // What all shards have is listed once.
      const end = hasSites ? 1 : shards.length;
      while (shard < end) {
        if (controls.length >= limit) return { controls, cursor: `${shard} ${place}` };
        const page = await pageOfControls(context, shard, place, limit - controls.length);
        controls.push(...page.controls);
        place = page.cursor;
        if (place === '') shard += 1;
      }
      return { controls };
    },
  };
}

/** Recipients of paused destinations wait for the pause, whatever their last reply was. */
async function withPauses(
  context: QueueContext,
  listings: readonly QueueListing[],
): Promise<readonly QueueListing[]> {
  const names = new Map<string, DestinationName>();
  for (const { recipients } of listings) for (const each of recipients) names.set(formatName(each), each);
  const pauses = new Map<string, string>();
  for (const pause of await controlsOf(context, [...names.values()], ['pause'])) {
    pauses.set(formatName(pause), pauseReason(pause));
  }
  if (pauses.size === 0) return listings;
  return listings.map((listing) => ({
    ...listing,
    recipients: listing.recipients.map((each) => {
      const delayReason = pauses.get(formatName(each));
      return delayReason === undefined ? each : { ...each, delayReason };
    }),
  }));
}
