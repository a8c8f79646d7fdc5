/**
 * TLS reports in the bounce daemon (`smtp_tlsrpt_enable`): looks every minute whether one is due. Several daemons share the work; nobody
 * leads, since each report is taken before it is sent.
 */
import type { Config } from '@mailfleet/config';
import type { IntakePort, ScriptPort } from '@mailfleet/queue';
import { createResolver, type Router } from '@mailfleet/routing';
import { openReportStore } from '@mailfleet/scache';
import { stsDns } from '@mailfleet/smtp';
import type { Telemetry } from '@mailfleet/telemetry';
import { sendDueReports } from './send-reports.ts';

const LOOK_MS = 60_000;

interface RunReportsOptions {
  readonly config: Config;
  readonly queue: IntakePort & ScriptPort;
  readonly telemetry: Pick<Telemetry, 'emit'>;
}

/** @returns ends it, when the report at hand is out */
export const sendReportsMeanwhile = (
  { config, queue, telemetry }: RunReportsOptions,
  router: Pick<Router, 'route'>,
): (() => Promise<void>) => {
  if (!config.get('smtp_tlsrpt_enable')) return async () => undefined;
  const note = (text: string): void => telemetry.emit({ kind: 'remark', program: 'bounce', text });
  const { txt, addresses } = stsDns(createResolver({ servers: config.get('dns_servers') }));
  const options = {
    config,
    store: openReportStore(queue),
    queue,
    router,
    txt,
    outside: { addresses },
    note,
  };
  const stop = new AbortController();
  let running: Promise<unknown> = Promise.resolve();
  let busy = false;
  const look = (): void => {
    if (busy) return;
    busy = true;
    running = sendDueReports(options, stop.signal)
      .catch((error: unknown) => {
        note(`TLS reports wait: ${error instanceof Error ? error.message : String(error)}`);
      })
      .finally(() => {
        busy = false;
      });
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  look();
  return async () => {
    clearInterval(timer);
    stop.abort();
    await running;
  };
};
