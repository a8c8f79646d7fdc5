/**
 * Recipients to delivery requests: one destination each, at most the transport's recipient limit, in the order of
 * their addresses.
 */
import type { RoutedRecipient } from '@mailfleet/queue';
import type { TransportSettings } from './settings.ts';

/** By destination, domain and address: what goes together stands together, and destinations take turns in a fixed order. */
export function sortRecipients(recipients: readonly RoutedRecipient[]): readonly RoutedRecipient[] {
  if (recipients.length < 2) return recipients;
  const keyed = recipients.map((recipient) => {
    const address = recipient.address.toLowerCase();
    const destination = `${recipient.transport}\0${recipient.nexthop.toLowerCase()}`;
    return { recipient, address, destination, domain: address.slice(address.lastIndexOf('@') + 1) };
  });
  keyed.sort(
    (a, b) =>
      compare(a.destination, b.destination) || compare(a.domain, b.domain) || compare(a.address, b.address),
  );
  return keyed.map(({ recipient }) => recipient);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Name of a recipient's destination queue. With a recipient limit of 1 each recipient has its own, so that window, dead
 * state and rate delay apply to the mailbox.
 */
export function queueNameOf(
  recipient: RoutedRecipient,
  settings: TransportSettings,
  recipientDelimiter: string,
): string {
  const nexthop = recipient.nexthop.toLowerCase();
  if (settings.recipientLimit !== 1) return nexthop;
  const { address } = recipient;
  const at = address.lastIndexOf('@');
  const user = withoutExtension(at < 0 ? address : address.slice(0, at), recipientDelimiter);
  return `${user.toLowerCase()}@${nexthop}`;
}

/** recipient_delimiter of postconf(5); names that are no mailbox of a user keep theirs. */
function withoutExtension(localPart: string, delimiter: string): string {
  for (let index = 1; index < localPart.length; index += 1) {
    if (delimiter.includes(localPart.charAt(index))) return localPart.slice(0, index);
  }
  return localPart;
}
