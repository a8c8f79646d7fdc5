/**
 * One round trip per message: the next request's MAIL, RCPT and DATA go out in the same write as the final dot of the current
 * message (RFC 2920 lets MAIL stand anywhere in a group of commands, and DATA at its end).
 *
 * An opening that is on its way binds the session: only its own request may use it, or nobody, because the server may already
 * wait for that content. Its replies are judged as a whole before any of them counts, so that a server that lost
 * count costs a fresh session and never a verdict. Servers that cannot do it are remembered.
 */

import type { WireAddresses } from './content/generic-rules.ts';
import type { DeliveryRequest, Recipient } from './delivery.ts';
import type { Features } from './ehlo.ts';
import { mailCommand, rcptCommand, xforwardCommands } from './envelope.ts';
import { isSafe } from './quote.ts';
import type { Reply } from './reply.ts';
import type { AgentSettings } from './settings.ts';
import { isProtocolError, PIPELINE_BYTES, type Stage } from './stages.ts';

/** The request that waits for the session, its content at hand. */
export interface NextRequest {
  readonly request: DeliveryRequest;
  readonly needsSmtputf8: boolean;
  /** Addresses to use in place of its own. */
  readonly wire: WireAddresses | undefined;
}

/** Commands that were written ahead of their transaction. */
export interface Opening {
  readonly request: DeliveryRequest;
  /** All command lines, line ends included. */
  readonly text: string;
  /** What each command was, in order; the last one is DATA. */
  readonly stages: readonly Stage[];
}

/**
 * The opening of a request's transaction; undefined when it must be built one reply at a time, or not at all.
 * @param options `requireTls`: as for `mailCommand`; `reset`: begin with RSET, since the transaction before may have left the
 *   server in the middle
 */
export const openingOf = (
  { request, needsSmtputf8, wire }: NextRequest,
  features: Features,
  settings: AgentSettings,
  { requireTls = false, reset = false }: { readonly requireTls?: boolean; readonly reset?: boolean } = {},
): Opening | undefined => {
  const { envelope, recipients } = request;
  const tooLarge = features.sizeLimit > 0 && features.sizeLimit < envelope.sizeBytes;
  if (tooLarge || (needsSmtputf8 && !features.smtputf8)) return undefined;
  const sender = wire?.sender ?? envelope.sender;
  const addressOf = ({ index, address }: Recipient): string => wire?.recipients.get(index) ?? address;
  if (!isSafe(sender) || recipients.some((recipient) => !isSafe(addressOf(recipient)))) return undefined;
  const stages: Stage[] = [];
  let text = '';
  const add = (command: string | undefined, stage: Stage): void => {
    if (command === undefined) return;
    text += `${command}\r\n`;
    stages.push(stage);
  };
  if (reset) add('RSET', 'rset');
  if (settings.sendXforward) {
    const { nameAddress, protocolHelo } = xforwardCommands(envelope, features);
    add(nameAddress, 'xforward1');
    add(protocolHelo, 'xforward2');
  }
  add(mailCommand(envelope, features, settings, requireTls, sender), 'mail');
  for (const recipient of recipients)
    add(rcptCommand(recipient, envelope, features, settings, addressOf(recipient)), 'rcpt');
  add('DATA', 'data');
  return Buffer.byteLength(text) > PIPELINE_BYTES ? undefined : { request, text, stages };
};

/**
 * Whether the replies can be those to the opening's commands.
 * @param proven the server has done it before: then a refusal is meant for the message, not for the way it came
 */
export const inStep = (stages: readonly Stage[], replies: readonly Reply[], proven: boolean): boolean =>
  stages.every((stage, index) => {
    const reply = replies[index];
    if (reply === undefined || reply.garbled) return false;
    const digit = Math.trunc(reply.code / 100);
    switch (stage) {
      case 'mail':
        if (digit === 4) return reply.code !== 421;
        if (digit === 5) return proven || !(isProtocolError(reply.code) || reply.code === 554);
        return digit === 2;
      case 'data':
        return digit >= 3 && digit <= 5;
      default:
        return digit === 2 || digit === 4 || digit === 5;
    }
  });
