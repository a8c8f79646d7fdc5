/**
 * Whether a message needs SMTPUTF8 (RFC 6531 section 3.4): asked for by the sender, and with an address or a header that is not ASCII.
 * Of a content that is a stream the first piece is looked at, which holds the header of all but absurd messages.
 */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import type { DeliveryRequest } from './delivery.ts';
import type { Content } from './transaction.ts';

/** The beginning of a content, which stays in it. Rejects when a stream cannot be read. */
const headOf = async (content: Content): Promise<Buffer> => {
  if (Buffer.isBuffer(content)) return content;
  if (!(content instanceof Readable)) return Buffer.alloc(0);
  if (content.readableLength === 0 && !content.readableEnded) await once(content, 'readable');
  const piece: unknown = content.read();
  if (!Buffer.isBuffer(piece)) return Buffer.alloc(0);
  content.unshift(piece);
  return piece;
};

export const needsSmtputf8 = async (request: DeliveryRequest, content: Content): Promise<boolean> =>
  request.envelope.smtputf8 === true && needsForHead(request, await headOf(content));

/** The same for a content whose beginning is at hand. */
export const needsForHead = ({ envelope, recipients }: DeliveryRequest, head: Buffer): boolean => {
  if (envelope.smtputf8 !== true) return false;
  const beyondAscii = (text: string): boolean => /\P{ASCII}/u.test(text);
  if (beyondAscii(envelope.sender) || recipients.some(({ address }) => beyondAscii(address))) return true;
  const end = /\r?\n\r?\n/.exec(head.toString('latin1'))?.index ?? head.length;
  return head.subarray(0, end).some((byte) => byte > 127);
};
