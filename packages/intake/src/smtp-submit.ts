/**
 * Hands a message to a running intake by SMTP, for a sendmail that has no queue of its own to write to. The intake completes
 * the header; here only the envelope is made, from the message's header where the caller asks for it.
 */
import type { ListenAddress } from '@mailfleet/config';
import { ContentCompletion } from '@mailfleet/mime';
import type { EnqueueResult } from './enqueue.ts';
import { HeaderEnvelope } from './header-envelope.ts';
import { type Refusal, refusal } from './refusal.ts';
import type { RecipientWish, Submission } from './submission.ts';

const TIMEOUT_MS = 60_000;

/** The whole message stands in memory: its header must be known before the envelope is sent. */
export type SmtpSubmission = Pick<
  Submission,
  'sender' | 'recipientsFromHeader' | 'notify' | 'smtputf8' | 'ret' | 'envid'
> & { readonly content: Buffer; readonly recipients: readonly RecipientWish[]; readonly helo: string };

export async function submitBySmtp(
  address: Exclude<ListenAddress, { readonly path: string }>,
  submission: SmtpSubmission,
): Promise<EnqueueResult> {
  const header = await readHeader(submission.content);
  const fromHeader = submission.recipientsFromHeader === true ? header.recipients() : [];
  const wishes = [...submission.recipients, ...fromHeader.map((to): RecipientWish => ({ address: to }))];
  if (wishes.length === 0) return refusal('no-recipients', 554, '5.5.1', 'the message has no recipients');
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({
    host: address.host,
    port: address.port,
    name: submission.helo,
    secure: false,
    ignoreTLS: true,
    connectionTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const { notify } = submission;
  try {
    const info = await transport.sendMail({
      envelope: { from: submission.sender ?? header.sender() ?? '', to: wishes.map(({ address: to }) => to) },
      raw: submission.content,
      dsn: {
        ...(submission.envid === undefined ? {} : { id: submission.envid }),
        ...(submission.ret === undefined ? {} : { return: submission.ret === 'FULL' ? 'full' : 'headers' }),
        ...(notify === undefined ? {} : { notify: notify.map((each) => each.toLowerCase()) }),
      },
    });
    const refused = info.rejectedErrors?.[0];
    if (refused !== undefined) return refusalOf(refused);
    const queueId = /queued as (\w+)/.exec(info.response)?.[1] ?? '';
    return { ok: true, queueId, recipients: wishes.map(({ address: to }) => to) };
  } catch (error) {
    return refusalOf(error);
  } finally {
    transport.close();
  }
}

async function readHeader(content: Buffer): Promise<HeaderEnvelope> {
  const envelope = new HeaderEnvelope(Number.MAX_SAFE_INTEGER);
  const completion = new ContentCompletion({
    dropHeaders: [],
    limits: {
      headerSizeLimit: content.length,
      lineLengthLimit: 2048,
      nestingLimit: 0,
      boundaryLengthLimit: 0,
    },
    hopcountLimit: Number.MAX_SAFE_INTEGER,
    sizeLimit: 0,
    detectEncoding: false,
    onHeader: (name, value) => envelope.header(name, value),
  });
  async function* source(): AsyncGenerator<Uint8Array> {
    yield content;
  }
  for await (const _chunk of completion.complete(source()));
  return envelope;
}

/** What the server or the network said, in our terms. No reply at all is temporary. */
function refusalOf(error: unknown): Refusal {
  const { responseCode, response, message } = error as {
    responseCode?: number;
    response?: string;
    message: string;
  };
  if (responseCode === undefined) return refusal('unavailable', 451, '4.4.1', message);
  const status =
    /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})/.exec(response ?? '')?.[1] ?? `${Math.trunc(responseCode / 100)}.0.0`;
  const error5 = status.startsWith('5.1')
    ? 'bad-recipient'
    : status === '5.3.4'
      ? 'too-large'
      : 'bad-parameter';
  return refusal(responseCode < 500 ? 'unavailable' : error5, responseCode, status, response ?? message);
}
