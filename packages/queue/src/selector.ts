/** Whether a message is one that an operator means. */
import type { MessageSelector, QueueListing } from './operator-ports.ts';

export function selects(where: MessageSelector, { envelope, recipients }: QueueListing): boolean {
  const { sender, recipient, site, arrivedBeforeMs } = where;
  if (arrivedBeforeMs !== undefined && envelope.arrivalMs >= arrivedBeforeMs) return false;
  if (sender !== undefined && !isAddress(sender, envelope.sender)) return false;
  if (recipient === undefined && site === undefined) return true;
  return recipients.some((each) => selectsRecipient(where, each));
}

/** Whether it is a recipient that an operator means. */
export function selectsRecipient(
  { recipient, site }: MessageSelector,
  each: { readonly address: string; readonly nexthop: string },
): boolean {
  if (recipient !== undefined && !isAddress(recipient, each.address)) return false;
  return site === undefined || isAtSite(site, each);
}

/** By its domain, by its nexthop as routed, or by the host of that without brackets and port. */
export function isAtSite(
  site: string,
  { address, nexthop }: { readonly address: string; readonly nexthop: string },
): boolean {
  const wanted = site.toLowerCase();
  const routed = nexthop.toLowerCase();
  return domainOf(address) === wanted || routed === wanted || hostOf(routed) === wanted;
}

function isAddress(wanted: string, address: string): boolean {
  return wanted.startsWith('@')
    ? domainOf(address) === wanted.slice(1).toLowerCase()
    : address.toLowerCase() === wanted.toLowerCase();
}

function domainOf(address: string): string | undefined {
  const at = address.lastIndexOf('@');
  return at < 0 ? undefined : address.slice(at + 1).toLowerCase();
}

/** `mail.example` of `[mail.example]:25` and `mail.example:25`. */
function hostOf(nexthop: string): string {
  return /^\[([^\]]*)\]/.exec(nexthop)?.[1] ?? nexthop.replace(/:\w+$/, '');
}
