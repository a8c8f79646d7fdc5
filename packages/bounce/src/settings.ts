/** The parameters that shape a notice, read once; see bounce(8). */
import type { Config } from '@mailfleet/config';
import { type MilterSettings, milterSettings } from '@mailfleet/milter';
import { type FilterPlan, openReceiptChecks } from '@mailfleet/mime';

export interface NoticeSettings {
  readonly myhostname: string;
  readonly myorigin: string;
  /** `mail_name` as it may stand in a header name: characters that are illegal in an atom become `-`. */
  readonly productName: string;
  readonly mailName: string;
  readonly notifyClasses: ReadonlySet<string>;
  readonly bounceSizeLimit: number;
  readonly maximalQueueLifetimeMs: number;
  readonly delayWarningMs: number;
  readonly smtputf8Enable: boolean;
  readonly threaded: boolean;
  readonly headerFromFormat: string;
  /** Full address of `double_bounce_sender`. */
  readonly doubleBounceAddress: string;
  /** header_checks and its kin; undefined: there are none. */
  readonly checks: FilterPlan | undefined;
  /** non_smtpd_milters; undefined: there are none. */
  readonly milters: MilterSettings | undefined;
  /** internal_mail_filter_classes: which notices both are asked about. */
  readonly filterClasses: ReadonlySet<string>;
  readonly bounceNoticeRecipient: string;
  readonly doubleBounceNoticeRecipient: string;
  /** One notice for each recipient of a message with VERP (`disable_verp_bounces`). */
  readonly verpBounces: boolean;
  readonly confirmDelayCleared: boolean;
  /** Whether mail with REQUIRETLS is returned without its content, and then without REQUIRETLS (`requiretls_redact_dsn`). */
  readonly requireTlsRedact: boolean;
  readonly delayNoticeRecipient: string;
  readonly errorNoticeRecipient: string;
}

/** @param warn is told of tables that cannot be used */
export function noticeSettings(
  config: Config,
  warn: (sentence: string) => void = () => undefined,
): NoticeSettings {
  const myhostname = config.get('myhostname');
  const myorigin = config.get('myorigin');
  const qualified = (address: string): string => (address.includes('@') ? address : `${address}@${myorigin}`);
  const mailName = config.get('mail_name');
  return {
    checks: openReceiptChecks(config, warn),
    milters: milterSettings(config),
    filterClasses: new Set(config.get('internal_mail_filter_classes').map((name) => name.toLowerCase())),
    myhostname,
    myorigin,
    productName: mailName.replace(/[^\w!#$%&'*+/=?^`{|}~-]/g, '-'),
    mailName,
    notifyClasses: new Set(config.get('notify_classes')),
    bounceSizeLimit: config.get('bounce_size_limit'),
    maximalQueueLifetimeMs: config.get('maximal_queue_lifetime'),
    delayWarningMs: config.get('delay_warning_time'),
    smtputf8Enable: config.get('smtputf8_enable'),
    threaded: config.get('enable_threaded_bounces'),
    headerFromFormat: config.get('header_from_format'),
    doubleBounceAddress: `${config.get('double_bounce_sender')}@${myhostname}`,
    verpBounces: !config.get('disable_verp_bounces'),
    confirmDelayCleared: config.get('confirm_delay_cleared'),
    requireTlsRedact: config.get('requiretls_redact_dsn'),
    bounceNoticeRecipient: qualified(config.get('bounce_notice_recipient')),
    doubleBounceNoticeRecipient: qualified(config.get('2bounce_notice_recipient')),
    delayNoticeRecipient: qualified(config.get('delay_notice_recipient')),
    errorNoticeRecipient: qualified(config.get('error_notice_recipient')),
  };
}
