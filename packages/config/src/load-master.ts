/**
 * master.cf for loadConfig: read, made into transports, and every value of a transport's own configuration checked, so that a worker finds
 * nothing wrong in it later.
 */
import { readFileSync } from 'node:fs';
import type { CheckedConfig } from './config.ts';
import type { Problem } from './load.ts';
import { type MasterEntry, parseMasterCf } from './master-cf.ts';
import { findParameter, parameters, transportFormOf } from './parameter.ts';
import { nearestName } from './suggestion.ts';
import { type Transports, transportsFrom } from './transports.ts';

export interface Master {
  /** For messages. */
  readonly file: string;
  readonly entries: readonly MasterEntry[];
  readonly transports: Transports;
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** @param text in place of the file's */
export function readMaster(file: string, text?: string): Master {
  const at = (line: number): string => `${file}:${line}`;
  const errors: Problem[] = [];
  let content = text;
  try {
    content ??= readFileSync(file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    errors.push({ where: file, message: `cannot read the services: ${reason}` });
  }
  const { entries, problems } = parseMasterCf(content ?? '');
  const { transports, warnings } = transportsFrom(entries);
  for (const { kind, line, message } of problems) {
    if (kind === 'error') errors.push({ where: at(line), message });
  }
  return {
    file,
    entries,
    transports,
    errors,
    warnings: [...problems.filter(({ kind }) => kind === 'warning'), ...warnings].map(
      ({ line, message }) => ({
        where: at(line),
        message,
      }),
    ),
  };
}

/** What the transports' own values make wrong that is right without them. */
export function checkTransports(
  { file, transports }: Master,
  config: CheckedConfig,
  isReferenced: (name: string) => boolean,
): { readonly errors: Problem[]; readonly warnings: Problem[] } {
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  for (const [transport, { overrides, line }] of transports) {
    if (overrides.size === 0) continue;
    const where = `${file}:${line}`;
    for (const name of overrides.keys()) {
      if (findParameter(name) !== undefined || transportFormOf(name) !== undefined || isReferenced(name))
        continue;
      const nearest = nearestName(name);
      const hint = nearest === undefined ? '' : ` (did you mean ${nearest}?)`;
      warnings.push({
        where,
        name,
        message: `there is no parameter ${name}${hint}; nothing uses this value`,
      });
    }
    const own = config.forTransport(transport);
    for (const { name } of parameters) {
      const { ok, message, warning } = own.check(name);
      const text = message ?? warning;
      if (text === undefined || (config.check(name).message ?? config.check(name).warning) === text) continue;
      (ok ? warnings : errors).push({ where, name, message: `${transport}: ${name}: ${text}` });
    }
  }
  return { errors, warnings };
}
