/**
 * Variable envelope return paths: each recipient's copy leaves from a sender of its own, so that whatever comes back tells
 * who it was for. Postfix's VERP_README; the delimiters come with the message (`Envelope.verp`).
 */
import type { Envelope } from '@mailfleet/smtp';

/** `list@o` to `user@d` with `+=` becomes `list+user=d@o`; without VERP, or for the null sender, the sender as it is. */
export function verpSender({ sender, verp }: Pick<Envelope, 'sender' | 'verp'>, recipient: string): string {
  const at = sender.lastIndexOf('@');
  if (verp === undefined || sender === '') return sender;
  const [first = '+', second = '='] = verp;
  const user = at < 0 ? sender : sender.slice(0, at);
  const to = recipient.lastIndexOf('@');
  const name = to < 0 ? recipient : `${recipient.slice(0, to)}${second}${recipient.slice(to + 1)}`;
  return `${user}${first}${name}${at < 0 ? '' : sender.slice(at)}`;
}
