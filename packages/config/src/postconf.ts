/**
 * What `mailfleet config` prints, as postconf(1) does: `name = value` lines in byte order, or in the given order for given
 * names; `name =` for an empty value; runs of white space as one space. Pure: from a Config to lines and warnings.
 */
import type { Config } from './config.ts';
import { ExpandError } from './expand.ts';
import { findParameter, parameters, transportFormOf } from './parameter.ts';
import { nearestName } from './suggestion.ts';

export interface ShowOptions {
  /** `all`: everything with its actual value; `defaults`: ours, whatever is set (-d); `set`: only what is set (-n). */
  readonly select: 'all' | 'defaults' | 'set';
  /** Follow references (-x). */
  readonly expand?: boolean;
  /** Only these, in this order. */
  readonly names?: readonly string[];
  /** One JSON object with one member, name and value as strings, per line instead of `name = value`. */
  readonly json?: boolean;
}

export interface Shown {
  readonly lines: readonly string[];
  readonly warnings: readonly string[];
}

export function showParameters(config: Config, defaults: Config, options: ShowOptions): Shown {
  const source = options.select === 'defaults' ? defaults : config;
  const lines: string[] = [];
  const warnings: string[] = [];
  for (const name of options.names ?? selectedNames(config, options.select)) {
    const known = findParameter(name) !== undefined || transportFormOf(name) !== undefined;
    let value = source.raw(name) ?? (known ? '' : undefined);
    if (value === undefined) {
      const nearest = nearestName(name);
      warnings.push(
        `there is no parameter ${name}${nearest === undefined ? '' : ` (did you mean ${nearest}?)`}`,
      );
      continue;
    }
    if (options.select === 'set' && !config.isSet(name)) continue;
    if (options.expand === true) {
      try {
        value = source.expand(value);
      } catch (error) {
        if (!(error instanceof ExpandError)) throw error;
        warnings.push(`${name}: ${error.message}; its value is shown as it stands`);
      }
    }
    lines.push(options.json === true ? jsonLine(name, value) : textLine(name, value));
  }
  return { lines, warnings };
}

function selectedNames(config: Config, select: ShowOptions['select']): readonly string[] {
  const known = parameters.filter(
    ({ name }) => config.isSet(name) || (select !== 'set' && config.raw(name) !== undefined),
  );
  const own = select === 'defaults' ? [] : config.setNames().filter((name) => isUsed(config, name));
  return [...new Set([...known.map(({ name }) => name as string), ...own])].sort(compareBytes);
}

/** A name of the user's own counts only if a value refers to it, or as the form of a transport. */
function isUsed(config: Config, name: string): boolean {
  if (findParameter(name) !== undefined || transportFormOf(name) !== undefined) return true;
  const reference = new RegExp(`\\$(?:${name}(?![A-Za-z0-9_])|[({]\\s*${name}(?![A-Za-z0-9_]))`);
  return config.setNames().some((other) => reference.test(config.raw(other) ?? ''));
}

function compareBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

function oneSpace(value: string): string {
  return value.replace(/\s+/g, ' ').trim();
}

function textLine(name: string, value: string): string {
  return `${name} = ${oneSpace(value)}`.trimEnd();
}

function jsonLine(name: string, value: string): string {
  return JSON.stringify({ [name]: oneSpace(value) });
}
