/**
 * Waiting for a condition and finding a free port.
 *
 * Tests wait for what they mean ("the message is gone"), never for a guessed time. A condition that does not
 * come true fails with its own words, so that the report says what was missing and not just "timeout".
 */
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_INTERVAL_MS = 5;

/**
 * Resolves with the condition's first truthy value; rejects after `timeoutMs`. A condition that throws counts
 * as not yet true, and its last error becomes the `cause`.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  timeoutMs = 5000,
  what = 'the condition',
): Promise<Exclude<T, false | 0 | '' | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  while (true) {
    try {
      const value = await condition();
      if (value) return value as Exclude<T, false | 0 | '' | null | undefined>;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${what}`, { cause: lastError });
    }
    await delay(POLL_INTERVAL_MS);
  }
}

/**
 * A loopback TCP port that nobody listens on at this moment. Another process may take it before the caller
 * does: servers that can listen on port 0 should do that instead.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error(`no TCP port on ${host}`);
  return address.port;
}

let refusing = 30_000;

/**
 * A port where nobody listens, now or later: the system gives out higher ones, so no server that starts meanwhile gets it, as it may get a
 * port that was merely free.
 */
export const refusingPort = (): number => ++refusing;
