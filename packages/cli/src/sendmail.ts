/**
 * `mailfleet sendmail`: hands a message from the standard input to the fleet, with the flags of sendmail(1). With redis_url it
 * writes to the queue itself, through the same checks as every way in; without, it speaks SMTP to the first intake_smtp_listen.
 * Ends with the status codes of sysexits.h: 0 means that the message is durable, 75 that it should be tried again.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type Config, type ListenAddress, parseListenAddress } from '@mailfleet/config';
import {
  createIntake,
  createSmtpServer,
  type EnqueueResult,
  enqueue,
  listen,
  type RecipientWish,
  submitBySmtp,
} from '@mailfleet/intake';
import { openQueue, type Queue } from '@mailfleet/queue';
import { createTelemetry, startTracing, type Telemetry } from '@mailfleet/telemetry';
import { Command } from 'commander';
import { configOrExit, EX_UNAVAILABLE, EX_USAGE, fail } from './options.ts';
import { parseSendmailArguments, type SendmailArguments } from './sendmail-arguments.ts';

const EX_DATAERR = 65;
const EX_NOUSER = 67;
const EX_TEMPFAIL = 75;

export function sendmailCommand(): Command {
  return new Command('sendmail')
    .description('hand in a message from the standard input, with the flags of sendmail(1)')
    .usage(
      '[-t] [-i] [-f sender] [-F name] [-N notify] [-R full|hdrs] [-V envid] [-bs] [-o name=value] [recipient ...]',
    )
    .allowUnknownOption()
    .helpOption('--help', 'show this help')
    .argument('[arguments...]')
    .passThroughOptions()
    .action(async (words: string[]) => {
      const parsed = parseSendmailArguments(words);
      if (!parsed.ok) fail(EX_USAGE, `sendmail: ${parsed.sentence}`);
      await run(parsed.arguments);
    });
}

async function run(flags: SendmailArguments): Promise<void> {
  const config = configOrExit(flags);
  if (config.get('redis_url') === '') {
    const address = firstListener(config);
    if (flags.mode === 'smtp') return pipeSmtp(address);
    const content = await wholeOf(standardInput(flags.ignoreDots));
    const helo = config.get('myhostname');
    const envelope = envelopeOf(flags);
    const addresses = [envelope.sender, ...envelope.recipients.map((wish) => wish.address)];
    // The server cannot know whose mail it is; as with a queue of ours, the addresses say what they need.
    const smtputf8 = addresses.some(isUtf8);
    return finish(await submitBySmtp(address, { ...envelope, smtputf8, content, helo }));
  }
  const tracing = await startTracing('mailfleet-sendmail');
  // The log goes to a file or nowhere: what stands on the standard output would surprise whoever runs sendmail.
  const toFile = config.get('maillog_file').startsWith('/dev/stdout') || config.get('maillog_file') === '';
  const telemetry = createTelemetry({
    config: toFile ? config.with({ maillog_file: '/dev/null' }) : config,
    program: 'pickup',
  });
  const queue = await openQueue({ config, redisUrl: config.get('redis_url'), telemetry }).catch(
    (error: unknown) => {
      fail(EX_TEMPFAIL, `sendmail: ${error instanceof Error ? error.message : String(error)}`);
    },
  );
  let result: EnqueueResult | undefined;
  try {
    if (flags.mode === 'smtp') await serveSmtp(config, queue, telemetry);
    else result = await submit(flags, config, queue, telemetry);
  } finally {
    await queue.close();
    await Promise.all([telemetry.shutdown(), tracing.shutdown()]);
  }
  if (result !== undefined) finish(result);
}

function submit(
  flags: SendmailArguments,
  config: Config,
  queue: Queue,
  telemetry: Telemetry,
): Promise<EnqueueResult> {
  const uid = process.getuid?.();
  return enqueue(createIntake({ config, queue, telemetry }), {
    ...envelopeOf(flags),
    content: standardInput(flags.ignoreDots),
    by: 'pickup',
    ...(uid === undefined ? {} : { uid }),
    ...(flags.fullName === undefined ? {} : { fullName: flags.fullName }),
    ...(flags.encoding === undefined ? {} : { encoding: flags.encoding }),
  });
}

function envelopeOf(flags: SendmailArguments): {
  readonly sender: string;
  readonly recipients: readonly RecipientWish[];
  readonly recipientsFromHeader: boolean;
  readonly notify?: readonly string[];
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
} {
  const { notify, ret, envid, recipientsFromHeader } = flags;
  const sender = flags.sender ?? userInfo().username;
  const recipients = flags.recipients
    .flatMap((word) => word.split(','))
    .map((word) => word.trim())
    .filter((word) => word !== '')
    .map((address): RecipientWish => ({ address }));
  return {
    sender,
    recipients,
    recipientsFromHeader,
    ...(notify === undefined ? {} : { notify }),
    ...(ret === undefined ? {} : { ret }),
    ...(envid === undefined ? {} : { envid }),
  };
}

/** Exits; a message that was taken is not mentioned, as sendmail(1) never does. */
function finish(result: EnqueueResult): void {
  if (result.ok) return;
  fail(exitCodeOf(result), `sendmail: ${result.sentence}`);
}

function exitCodeOf({ code, error }: Exclude<EnqueueResult, { ok: true }>): number {
  if (code < 500) return EX_TEMPFAIL;
  switch (error) {
    case 'bad-recipient':
      return EX_NOUSER;
    case 'no-recipients':
    case 'bad-sender':
    case 'bad-parameter':
      return EX_USAGE;
    case 'too-many-hops':
    case 'content-rejected':
    case 'too-large':
      return EX_DATAERR;
    default:
      return EX_UNAVAILABLE;
  }
}

/** -bs: an SMTP session on standard input and output, by way of a socket that only this user can reach. */
async function serveSmtp(config: Config, queue: Queue, telemetry: Telemetry): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'mailfleet-sendmail-'));
  const server = await createSmtpServer(createIntake({ config, queue, telemetry }), { trusted: true });
  try {
    const path = join(directory, 'smtp');
    await listen(server.server, { path });
    await pipeSmtp({ path });
    await server.drain();
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function pipeSmtp(address: ListenAddress): Promise<void> {
  const socket = createConnection({ ...address, allowHalfOpen: true });
  await new Promise<void>((resolve) => {
    socket.on('error', (error) => fail(EX_TEMPFAIL, `sendmail: no intake to talk to: ${error.message}`));
    socket.on('end', resolve);
    process.stdin.pipe(socket);
    socket.pipe(process.stdout);
  });
  process.stdin.destroy();
  socket.destroy();
}

function firstListener(config: Config): Exclude<ListenAddress, { readonly path: string }> {
  for (const text of config.get('intake_smtp_listen')) {
    const address = parseListenAddress('intake_smtp_listen', text);
    if ('host' in address) return address;
  }
  fail(
    EX_UNAVAILABLE,
    'sendmail: neither redis_url nor an address in intake_smtp_listen says where the fleet is',
  );
}

/** The message: to its end, or to a line of one dot unless dots are ignored. */
async function* standardInput(ignoreDots: boolean): AsyncGenerator<Uint8Array> {
  if (ignoreDots) {
    yield* process.stdin;
    return;
  }
  yield* untilDot(process.stdin);
}

async function wholeOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The lines before the first that is a single dot. Exported for its test. */
export async function* untilDot(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held = Buffer.alloc(0);
  for await (const chunk of source) {
    const text = Buffer.concat([held, chunk]);
    let start = 0;
    for (let end = text.indexOf(10, start); end >= 0; end = text.indexOf(10, start)) {
      const line = text.subarray(start, end + 1);
      if (line[0] === 46 && (line.length === 2 || (line.length === 3 && line[1] === 13))) {
        yield text.subarray(0, start);
        return;
      }
      start = end + 1;
    }
    yield text.subarray(0, start);
    held = Buffer.from(text.subarray(start));
  }
  if (!(held.length === 1 && held[0] === 46)) yield held;
}

function isUtf8(address: string): boolean {
  return Buffer.byteLength(address) > address.length;
}
