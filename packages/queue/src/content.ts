/** Contents of messages: small ones in Redis, large ones as files. */

import { keysOfShard, type QueueContext } from './context.ts';
import type { Content } from './ports.ts';

/**
 * Content of a message as its home shard holds it: a buffer when inline, a stream of a file; undefined when it is gone. A file that
 * is not there is another matter: the folder may just not be mounted in this process. Rejects when the file cannot be opened.
 */
export async function readContent(
  context: QueueContext,
  home: number,
  queueId: string,
): Promise<AsyncIterable<Uint8Array> | Buffer | 'file-missing' | undefined> {
  const stored = await context.redis.getBuffer(keysOfShard(context, home).content(queueId));
  if (stored === null) return undefined;
  if (stored[0] === 0x69 /* i */) return stored.subarray(1);
  return (await context.files.read(stored.toString('utf8', 1))) ?? 'file-missing';
}

/** Content that nobody accepted yet. */
export async function readSpooled(
  context: QueueContext,
  content: Content,
): Promise<AsyncIterable<Uint8Array>> {
  if (content.kind === 'inline') return once(content.bytes);
  const file = await context.files.read(content.name);
  if (file === undefined) throw new Error(`the content file ${content.name} is gone; see content_directory`);
  return file;
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Keeps up to `inlineLimit` bytes in memory, streams anything larger to a file that is durable when this resolves. */
export async function spool(
  context: QueueContext,
  source: AsyncIterable<Uint8Array>,
  inlineLimit: number,
): Promise<Content> {
  const iterator = source[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let sizeBytes = 0;
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return { kind: 'inline', bytes: Buffer.concat(head, sizeBytes) };
    head.push(next.value);
    sizeBytes += next.value.byteLength;
    if (sizeBytes > inlineLimit) break;
  }
  return { kind: 'file', ...(await context.files.write(chain(head, iterator))) };
}

async function* chain(
  head: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield Buffer.concat(head);
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}
