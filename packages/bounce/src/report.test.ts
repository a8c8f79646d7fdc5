import { makeConfig } from '@mailfleet/config';
import { dateDigits, mailDate } from '@mailfleet/mime';
import type { Envelope, Outcome, Recipient } from '@mailfleet/smtp';
import { describe, expect, test } from 'vitest';
import { openOriginal } from './original.ts';
import type { NoticeEntry, PlannedNotice } from './plan.ts';
import { type ReportInput, writeReport } from './report.ts';
import { noticeSettings } from './settings.ts';
import { builtinTemplate, type NoticeTemplate } from './template.ts';

const arrivalMs = Date.UTC(2026, 10, 23, 22, 0, 0);
const nowMs = arrivalMs + 90_000;

const envelope: Envelope = {
  queueId: '4CvbXk0Jbdz6cHb1K',
  sender: 'alice@example.org',
  sizeBytes: 120,
  arrivalMs,
  createdMs: arrivalMs,
};

const content =
  'From: alice@example.org\r\nSubject: Hi\r\n there\r\nMessage-ID: <1@h>\r\n\r\nBody: of it\r\n';

function entry(recipient: Partial<Recipient> = {}, outcome: Partial<Outcome> = {}): NoticeEntry {
  const address = recipient.address ?? 'bob@example.net';
  return {
    recipient: { index: 0, address, ...recipient },
    outcome: {
      recipient: 0,
      address,
      kind: 'bounced',
      status: '5.1.1',
      reason: 'host mx.example.net[192.0.2.1] said: 550 5.1.1 No such user (in reply to RCPT TO command)',
      relay: 'mx.example.net[192.0.2.1]:25',
      action: 'failed',
      remoteMta: 'mx.example.net',
      reply: '550 5.1.1 No such user',
      times: { arrivalMs, activatedMs: arrivalMs, handedOffMs: arrivalMs, setUpMs: arrivalMs, doneMs: nowMs },
      ...outcome,
    },
  };
}

interface Wanted {
  readonly envelope?: Partial<Envelope>;
  readonly notice?: Partial<PlannedNotice>;
  readonly config?: Record<string, string>;
  readonly content?: string | AsyncIterable<Uint8Array> | undefined;
  readonly template?: NoticeTemplate;
}

async function write(wanted: Wanted = {}): Promise<string> {
  const config = {
    myhostname: 'mail.example.com',
    mail_name: 'Mailfleet',
    smtputf8_enable: 'no',
    ...wanted.config,
  };
  const settings = noticeSettings(makeConfig(config));
  const notice: ReportInput['notice'] = {
    audience: 'sender',
    copy: false,
    template: 'failure',
    sender: '',
    recipient: 'alice@example.org',
    entries: [entry()],
    full: true,
    ...wanted.notice,
  };
  const source = 'content' in wanted ? wanted.content : content;
  const report = writeReport({
    queueId: '4CvbXk0Jbdznotice',
    nowMs,
    notice,
    template: wanted.template ?? builtinTemplate(notice.template, settings),
    envelope: { ...envelope, ...wanted.envelope },
    original:
      source === undefined
        ? undefined
        : await openOriginal(typeof source === 'string' ? Buffer.from(source) : source),
    settings,
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of report.bytes) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Header block and parts of a notice. */
function split(message: string): { header: string; parts: readonly string[] } {
  const boundary = /boundary="([^"]+)"/.exec(message)?.[1] ?? 'none';
  const [head = '', ...parts] = message.split(`\r\n--${boundary}`);
  expect(parts.at(-1)).toBe('--\r\n');
  return { header: head.slice(0, head.indexOf('\r\n\r\n')), parts: parts.slice(0, -1) };
}

describe('the message', () => {
  test('has its headers in order', async () => {
    expect(split(await write()).header.split('\r\n')).toEqual([
      'Received: by mail.example.com (Mailfleet)',
      `\tid 4CvbXk0Jbdznotice; ${mailDate(nowMs)}`,
      `Date: ${mailDate(nowMs)}`,
      'From: Mail Delivery System <MAILER-DAEMON@mail.example.com>',
      'Subject: Your mail could not be delivered and is returned',
      'To: alice@example.org',
      'Auto-Submitted: auto-replied',
      'MIME-Version: 1.0',
      'Content-Type: multipart/report; report-type=delivery-status;',
      '\tboundary="4CvbXk0Jbdz6cHb1K.1795471290/mail.example.com"',
      `Message-ID: <${dateDigits(nowMs)}.4CvbXk0Jbdznotice@mail.example.com>`,
    ]);
  });

  test('threads, passes TLS-Required on and writes the obsolete From when so configured or asked', async () => {
    const { header } = split(
      await write({
        config: { enable_threaded_bounces: 'yes', header_from_format: 'obsolete' },
        content: `TLS-Required: No\r\n${content}`,
      }),
    );
    expect(header).toContain(
      '\r\nReferences: <1@h>\r\nIn-Reply-To: <1@h>\r\nTLS-Required: no\r\nAuto-Submitted',
    );
    expect(header).toContain('From: MAILER-DAEMON@mail.example.com (Mail Delivery System)');
  });

  test('says auto-generated to a postmaster, with the postmaster’s subject and no opening text in a copy', async () => {
    const { header, parts } = split(
      await write({ notice: { audience: 'postmaster', copy: true, full: false } }),
    );
    expect(header).toContain('Auto-Submitted: auto-generated');
    expect(header).toContain('Subject: Postmaster copy');
    expect(parts[0]).not.toContain('mail system');
    expect(parts[0]).toContain('<bob@example.net>: host mx');
  });

  test.each([
    [{ config: { smtputf8_enable: 'no' } }, undefined, 'us-ascii'],
    [{ config: { smtputf8_enable: 'no' }, envelope: { encoding: '7bit' } }, '7bit', 'us-ascii'],
    [{ config: { smtputf8_enable: 'no' }, envelope: { encoding: '8bit' } }, '8bit', 'utf-8'],
    [
      { config: { smtputf8_enable: 'no' }, notice: { entries: [entry({}, { reason: 'größer' })] } },
      '8bit',
      'utf-8',
    ],
    [{ config: { smtputf8_enable: 'yes' }, envelope: { encoding: '7bit' } }, '8bit', 'utf-8'],
  ] as const)('case %# is labelled as it is', async (wanted, encoding, charset) => {
    const { header, parts } = split(await write(wanted));
    expect(/Content-Transfer-Encoding: (\S+)/.exec(header)?.[1]).toBe(encoding);
    expect(parts[0]).toContain(`Content-Type: text/plain; charset=${charset}\r\n`);
    expect(parts[2]?.includes('Content-Transfer-Encoding: 8bit')).toBe(encoding === '8bit');
  });

  test('keeps its boundary within 70 characters under a long host name', async () => {
    const message = await write({ config: { myhostname: `${'mail.'.repeat(12)}example.com` } });
    expect(/boundary="([^"]+)"/.exec(message)?.[1]).toHaveLength(70);
    expect(split(message).parts).toHaveLength(3);
  });
});

describe('delivery status', () => {
  test('has every field in order', async () => {
    const { parts } = split(
      await write({
        envelope: { envid: 'QQ314159' },
        notice: {
          entries: [entry({ orcpt: 'rfc822;Bob@Example.NET', originalAddress: 'list@example.org' })],
        },
      }),
    );
    expect(parts[1]?.trim().split('\r\n')).toEqual([
      'Content-Description: Delivery report',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mail.example.com',
      'Original-Envelope-Id: QQ314159',
      'X-Mailfleet-Queue-ID: 4CvbXk0Jbdz6cHb1K',
      'X-Mailfleet-Sender: rfc822; alice@example.org',
      `Arrival-Date: ${mailDate(arrivalMs)}`,
      '',
      'Final-Recipient: rfc822; bob@example.net',
      'Original-Recipient: rfc822;Bob@Example.NET',
      'Action: failed',
      'Status: 5.1.1',
      'Remote-MTA: dns; mx.example.net',
      'Diagnostic-Code: smtp; 550 5.1.1 No such user',
    ]);
  });

  test('says of a local decision what it was, of an expired recipient that it failed with its 4.x.x', async () => {
    const outcome = {
      ...entry().outcome,
      action: 'delayed',
      status: '4.4.1',
      reason: 'connect to mx: timed out',
    } as const;
    const { remoteMta: _mta, reply: _reply, ...local } = outcome;
    const { parts } = split(await write({ notice: { entries: [{ ...entry(), outcome: local }] } }));
    expect(parts[1]).toContain(
      'Action: failed\r\nStatus: 4.4.1\r\nDiagnostic-Code: X-Mailfleet; connect to mx: timed out\r\n',
    );
    expect(parts[1]).not.toContain('Will-Retry-Until');
  });

  test('says in a delay notice until when it is tried, and quotes headers', async () => {
    const { parts } = split(
      await write({
        notice: {
          template: 'delay',
          full: false,
          entries: [entry({}, { action: 'delayed', status: '4.2.0' })],
        },
      }),
    );
    expect(parts[1]).toContain('Action: delayed\r\nStatus: 4.2.0\r\n');
    expect(parts[1]?.trimEnd().split('\r\n').at(-1)).toBe(
      `Will-Retry-Until: ${mailDate(arrivalMs + 5 * 86_400_000)}`,
    );
    expect(parts[2]).toContain(
      'Content-Description: Undelivered Message Headers\r\nContent-Type: text/rfc822-headers',
    );
  });

  test('names the null sender, the original address that differs, and a product name fit for a header', async () => {
    const { parts } = split(
      await write({
        config: { mail_name: 'Mail fleet (x)' },
        envelope: { sender: '' },
        notice: {
          entries: [
            entry({ originalAddress: 'alias@example.org' }),
            entry({ originalAddress: 'BOB@example.net' }),
          ],
        },
      }),
    );
    expect(parts[1]).toContain('X-Mail-fleet--x--Sender: rfc822; MAILER-DAEMON@mail.example.com');
    expect(parts[1]?.match(/Original-Recipient: .*/g)).toEqual([
      'Original-Recipient: rfc822; alias@example.org',
    ]);
    expect(parts[2]).toContain('Return-Path: <MAILER-DAEMON@mail.example.com>');
  });

  test('uses the global forms for SMTPUTF8 mail, utf-8 only for addresses that need it', async () => {
    const { parts } = split(
      await write({
        envelope: { smtputf8: true },
        notice: { entries: [entry({ address: 'bøb@example.net' })] },
      }),
    );
    expect(parts[1]).toContain(
      'Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit',
    );
    expect(parts[1]).toContain('X-Mailfleet-Sender: rfc822; alice@example.org');
    expect(parts[1]).toContain('Final-Recipient: utf-8; bøb@example.net');
    expect(parts[2]).toContain('Content-Type: message/global\r\n');
  });

  test('stays US-ASCII for other mail', async () => {
    const message = await write({ notice: { entries: [entry({}, { reply: '550 Empfänger unbekannt' })] } });
    expect(message).toContain('Diagnostic-Code: smtp; 550 Empf?nger unbekannt');
  });

  test('lets no words of others end a line', async () => {
    const hostile = entry(
      { address: 'a b@example.net' },
      { reason: 'x\r\nStatus: 2.0.0', reply: 'y\nAction: delivered' },
    );
    const { parts } = split(
      await write({ envelope: { envid: 'e\r\n\r\nx' }, notice: { entries: [hostile] } }),
    );
    expect(parts[0]).toContain('<"a b"@example.net>: x??Status: 2.0.0');
    expect(parts[1]?.match(/^(Action|Status): .*$/gm)).toEqual(['Action: failed', 'Status: 5.1.1']);
    expect(parts[1]).toContain('Original-Envelope-Id: e????x');
  });
});

describe('the text', () => {
  test.each([
    ['4h', 'more than 4 hours', 'until it is 5 days old'],
    ['30m', 'more than 30 minutes', 'until it is 5 days old'],
    ['1d', 'more than 1 day.', 'until it is 5 days old'],
  ])('of a delay notice after %s says for how long', async (delay, since, until) => {
    const message = await write({ config: { delay_warning_time: delay }, notice: { template: 'delay' } });
    expect(message).toContain(since);
    expect(message).toContain(until);
  });

  test('names the alias, folds at 79 columns with 4 blanks, and keeps long words whole', async () => {
    const word = 'x'.repeat(100);
    const reason = `${'some words '.repeat(12)}${word} end`;
    const { parts } = split(
      await write({ notice: { entries: [entry({ originalAddress: 'alias@example.org' }, { reason })] } }),
    );
    const lines = parts[0]?.split('\r\n') ?? [];
    const first = lines.findIndex((line) => line.startsWith('<bob@'));
    const paragraph = lines.slice(first, lines.indexOf('', first));
    expect(paragraph[0]).toMatch(/^<bob@example\.net> \(expanded from <alias@example\.org>\): some words/);
    expect(paragraph.filter((line) => line.length > 79)).toEqual([`    ${word}`]);
    expect(paragraph.slice(1).every((line) => /^ {4}\S/.test(line))).toBe(true);
    expect(paragraph.map((line) => line.trim()).join(' ')).toContain(reason);
  });
});

describe('parameters', () => {
  test('enable_threaded_bounces adds References and In-Reply-To', async () => {
    const threads = async (value: string) =>
      split(await write({ config: { enable_threaded_bounces: value } })).header.includes('\r\nReferences: ');
    expect([await threads('yes'), await threads('no')]).toEqual([true, false]);
  });

  test('header_from_format chooses the form of From', async () => {
    const from = async (value: string) =>
      /From: .*/.exec(split(await write({ config: { header_from_format: value } })).header)?.[0];
    expect(await from('standard')).toBe('From: Mail Delivery System <MAILER-DAEMON@mail.example.com>');
    expect(await from('obsolete')).toBe('From: MAILER-DAEMON@mail.example.com (Mail Delivery System)');
  });

  test('requiretls_redact_dsn keeps the content of REQUIRETLS mail out of its notice, and TLS-Required too', async () => {
    const required = { envelope: { requireTls: true }, content: `TLS-Required: No\r\n${content}` };
    const redacted = await write({ ...required, config: { requiretls_redact_dsn: 'yes' } });
    expect(split(redacted).parts[2]).toContain('Content-Type: text/rfc822-headers');
    const whole = await write({ ...required, config: { requiretls_redact_dsn: 'no' } });
    expect(split(whole).parts[2]).toContain('Content-Type: message/rfc822');
    for (const message of [redacted, whole]) expect(split(message).header).not.toContain('TLS-Required');
  });
});

describe('the original, bounce_size_limit', () => {
  test.each([
    ['a lower limit', { config: { bounce_size_limit: '119' } }, false],
    ['a limit just met', { config: { bounce_size_limit: '120' } }, true],
    ['within the limit', { envelope: { sizeBytes: 50_000 } }, true],
    ['one byte above', { envelope: { sizeBytes: 50_001 } }, false],
    ['headers wanted', { notice: { full: false } }, false],
  ] as const)('%s', async (_name, wanted, full) => {
    const part = split(await write(wanted)).parts[2] ?? '';
    const type = full ? 'message/rfc822' : 'text/rfc822-headers';
    expect(part).toContain(
      `Content-Description: Undelivered Message${full ? '' : ' Headers'}\r\nContent-Type: ${type}`,
    );
    const quoted = part.slice(part.indexOf('\r\n\r\n') + 4);
    const [header = ''] = content.split('\r\n\r\n');
    expect(quoted).toBe(`Return-Path: <alice@example.org>\r\n${full ? content : `${header}\r\n`}`);
  });

  test('comes as a stream in any pieces, is passed on whole, and let go when only headers are wanted', async () => {
    for (const full of [true, false]) {
      let closed = false;
      async function* pieces(): AsyncGenerator<Uint8Array> {
        try {
          for (const byte of Buffer.from(content)) yield Uint8Array.of(byte);
        } finally {
          closed = true;
        }
      }
      const original = await openOriginal(pieces());
      expect(original.headers.toString()).toBe(content.slice(0, content.indexOf('\r\n\r\n') + 2));
      const chunks: Uint8Array[] = [];
      if (full) for await (const chunk of original.content()) chunks.push(chunk);
      expect(Buffer.concat(chunks).toString()).toBe(full ? content : '');
      await original.discard();
      expect(closed).toBe(true);
    }
  });

  test.each([
    ['no header at all\r\nSubject: x\r\n', ''],
    ['Subject: x', 'Subject: x'],
    [' continuation of nothing\r\nSubject: x\r\n', ''],
    ['Subject : x\r\n\tmore\r\nnot header\r\nTo: y\r\n', 'Subject : x\r\n\tmore\r\n'],
  ])('headers of %j are %j', async (bytes, headers) => {
    expect((await openOriginal(Buffer.from(bytes))).headers.toString()).toBe(headers);
  });

  test('that is gone is said so', async () => {
    expect(split(await write({ content: undefined })).parts[2]).toContain(
      'The original message is not available.',
    );
  });

  test('without a last line end does not run into the boundary', async () => {
    expect(split(await write({ content: 'A: b\r\n\r\nend' })).parts[2]?.endsWith('\r\nend\r\n')).toBe(true);
  });
});
