/**
 * A JSON message made into a submission: headers and MIME by nodemailer's composer, which is kept from reading any file or URL;
 * the envelope from `envelope`, else from the address fields. Domains in their national form become A-labels, so that only
 * a non-ASCII local part needs SMTPUTF8.
 */
import { domainToASCII } from 'node:url';
import { parseAddress } from './address.ts';
import { mailboxes } from './header-envelope.ts';
import type { MessageBody } from './http-schema.ts';
import { type Refusal, refusal } from './refusal.ts';
import type { RecipientWish, Submission } from './submission.ts';

type Mailbox = MessageBody['from'];

export type Composed = { readonly ok: true; readonly submission: Submission } | Refusal;

/** @param smtputf8 whether non-ASCII addresses are taken at all */
export function composeMessage(body: MessageBody, smtputf8: boolean): Composed {
  const senders =
    body.envelope?.from === undefined ? externalForms(body.from) : externalForms(body.envelope.from);
  const sender = senders[0] ?? '';
  if (senders.length > 1 && body.envelope?.from !== undefined) {
    return refusal('bad-sender', 501, '5.1.7', 'an envelope has one sender', 'envelope.from');
  }
  if (sender === '' && body.envelope?.from !== '') return missingAddress('bad-sender', 'from');
  const checkedSender = checkAddress(
    sender,
    smtputf8,
    'bad-sender',
    body.envelope?.from === undefined ? 'from' : 'envelope.from',
  );
  if (!checkedSender.ok) return checkedSender;

  const wishes: RecipientWish[] = [];
  let needsSmtputf8 = checkedSender.needsSmtputf8;
  const fields: readonly (readonly [string, Mailbox | Mailbox[] | undefined])[] =
    body.envelope?.to === undefined
      ? [
          ['to', body.to],
          ['cc', body.cc],
          ['bcc', body.bcc],
        ]
      : [['envelope.to', body.envelope.to]];
  for (const [field, value] of fields) {
    if (value === undefined) continue;
    for (const [path, text] of named(field, value)) {
      const addresses = externalForms(text);
      if (addresses.length === 0) return missingAddress('bad-recipient', path);
      for (const address of addresses) {
        const checked = checkAddress(address, smtputf8, 'bad-recipient', path);
        if (!checked.ok) return checked;
        needsSmtputf8 ||= checked.needsSmtputf8;
        wishes.push({ address: checked.external });
      }
    }
  }
  if (wishes.length === 0) {
    return refusal(
      'no-recipients',
      554,
      '5.5.1',
      'the message has no recipients; name them in to, cc, bcc or envelope.to',
      'to',
    );
  }
  const { notify, ret, envid } = body.dsn ?? {};
  return {
    ok: true,
    submission: {
      sender: checkedSender.external,
      recipients: wishes,
      content: compose(body),
      smtputf8: needsSmtputf8,
      ...(notify === undefined ? {} : { notify }),
      ...(ret === undefined ? {} : { ret }),
      ...(envid === undefined ? {} : { envid }),
      ...(body.requireTls === true ? { requireTls: true } : {}),
    },
  };
}

async function* compose({
  envelope: _envelope,
  dsn: _dsn,
  requireTls: _requireTls,
  bcc: _bcc,
  attachments = [],
  headers,
  ...fields
}: MessageBody): AsyncGenerator<Uint8Array> {
  // Loaded by the first message that needs it.
  const { default: MailComposer } = await import('nodemailer/lib/mail-composer');
  const composer = new MailComposer({
    ...fields,
    ...(headers === undefined ? {} : { headers }),
    attachments: attachments.map(({ encoding, content, ...attachment }) => ({
      ...attachment,
      content: Buffer.from(content, encoding === 'base64' ? 'base64' : 'utf8'),
    })),
    newline: 'win',
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  yield* composer.compile().createReadStream();
}

function named(field: string, value: Mailbox | Mailbox[]): (readonly [string, Mailbox])[] {
  return Array.isArray(value) ? value.map((item, index) => [`${field}[${index}]`, item]) : [[field, value]];
}

/** Addresses in external form. An object's address is taken as it is: it cannot name a second one. */
function externalForms(value: Mailbox): string[] {
  return typeof value === 'string' ? mailboxes(value) : [value.address];
}

type CheckedAddress =
  | { readonly ok: true; readonly external: string; readonly needsSmtputf8: boolean }
  | Refusal;

function checkAddress(
  text: string,
  smtputf8: boolean,
  error: 'bad-sender' | 'bad-recipient',
  path: string,
): CheckedAddress {
  if (text === '') return { ok: true, external: '', needsSmtputf8: false };
  const external = withAsciiDomain(text);
  const parsed = parseAddress(external, { smtputf8 });
  if (parsed.ok) return { ok: true, external, needsSmtputf8: parsed.needsSmtputf8 };
  const status = error === 'bad-sender' ? '5.1.7' : '5.1.3';
  return refusal(error, 501, status, `"${text.slice(0, 100)}": ${parsed.reason}`, path);
}

function missingAddress(error: 'bad-sender' | 'bad-recipient', path: string): Refusal {
  return refusal(error, 501, error === 'bad-sender' ? '5.1.7' : '5.1.3', 'holds no address', path);
}

function withAsciiDomain(address: string): string {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII
  if (at < 0 || /^[\u0000-\u007f]*$/.test(domain)) return address;
  const ascii = domainToASCII(domain);
  return ascii === '' ? address : `${address.slice(0, at)}@${ascii}`;
}
