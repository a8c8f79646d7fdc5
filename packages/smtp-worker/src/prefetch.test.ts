import type { DeliveryRequest } from '@mailfleet/smtp';
import { expect, test } from 'vitest';
import { prefetchContents } from './prefetch.ts';

function request(queueId: string, sizeBytes: number): DeliveryRequest {
  return {
    envelope: { queueId, sender: '', sizeBytes, arrivalMs: 0, createdMs: 0 },
    recipients: [],
    contentShard: 0,
    activatedMs: 0,
  };
}

/** A queue that notes what it is asked for. */
function recorder(): { asked: string[]; fetch: (request: DeliveryRequest) => Promise<Buffer> } {
  const asked: string[] = [];
  return {
    asked,
    fetch: async ({ envelope }) => {
      asked.push(envelope.queueId);
      return Buffer.from(envelope.queueId);
    },
  };
}

test('the first contents are asked for at once, and each taken one moves the front on; none is asked for twice', async () => {
  const requests = Array.from({ length: 20 }, (_, i) => request(`Q${i}`, 100));
  const { asked, fetch } = recorder();
  const take = prefetchContents(requests, fetch, 1000);
  expect(asked).toHaveLength(8);
  const taken: string[] = [];
  for (const each of requests) taken.push(String(await take(each)));
  expect(taken).toEqual(requests.map(({ envelope }) => envelope.queueId));
  expect(asked).toEqual(taken);
});

test('a content that is taken again is fetched again', async () => {
  const requests = [request('Q0', 100)];
  const { asked, fetch } = recorder();
  const take = prefetchContents(requests, fetch, 1000);
  await take(requests[0] ?? request('', 0));
  expect(String(await take(requests[0] ?? request('', 0)))).toBe('Q0');
  expect(asked).toEqual(['Q0', 'Q0']);
});

test('large contents are left until their turn, and the bytes ahead are bounded', async () => {
  const mebibyte = 1024 * 1024;
  const requests = [
    request('large', mebibyte),
    request('a', 600_000),
    request('b', 400_000),
    request('c', 600_000),
  ];
  const { asked, fetch } = recorder();
  const take = prefetchContents(requests, fetch, 700_000);
  expect(asked).toEqual(['a', 'b']);
  for (const each of requests.slice(0, 1)) await take(each);
  expect(asked).toEqual(['a', 'b', 'large']);
});
