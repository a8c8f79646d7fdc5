/**
 * The command lines of a mail transaction: MAIL, RCPT and XFORWARD with the parameters that the server's EHLO reply
 * allows (RFC 5321, 1870, 6152, 3461, 6531; Postfix's XFORWARD_README).
 *
 * Lines come without CR LF. The caller has refused addresses with CR, LF or NUL before (`isSafe`).
 */
import type { ClientInfo, Envelope, Notify, Recipient } from './delivery.ts';
import type { Features } from './ehlo.ts';
import { quoteAddress, utf8Xtext, xtext } from './quote.ts';

/** What main.cf says about command lines. */
export interface EnvelopeSettings {
  /** `smtp_quote_rfc821_envelope` */
  readonly quoteEnvelope: boolean;
  /** `disable_mime_output_conversion` */
  readonly neverConvert: boolean;
}

/** The content has to become 7bit for this server, as far as it says what in it is not. */
export const convertsContent = (
  { encoding }: Envelope,
  { eightBitMime }: Features,
  { neverConvert }: EnvelopeSettings,
): boolean => !eightBitMime && !neverConvert && encoding !== '7bit';

const wireAddress = (address: string, settings: EnvelopeSettings): string =>
  settings.quoteEnvelope ? quoteAddress(address) : address;

/**
 * @param requireTls the message asks for REQUIRETLS, and the destination's policy does not say otherwise
 * @param sender another one than the envelope's, where addresses are rewritten
 */
export const mailCommand = (
  envelope: Envelope,
  features: Features,
  settings: EnvelopeSettings,
  requireTls = false,
  sender = envelope.sender,
): string => {
  let line = `MAIL FROM:<${wireAddress(sender, settings)}>`;
  // A content that will be converted has another size.
  if (features.size && !convertsContent(envelope, features, settings)) line += ` SIZE=${envelope.sizeBytes}`;
  if (features.eightBitMime && envelope.encoding !== undefined) {
    line += envelope.encoding === '8bit' ? ' BODY=8BITMIME' : ' BODY=7BIT';
  }
  if (features.dsn) {
    if (envelope.envid !== undefined && envelope.envid !== '') line += ` ENVID=${xtext(envelope.envid)}`;
    // A notice with the content would not be protected as the message was (RFC 8689 section 5).
    const ret = requireTls && !features.requireTls ? 'HDRS' : envelope.ret;
    if (ret !== undefined) line += ` RET=${ret}`;
  }
  if (features.smtputf8 && envelope.smtputf8 === true) line += ' SMTPUTF8';
  if (requireTls && features.requireTls) line += ' REQUIRETLS';
  if (features.mailAuth === true) line += ' AUTH=<>';
  return line;
};

const notifyOrder: readonly Notify[] = ['NEVER', 'SUCCESS', 'FAILURE', 'DELAY'];

const isAscii = (text: string): boolean => !/\P{ASCII}/u.test(text);

/** ORCPT: as the sender gave it, or made from the original address (RFC 3461 section 4.2). */
const orcptParameter = (recipient: Recipient, smtputf8: boolean): string => {
  let value = recipient.orcpt;
  if (value === undefined || value === '') {
    const original = recipient.originalAddress;
    if (original === undefined || original === '') return '';
    const type = smtputf8 && !isAscii(original) && original.isWellFormed() ? 'utf-8' : 'rfc822';
    value = `${type};${quoteAddress(original)}`;
  }
  const semicolon = value.indexOf(';');
  const type = value.slice(0, Math.max(semicolon, 0));
  const address = value.slice(semicolon + 1);
  const encoded = type.toLowerCase() === 'utf-8' ? utf8Xtext(address) : xtext(address);
  return encoded === undefined ? '' : ` ORCPT=${xtext(type)};${encoded}`;
};

/** @param address another one than the recipient's, where addresses are rewritten; ORCPT stays */
export const rcptCommand = (
  recipient: Recipient,
  envelope: Envelope,
  features: Features,
  settings: EnvelopeSettings,
  address = recipient.address,
): string => {
  const line = `RCPT TO:<${wireAddress(address, settings)}>`;
  if (!features.dsn) return line;
  const notify = notifyOrder.filter((value) => recipient.notify?.includes(value)).join(',');
  return `${line}${orcptParameter(recipient, envelope.smtputf8 === true)}${notify === '' ? '' : ` NOTIFY=${notify}`}`;
};

/** Up to two XFORWARD lines: NAME ADDR PORT, then PROTO HELO IDENT SOURCE; a line without values is left out. */
export const xforwardCommands = (
  envelope: Envelope,
  features: Features,
): { readonly nameAddress?: string; readonly protocolHelo?: string } => {
  const client: ClientInfo = envelope.client ?? {};
  const offered = features.xforward;
  const one = (name: string, value: string | undefined, unknownCounts: boolean): string =>
    offered.has(name) && value !== undefined && value !== '' && (unknownCounts || value !== 'unknown')
      ? ` ${name}=${xtext(value)}`
      : '';
  const first =
    one('NAME', client.name, false) +
    one('ADDR', client.address, false) +
    one('PORT', client.port?.toString(), false);
  const second =
    one('PROTO', client.protocol, false) +
    one('HELO', client.helo, true) +
    one('IDENT', envelope.queueId, true) +
    one('SOURCE', client.address === undefined ? 'LOCAL' : 'REMOTE', true);
  return {
    ...(first === '' ? {} : { nameAddress: `XFORWARD${first}` }),
    ...(second === '' ? {} : { protocolHelo: `XFORWARD${second}` }),
  };
};
