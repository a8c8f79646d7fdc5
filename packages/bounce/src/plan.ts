/**
 * Who is told what: turns a request for a notice into the notices that are due, none, one or two.
 *
 * Pure. It is what makes mail loops impossible: the null sender never gets a notice, what goes to the postmaster
 * instead leaves from the double-bounce address, and mail from that address begets nothing (RFC 3461 section 6.1,
 * RFC 5321 section 6.1). NOTIFY is applied here and nowhere else (RFC 3461 section 5.2).
 */
import { type NoticeMaterial, type NoticeRequest, verpSender, wantsDelayNews } from '@mailfleet/queue';
import type { NoticeSettings } from './settings.ts';
import type { TemplateName } from './template.ts';

export type NoticeEntry = NoticeMaterial['entries'][number];

/** A notice that is due. */
export interface PlannedNotice {
  readonly audience: 'sender' | 'postmaster';
  /** A postmaster copy beside the sender's notice: headers only, and its loss is only a warning. */
  readonly copy: boolean;
  readonly template: TemplateName;
  /** Envelope sender: empty, or the double-bounce address. */
  readonly sender: string;
  readonly recipient: string;
  readonly entries: readonly NoticeEntry[];
  /** Quote the whole original, if its size is within the limit. */
  readonly full: boolean;
  /** One of several for one message: those of other recipients (VERP) are told apart by their entries. */
  readonly own?: true;
}

export type NoticePlan =
  | { readonly kind: 'post'; readonly notices: readonly [PlannedNotice, ...PlannedNotice[]] }
  /** Nobody is to be told; the request is fulfilled. `warning`: mail from the double-bounce address was lost. */
  | { readonly kind: 'cancelled'; readonly reason: string; readonly warning: boolean };

export function planNotices(
  notice: NoticeRequest['notice'],
  material: Pick<NoticeMaterial, 'envelope' | 'entries' | 'warned'>,
  settings: NoticeSettings,
): NoticePlan {
  const { envelope, entries } = material;
  if (entries.length === 0) {
    return cancelled('every recipient was reported before');
  }
  if (envelope.sender.toLowerCase() === settings.doubleBounceAddress.toLowerCase()) {
    return {
      ...cancelled('the message is a double bounce itself and is discarded'),
      warning: notice !== 'success',
    };
  }
  const rules = rulesOf(notice, settings);
  const { template, postmaster } = rules;
  if (envelope.sender === '') {
    const told =
      notice === 'success'
        ? entries.filter((entry) => isShown(entry, notice, rules, material, settings))
        : entries;
    if (told.length === 0) return cancelled('the server of each recipient reports to the sender');
    return rules.nullSenderClasses.some((name) => settings.notifyClasses.has(name))
      ? {
          kind: 'post',
          notices: [
            {
              audience: 'postmaster',
              copy: false,
              template,
              sender: settings.doubleBounceAddress,
              recipient: rules.nullSenderRecipient,
              entries: told,
              full: notice !== 'success',
            },
          ],
        }
      : cancelled(`the sender is null and notify_classes has no ${rules.nullSenderClasses.join(' or ')}`);
  }

  // Each report about one message, or with VERP about one recipient.
  const own = envelope.verp !== undefined && settings.verpBounces && rules.perRecipient;
  const groups = own ? entries.map((entry) => [entry]) : [entries];
  const notices = groups.flatMap((group) => {
    const shown = group.filter((entry) => isShown(entry, notice, rules, material, settings));
    const toSender: PlannedNotice = {
      audience: 'sender',
      copy: false,
      template,
      sender: '',
      recipient: own ? verpSender(envelope, group[0]?.recipient.address ?? '') : envelope.sender,
      entries: shown,
      full: rules.full && envelope.ret !== 'HDRS',
      ...(own ? { own } : {}),
    };
    const planned = shown.length > 0 ? [toSender] : [];
    if (postmaster !== undefined && settings.notifyClasses.has(postmaster.class)) {
      planned.push({
        audience: 'postmaster',
        copy: true,
        template,
        sender: settings.doubleBounceAddress,
        recipient: postmaster.recipient,
        entries: group,
        full: false,
        ...(own ? { own } : {}),
      });
    }
    return planned;
  });
  const [first, ...rest] = notices;
  return first === undefined
    ? cancelled('NOTIFY asks for no such notice')
    : { kind: 'post', notices: [first, ...rest] };
}

/** Whether the sender is told of this recipient. */
function isShown(
  { recipient, outcome }: NoticeEntry,
  notice: NoticeRequest['notice'],
  rules: Rules,
  { warned }: Pick<NoticeMaterial, 'warned'>,
  settings: NoticeSettings,
): boolean {
  if (notice !== 'success') return wants(recipient.notify, rules.notify);
  // A server that offers DSN took the wish for a report of success along with the message (RFC 3461 section 5.2.1).
  // That a delay is over is our own news: the warning was.
  const passedOn = recipient.notify?.includes('SUCCESS') === true && outcome.dsnPassedOn === true;
  return !passedOn || (warned && settings.confirmDelayCleared && wantsDelayNews(recipient.notify));
}

interface Rules {
  readonly template: TemplateName;
  /** With VERP each recipient has a notice of its own: failures only. */
  readonly perRecipient: boolean;
  /** The NOTIFY value that asks for it; absent: every recipient in the log is shown. */
  readonly notify?: 'FAILURE' | 'DELAY';
  readonly full: boolean;
  readonly postmaster?: { readonly class: string; readonly recipient: string };
  readonly nullSenderClasses: readonly string[];
  readonly nullSenderRecipient: string;
}

function rulesOf(notice: NoticeRequest['notice'], settings: NoticeSettings): Rules {
  switch (notice) {
    case 'failure':
    case 'expiry':
      return {
        template: 'failure',
        perRecipient: true,
        notify: 'FAILURE',
        full: true,
        postmaster: { class: 'bounce', recipient: settings.bounceNoticeRecipient },
        nullSenderClasses: ['bounce', '2bounce'],
        nullSenderRecipient: settings.doubleBounceNoticeRecipient,
      };
    case 'delay':
      return {
        template: 'delay',
        perRecipient: false,
        notify: 'DELAY',
        full: false,
        postmaster: { class: 'delay', recipient: settings.delayNoticeRecipient },
        nullSenderClasses: ['delay'],
        nullSenderRecipient: settings.delayNoticeRecipient,
      };
    case 'success':
      return {
        template: 'success',
        perRecipient: false,
        full: false,
        nullSenderClasses: ['2bounce'],
        nullSenderRecipient: settings.doubleBounceNoticeRecipient,
      };
  }
}

/** An absent NOTIFY means FAILURE and DELAY. */
function wants(notify: readonly string[] | undefined, value: 'FAILURE' | 'DELAY' | undefined): boolean {
  return value === undefined || notify === undefined || notify.length === 0 || notify.includes(value);
}

function cancelled(reason: string): NoticePlan & { readonly kind: 'cancelled' } {
  return { kind: 'cancelled', reason, warning: false };
}
