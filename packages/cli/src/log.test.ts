import type { MessageView } from '@mailfleet/queue';
import { expect, test } from 'vitest';
import { timelineText } from './log.ts';

const start = Date.UTC(2026, 10, 23, 22, 28, 35, 250);
const envelope = {
  queueId: '4jYMw10JjXzJQBt',
  sender: 'me@example.com',
  sizeBytes: 1,
  arrivalMs: start,
  createdMs: start,
};
const view: MessageView = {
  timeline: [
    { kind: 'accepted', atMs: start + 2, envelope, recipients: 1 },
    {
      kind: 'attempt',
      batchId: 'b0-1',
      worker: 'smtp-worker@host[1]',
      batchedMs: start + 10,
      steps: [
        { step: 'connected', atMs: start + 20, detail: 'mx[192.0.2.1]:25' },
        { step: 'mail', atMs: start + 1_034 },
      ],
      outcomes: [
        {
          kind: 'deferred',
          action: 'delayed',
          recipient: 0,
          address: 'anna@example.org',
          relay: 'mx[192.0.2.1]:25',
          status: '4.2.2',
          reason: 'host mx[192.0.2.1] said: 452 4.2.2 full',
          times: {
            arrivalMs: start,
            activatedMs: start,
            handedOffMs: start,
            setUpMs: start,
            doneMs: start + 12_345,
          },
        },
      ],
    },
    { kind: 'event', atMs: start + 20_000, step: 'held' },
  ],
};

test('a line per step, with the time since the message came in', () => {
  const listing = {
    queue: 'deferred',
    envelope,
    recipients: [],
    dueMs: start + 60_000,
    forcedExpire: false,
  } as const;
  expect(timelineText({ listing, ...view }).split('\n')).toEqual([
    '2026-11-23T22:28:35.252Z    +0.002s accepted from=<me@example.com> recipients=1',
    '2026-11-23T22:28:35.260Z    +0.010s batched batch=b0-1 worker=smtp-worker@host[1]',
    '2026-11-23T22:28:35.270Z    +0.020s connected mx[192.0.2.1]:25',
    '2026-11-23T22:28:36.284Z    +1.034s mail',
    '2026-11-23T22:28:47.595Z   +12.345s deferred to=<anna@example.org> relay=mx[192.0.2.1]:25 dsn=4.2.2 (host mx[192.0.2.1] said: 452 4.2.2 full)',
    '2026-11-23T22:28:55.250Z   +20.000s held',
    'now in the deferred queue, next attempt 2026-11-23T22:29:35.250Z',
    '',
  ]);
});

test('a message that left the queue counts from the first thing that is known of it', () => {
  expect(timelineText({ timeline: view.timeline.slice(1) }).split('\n')[1]).toBe(
    '2026-11-23T22:28:35.270Z    +0.010s connected mx[192.0.2.1]:25',
  );
});
