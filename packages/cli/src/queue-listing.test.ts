import type { QueueListing } from '@mailfleet/queue';
import { expect, test } from 'vitest';
import { jsonLine, printed } from './queue-listing.ts';

const route = { transport: 'smtp', nexthop: 'example.org' };
const message: QueueListing = {
  queue: 'deferred',
  envelope: {
    queueId: '4jYMw10JjXzJQBt',
    sender: 'me@example.com',
    sizeBytes: 3512,
    arrivalMs: new Date(2026, 10, 3, 23, 4, 5, 999).getTime(),
    createdMs: 0,
  },
  recipients: [
    { address: 'anna@example.org', delayReason: 'host a said: 452 full', ...route },
    { address: 'bert@example.org', delayReason: 'connect to b: Connection timed out', ...route },
    { address: 'cora@example.org', delayReason: 'host a said: 452 full', ...route },
    { address: 'dora@example.org', ...route },
  ],
  dueMs: 0,
  forcedExpire: false,
};

test('a message as mailq shows it: recipients under the reason that they wait for', () => {
  expect(printed(message).split('\n')).toEqual([
    '4jYMw10JjXzJQBt       3512 Tue Nov  3 23:04:05 me@example.com',
    `${' '.repeat(47)}dora@example.org`,
    `${' '.repeat(42)}(connect to b: Connection timed out)`,
    `${' '.repeat(47)}bert@example.org`,
    `${' '.repeat(55)}(host a said: 452 full)`,
    `${' '.repeat(47)}anna@example.org`,
    `${' '.repeat(47)}cora@example.org`,
    '',
  ]);
});

test('a list of which only a page is shown says how many more there are', () => {
  const long = { ...message, unlisted: 199_500 };
  expect(printed(long).split('\n').at(-2)).toBe(`${' '.repeat(47)}(and 199500 more)`);
  expect(JSON.parse(jsonLine(long))).toMatchObject({ recipients_not_listed: 199_500 });
  expect(JSON.parse(jsonLine(message))).not.toHaveProperty('recipients_not_listed');
});

test.each([
  ['active', '*'],
  ['hold', '!'],
  ['incoming', ' '],
] as const)('a message of the %s queue has the mark "%s"', (queue, mark) => {
  expect(printed({ ...message, queue })).toMatch(`4jYMw10JjXzJQBt${mark} `);
});

test('a message that an operator expired has a second mark', () => {
  expect(printed({ ...message, forcedExpire: true })).toMatch('4jYMw10JjXzJQBt#  ');
  expect(printed({ ...message, queue: 'hold', forcedExpire: true })).toMatch('4jYMw10JjXzJQBt!# ');
});

test('the null sender is MAILER-DAEMON', () => {
  const notice = { ...message, envelope: { ...message.envelope, sender: '' } };
  expect(printed(notice)).toContain(' MAILER-DAEMON\n');
  expect(jsonLine(notice)).toContain('"sender":"MAILER-DAEMON"');
});

test('a reason wider than the listing is shown whole', () => {
  const reason = 'r'.repeat(100);
  const [recipient] = message.recipients;
  const wide = {
    ...message,
    recipients: recipient === undefined ? [] : [{ ...recipient, delayReason: reason }],
  };
  expect(printed(wide).split('\n')[1]).toBe(`(${reason})`);
});

test('the fields of postqueue -j, in its order', () => {
  expect(jsonLine({ ...message, recipients: message.recipients.slice(2) })).toBe(
    `{"queue_name":"deferred","queue_id":"4jYMw10JjXzJQBt","arrival_time":${Math.floor(message.envelope.arrivalMs / 1000)},"message_size":3512,"forced_expire":false,"sender":"me@example.com","recipients":[{"address":"cora@example.org","delay_reason":"host a said: 452 full"},{"address":"dora@example.org"}]}`,
  );
});
