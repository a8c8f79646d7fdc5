/**
 * Follows main.cf and master.cf while a program runs: Postfix's processes live for a limited time, so that they see a change soon;
 * a process of ours lives on and looks at the files once a second. A new configuration is handed over only if it is right
 * from end to end; a wrong one is told once, and the one in use stays.
 */
import { stat } from 'node:fs/promises';
import type { Config } from './config.ts';
import { type LoadOptions, loadConfig, type Problem } from './load.ts';

export interface FollowOptions {
  readonly sources: LoadOptions;
  /** The configuration that is in use now. */
  readonly config: Config;
  /** Takes a new one, with the names in main.cf that changed (none: master.cf did) and what is odd about it. */
  readonly changed: (config: Config, names: readonly string[], warnings: readonly Problem[]) => void;
  /** Hears what is wrong with a new one that is not used. */
  readonly refused: (problems: readonly Problem[]) => void;
}

const CHECK_INTERVAL_MS = 1000;
/** A file that was written just now may not be whole yet. Postfix waits for as long. */
const SETTLE_MS = 1000;

/** @returns how to stop */
export function followConfig({ sources, config, changed, refused }: FollowOptions): () => void {
  let current = config;
  let seen: string | undefined;
  let busy = false;
  const check = async (): Promise<void> => {
    const { version, modifiedMs, changedMs } = await versionOf([sources.file, sources.masterFile]);
    if (version === seen || Date.now() - modifiedMs < SETTLE_MS) return;
    const first = seen === undefined;
    seen = version;
    const loaded = loadConfig(sources);
    if (!loaded.ok) {
      refused(loaded.problems);
      return;
    }
    const names = changedNames(current, loaded.config);
    current = loaded.config;
    // What was read at the start may have been an older file, of which nobody kept the version.
    const same = first && names.length === 0 && changedMs < performance.timeOrigin;
    if (!same) changed(loaded.config, names, loaded.warnings);
  };
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    // A file that is away for a moment comes back; until then the configuration in use is the best there is.
    void check()
      .catch(() => undefined)
      .finally(() => {
        busy = false;
      });
  }, CHECK_INTERVAL_MS).unref();
  return () => clearInterval(timer);
}

/** Names that are set to something else, newly set or set no more. */
function changedNames(before: Config, after: Config): string[] {
  const names = new Set([...before.setNames(), ...after.setNames()]);
  return [...names].filter(
    (name) => before.isSet(name) !== after.isSet(name) || before.raw(name) !== after.raw(name),
  );
}

async function versionOf(
  paths: readonly (string | undefined)[],
): Promise<{ readonly version: string; readonly modifiedMs: number; readonly changedMs: number }> {
  const parts: string[] = [];
  let modifiedMs = 0;
  let changedMs = 0;
  for (const path of paths) {
    if (path === undefined) continue;
    const { ino, size, mtimeNs, mtimeMs, ctimeMs } = await stat(path, { bigint: true });
    parts.push(`${ino}:${size}:${mtimeNs}`);
    modifiedMs = Math.max(modifiedMs, Number(mtimeMs));
    changedMs = Math.max(changedMs, Number(ctimeMs));
  }
  return { version: parts.join(' '), modifiedMs, changedMs };
}
