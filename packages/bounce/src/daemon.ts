/**
 * The bounce daemon: takes requests for notices as they come and fulfils them, several processes side by side.
 *
 * It keeps nothing: a request whose process dies or whose posting fails is handed out again by the queue.
 */
import type { Config } from '@mailfleet/config';
import type {
  BouncePort,
  IntakePort,
  NoticeRequest,
  ScriptPort,
  TranscriptNotice,
  WebhookPort,
} from '@mailfleet/queue';
import { createRouter } from '@mailfleet/routing';
import {
  contextFrom,
  type Progress,
  type Telemetry,
  traceparentOf,
  type Watchdog,
  withSpan,
} from '@mailfleet/telemetry';
import { notify, notifyOfSession } from './notify.ts';
import { noticeSettings } from './settings.ts';
import { openTemplates } from './templates.ts';
import { sendReportsMeanwhile } from './tlsrpt/run-reports.ts';
import { openWebhook, webhookLimits } from './webhook/post.ts';

export interface BounceOptions {
  readonly config: Config;
  readonly queue: BouncePort & IntakePort & ScriptPort & WebhookPort;
  readonly telemetry: Pick<Telemetry, 'emit'>;
  /** Unique name of the process. */
  readonly name: string;
  /** Aborts when the daemon must drain: notices in hand are finished. */
  readonly signal: AbortSignal;
  readonly progress?: Progress;
  readonly watchdog?: Watchdog;
}

/** Resolves when it has drained after the signal; rejects when a template cannot be used or the queue is lost. */
export async function runBounce(options: BounceOptions): Promise<void> {
  const { config, queue, telemetry, name, signal } = options;
  const warn = (text: string): void =>
    telemetry.emit({ kind: 'remark', program: 'bounce', warning: true, text });
  const notifier = {
    settings: noticeSettings(config, warn),
    templates: openTemplates(config, warn),
    queue,
    router: createRouter(config),
    telemetry,
    now: Date.now,
  };
  const progress = options.progress?.expect('taking requests for notices');
  const work = { signal, name, ...(progress === undefined ? {} : { progress }) };
  const traced = <R extends NoticeRequest | TranscriptNotice>(
    request: R,
    run: (request: R, traceparent: string | undefined) => Promise<void>,
  ): Promise<void> => {
    const { queueId, notice } = request;
    const spanOptions = {
      parent: contextFrom(request.traceparent),
      attributes: {
        'mailfleet.notice': notice,
        ...(queueId === undefined ? {} : { 'mailfleet.queue_id': queueId }),
      },
    };
    const watched = options.watchdog?.watch(`notice (${notice}) of ${queueId ?? 'a session'}`);
    return withSpan('notify', spanOptions, (_span, spanContext) =>
      run(request, traceparentOf(spanContext) ?? request.traceparent),
    ).finally(() => watched?.done());
  };
  const post = openWebhook(config);
  const stopReports = sendReportsMeanwhile(options, notifier.router);
  try {
    await Promise.all([
      queue.workNotices(
        work,
        (request) => traced(request, (...rest) => notify(notifier, ...rest)),
        (request) => traced(request, (...rest) => notifyOfSession(notifier, ...rest)),
      ),
      post && queue.workWebhooks({ signal, name, ...webhookLimits(config) }, post),
    ]);
  } finally {
    await stopReports();
  }
}
