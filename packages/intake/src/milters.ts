/**
 * non_smtpd_milters as mail comes in: mail by SMTP is none of theirs, whatever else comes is shown to them before its recipients are
 * routed. What they make of addresses is checked as if a client had named them.
 */
import { applyMilters } from '@mailfleet/milter';
import { quoteAddress } from '@mailfleet/mime';
import type { Content } from '@mailfleet/queue';
import type { Address, AddressRules } from './address.ts';
import type { Intake } from './intake.ts';
import type { SubmittedRecipient } from './recipients.ts';
import { type Refusal, refusal } from './refusal.ts';
import { checkCount, checkRecipient, checkSender, type Submission, withNotify } from './submission.ts';

interface Submitted {
  readonly queueId: string;
  readonly sender: Address;
  readonly recipients: readonly SubmittedRecipient[];
  readonly content: Content;
}

type Filtered =
  | (Submitted & { readonly kind: 'passed'; readonly hold: boolean })
  /** Its content is dropped. */
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'discarded' };

/** @param rules for addresses that milters bring */
export async function askMilters(
  intake: Intake,
  submission: Submission,
  submitted: Submitted,
  rules: AddressRules,
): Promise<Filtered> {
  const { milters, queue, telemetry } = intake;
  if (milters === undefined || submission.by === 'smtpd')
    return { kind: 'passed', hold: false, ...submitted };
  const { queueId } = submitted;
  const store = {
    read: (content: Content) => queue.readSpooled(content),
    spool: (source: AsyncIterable<Uint8Array>) => queue.spoolContent(source),
    drop: (content: Content) => queue.dropContent(content),
  };
  const mail = { ...submitted, recipients: submitted.recipients.map(({ address }) => address) };
  const result = await applyMilters(milters, store, mail, (text, warning) =>
    telemetry.emit({ kind: 'remark', program: 'cleanup', queueId, text, ...(warning ? { warning } : {}) }),
  );
  if (result.kind === 'discard') return { kind: 'discarded' };
  if (result.kind === 'refuse') {
    const { code, status, reason } = result;
    const error = code < 500 ? 'unavailable' : 'content-rejected';
    return { kind: 'refused', refusal: refusal(error, code, status, reason, 'content') };
  }
  const { content, hold } = result;
  const envelope = envelopeOf(submitted, result, submission, rules);
  const tooMany = envelope.ok ? checkCount(intake, envelope.recipients.length) : envelope;
  if (envelope.ok && tooMany === undefined) {
    return {
      kind: 'passed',
      queueId,
      sender: envelope.sender,
      recipients: envelope.recipients,
      content,
      hold,
    };
  }
  await queue.dropContent(content);
  const why = tooMany?.sentence ?? '';
  telemetry.emit({ kind: 'remark', program: 'cleanup', queueId, text: `milter: ${why}`, warning: true });
  return { kind: 'refused', refusal: refusal('unavailable', 451, '4.3.5', `a milter is in error: ${why}`) };
}

/** Recipients that stay keep their DSN wishes. */
function envelopeOf(
  before: Submitted,
  after: { readonly sender: string; readonly recipients: readonly string[] },
  { notify }: Submission,
  rules: AddressRules,
):
  | { readonly ok: true; readonly sender: Address; readonly recipients: readonly SubmittedRecipient[] }
  | Refusal {
  const sender =
    after.sender === before.sender ? before.sender : checkSender(quoteAddress(after.sender), rules);
  if (typeof sender === 'object') return sender;
  const kept = new Set(after.recipients);
  const recipients = before.recipients.filter(({ address }) => kept.has(address));
  const known = new Set<string>(recipients.map(({ address }) => address));
  for (const address of after.recipients.filter((each) => !known.has(each))) {
    const checked = checkRecipient(
      withNotify({ address: quoteAddress(address) }, notify),
      rules,
      'recipients',
    );
    if (!checked.ok) return checked;
    recipients.push(checked.recipient);
  }
  return { ok: true, sender, recipients };
}
