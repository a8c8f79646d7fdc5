/**
 * `npm run bench:sessions`: how many connections a mail server sees of five workers, with the fleet's connection cache and without, and
 * of Postfix where it is installed. Mail comes in bursts; each run is a fleet of its own. `--messages N`, `--burst N`, `--pause MS`,
 * `--workers N` change the load; `--only TEXT` runs what has the text in its title.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { installed, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { startPostfix } from '../peers/postfix.ts';
import { runSource } from '../peers/source.ts';
import { type BurstResult, runBursts } from '../sessions/bursts.ts';

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '20000' },
    burst: { type: 'string', default: '500' },
    pause: { type: 'string', default: '200' },
    workers: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
  },
});
const load = { messages: Number(flags.messages), burst: Number(flags.burst), pauseMs: Number(flags.pause) };

type Parameters = Readonly<Record<string, string>>;
const OFF: Parameters = { smtp_connection_cache_on_demand: 'no' };
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

async function measure(title: string, run: () => Promise<Omit<BurstResult, 'maillog'>>): Promise<void> {
  if (!title.includes(flags.only)) return;
  const { connections, messages, twice, seconds } = await run();
  process.stdout.write(
    `${title}: ${connections} connections, ${messages} messages, ${twice} twice, ${seconds.toFixed(1)} s\n`,
  );
}

/** One destination: everything goes to one relay. */
async function postfixBursts(parameters: Parameters): Promise<Omit<BurstResult, 'maillog'>> {
  const server = await startSmtpServer({ keepContent: false, keepMessages: false });
  try {
    await using postfix = await startPostfix({ relayPort: server.port, parameters });
    const startMs = performance.now();
    for (let sent = 0; sent < load.messages; ) {
      const messages = Math.min(load.burst, load.messages - sent);
      await runSource(postfix.smtpPort, { messages, sessions: 10, contentBytes: 100 });
      sent += messages;
      await waitFor(() => server.messageCount >= sent, 120_000, `message ${sent}`);
      await sleep(load.pauseMs);
    }
    const seconds = (performance.now() - startMs) / 1000;
    const twice = server.messageCount - load.messages;
    return { connections: server.connections.total, messages: load.messages, twice, seconds };
  } finally {
    await server.close();
  }
}

for (const domains of [1, 100]) {
  for (const tls of [false, true]) {
    for (const [mode, parameters] of Object.entries(FLEET)) {
      const of = `${domains === 1 ? '1 domain' : `${domains} domains`}, ${tls ? 'TLS' : 'clear'}`;
      const workers = Number(flags.workers);
      await measure(`Mailfleet, ${of}, ${mode}`, () =>
        runBursts({ ...load, workers, domains, tls, parameters }),
      );
    }
  }
}
if (installed(['postfix', 'smtp-source'])) {
  for (const [mode, parameters] of Object.entries(POSTFIX)) {
    await measure(`Postfix, 1 domain, clear, ${mode}`, () => postfixBursts(parameters));
  }
}
