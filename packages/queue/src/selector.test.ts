import { expect, test } from 'vitest';
import type { MessageSelector, QueueListing } from './operator-ports.ts';
import { selects } from './selector.ts';

const listing: QueueListing = {
  queue: 'deferred',
  envelope: { queueId: 'Q', sender: 'Anna@Example.org', sizeBytes: 1, arrivalMs: 1_000, createdMs: 1_000 },
  recipients: [
    { address: 'bert@a.example', transport: 'smtp', nexthop: 'a.example' },
    { address: 'Cora@B.example', transport: 'relay', nexthop: '[gate.example]:26' },
    { address: 'dora@c.example', transport: 'relay', nexthop: 'host.example:26' },
  ],
  forcedExpire: false,
};

test.each<[MessageSelector, boolean]>([
  [{}, true],
  [{ sender: 'anna@example.ORG' }, true],
  [{ sender: 'nna@example.org' }, false],
  [{ sender: '@example.org' }, true],
  [{ sender: '@ample.org' }, false],
  [{ sender: '' }, false],
  [{ recipient: 'cora@b.example' }, true],
  [{ recipient: '@b.example' }, true],
  [{ recipient: '@d.example' }, false],
  [{ site: 'B.EXAMPLE' }, true],
  [{ site: '[gate.example]:26' }, true],
  [{ site: 'gate.example' }, true],
  [{ site: 'host.example' }, true],
  [{ site: 'example' }, false],
  [{ arrivedBeforeMs: 1_000 }, false],
  [{ arrivedBeforeMs: 1_001 }, true],
  [{ arrivedBeforeMs: 1_001, sender: '@else.example' }, false],
])('%j: %s', (where, wanted) => {
  expect(selects(where, listing)).toBe(wanted);
});

test('the null sender is the empty one', () => {
  expect(selects({ sender: '' }, { ...listing, envelope: { ...listing.envelope, sender: '' } })).toBe(true);
});
