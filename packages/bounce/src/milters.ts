/** non_smtpd_milters for notices, where internal_mail_filter_classes wants that. */
import { applyMilters } from '@mailfleet/milter';
import type { Content } from '@mailfleet/queue';
import type { Notifier } from './notify.ts';

interface Notice {
  readonly queueId: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly content: Content;
}

/**
 * Undefined: thrown away, as a check would (`isThrownAway`), and the content is dropped. Throws when a milter says to try again: the
 * request is run again.
 */
export async function askMilters(
  { settings, queue, telemetry }: Pick<Notifier, 'settings' | 'queue' | 'telemetry'>,
  mailClass: 'bounce' | 'notify',
  notice: Notice,
): Promise<(Notice & { readonly hold: boolean }) | undefined> {
  const { milters, filterClasses } = settings;
  if (milters === undefined || !filterClasses.has(mailClass)) return { ...notice, hold: false };
  const { queueId } = notice;
  const store = {
    read: (content: Content) => queue.readSpooled(content),
    spool: (source: AsyncIterable<Uint8Array>) => queue.spoolContent(source),
    drop: (content: Content) => queue.dropContent(content),
  };
  const result = await applyMilters(milters, store, notice, (text, warning) =>
    telemetry.emit({ kind: 'remark', program: 'cleanup', queueId, text, ...(warning ? { warning } : {}) }),
  );
  if (result.kind === 'pass') return result;
  if (result.kind === 'refuse' && result.code < 500) {
    throw new Error(`the notice could not be shown to a milter: ${result.reason}`);
  }
  return undefined;
}
