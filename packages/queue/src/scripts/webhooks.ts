/** The script that takes events out of the stream once they stand in a batch. */
import type { Script } from './script.ts';

export const dropEvents: Script = {
  name: 'drop-events',
  keys: 1,
  lua: `
-- Removes events that stand in a batch for webhooks.
-- KEYS 1 events
-- ARGV ids of the stream's entries
-- Returns how many there were.
-- Invariant: only what a job holds is removed.
return redis.call('XDEL', KEYS[1], unpack(ARGV))
`,
};
