/**
 * One typed event for every step of a message's life. `Telemetry.emit` turns it into the Postfix-format log line, the
 * pino record, metrics and span events; no package logs the same fact twice. Times are milliseconds since the epoch.
 */

import type { OutcomeClass } from './outcome-class/status.ts';

interface About {
  readonly queueId: string;
}

/** What every event may have. */
interface Common {
  /** In place of the process's own: syslog_name of a transport. */
  readonly syslogName?: string;
}

/** The fields of a delivery agent's log line (postfix `to=<…>, relay=…`). */
export interface DeliveryFields {
  readonly to: string;
  readonly origTo?: string;
  readonly relay: string;
  readonly connUse?: number;
  /** arrival, active, handed off, set up, done. */
  readonly times: {
    readonly arrivalMs: number;
    readonly activatedMs: number;
    readonly handedOffMs: number;
    readonly setUpMs: number;
    readonly doneMs: number;
  };
  readonly dsn: string;
  readonly reason: string;
  /** Why it was not delivered, in one word. */
  readonly class?: OutcomeClass;
  readonly tls?: string;
  readonly cipher?: string;
  /** `smtp_log_tls_feature_status`; in the log line too. */
  readonly tlsStatus?: string;
  /** `soft_bounce` made a deferral of a bounce: status=SOFTBOUNCE. */
  readonly softBounce?: boolean;
}

export type MailEvent = Common & MailStep;

type MailStep =
  | (About & {
      readonly kind: 'accepted';
      /** smtpd, http, pickup: the program name of the log line. */
      readonly by: string;
      readonly clientName?: string;
      readonly clientAddress?: string;
      readonly saslMethod?: string;
      readonly saslUsername?: string;
      readonly messageId?: string;
      /** User id and envelope sender of a local submission: `pickup: uid=… from=<…>` instead of `client=`. */
      readonly submitter?: { readonly uid: number; readonly from: string };
    })
  /** qmgr: `from=<…>, size=…, nrcpt=… (queue active)` */
  | (About & {
      readonly kind: 'activated';
      readonly from: string;
      readonly sizeBytes: number;
      readonly nrcpt: number;
    })
  | (About & {
      readonly kind: 'batched';
      readonly batchId: string;
      readonly transport: string;
      readonly nexthop: string;
      readonly requests: number;
    })
  /** Delivery agent: `to=<…>, relay=…, delay=…, delays=a/b/c/d, dsn=…, status=…` */
  | (About & {
      readonly kind: 'delivered' | 'deferred' | 'bounced';
      readonly program: string;
    } & DeliveryFields)
  /** bounce: `sender non-delivery notification: <queue id>`, or `postmaster …` */
  | (About & {
      readonly kind: 'notified';
      /** Whom the notice is for; absent means the sender. */
      readonly audience?: 'sender' | 'postmaster';
      readonly notice: 'non-delivery' | 'delay' | 'delivery status';
      readonly noticeQueueId: string;
    })
  /** qmgr: `from=<…>, status=expired, returned to sender`; `forced`: an operator expired it (status=force-expired). */
  | (About & { readonly kind: 'expired'; readonly from: string; readonly forced?: boolean })
  /** An alarm: `warning: <queue id>: saving corrupt message in the corrupt queue: <why>`. */
  | (About & { readonly kind: 'corrupt'; readonly program: string; readonly why: string })
  | (About & { readonly kind: 'held' | 'released' | 'removed' | 'deleted' })
  | (About & { readonly kind: 'in-doubt'; readonly batchId: string; readonly detail: string })
  /** A remark of the client about one message or none, as smtp(8) logs it. */
  | {
      readonly kind: 'remark';
      readonly program: string;
      readonly queueId?: string;
      readonly warning?: boolean;
      readonly text: string;
    };
