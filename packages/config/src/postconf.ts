/**
 * What `mailfleet config` prints, as postconf(1) does: `name = value` lines in byte order, or in the given order for given
 * names; `name =` for an empty value; runs of white space as one space. Pure: from a Config to lines and warnings.
 */
import type { Config } from './config.ts';
import { ExpandError } from './expand.ts';
import { isExpandedLater } from './foreign.ts';
import type { MasterEntry } from './master-cf.ts';
import { findParameter, parameters, transportFormOf } from './parameter.ts';
import { nearestName } from './suggestion.ts';
import { usedNames } from './used-names.ts';

export interface ShowOptions {
  /** `all`: everything with its actual value; `defaults`: ours, whatever is set (-d); `set`: only what is set (-n). */
  readonly select: 'all' | 'defaults' | 'set';
  /** Follow references (-x). */
  readonly expand?: boolean;
  /** Only these, in this order. */
  readonly names?: readonly string[];
  /** What stands in master.cf: its values refer to names, too, and its transports have parameters. */
  readonly services?: readonly MasterEntry[];
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
  for (const name of options.names ?? selectedNames(config, options)) {
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
    if (options.expand === true && !isExpandedLater(name)) {
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

function selectedNames(config: Config, { select, services = [] }: ShowOptions): readonly string[] {
  const known = parameters.filter(
    ({ name }) => config.isSet(name) || (select !== 'set' && config.raw(name) !== undefined),
  );
  const own = select === 'defaults' ? [] : config.setNames().filter(usedNames(config, services));
  return [...new Set([...known.map(({ name }) => name as string), ...own])].sort(compareBytes);
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
