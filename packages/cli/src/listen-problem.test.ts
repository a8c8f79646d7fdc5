import { createServer } from 'node:net';
import { makeConfig } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { listenProblem } from './listen-problem.ts';

const config = makeConfig({
  intake_smtp_listen: '127.0.0.1:2525 [::1]:2526',
  intake_http_listen: 'unix:/nowhere/http',
  dashboard_listen: '192.0.2.1:8080',
});

function listenError(address: { host: string; port: number } | { path: string }): Promise<Error> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', resolve);
    server.listen(address, () => server.close(() => reject(new Error('it listens'))));
  });
}

test('an address that is not of this machine: the parameter that names it, and what to do', async () => {
  const error = await listenError({ host: '192.0.2.1', port: 8080 });
  expect(listenProblem(new Error('cannot listen', { cause: error }), config)).toBe(
    'cannot listen at 192.0.2.1:8080: this machine does not have that address; set dashboard_listen to another address',
  );
});

test('a UNIX-domain socket in a folder that is missing', async () => {
  const error = await listenError({ path: '/nowhere/http' });
  expect(listenProblem(error, config)).toBe(
    'cannot listen at /nowhere/http: its folder is missing or not writable for this user; make it so, or set intake_http_listen to another address',
  );
});

test('an error of something else is left to its own words', () => {
  expect(listenProblem(new Error('something else'), config)).toBeUndefined();
});
