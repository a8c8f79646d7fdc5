/**
 * Notices field by field beside those of Debian's Postfix: every NOTIFY with every outcome, server and RET, and what else shapes a
 * report. Both systems get the same messages; Python's email package reads what they send. What differs on purpose is
 * taken out in `comparable`, each with its reason.
 */
import { installed } from '@mailfleet/test-kit';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Run, runFleet, runPostfix, type Scenario } from './two-systems.ts';

const NOTIFY = [
  '',
  'NEVER',
  'SUCCESS',
  'FAILURE',
  'DELAY',
  'SUCCESS,FAILURE',
  'SUCCESS,DELAY',
  'FAILURE,DELAY',
  'SUCCESS,FAILURE,DELAY',
] as const;
const OUTCOMES = [
  'ok@dsn.test',
  'ok@plain.test',
  'ok@lmtp.test',
  'fail@plain.test',
  'later@plain.test',
] as const;

const SENDER = 'alice@sender.dsn.test';

const combinations: Scenario[] = OUTCOMES.flatMap((address, outcome) =>
  NOTIFY.flatMap((notify, wish) =>
    ([undefined, 'FULL', 'HDRS'] as const).map((ret, quote) => ({
      id: `C${outcome}-${wish}-${quote}`,
      sender: SENDER,
      recipients: [{ address, ...(notify === '' ? {} : { parameters: `NOTIFY=${notify}` }) }],
      ...(ret === undefined ? {} : { ret }),
    })),
  ),
);

const others: readonly (Scenario & { readonly title: string })[] = [
  {
    title: 'one report names all recipients of an attempt that asked, and their original addresses',
    id: 'MANY',
    sender: SENDER,
    recipients: [
      { address: 'fail1@plain.test', parameters: 'NOTIFY=FAILURE ORCPT=rfc822;First+2BOne@else.test' },
      { address: 'fail2@plain.test', parameters: 'NOTIFY=NEVER' },
      { address: 'fail3@plain.test', parameters: 'ORCPT=utf-8;x@y.test' },
      { address: 'ok1@plain.test', parameters: 'NOTIFY=SUCCESS,FAILURE' },
      { address: 'ok2@plain.test', parameters: 'NOTIFY=SUCCESS ORCPT=x400;whatever' },
      { address: 'later1@plain.test', parameters: 'NOTIFY=DELAY,FAILURE' },
    ],
  },
  {
    title: 'bounce_size_limit: a larger original is quoted by its headers',
    id: 'LARGE',
    sender: SENDER,
    recipients: [{ address: 'fail@plain.test' }],
    ret: 'FULL',
    sizeBytes: 5000,
  },
  {
    title: '2bounce_notice_recipient: mail of the null sender that fails goes to the postmaster, whole',
    id: 'NULL',
    sender: '',
    recipients: [{ address: 'fail@plain.test' }],
    ret: 'HDRS',
  },
  {
    title: 'double_bounce_sender: mail of the double-bounce address begets nothing',
    id: 'TWICE',
    sender: 'double-bounce@mx.system.test',
    recipients: [{ address: 'fail@plain.test' }],
  },
  {
    title: 'SMTPUTF8 mail has the global forms',
    id: 'UTF8',
    sender: SENDER,
    recipients: [{ address: 'größe@plain.test' }],
    smtputf8: true,
  },
  {
    title: 'disable_verp_bounces = no: with VERP each recipient has a report of its own',
    id: 'VERP',
    sender: 'list@sender.dsn.test',
    recipients: [
      { address: 'fail1@plain.test' },
      { address: 'fail2@plain.test' },
      { address: 'ok@plain.test' },
    ],
    verp: '+=',
  },
];

/** A notice without what may differ. */
function comparable({ sender, recipient, report }: Run['notices'][number]) {
  const field = (block: readonly (readonly [string, string])[], name: string): string | undefined =>
    block.find(([each]) => each === name)?.[1];
  const status = report.parts[1];
  const subject = field(report.headers, 'Subject') ?? '';
  const custom = subject.startsWith('Custom');
  const blocks = status?.blocks?.map((block) => block.map(([name, value]) => [name, normal(name, value)]));
  return {
    sender,
    recipient,
    reportType: report.reportType,
    defects: report.defects,
    from: field(report.headers, 'From'),
    to: field(report.headers, 'To'),
    automatic: field(report.headers, 'Auto-Submitted'),
    version: field(report.headers, 'MIME-Version'),
    encoding: field(report.headers, 'Content-Transfer-Encoding'),
    // Subject, texts and preamble are our own, but where bounce_template_file says otherwise.
    ...(custom ? { subject } : {}),
    parts: report.parts.map(({ type, description, encoding, charset, text }, index) => ({
      type,
      description,
      encoding,
      charset,
      text:
        index === 0
          ? aboutRecipients(text ?? '', custom)
          : index === 2
            ? withoutTrace(text ?? '')
            : text?.split('\n').map((line) =>
                line
                  .replace(/^(X-Postfix-Queue-ID|Arrival-Date): .*/, '$1: …')
                  // Postfix 3.7 says rfc822 of what it made up itself; RFC 6533 section 3 wants utf-8.
                  .replace(/^(Original-Recipient): (?:rfc822|utf-8);(?=.*ö)/, '$1: utf-8;')
                  .replace(/(?<=127\.0\.0\.1\]?):\d+/, ':PORT'),
              ),
    })),
    blocks,
  };
}

/** Times and queue ids differ; that a time limit is five days after arrival does not. */
function normal(name: string, value: string): string {
  if (/-Queue-ID$/.test(name)) return /^[0-9A-Za-z]{10,}$/.test(value) ? 'a long queue id' : value;
  if (name === 'Arrival-Date') return Number.isNaN(Date.parse(value)) ? value : 'a date';
  if (name === 'Will-Retry-Until') return Number.isNaN(Date.parse(value)) ? value : 'a date';
  // The servers count what they take.
  return value.replace(/(queued as) .*/, '$1 …');
}

/** The paragraphs about recipients; ports and counts differ, and with them where lines are folded. */
function aboutRecipients(text: string, whole: boolean): readonly string[] {
  const lines = text
    .replace(/\[127\.0\.0\.1\]:\d+/g, '[127.0.0.1]:PORT')
    .replace(/queued\s+as\s+\S+/g, 'queued as …')
    .split(/\r?\n/);
  const first = whole ? 0 : lines.findIndex((line) => /^<[^>]+>(?: \(|:)/.test(line));
  return first < 0
    ? ['no recipient']
    : lines.slice(first).filter((line, at, all) => line !== '' || at < all.length - 1);
}

/** The quoted message below the Received header that each system adds. */
function withoutTrace(text: string): string {
  return text
    .replace(/\r\n/g, '\n')
    .replace(/^Received: .*\n(?:[ \t].*\n)*/m, '')
    .trimEnd();
}

const envelopeId = ({ report }: Run['notices'][number]): string => {
  const [block] = report.parts[1]?.blocks ?? [];
  return (
    block?.find(([name]) => name === 'Original-Envelope-Id')?.[1] ??
    /Original-Envelope-Id: (\S+)/.exec(report.parts[1]?.text ?? '')?.[1] ??
    'none'
  );
};

describe.skipIf(!installed(['postfix', 'python3']))('reports are those of Postfix', () => {
  let postfix: Run;
  let fleet: Run;

  beforeAll(async () => {
    const scenarios = [...combinations, ...others];
    postfix = await runPostfix(scenarios);
    fleet = await runFleet(scenarios);
  }, 240_000);

  const noticesOf = (run: Run, id: string) =>
    run.notices
      .filter((notice) => envelopeId(notice) === id)
      .map(comparable)
      .map((each) => ({ key: JSON.stringify([each.recipient, each.blocks ?? each.parts]), each }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ each }) => each);

  test.each(combinations)(
    'notify $recipients.0.parameters, $recipients.0.address, RET $ret ($id)',
    ({ id }) => {
      expect(noticesOf(fleet, id)).toEqual(noticesOf(postfix, id));
    },
  );

  test.each(others)('$title', ({ id }) => {
    const theirs = noticesOf(postfix, id);
    expect(noticesOf(fleet, id)).toEqual(theirs);
    expect(theirs.length > 0).toBe(id !== 'TWICE');
  });

  test('every notice is about one of the messages, and no notice begot another', () => {
    const known = new Set([...combinations, ...others].map(({ id }) => id));
    expect(fleet.notices.filter((notice) => !known.has(envelopeId(notice)))).toEqual([]);
    expect(fleet.notices).toHaveLength(postfix.notices.length);
    // A run in which nothing was asked for would compare nothing.
    expect(postfix.notices.length).toBeGreaterThan(150);
  });

  test('servers with DSN get ENVID, RET, NOTIFY and ORCPT as Postfix passes them on', () => {
    const asked = (run: Run) =>
      run.delivered
        .map(({ mailParameters: { ENVID, RET }, rcpt, sender }) =>
          JSON.stringify([
            sender,
            ENVID,
            RET,
            rcpt.map(({ address, parameters: { NOTIFY: notify, ORCPT } }) => [address, notify, ORCPT]),
          ]),
        )
        .sort();
    expect(asked(fleet)).toEqual(asked(postfix));
    expect(asked(fleet).join()).toContain('SUCCESS,DELAY');
  });
});
