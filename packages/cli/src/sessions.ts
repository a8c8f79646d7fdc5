/** `mailfleet sessions`: the sessions that workers have parked, page by page, as a table or as JSON lines. */
import { type ListedSession, openSessionRegistry } from '@mailfleet/scache';
import { Command } from 'commander';
import { type CommonOptions, withCommonOptions } from './options.ts';
import { withQueue } from './with-queue.ts';

const PAGE = 500;

interface SessionsOptions extends CommonOptions {
  readonly json?: boolean;
}

export function sessionsCommand(): Command {
  return withCommonOptions(new Command('sessions'))
    .description(
      'list the open sessions that wait for the next batch: where to, whose, how old, how often used',
    )
    .option('-j, --json', 'one JSON object per session and line')
    .action((options: SessionsOptions) =>
      withQueue(options, async (queue, config) => {
        process.stdout.on('error', () => process.exit(0));
        const registry = openSessionRegistry({ config, queue });
        let shown = 0;
        for (let shard = 0; shard < config.get('scheduler_shards'); shard += 1) {
          for (let from = 0; ; from += PAGE) {
            const page = await registry.page(shard, from, PAGE);
            if (page.length === 0) break;
            if (shown === 0 && options.json !== true) process.stdout.write(HEADING);
            shown += page.length;
            const nowMs = Date.now();
            const lines = page.map(({ session, leftMs }) =>
              options.json === true ? sessionJson(session, leftMs) : sessionLine(session, leftMs, nowMs),
            );
            process.stdout.write(lines.join(''));
          }
        }
        if (shown === 0 && options.json !== true) process.stdout.write('No session is parked\n');
      }),
    );
}

const HEADING =
  '--Age-- -Uses- --Left- -TLS--- ------Destination------- --------------Server-------------- Worker\n';

export function sessionLine(session: ListedSession, leftMs: number, nowMs: number): string {
  const { destination, relay, tls = '-', sinceMs, uses, worker } = session;
  const seconds = (ms: number): string => `${(Math.max(ms, 0) / 1000).toFixed(1)}s`.padStart(7);
  return `${[
    seconds(nowMs - sinceMs),
    String(uses).padStart(6),
    seconds(leftMs),
    tls.padEnd(7),
    `${destination.transport}:${destination.nexthop}`.padEnd(24),
    relay.padEnd(34),
    worker,
  ].join(' ')}\n`;
}

export function sessionJson(session: ListedSession, leftMs: number): string {
  const { destination, relay, tls, sinceMs, uses, worker } = session;
  const { transport, nexthop } = destination;
  const fields = { transport, nexthop, relay, tls: tls ?? null, sinceMs, uses, leftMs, worker };
  return `${JSON.stringify(fields)}\n`;
}
