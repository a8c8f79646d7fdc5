/**
 * A file whose parsed content is kept and read again when the file has changed. The check costs one stat and happens at
 * most once a second, so that a lookup in the hot path is normally a map access; a change is seen within that second.
 */
import { access, readFile, stat } from 'node:fs/promises';

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
  return watchFirst([{ path, parse: (bytes) => parse(bytes.toString()) }], now);
}

export interface Candidate<T> {
  readonly path: string;
  /** May refuse the bytes by returning a reason, or by throwing one. */
  parse(bytes: Buffer): FileContent<T>;
}

/** The content of the first of several files that is there; where none is, the reason is that of the first. */
export function watchFirst<T>(candidates: readonly Candidate<T>[], now: () => number): WatchedFile<T> {
  let content: FileContent<T> | undefined;
  let version = '';
  let checkedAt = Number.NEGATIVE_INFINITY;
  let pending: Promise<FileContent<T>> | undefined;

  const refresh = async (): Promise<FileContent<T>> => {
    const { path, parse } = await firstOf(candidates);
    try {
      const before = `${path}:${await versionOf(path)}`;
      if (content === undefined || before !== version) {
        content = parse(await readFile(path));
        // Changed while being read: the old version makes the next check read it again.
        version = `${path}:${await versionOf(path)}` === before ? before : '';
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

async function firstOf<T>(candidates: readonly Candidate<T>[]): Promise<Candidate<T>> {
  const [first] = candidates;
  if (first === undefined) throw new Error('a watched file needs a path');
  for (const candidate of candidates.length > 1 ? candidates : []) {
    if ((await access(candidate.path).catch(() => 'absent')) === undefined) return candidate;
  }
  return first;
}

async function versionOf(path: string): Promise<string> {
  const { mtimeNs, size, ino } = await stat(path, { bigint: true });
  return `${ino}:${size}:${mtimeNs}`;
}
