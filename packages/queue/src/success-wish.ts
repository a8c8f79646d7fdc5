/** Whether a delivery is to be reported to the sender: asked for (RFC 3461 section 4.1), or news after a delay warning. */
import type { Recipient } from '@mailfleet/smtp';

/** @param cleared the sender was warned of the delay, and `confirm_delay_cleared` says to take that back */
export function wantsSuccess({ notify }: Pick<Recipient, 'notify'>, cleared: boolean): boolean {
  if (notify?.includes('SUCCESS') === true) return true;
  return cleared && wantsDelayNews(notify);
}

/** An absent NOTIFY means FAILURE and DELAY. */
export function wantsDelayNews(notify: Recipient['notify']): boolean {
  return notify === undefined || notify.length === 0 || notify.includes('DELAY');
}
