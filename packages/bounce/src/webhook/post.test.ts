/** Which webhook_url is taken: none that could reach into a network that its owner did not mean. */
import { makeConfig } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { openWebhook } from './post.ts';

test('no webhook_url, no webhook', () => {
  expect(openWebhook(makeConfig())).toBeUndefined();
});

test.each([
  ['http://example.org/', 'must begin with https://'],
  ['http://10.0.0.1/', 'must begin with https://'],
  ['ftp://127.0.0.1/', 'must begin with https://'],
  ['https://user:pw@example.org/', 'holds a user or password'],
  ['nonsense', 'is no URL'],
  ['https://example.org/', 'needs webhook_secret_file'],
])('webhook_url = %s is refused at the start: %s', (url, why) => {
  expect(() => openWebhook(makeConfig({ webhook_url: url }))).toThrow(why);
});
