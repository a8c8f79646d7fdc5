/**
 * `npm run bench:sessions`: how many connections a mail server sees of five workers, with the fleet's connection cache and without.
 * Mail comes in bursts; each run is a fleet of its own. `--messages N`, `--burst N`, `--workers N`, `--only text` make it shorter.
 */
import { parseArgs } from 'node:util';
import { runBursts } from '../sessions/bursts.ts';

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '20000' },
    burst: { type: 'string', default: '200' },
    pause: { type: 'string', default: '200' },
    workers: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
  },
});

const MODES: readonly (readonly [name: string, parameters: Readonly<Record<string, string>>])[] = [
  ['no cache', { smtp_connection_cache_on_demand: 'no' }],
  ['on demand', {}],
  ['listed, per worker', { smtp_connection_cache_destinations: '.test', connection_cache_share: 'no' }],
  ['listed, shared', { smtp_connection_cache_destinations: '.test' }],
];

for (const domains of [1, 100]) {
  for (const tls of [false, true]) {
    for (const [name, parameters] of MODES) {
      const title = `${domains} domain${domains > 1 ? 's' : ''}, ${tls ? 'TLS' : 'clear'}, ${name}`;
      if (!title.includes(flags.only)) continue;
      const { connections, messages, twice, seconds } = await runBursts({
        messages: Number(flags.messages),
        burst: Number(flags.burst),
        pauseMs: Number(flags.pause),
        workers: Number(flags.workers),
        domains,
        tls,
        parameters,
      });
      process.stdout.write(
        `${title}: ${connections} connections, ${messages} messages, ${twice} twice, ${seconds.toFixed(1)} s\n`,
      );
    }
  }
}
