/**
 * Who is told what: turns a request for a notice into the notices that are due, none, one or two.
 *
 * Pure. It is what makes mail loops impossible: the null sender never gets a notice, what goes to the postmaster
 * instead leaves from the double-bounce address, and mail from that address begets nothing (RFC 3461 section 6.1,
 * RFC 5321 section 6.1). NOTIFY is applied here and nowhere else (RFC 3461 section 5.2).
 */
import type { NoticeMaterial, NoticeRequest } from '@mailfleet/queue';
import type { NoticeSettings } from './settings.ts';
import type { TemplateName } from './template.ts';

export type NoticeEntry = NoticeMaterial['entries'][number];

/** A notice that is due. */
export interface PlannedNotice {
  readonly audience: 'sender' | 'postmaster';
  /** A postmaster copy beside the sender's notice: headers only, no opening text, and its loss is only a warning. */
  readonly copy: boolean;
  readonly template: TemplateName;
  /** Envelope sender: empty, or the double-bounce address. */
  readonly sender: string;
  readonly recipient: string;
  readonly entries: readonly NoticeEntry[];
  /** Quote the whole original, if its size is within the limit. */
  readonly full: boolean;
}

export type NoticePlan =
  | { readonly kind: 'post'; readonly notices: readonly [PlannedNotice, ...PlannedNotice[]] }
  /** Nobody is to be told; the request is fulfilled. `warning`: mail from the double-bounce address was lost. */
  | { readonly kind: 'cancelled'; readonly reason: string; readonly warning: boolean };

export function planNotices(
  notice: NoticeRequest['notice'],
  material: Pick<NoticeMaterial, 'envelope' | 'entries'>,
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
              entries,
              full: notice !== 'success',
            },
          ],
        }
      : cancelled(`the sender is null and notify_classes has no ${rules.nullSenderClasses.join(' or ')}`);
  }

  const shown = entries.filter(
    // A server that offers DSN took the wish for a report of success along with the message (RFC 3461 section 5.2.1).
    ({ recipient, outcome }) => wants(recipient.notify, rules.notify) && outcome.dsnPassedOn !== true,
  );
  const toSender: PlannedNotice = {
    audience: 'sender',
    copy: false,
    template,
    sender: '',
    recipient: envelope.sender,
    entries: shown,
    full: rules.full && envelope.ret !== 'HDRS',
  };
  const notices = shown.length > 0 ? [toSender] : [];
  if (postmaster !== undefined && settings.notifyClasses.has(postmaster.class)) {
    notices.push({
      audience: 'postmaster',
      copy: true,
      template,
      sender: settings.doubleBounceAddress,
      recipient: postmaster.recipient,
      entries,
      full: false,
    });
  }
  const [first, ...rest] = notices;
  return first === undefined
    ? cancelled('NOTIFY asks for no such notice')
    : { kind: 'post', notices: [first, ...rest] };
}

interface Rules {
  readonly template: TemplateName;
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
        notify: 'FAILURE',
        full: true,
        postmaster: { class: 'bounce', recipient: settings.bounceNoticeRecipient },
        nullSenderClasses: ['bounce', '2bounce'],
        nullSenderRecipient: settings.doubleBounceNoticeRecipient,
      };
    case 'delay':
      return {
        template: 'delay',
        notify: 'DELAY',
        full: false,
        postmaster: { class: 'delay', recipient: settings.delayNoticeRecipient },
        nullSenderClasses: ['delay'],
        nullSenderRecipient: settings.delayNoticeRecipient,
      };
    case 'success':
      return {
        template: 'success',
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
