/** `mailfleet sessions`: the open sessions of all workers, those that wait and those in use, page by page, as a table or as JSON lines. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '@mailfleet/config';
import type { ScriptPort } from '@mailfleet/queue';
import { type OpenSession, openSessionBoard, openSessionRegistry } from '@mailfleet/scache';
import { Command } from 'commander';
import { type CommonOptions, withCommonOptions } from './options.ts';
import { withQueue } from './with-queue.ts';

const PAGE = 500;
/** Workers look for questions every second. */
const PATIENCE_MS = 2_500;

interface SessionsOptions extends CommonOptions {
  readonly json?: boolean;
}

/** A session with its owner. */
export interface ShownSession extends OpenSession {
  readonly worker: string;
}

export function sessionsCommand(): Command {
  return withCommonOptions(new Command('sessions'))
    .description(
      'list the open sessions, those in use and those that wait for the next batch: where to, whose, how old, how often used',
    )
    .option('-j, --json', 'one JSON object per session and line')
    .action((options: SessionsOptions) =>
      withQueue(options, async (queue, config) => {
        process.stdout.on('error', () => process.exit(0));
        let shown = 0;
        for await (const page of allSessions(queue, config)) {
          if (page.length === 0) continue;
          if (shown === 0 && options.json !== true) process.stdout.write(HEADING);
          shown += page.length;
          const nowMs = Date.now();
          const lines = page.map((session) =>
            options.json === true ? sessionJson(session) : sessionLine(session, nowMs),
          );
          process.stdout.write(lines.join(''));
        }
        if (shown === 0 && options.json !== true) process.stdout.write('No session is open\n');
      }),
    );
}

/** Those that wait stand on a list; the workers are asked for the others. */
async function* allSessions(queue: ScriptPort, config: Config): AsyncGenerator<readonly ShownSession[]> {
  const board = openSessionBoard(queue);
  const askedMs = await board.ask();
  const registry = openSessionRegistry({ config, queue });
  for (let shard = 0; shard < config.get('scheduler_shards'); shard += 1) {
    for (let from = 0; ; from += PAGE) {
      const page = await registry.page(shard, from, PAGE);
      if (page.length === 0) break;
      yield page.map(({ session: { destination, ...session }, leftMs }) => {
        const { transport, nexthop } = destination;
        return { ...session, transport, nexthop, state: 'parked', leftMs };
      });
    }
  }
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const { alive, answered } = await board.answers(askedMs, 0, 1);
    if ((alive > 0 && answered >= alive) || performance.now() >= untilMs) break;
    await sleep(50);
  }
  for (let from = 0; ; from += PAGE) {
    const { workers } = await board.answers(askedMs, from, PAGE);
    for (const worker of workers) yield* sessionsOf(board, worker);
    if (workers.length < PAGE) return;
  }
}

async function* sessionsOf(
  board: ReturnType<typeof openSessionBoard>,
  worker: string,
): AsyncGenerator<readonly ShownSession[]> {
  for (let from = 0; ; from += PAGE) {
    const page = await board.sessions(worker, from, PAGE);
    yield page.map((session) => ({ ...session, worker }));
    if (page.length < PAGE) return;
  }
}

const HEADING =
  '-State -Age--- -Uses- --Left- -TLS--- ------Destination------- --------------Server-------------- Worker\n';

export function sessionLine(session: ShownSession, nowMs: number): string {
  const { state, transport, nexthop, relay, tls = '-', sinceMs, uses, leftMs, worker } = session;
  const seconds = (ms: number): string => `${(Math.max(ms, 0) / 1000).toFixed(1)}s`.padStart(7);
  return `${[
    state.padEnd(6),
    seconds(nowMs - sinceMs),
    String(uses).padStart(6),
    leftMs === undefined ? '-'.padStart(7) : seconds(leftMs),
    tls.padEnd(7),
    `${transport}:${nexthop}`.padEnd(24),
    relay.padEnd(34),
    worker,
  ].join(' ')}\n`;
}

export function sessionJson(session: ShownSession): string {
  const { state, transport, nexthop, relay, tls, sinceMs, uses, leftMs, worker } = session;
  const fields = {
    transport,
    nexthop,
    relay,
    state,
    tls: tls ?? null,
    sinceMs,
    uses,
    leftMs: leftMs ?? null,
    worker,
  };
  return `${JSON.stringify(fields)}\n`;
}
