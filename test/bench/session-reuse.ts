/**
 * `npm run bench:sessions`: how many connections a mail server sees of five workers, with the fleet's connection cache and without, and
 * of Postfix where it is installed. Mail comes in bursts; each run is a fleet of its own. `--messages N`, `--burst N`, `--pause MS`,
 * `--workers N` change the load; `--only TEXT` runs what has the text in its title.
 *
 * `--delay MS`: instead, how many messages a second one connection carries to a server that is as far away as this round-trip time, which
 * is what reuse is for; the destination gets one connection at a time.
 */
import { parseArgs } from 'node:util';
import { installed } from '@mailfleet/test-kit';
import { type BurstResult, runBursts } from '../sessions/bursts.ts';
import { postfixBursts } from '../sessions/postfix-bursts.ts';

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string' },
    burst: { type: 'string' },
    pause: { type: 'string', default: '200' },
    workers: { type: 'string', default: '5' },
    delay: { type: 'string', default: '0' },
    only: { type: 'string', default: '' },
  },
});
const roundTripMs = Number(flags.delay);
const load = {
  messages: Number(flags.messages ?? (roundTripMs > 0 ? 100 : 20_000)),
  burst: Number(flags.burst ?? (roundTripMs > 0 ? 50 : 500)),
  pauseMs: Number(flags.pause),
  roundTripMs,
};

type Parameters = Readonly<Record<string, string>>;
const OFF: Parameters = { smtp_connection_cache_on_demand: 'no' };
const RESUMING: Parameters = { smtp_tls_session_cache_database: 'btree:$data_directory/smtp_scache' };
const FLEET: Readonly<Record<string, Parameters>> = {
  'no cache': OFF,
  'on demand': {},
  'listed, per worker': { smtp_connection_cache_destinations: '.test', connection_cache_share: 'no' },
  'listed, shared': { smtp_connection_cache_destinations: '.test' },
};
const POSTFIX: Readonly<Record<string, Parameters>> = {
  'no cache': OFF,
  'on demand': {},
  listed: { smtp_connection_cache_destinations: '127.0.0.1' },
};

type Run = () => Promise<Omit<BurstResult, 'maillog'>>;

async function measure(title: string, run: Run): Promise<void> {
  if (!title.includes(flags.only)) return;
  const { connections, resumed, turns, messages, twice, seconds } = await run();
  const far =
    roundTripMs === 0
      ? ''
      : `, ${(messages / seconds).toFixed(1)} messages/s, ${(turns / messages).toFixed(2)} round trips a message`;
  process.stdout.write(
    `${title}: ${connections} connections (${resumed} TLS sessions resumed), ${messages} messages, ${twice} twice, ${seconds.toFixed(1)} s${far}\n`,
  );
}

const ways = [false, true] as const;
const wayOf = (tls: boolean): string => (tls ? 'TLS' : 'clear');

async function countConnections(): Promise<void> {
  for (const domains of [1, 100]) {
    for (const tls of ways) {
      for (const [mode, parameters] of Object.entries(FLEET)) {
        const of = `${domains === 1 ? '1 domain' : `${domains} domains`}, ${wayOf(tls)}`;
        const workers = Number(flags.workers);
        await measure(`Mailfleet, ${of}, ${mode}`, () =>
          runBursts({ ...load, workers, domains, tls, parameters: { ...RESUMING, ...parameters } }),
        );
      }
    }
  }
  if (!installed(['postfix', 'smtp-source'])) return;
  for (const tls of ways) {
    for (const [mode, parameters] of Object.entries(POSTFIX)) {
      await measure(`Postfix, 1 domain, ${wayOf(tls)}, ${mode}`, () =>
        postfixBursts({ ...load, tls, parameters: { ...RESUMING, ...parameters } }),
      );
    }
  }
}

async function measureDistance(): Promise<void> {
  const one: Parameters = {
    ...RESUMING,
    smtp_destination_concurrency_limit: '1',
    smtp_initial_destination_concurrency: '1',
  };
  for (const tls of ways) {
    await measure(`Mailfleet, ${wayOf(tls)}, one connection`, () =>
      runBursts({
        ...load,
        workers: 1,
        domains: 1,
        tls,
        parameters: { ...one, ...FLEET['listed, shared'] },
      }),
    );
    if (!installed(['postfix', 'smtp-source'])) continue;
    await measure(`Postfix, ${wayOf(tls)}, one connection`, () =>
      postfixBursts({ ...load, tls, parameters: { ...one, ...POSTFIX.listed } }),
    );
  }
}

await (roundTripMs > 0 ? measureDistance() : countConnections());
