import { expect, test } from 'vitest';
import type { MailEvent } from './event.ts';
import { maillogLines } from './maillog.ts';
import { makeMaillogFormat } from './maillog-format.ts';

const STYLE = { resolutionLimit: 2, addressFormat: 'external' } as const;

const times = { arrivalMs: 1000, activatedMs: 1010, handedOffMs: 1030, setUpMs: 1530, doneMs: 2230 };
const sent: Extract<MailEvent, { kind: 'delivered' | 'deferred' | 'bounced' }> = {
  kind: 'delivered',
  queueId: '4QxZ1',
  program: 'smtp',
  to: 'anna@example.org',
  relay: 'mx.example.org[192.0.2.1]:25',
  times,
  dsn: '2.0.0',
  reason: '250 2.0.0 Ok: queued',
};

test.each<[string, MailEvent, ...string[]]>([
  [
    'sent',
    sent,
    'smtp 4QxZ1: to=<anna@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1.2, delays=0.01/0.02/0.5/0.7, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued)',
  ],
  [
    'deferred, with orig_to and conn_use',
    {
      ...sent,
      kind: 'deferred',
      program: 'lmtp',
      origTo: 'postmaster',
      connUse: 2,
      dsn: '4.2.0',
      reason: 'later',
      tls: 'TLSv1.3',
    },
    'lmtp 4QxZ1: to=<anna@example.org>, orig_to=<postmaster>, relay=mx.example.org[192.0.2.1]:25, conn_use=2, delay=1.2, delays=0.01/0.02/0.5/0.7, dsn=4.2.0, status=deferred (later)',
  ],
  [
    'bounced; orig_to differs by case only; quoted; a reply that tries to forge a line',
    {
      ...sent,
      kind: 'bounced',
      to: 'a b@example.org',
      origTo: 'A B@Example.org',
      relay: 'none',
      dsn: '5.4.4',
      reason: 'x)\r\nNov 23',
    },
    'smtp 4QxZ1: to=<"a b"@example.org>, relay=none, delay=1.2, delays=0.01/0.02/0.5/0.7, dsn=5.4.4, status=bounced (x)??Nov 23)',
  ],
  [
    'a bounce that soft_bounce softened',
    { ...sent, kind: 'deferred', relay: 'none', dsn: '4.1.1', reason: 'no such user', softBounce: true },
    'smtp 4QxZ1: to=<anna@example.org>, relay=none, delay=1.2, delays=0.01/0.02/0.5/0.7, dsn=4.1.1, status=SOFTBOUNCE (no such user)',
  ],
  [
    'activated',
    { kind: 'activated', queueId: '4QxZ1', from: 'ben@example.com', sizeBytes: 328, nrcpt: 2 },
    'qmgr 4QxZ1: from=<ben@example.com>, size=328, nrcpt=2 (queue active)',
  ],
  ['removed', { kind: 'removed', queueId: '4QxZ1' }, 'qmgr 4QxZ1: removed'],
  [
    'expired',
    { kind: 'expired', queueId: '4QxZ1', from: '' },
    'qmgr 4QxZ1: from=<>, status=expired, returned to sender',
  ],
  [
    'expired by an operator',
    { kind: 'expired', queueId: '4QxZ1', from: 'a@b.example', forced: true },
    'qmgr 4QxZ1: from=<a@b.example>, status=force-expired, returned to sender',
  ],
  [
    'accepted by SMTP',
    {
      kind: 'accepted',
      queueId: '4QxZ1',
      by: 'smtpd',
      clientName: 'c.example.com',
      clientAddress: '192.0.2.7',
      saslMethod: 'PLAIN',
      saslUsername: 'ben',
      messageId: '<1@example.com>',
    },
    'smtpd 4QxZ1: client=c.example.com[192.0.2.7], sasl_method=PLAIN, sasl_username=ben',
    'cleanup 4QxZ1: message-id=<1@example.com>',
  ],
  [
    'accepted from a local user',
    { kind: 'accepted', queueId: '4QxZ1', by: 'pickup', submitter: { uid: 1000, from: 'ben' } },
    'pickup 4QxZ1: uid=1000 from=<ben>',
  ],
  [
    'a notice of ours has no client',
    { kind: 'accepted', queueId: '4QxZ2', by: 'bounce', messageId: '<2@example.com>' },
    'cleanup 4QxZ2: message-id=<2@example.com>',
  ],
  [
    'notified',
    { kind: 'notified', queueId: '4QxZ1', notice: 'non-delivery', noticeQueueId: '4QxZ2' },
    'bounce 4QxZ1: sender non-delivery notification: 4QxZ2',
  ],
  [
    'the postmaster notified',
    { kind: 'notified', queueId: '4QxZ1', audience: 'postmaster', notice: 'delay', noticeQueueId: '4QxZ2' },
    'bounce 4QxZ1: postmaster delay notification: 4QxZ2',
  ],
  [
    'a warning about a message',
    { kind: 'remark', program: 'smtp', queueId: '4QxZ1', warning: true, text: 'host said too much' },
    'smtp warning: 4QxZ1: host said too much',
  ],
  [
    'a remark about no message',
    { kind: 'remark', program: 'smtp', text: 'connect to h[192.0.2.1]:25: Connection refused' },
    'smtp connect to h[192.0.2.1]:25: Connection refused',
  ],
  [
    'batched has no line',
    { kind: 'batched', queueId: '4QxZ1', batchId: 'b', transport: 'smtp', nexthop: 'x', requests: 1 },
  ],
])('%s', (_name, event, ...expected) => {
  expect(maillogLines(event, 'smtp', STYLE).map(({ program, text }) => `${program} ${text}`)).toEqual(
    expected,
  );
});

test.each([
  ['', ''],
  ['nodomain', 'nodomain'],
  ["it's+x@e.com", "it's+x@e.com"],
  ['a@b@e.com', '"a@b"@e.com'],
  ['a"\\b@e.com', '"a\\"\\\\b"@e.com'],
  ['a..b@e.com', '"a..b"@e.com'],
  ['@e.com', '""@e.com'],
  ['jürgen@e.com', 'jürgen@e.com'],
])('the address %s is logged as <%s>', (address, logged) => {
  const [line] = maillogLines({ kind: 'expired', queueId: 'Q', from: address }, 'qmgr', STYLE);
  expect(line?.text).toBe(`Q: from=<${logged}>, status=expired, returned to sender`);
});

test('the front of a line is the syslog stamp, the short host name and the program tag', () => {
  let nowMs = new Date(2026, 10, 3, 4, 5, 6).getTime();
  const format = makeMaillogFormat({
    syslogName: 'postfix',
    host: 'mx.example.com',
    pid: 77,
    now: () => nowMs,
  });
  expect(format({ program: 'qmgr', text: 'Q: removed' })).toBe(
    'Nov 03 04:05:06 mx postfix/qmgr[77]: Q: removed\n',
  );
  nowMs += 1000;
  expect(format({ program: 'qmgr', text: 'Q: removed' })).toMatch(/^Nov 03 04:05:07 /);
});

test('info_log_address_format: addresses are quoted where they need it, or as they are inside', () => {
  const event = { kind: 'expired', queueId: 'Q', from: 'a b@example.org' } as const;
  const textOf = (addressFormat: 'external' | 'internal') =>
    maillogLines(event, 'qmgr', { ...STYLE, addressFormat })[0]?.text;
  expect(textOf('external')).toContain('from=<"a b"@example.org>');
  expect(textOf('internal')).toContain('from=<a b@example.org>');
});
