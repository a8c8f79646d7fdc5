/**
 * Fulfils one request for a notice: material from the queue, notices into the queue as new mail, and word to the
 * leader that it is done.
 *
 * Nothing is lost when it fails half-way: the request is run again, and a notice that was posted before is found
 * under its derived queue id. The notice for the sender must be posted; a postmaster copy that cannot be is only
 * warned about, as bounce(8) does.
 */

import { ContentFilter } from '@mailfleet/mime';
import type {
  BouncePort,
  Content,
  IntakePort,
  NoticeMaterial,
  NoticeRequest,
  RoutedRecipient,
  TranscriptNotice,
} from '@mailfleet/queue';
import type { Router } from '@mailfleet/routing';
import type { Envelope } from '@mailfleet/smtp';
import type { Telemetry } from '@mailfleet/telemetry';
import { askMilters } from './milters.ts';
import { noticeQueueId } from './notice-id.ts';
import { type Original, openOriginal } from './original.ts';
import { type PlannedNotice, planNotices } from './plan.ts';
import { writeReport } from './report.ts';
import type { NoticeSettings } from './settings.ts';
import type { Templates } from './templates.ts';
import { writeTranscript } from './transcript.ts';

export interface Notifier {
  readonly settings: NoticeSettings;
  readonly templates: Templates;
  readonly queue: Pick<BouncePort, 'noticeMaterial' | 'noticePosted'> &
    Pick<IntakePort, 'spoolContent' | 'dropContent' | 'readSpooled' | 'accept'>;
  readonly router: Pick<Router, 'route'>;
  readonly telemetry: Pick<Telemetry, 'emit'>;
  readonly now: () => number;
}

/** How long the queue knows a notice after it left: beyond any delay between posting it and saying so. */
const rememberMs = 86_400_000;

const kinds = {
  failure: 'non-delivery',
  expiry: 'non-delivery',
  delay: 'delay',
  success: 'delivery status',
} as const;

/** @param traceparent trace that the notice, as new mail, belongs to */
export async function notify(
  notifier: Notifier,
  request: NoticeRequest,
  traceparent: string | undefined,
): Promise<void> {
  const { queue } = notifier;
  const material = await queue.noticeMaterial(request);
  if (material === undefined) {
    await conclude(notifier, request, 'the message is gone', []);
    return;
  }
  const reported = material.entries.map(({ recipient }) => recipient.index);
  const plan = planNotices(request.notice, material, notifier.settings);
  if (plan.kind === 'cancelled') {
    await release(material.content);
    if (plan.warning) {
      warn(notifier, request, plan.reason);
    }
    await conclude(notifier, request, `no ${kinds[request.notice]} notification: ${plan.reason}`, reported);
    return;
  }
  const original = material.content === undefined ? undefined : await openOriginal(material.content);
  try {
    const posted: string[] = [];
    for (const notice of plan.notices) {
      const text = await post(notifier, request, {
        notice,
        envelope: material.envelope,
        original,
        reported,
        traceparent,
      });
      posted.push(...(text === undefined ? [] : [text]));
    }
    await conclude(notifier, request, posted.join(', '), reported);
  } finally {
    await original?.discard();
  }
}

interface Posting {
  readonly notice: PlannedNotice;
  readonly envelope: Envelope;
  readonly original: Original | undefined;
  /** Recipients that the material is about; the notice may leave some out. */
  readonly reported: readonly number[];
  readonly traceparent: string | undefined;
}

/** What was posted, in words; undefined when it was a copy that could not be. */
async function post(
  notifier: Notifier,
  request: NoticeRequest,
  posting: Posting,
): Promise<string | undefined> {
  const { audience, copy, entries, own } = posting.notice;
  const notice = kinds[request.notice];
  const about = own === true ? entries.map(({ recipient }) => recipient.index) : posting.reported;
  const queueId = noticeQueueId(request, audience, about);
  try {
    await submit(notifier, queueId, posting);
  } catch (error) {
    if (!copy) {
      throw error;
    }
    const cause = error instanceof Error ? error.message : String(error);
    warn(notifier, request, `the postmaster copy could not be queued: ${cause}`);
    return undefined;
  }
  notifier.telemetry.emit({
    kind: 'notified',
    queueId: request.queueId,
    audience,
    notice,
    noticeQueueId: queueId,
  });
  return `${audience} ${notice} notification: ${queueId}`;
}

async function submit(
  notifier: Notifier,
  queueId: string,
  { notice, envelope, original, traceparent }: Posting,
): Promise<void> {
  const { now, queue, router, settings, templates } = notifier;
  const nowMs = now();
  const report = writeReport({
    queueId,
    nowMs,
    notice,
    template: templates[notice.template],
    envelope,
    original,
    settings,
  });
  const audience = notice.audience === 'postmaster' ? 'notify' : 'bounce';
  const inspection = inspectionOf(notifier, audience, queueId);
  const spooled = await queue.spoolContent(inspection?.stream(report.bytes) ?? report.bytes);
  if (isThrownAway(inspection)) {
    await queue.dropContent(spooled);
    return;
  }
  const passed = await askMilters(notifier, audience, {
    queueId,
    sender: notice.sender,
    recipients: [notice.recipient],
    content: spooled,
  });
  if (passed === undefined) return;
  const { sender, recipients, content, hold } = passed;
  const routed = await routeAll(router, recipients, sender).catch(async (error: unknown) => {
    await queue.dropContent(content);
    throw error;
  });
  // 'exists' means that an earlier run posted it: as good as accepted.
  await queue.accept({
    envelope: {
      queueId,
      sender,
      sizeBytes: sizeOf(content),
      ...(report.encoding === undefined ? {} : { encoding: report.encoding }),
      ...(envelope.smtputf8 === true ? { smtputf8: true } : {}),
      ...(envelope.requireTls === true && !settings.requireTlsRedact ? { requireTls: true } : {}),
      arrivalMs: nowMs,
      createdMs: nowMs,
      messageId: report.messageId,
      ...(traceparent === undefined ? {} : { traceparent }),
    },
    recipients: routed,
    content,
    hold,
    rememberMs,
    notice: true,
  });
}

/** Asks header_checks and body_checks about a notice, where internal_mail_filter_classes wants that; undefined: nothing is asked. */
function inspectionOf(
  { settings, telemetry }: Notifier,
  mailClass: 'bounce' | 'notify',
  queueId: string,
): ContentFilter | undefined {
  const { checks, filterClasses } = settings;
  if (checks === undefined || !filterClasses.has(mailClass)) return undefined;
  return new ContentFilter(checks, (text, warning) =>
    telemetry.emit({ kind: 'remark', program: 'cleanup', queueId, text, ...(warning ? { warning } : {}) }),
  );
}

/**
 * Whether a check threw the notice away. A refusal does, too: whoever would be told of it is the one who is told already. Throws when a
 * table could not be asked: the request is run again.
 */
function isThrownAway(filter: ContentFilter | undefined): boolean {
  if (filter?.failure !== undefined)
    throw new Error('the notice could not be checked (header_checks, body_checks)');
  return filter?.sentence !== undefined;
}

async function routeAll(
  router: Notifier['router'],
  recipients: readonly string[],
  sender: string,
): Promise<RoutedRecipient[]> {
  const routed: RoutedRecipient[] = [];
  for (const [index, recipient] of recipients.entries()) {
    const route = await router.route(recipient, sender);
    if (route.kind === 'error') {
      throw new Error(`no route for <${route.address}>: ${route.reason}`);
    }
    const { address, transport, nexthop } = route;
    routed.push({ index, address, transport, nexthop });
  }
  return routed;
}

/** Posts a session's transcript to the postmaster, under the queue id that the request brings. */
export async function notifyOfSession(
  notifier: Notifier,
  request: TranscriptNotice,
  traceparent: string | undefined,
): Promise<void> {
  const { now, queue, router, settings, telemetry } = notifier;
  const nowMs = now();
  const { noticeQueueId, peer, program, queueId } = request;
  const { bytes: written, messageId, recipient } = writeTranscript(request, settings, nowMs);
  const inspection = inspectionOf(notifier, 'notify', noticeQueueId);
  const bytes = (await inspection?.whole(written)) ?? written;
  if (isThrownAway(inspection)) return;
  const passed = await askMilters(notifier, 'notify', {
    queueId: noticeQueueId,
    sender: settings.doubleBounceAddress,
    recipients: [recipient],
    content: { kind: 'inline', bytes },
  });
  if (passed === undefined) return;
  const { sender, recipients, content, hold } = passed;
  await queue.accept({
    envelope: {
      queueId: noticeQueueId,
      sender,
      sizeBytes: sizeOf(content),
      arrivalMs: nowMs,
      createdMs: nowMs,
      messageId,
      ...(traceparent === undefined ? {} : { traceparent }),
    },
    recipients: await routeAll(router, recipients, sender),
    content,
    hold,
    rememberMs,
    notice: true,
  });
  const text = `transcript of the session with ${peer} to postmaster: ${noticeQueueId}`;
  telemetry.emit({ kind: 'remark', program, text, ...(queueId === undefined ? {} : { queueId }) });
}

function sizeOf(content: Content): number {
  return content.kind === 'inline' ? content.bytes.length : content.sizeBytes;
}

async function conclude(
  { now, queue }: Notifier,
  request: NoticeRequest,
  detail: string,
  reported: readonly number[],
): Promise<void> {
  await queue.noticePosted(request, { atMs: now(), step: 'notified', detail }, reported);
}

/** Lets go of content that nobody will read. */
async function release(content: NoticeMaterial['content']): Promise<void> {
  if (content !== undefined && !Buffer.isBuffer(content)) {
    await content[Symbol.asyncIterator]().return?.();
  }
}

function warn({ telemetry }: Notifier, { queueId }: NoticeRequest, text: string): void {
  telemetry.emit({ kind: 'remark', program: 'bounce', queueId, warning: true, text });
}
