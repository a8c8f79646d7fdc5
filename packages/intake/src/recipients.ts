/** Recipients as a client names them, and the removal of duplicates before the queue (scheduler.md 7.6). */
import type { Notify } from '@mailfleet/smtp';
import type { Address } from './address.ts';

/** One recipient with its DSN wishes (RFC 3461). */
export interface SubmittedRecipient {
  readonly address: Address;
  /** Decoded, `type;address`. */
  readonly orcpt?: string;
  readonly notify?: readonly Notify[];
}

/**
 * Keeps the first of equal recipients, with its DSN attributes. Equal: address, ORCPT and NOTIFY agree, case folded;
 * with `addressOnly` (enable_original_recipient = no) the address alone decides. At most `limit` keys are remembered
 * (0: all), recipients beyond that pass unfiltered.
 */
export function removeDuplicates(
  recipients: readonly SubmittedRecipient[],
  options: { readonly limit: number; readonly addressOnly: boolean },
): readonly SubmittedRecipient[] {
  const seen = new Set<string>();
  return recipients.filter((recipient) => {
    const key = options.addressOnly
      ? recipient.address.toLowerCase()
      : JSON.stringify([recipient.address, recipient.orcpt ?? '', recipient.notify ?? []]).toLowerCase();
    if (seen.has(key)) return false;
    if (options.limit === 0 || seen.size < options.limit) seen.add(key);
    return true;
  });
}
