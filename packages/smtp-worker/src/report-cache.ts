/** Logs what the connection cache was good for, every `connection_cache_status_update_time` and at the end, as scache(8) does. */
import type { SessionPool } from '@mailfleet/smtp';
import type { Telemetry } from '@mailfleet/telemetry';

/** @returns ends it, with a last report */
export function reportCache(
  sessions: SessionPool,
  intervalMs: number,
  telemetry: Pick<Telemetry, 'emit'>,
): () => void {
  const report = (): void => {
    for (const text of sessions.statistics.report(Date.now())) {
      telemetry.emit({ kind: 'remark', program: 'scache', text });
    }
  };
  const timer = setInterval(report, intervalMs);
  return () => {
    clearInterval(timer);
    report();
  };
}
