/** A server 50 ms away: what a connection carries there, beside Postfix with its cache on. Round trips are counted, which no busy machine changes. */
import { installed } from '@mailfleet/test-kit';
import { expect, test } from 'vitest';
import type { Bursts } from './bursts.ts';
import { runBursts } from './bursts.ts';
import { postfixBursts } from './postfix-bursts.ts';

const load: Omit<Bursts, 'workers' | 'domains' | 'tls'> = {
  messages: 20,
  burst: 10,
  pauseMs: 100,
  roundTripMs: 50,
  parameters: {
    smtp_destination_concurrency_limit: '1',
    smtp_initial_destination_concurrency: '1',
    // A busy machine takes its time between the bursts.
    smtp_connection_cache_time_limit: '60s',
    connection_cache_ttl_limit: '60s',
  },
};
const caching = (listed: string) => ({ ...load.parameters, smtp_connection_cache_destinations: listed });

test('smtp_tls_connection_reuse: one connection with TLS carries all, one round trip a message', async () => {
  const tls = true;
  const parameters = caching('.test');
  const fleet = await runBursts({ ...load, workers: 1, domains: 1, tls, parameters });
  expect(fleet).toMatchObject({ connections: 1, messages: 20, twice: 0 });
  expect(fleet.turns / fleet.messages).toBeLessThan(2);
  if (!installed(['postfix', 'smtp-source'])) return;
  const postfix = await postfixBursts({ ...load, tls, parameters: caching('127.0.0.1') });
  expect(postfix).toMatchObject({ connections: 1, messages: 20, twice: 0 });
  expect(fleet.turns).toBeLessThan(postfix.turns * 0.7);
});
