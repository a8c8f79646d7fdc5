/**
 * The shapes of the HTTP API, in one place: requests are checked by them, TypeScript's types and /openapi.json follow from
 * them. Strict: an unknown field is an error, so that a misspelt one is not silently ignored. Strings that end up in a header
 * hold no control character.
 */
import { z } from 'zod';

const line = z
  .string()
  .max(10_000)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
  .regex(/^[^\u0000-\u0008\u000a-\u001f\u007f]*$/, 'must not hold line breaks or other control characters');

const mailbox = z.union([
  line.describe('`ann@example.com`, `Ann Lee <ann@example.com>`, or several with commas between them'),
  z.strictObject({ name: line.optional(), address: line }),
]);
const mailboxList = z.union([mailbox, z.array(mailbox)]);

const headerName = z
  .string()
  .regex(/^[!-9;-~]{1,76}$/, 'is no header name')
  .refine(
    (name) => !/^(?:content-|mime-version$)/i.test(name),
    'is written by the composer and cannot be set',
  );

const attachment = z
  .strictObject({
    filename: line.optional(),
    content: z.string().describe('The content itself; files and URLs are never read'),
    encoding: z.enum(['utf-8', 'base64']).default('utf-8'),
    contentType: line.regex(/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:;.*)?$/, 'is no content type').optional(),
    contentDisposition: z.enum(['attachment', 'inline']).optional(),
    cid: line.optional().describe('Content-ID, for images that the HTML refers to as cid:…'),
  })
  .refine(({ content, encoding }) => encoding !== 'base64' || isBase64(content), {
    path: ['content'],
    message: 'is not base64',
  });

const notify = z.enum(['NEVER', 'SUCCESS', 'FAILURE', 'DELAY']);
const ret = z.enum(['FULL', 'HDRS']);
const requireTls = z
  .boolean()
  .describe('Only over TLS and to servers that prove who they are, or not at all (REQUIRETLS, RFC 8689)');
const envid = line.min(1).max(100);

export const MessageBody = z.strictObject({
  from: mailbox,
  sender: mailbox.optional(),
  to: mailboxList.optional(),
  cc: mailboxList.optional(),
  bcc: mailboxList.optional(),
  replyTo: mailboxList.optional(),
  subject: line.optional(),
  text: z.string().optional(),
  html: z.string().optional(),
  attachments: z.array(attachment).max(1000).optional(),
  headers: z.record(headerName, z.union([line, z.array(line)])).optional(),
  messageId: line.optional(),
  inReplyTo: line.optional(),
  references: z.union([line, z.array(line)]).optional(),
  date: z.iso.datetime({ offset: true }).optional(),
  envelope: z
    .strictObject({
      from: line.optional().describe('Envelope sender; empty for none'),
      to: z.union([line, z.array(line)]).optional(),
    })
    .optional()
    .describe('What SMTP is told, where it differs from the headers'),
  dsn: z
    .strictObject({ notify: z.array(notify).min(1).optional(), ret: ret.optional(), envid: envid.optional() })
    .optional()
    .describe('Delivery status notifications (RFC 3461), for all recipients'),
  requireTls: requireTls.optional(),
});
export type MessageBody = z.infer<typeof MessageBody>;

export const MessageQuery = z.strictObject({
  from: line
    .optional()
    .describe('Envelope sender of a raw message, empty for none; default: its Sender or From'),
  to: z
    .union([line, z.array(line)])
    .optional()
    .describe('Envelope recipients of a raw message; default: its To, Cc and Bcc'),
  notify: line.optional().describe('NEVER, or SUCCESS, FAILURE and DELAY with commas'),
  ret: ret.optional(),
  envid: envid.optional(),
  requireTls: z.enum(['true', 'false']).optional().describe('REQUIRETLS (RFC 8689), as in the JSON form'),
});
export type MessageQuery = z.infer<typeof MessageQuery>;

export const MessageHeaders = z.object({
  'idempotency-key': line.min(1).max(255).optional(),
  traceparent: z.string().optional(),
});
export type MessageHeaders = z.infer<typeof MessageHeaders>;

/** A raw message: a stream, which no schema looks into. */
export const RawBody = z.unknown();

export const Accepted = z.object({
  id: z.string().describe('Queue id'),
  accepted: z.array(z.string()).describe('Recipients, duplicates removed'),
});

export const Problem = z.object({
  error: z.string().describe('What kind of problem, for programs'),
  message: z.string().describe('What is wrong and what to do, for people'),
  path: z.string().optional().describe('Which part of the request'),
});
export type Problem = z.infer<typeof Problem>;

function isBase64(text: string): boolean {
  const compact = text.replace(/[\r\n]/g, '');
  return compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact);
}
