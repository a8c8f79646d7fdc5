import { makeConfig } from '@mailfleet/config';
import type { NoticeRequest } from '@mailfleet/queue';
import type { Envelope, Notify, Outcome } from '@mailfleet/smtp';
import { describe, expect, test } from 'vitest';
import { type NoticeEntry, type NoticePlan, planNotices } from './plan.ts';
import { noticeSettings } from './settings.ts';

const envelope: Envelope = {
  queueId: '4CvbXk0Jbdz6cHb1K',
  sender: 'alice@example.org',
  sizeBytes: 1000,
  arrivalMs: 0,
  createdMs: 0,
};

const times = { arrivalMs: 0, activatedMs: 0, handedOffMs: 0, setUpMs: 0, doneMs: 0 };

function entry(index: number, notify?: readonly Notify[], kind: Outcome['kind'] = 'bounced'): NoticeEntry {
  const address = `r${index}@example.net`;
  return {
    recipient: { index, address, ...(notify === undefined ? {} : { notify }) },
    outcome: {
      recipient: index,
      address,
      kind,
      status: '5.1.1',
      reason: 'no',
      relay: 'none',
      action: 'failed',
      times,
    },
  };
}

function plan(
  notice: NoticeRequest['notice'],
  entries: readonly NoticeEntry[],
  options: {
    sender?: string;
    ret?: 'FULL' | 'HDRS';
    verp?: string;
    warned?: boolean;
    classes?: string;
    config?: Record<string, string>;
  } = {},
): NoticePlan {
  const { sender = envelope.sender, ret, verp, warned = false, classes = 'resource, software' } = options;
  const settings = noticeSettings(
    makeConfig({
      myhostname: 'mail.example.com',
      myorigin: 'example.com',
      notify_classes: classes,
      ...options.config,
    }),
  );
  return planNotices(
    notice,
    { envelope: { ...envelope, sender, ...(ret && { ret }), ...(verp && { verp }) }, entries, warned },
    settings,
  );
}

/** One line for each notice: who, from whom, about whom, how much of the original. */
function told(from: NoticePlan): readonly string[] {
  return from.kind === 'cancelled'
    ? []
    : from.notices.map(
        ({ audience, copy, sender, recipient, entries, full, template }) =>
          `${template} to ${audience} ${recipient} from <${sender}>: ${entries.map((each) => each.recipient.index)} ${full ? 'full' : 'headers'}${copy ? ' copy' : ''}`,
      );
}

/** NOTIFY values by the notices they let through to the sender. */
const wishes: readonly [readonly Notify[] | undefined, readonly NoticeRequest['notice'][]][] = [
  [undefined, ['failure', 'expiry', 'delay', 'success']],
  [[], ['failure', 'expiry', 'delay', 'success']],
  [['NEVER'], ['success']],
  [['FAILURE'], ['failure', 'expiry', 'success']],
  [['DELAY'], ['delay', 'success']],
  [['SUCCESS'], ['success']],
  [
    ['SUCCESS', 'FAILURE'],
    ['failure', 'expiry', 'success'],
  ],
  [
    ['FAILURE', 'DELAY'],
    ['failure', 'expiry', 'delay', 'success'],
  ],
];

const cases = wishes.flatMap(([notify, allowed]) =>
  (['failure', 'expiry', 'delay', 'success'] as const).flatMap((notice) =>
    ([undefined, 'FULL', 'HDRS'] as const).map((ret) => ({
      notify,
      notice,
      ret,
      sent: allowed.includes(notice),
    })),
  ),
);

describe('an ordinary sender', () => {
  // Success records are in the log only when they were asked for, so all of them are shown.
  test.each(cases)('NOTIFY=$notify RET=$ret $notice: sent $sent', ({ notify, notice, ret, sent }) => {
    const template = notice === 'expiry' ? 'failure' : notice;
    const full = template === 'failure' && ret !== 'HDRS';
    const expected = `${template} to sender alice@example.org from <>: 0 ${full ? 'full' : 'headers'}`;
    expect(told(plan(notice, [entry(0, notify)], ret === undefined ? {} : { ret }))).toEqual(
      sent ? [expected] : [],
    );
  });

  test('sees only the recipients that asked; the postmaster’s copy has all, headers only', () => {
    expect(
      told(plan('failure', [entry(0, ['FAILURE']), entry(1, ['NEVER'])], { classes: 'bounce' })),
    ).toEqual([
      'failure to sender alice@example.org from <>: 0 full',
      'failure to postmaster postmaster@example.com from <double-bounce@mail.example.com>: 0,1 headers copy',
    ]);
  });

  test('NEVER does not keep the copy from the postmaster', () => {
    expect(told(plan('failure', [entry(0, ['NEVER'])], { classes: 'bounce' }))).toEqual([
      'failure to postmaster postmaster@example.com from <double-bounce@mail.example.com>: 0 headers copy',
    ]);
  });

  test.each([
    ['delay', 'delay', 2],
    ['delay', 'bounce', 1],
    ['success', 'bounce, 2bounce, delay', 1],
    ['failure', '2bounce, delay', 1],
  ] as const)('%s with class %s makes %d notices', (notice, classes, count) => {
    expect(told(plan(notice, [entry(0)], { classes }))).toHaveLength(count);
  });

  test('gets no report of success from us when a server with DSN took the mail over', () => {
    const passedOn = { ...entry(1, ['SUCCESS'], 'delivered').outcome, dsnPassedOn: true };
    const entries = [entry(0, ['SUCCESS'], 'delivered'), { ...entry(1, ['SUCCESS']), outcome: passedOn }];
    expect(told(plan('success', entries))).toEqual([
      'success to sender alice@example.org from <>: 0 headers',
    ]);
    expect(told(plan('success', entries.slice(1)))).toEqual([]);
  });

  test('hears with confirm_delay_cleared that a delay is over, whoever reports the success', () => {
    const config = { confirm_delay_cleared: 'yes' };
    const cleared = (notify: readonly Notify[] | undefined, dsnPassedOn: boolean, warned = true) =>
      told(
        plan(
          'success',
          [
            {
              recipient: entry(0, notify).recipient,
              outcome: { ...entry(0, notify, 'delivered').outcome, dsnPassedOn },
            },
          ],
          { warned, config },
        ),
      ).length;
    expect(cleared(undefined, true)).toBe(1);
    expect(cleared(['SUCCESS', 'DELAY'], true)).toBe(1);
    expect(cleared(['SUCCESS'], true)).toBe(0);
    expect(cleared(['SUCCESS', 'DELAY'], true, false)).toBe(0);
  });

  test('gets nothing when the log is empty: it was reported before', () => {
    expect(told(plan('failure', [], { classes: 'bounce' }))).toEqual([]);
  });
});

describe('VERP', () => {
  const bounced = [entry(0), entry(1, ['NEVER']), entry(2)];
  const verp = { verp: '+=', sender: 'list@example.org', classes: 'bounce' };

  test('each recipient’s notice goes to the sender of its copy, and the postmaster gets a copy of each', () => {
    const copy =
      'failure to postmaster postmaster@example.com from <double-bounce@mail.example.com>: N headers copy';
    expect(told(plan('failure', bounced, verp))).toEqual([
      'failure to sender list+r0=example.net@example.org from <>: 0 full',
      copy.replace('N', '0'),
      copy.replace('N', '1'),
      'failure to sender list+r2=example.net@example.org from <>: 2 full',
      copy.replace('N', '2'),
    ]);
  });

  test('disable_verp_bounces makes it one notice', () => {
    expect(told(plan('failure', bounced, { ...verp, config: { disable_verp_bounces: 'yes' } }))).toEqual([
      'failure to sender list@example.org from <>: 0,2 full',
      'failure to postmaster postmaster@example.com from <double-bounce@mail.example.com>: 0,1,2 headers copy',
    ]);
  });

  test('a delay warning is one for all', () => {
    expect(told(plan('delay', bounced, verp))).toEqual([
      'delay to sender list@example.org from <>: 0,2 headers',
    ]);
  });

  test('the null sender and the double-bounce address get nothing more by it', () => {
    expect(told(plan('failure', bounced, { ...verp, sender: '' }))).toHaveLength(1);
    expect(told(plan('failure', bounced, { ...verp, sender: 'double-bounce@mail.example.com' }))).toEqual([]);
  });
});

describe('who the postmaster is', () => {
  test.each([
    ['bounce_notice_recipient', 'failure', 'bounce', 'alice@example.org'],
    ['delay_notice_recipient', 'delay', 'delay', 'alice@example.org'],
    ['delay_notice_recipient', 'delay', 'delay', ''],
    ['2bounce_notice_recipient', 'failure', '2bounce', ''],
    ['2bounce_notice_recipient', 'expiry', 'bounce', ''],
    ['2bounce_notice_recipient', 'success', '2bounce', ''],
  ] as const)('%s gets the %s notice of class %s from <%s>', (name, notice, classes, sender) => {
    const made = plan(notice, [entry(0)], { sender, classes, config: { [name]: 'ops@example.com' } });
    expect(made.kind === 'post' ? made.notices.at(-1)?.recipient : undefined).toBe('ops@example.com');
  });

  test('notify_classes without a class sends none of its copies', () => {
    expect(told(plan('failure', [entry(0)], { classes: 'delay, 2bounce, protocol' }))).toHaveLength(1);
    expect(told(plan('delay', [entry(0)], { classes: 'bounce, 2bounce, data' }))).toHaveLength(1);
  });

  test('double_bounce_sender names whom copies come from, and whose mail begets nothing', () => {
    const config = { double_bounce_sender: 'twice' };
    const copy = plan('failure', [entry(0)], { classes: 'bounce', config });
    expect(copy.kind === 'post' ? copy.notices[1]?.sender : undefined).toBe('twice@mail.example.com');
    const sender = 'twice@mail.example.com';
    expect(plan('failure', [entry(0)], { sender, config })).toMatchObject({ kind: 'cancelled' });
  });
});

describe('loops', () => {
  test.each(['failure', 'expiry', 'delay', 'success'] as const)(
    'the null sender gets no %s notice, and with default classes nobody does',
    (notice) => {
      expect(plan(notice, [entry(0)], { sender: '' })).toMatchObject({ kind: 'cancelled', warning: false });
    },
  );

  test.each([
    ['failure', 'bounce', 'failure', 'full'],
    ['failure', '2bounce', 'failure', 'full'],
    ['expiry', '2bounce', 'failure', 'full'],
    ['delay', 'delay', 'delay', 'full'],
    ['success', '2bounce', 'success', 'headers'],
  ] as const)(
    '%s of null-sender mail goes to the postmaster with class %s',
    (notice, classes, template, quoted) => {
      expect(told(plan(notice, [entry(0, ['NEVER'])], { sender: '', classes, ret: 'HDRS' }))).toEqual([
        `${template} to postmaster postmaster@example.com from <double-bounce@mail.example.com>: 0 ${quoted}`,
      ]);
    },
  );

  test('a success that a server with DSN will report is not reported to the postmaster either', () => {
    const passedOn = { ...entry(0, ['SUCCESS'], 'delivered').outcome, dsnPassedOn: true };
    const entries = [{ recipient: entry(0, ['SUCCESS']).recipient, outcome: passedOn }];
    expect(told(plan('success', entries, { sender: '', classes: '2bounce' }))).toEqual([]);
  });

  test('class bounce alone is not enough for success reports of null-sender mail', () => {
    expect(told(plan('success', [entry(0)], { sender: '', classes: 'bounce, delay' }))).toEqual([]);
  });

  test('mail from the double-bounce address begets nothing, whatever the classes', () => {
    const classes = 'bounce, 2bounce, delay, resource, software';
    for (const notice of ['failure', 'expiry', 'delay', 'success'] as const) {
      const made = plan(notice, [entry(0)], { sender: 'Double-Bounce@Mail.Example.COM', classes });
      expect(made).toMatchObject({ kind: 'cancelled', warning: notice !== 'success' });
    }
  });
});
