/**
 * The operator's port: listings, and commands on the messages that are named by queue id or by selector. A selector walks
 * pages and holds one at a time; a message of several shards is acted on as a whole, and counted once.
 */
import type { Telemetry } from '@mailfleet/telemetry';
import { keysOfShard, type QueueContext } from './context.ts';
import { type ListedPart, listPart, listParts, makeListings, withoutRepeats } from './listings.ts';
import { makeMessageCommands } from './operator-commands.ts';
import type {
  OperatorCommand,
  OperatorPort,
  OperatorResult,
  QueueListing,
  QueueName,
} from './operator-ports.ts';
import type { IntakePort } from './ports.ts';
import { requeue } from './requeue.ts';
import { flushPage, flushSites } from './scripts/operator.ts';
import { isAtSite } from './selector.ts';

const PAGE = 500;
/** Messages that commands are under way for. */
const AT_ONCE = 50;

/** Queues in which a command finds something to do. */
const SOURCES: Readonly<Record<OperatorCommand['kind'], readonly QueueName[]>> = {
  flush: ['deferred'],
  hold: ['active', 'incoming', 'deferred'],
  release: ['hold', 'active', 'corrupt'],
  delete: ['active', 'incoming', 'deferred', 'hold', 'corrupt'],
  expire: ['active', 'incoming', 'deferred', 'hold'],
  'expire-and-release': ['active', 'incoming', 'deferred', 'hold'],
  // A requeue of what is being delivered would be delivered twice; active is there so that it is refused with a reason.
  requeue: ['active', 'incoming', 'deferred', 'hold'],
};

export function makeOperatorPort(
  context: QueueContext,
  intake: IntakePort,
  telemetry: Pick<Telemetry, 'emit'> | undefined,
): OperatorPort {
  const { run, shards, now } = context;
  const commands = makeMessageCommands(context, telemetry);

  /** True when it changed something, false when there was nothing to change, else why it cannot be. */
  async function carryOut(command: OperatorCommand, queueId: string): Promise<boolean | string> {
    switch (command.kind) {
      case 'delete': {
        const removed = await commands.remove(queueId);
        if (removed) telemetry?.emit({ kind: 'deleted', queueId });
        return removed;
      }
      case 'expire-and-release': {
        const expired = await commands.expire(queueId);
        return (await commands.release(queueId)) || expired;
      }
      case 'requeue': {
        const done = await requeue(context, commands, intake, queueId, command.route);
        if (done === undefined || 'reason' in done) return done?.reason ?? false;
        const text = `requeued as ${done.queueId}`;
        telemetry?.emit({ kind: 'remark', program: 'postsuper', queueId, text });
        return true;
      }
      default:
        return commands[command.kind](queueId);
    }
  }

  async function act(
    command: OperatorCommand,
    found: readonly (readonly [queueId: string, queue: QueueName])[],
  ): Promise<OperatorResult> {
    const touched: OperatorResult['touched'][number][] = [];
    const refused: OperatorResult['refused'][number][] = [];
    for (let from = 0; from < found.length; from += AT_ONCE) {
      const some = found.slice(from, from + AT_ONCE);
      const answers = await Promise.all(some.map(([queueId]) => carryOut(command, queueId)));
      for (const [i, [queueId, queue]] of some.entries()) {
        const done = answers[i];
        if (typeof done === 'string') refused.push({ queueId, reason: done });
        else if (done === true) touched.push({ queueId, queue });
      }
    }
    return { touched, refused };
  }

  /** What a dry run says: the messages that the command would change. */
  const wouldTouch = ({ kind }: OperatorCommand, { queue, held, forcedExpire }: QueueListing): boolean => {
    if (!SOURCES[kind].includes(queue)) return false;
    if (kind === 'hold') return held !== true;
    if (kind === 'release') return queue === 'hold' || queue === 'corrupt' || held === true;
    if (kind === 'expire') return !forcedExpire;
    if (kind === 'expire-and-release') return !forcedExpire || queue === 'hold' || held === true;
    if (kind === 'requeue') return queue !== 'active';
    return true;
  };

  return {
    ...makeListings(context),

    async flushAll() {
      await Promise.all(
        shards.map(async (keys) => {
          const nowMs = now();
          while ((await run(flushPage, [keys.deferred, keys.inbox], [nowMs, PAGE])) === PAGE);
        }),
      );
    },

    async flushSite(site, options) {
      const where = { site };
      // What is dead is revived on every shard, also where no message waits for it now.
      if (options.cursor === undefined) await Promise.all(shards.map((_, shard) => flushOn(shard, site, [])));
      const { parts, ...rest } = await listParts(context, { ...options, queues: ['deferred'], where });
      const touched: OperatorResult['touched'][number][] = [];
      for (const [shard, own] of Map.groupBy(parts, (part) => part.shard)) {
        const flushed = new Set(await flushOn(shard, site, own));
        const counted = await withoutRepeats(context, own, { queues: ['deferred'], where });
        for (const { listing } of counted) {
          const { queueId } = listing.envelope;
          if (flushed.has(queueId)) touched.push({ queueId, queue: 'deferred' });
        }
      }
      return { touched, refused: [], ...rest };
    },

    async command(command, queueIds, { dryRun = false } = {}) {
      const named = await Promise.all(
        [...new Set(queueIds)].map(async (queueId) => {
          const found = await Promise.all(shards.map((keys) => listPart(context, keys, queueId)));
          const listings = found.filter((listing) => listing !== undefined);
          const listing = listings.find((each) => wouldTouch(command, each)) ?? listings[0];
          return listing === undefined ? [] : [listing];
        }),
      );
      const listings = named.flat();
      return dryRun
        ? dryResult(listings.filter((listing) => wouldTouch(command, listing)))
        : act(
            command,
            listings.map((listing) => [listing.envelope.queueId, listing.queue]),
          );
    },

    async commandWhere(command, { dryRun = false, queues, where = {}, cursor, limit }) {
      const sources = SOURCES[command.kind].filter((queue) => queues === undefined || queues.includes(queue));
      const [startMs, place] = parseCursor(cursor) ?? [now(), undefined];
      const page = await listParts(context, {
        queues: sources,
        where,
        limit,
        ...(place === undefined ? {} : { cursor: place }),
      });
      // New mail of a requeue stands where the walk is yet to come.
      const parts =
        command.kind === 'requeue'
          ? page.parts.filter(({ listing }) => listing.envelope.createdMs < startMs)
          : page.parts;
      const first = await withoutRepeats(context, parts, { queues: sources, where });
      const listings = first.map(({ listing }) => listing);
      const result = dryRun
        ? dryResult(listings.filter((listing) => wouldTouch(command, listing)))
        : await act(
            command,
            listings.map((listing) => [listing.envelope.queueId, listing.queue]),
          );
      return { ...result, ...(page.cursor === undefined ? {} : { cursor: `${startMs}/${page.cursor}` }) };
    },
  };

  /** Makes these parts due, and has the leader revive what they wait for. */
  async function flushOn(shard: number, site: string, parts: readonly ListedPart[]): Promise<string[]> {
    const keys = keysOfShard(context, shard);
    const wanted = site.toLowerCase();
    const waited = parts.flatMap(({ listing }) => listing.recipients.filter((each) => isAtSite(site, each)));
    const nexthops = new Set([wanted, `[${wanted}]`, ...waited.map(({ nexthop }) => nexthop.toLowerCase())]);
    const ids = parts.map(({ listing }) => listing.envelope.queueId);
    const args = [now(), JSON.stringify([...nexthops]), ...ids];
    return (await run(flushSites, [keys.deferred, keys.inbox], args)) as string[];
  }
}

/** A walk's cursor: when it began, and the cursor of the listing. */
function parseCursor(cursor: string | undefined): readonly [startMs: number, place: string] | undefined {
  const [, startMs, place] = /^(\d+)\/(.*)$/s.exec(cursor ?? '') ?? [];
  return startMs === undefined || place === undefined ? undefined : [Number(startMs), place];
}

function dryResult(listings: readonly QueueListing[]): OperatorResult {
  return {
    touched: listings.map(({ envelope, queue }) => ({ queueId: envelope.queueId, queue })),
    refused: [],
  };
}
