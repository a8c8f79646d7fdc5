/**
 * Large contents as files in content_directory, behind an interface so that another store can take their place. A file that `write`
 * answered with is on disk, its name too; it belongs to nobody until accept stores its name. All processes of a fleet share the folder.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, opendir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

export interface ContentFiles {
  /** Streams chunks into a new file; durable when it resolves. Nothing is left behind when the source fails. */
  write(chunks: AsyncIterable<Uint8Array>): Promise<{ readonly name: string; readonly sizeBytes: number }>;
  /** The file's bytes; undefined when there is no such file. */
  read(name: string): Promise<AsyncIterable<Uint8Array> | undefined>;
  remove(name: string): Promise<void>;
  /** Names of files last written before `beforeMs`, one at a time: a folder may be large. */
  namesBefore(beforeMs: number): AsyncIterable<string>;
}

export function makeContentFiles(directory: string): ContentFiles {
  const pathOf = (name: string): string => join(directory, name);
  return {
    async write(chunks) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const name = randomUUID();
      const file = await open(pathOf(name), 'wx', 0o600);
      let sizeBytes = 0;
      try {
        for await (const chunk of chunks) {
          await file.writeFile(chunk);
          sizeBytes += chunk.byteLength;
        }
        await file.sync();
      } catch (error) {
        await file.close();
        await unlink(pathOf(name));
        throw error;
      }
      await file.close();
      await syncDirectory(directory);
      return { name, sizeBytes };
    },
    async read(name) {
      try {
        const file = await open(pathOf(name), 'r');
        return createReadStream('', { fd: file, highWaterMark: 256 * 1024 });
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async remove(name) {
      await unlink(pathOf(name)).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
    },
    async *namesBefore(beforeMs) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      for await (const entry of await opendir(directory)) {
        if (!entry.isFile()) continue;
        const found = await stat(pathOf(entry.name)).catch(() => undefined);
        if (found !== undefined && found.mtimeMs < beforeMs) yield entry.name;
      }
    },
  };
}

/** A new name is durable once its folder is. */
async function syncDirectory(directory: string): Promise<void> {
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
