/**
 * A file whose parsed content is kept and read again when the file has changed. The check costs one stat and happens at
 * most once a second, so that a lookup in the hot path is normally a map access; a change is seen within that second.
 */
import { readFile, stat } from 'node:fs/promises';

const CHECK_INTERVAL_MS = 1000;

export type FileContent<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: string };

export interface WatchedFile<T> {
  /** The current content, or why it cannot be had. Never rejects. */
  read(): Promise<FileContent<T>>;
}

/** `parse` may refuse the text by returning a reason. */
export function watchFile<T>(
  path: string,
  now: () => number,
  parse: (text: string) => FileContent<T>,
): WatchedFile<T> {
  let content: FileContent<T> | undefined;
  let version = '';
  let checkedAt = Number.NEGATIVE_INFINITY;
  let pending: Promise<FileContent<T>> | undefined;

  const refresh = async (): Promise<FileContent<T>> => {
    try {
      const before = await versionOf(path);
      if (content === undefined || before !== version) {
        const text = await readFile(path, 'utf8');
        content = parse(text);
        // Changed while being read: the old version makes the next check read it again.
        version = (await versionOf(path)) === before ? before : '';
      }
    } catch (error) {
      content = {
        ok: false,
        reason: `cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`,
      };
      version = '';
    }
    checkedAt = now();
    pending = undefined;
    return content;
  };

  return {
    read: () => {
      if (content !== undefined && now() - checkedAt < CHECK_INTERVAL_MS) return Promise.resolve(content);
      pending ??= refresh();
      return pending;
    },
  };
}

async function versionOf(path: string): Promise<string> {
  const { mtimeNs, size, ino } = await stat(path, { bigint: true });
  return `${ino}:${size}:${mtimeNs}`;
}
