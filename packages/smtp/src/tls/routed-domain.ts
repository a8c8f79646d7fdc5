/**
 * Whose MTA-STS policy counts for a message, and who gets the report: the recipients' domain, where the mail goes to that very domain's MX
 * hosts. A relay that main.cf names has no say about a domain, nor has a domain about the relay.
 */
import { asciiName } from '@mailfleet/tls';
import type { Recipient } from '../delivery.ts';

/** @returns the domain in its wire form; undefined: some recipient is in another one */
export const routedDomain = (
  recipients: readonly Pick<Recipient, 'address'>[],
  destination: string,
): string | undefined => {
  const domain = asciiName(destination);
  const direct = recipients.every(
    ({ address }) => asciiName(address.slice(address.lastIndexOf('@') + 1)) === domain,
  );
  return direct ? domain : undefined;
};
