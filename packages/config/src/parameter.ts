/**
 * The registry: every parameter by name, the derived `lmtp_` forms included, and the types that follow from it.
 * `ParameterName` is the union of all names and `ValueOf<N>` the converted value, so that a misspelt name or a
 * wrong use of a value does not compile.
 */
import type { Entry, LmtpForm, ParameterType } from './registry/entry.ts';
import { type Declared, groups } from './registry/groups.ts';

export type DeclaredName = keyof Declared & string;

/** The smtp_ names that have an LMTP form. */
export type MirroredName = {
  [N in DeclaredName]: Declared[N] extends { readonly lmtp: LmtpForm } ? N : never;
}[DeclaredName];

type LmtpNameOf<N extends MirroredName> = Declared[N] extends {
  readonly lmtp: { readonly name: infer L extends string };
}
  ? L
  : N extends `smtp_${infer Rest}`
    ? `lmtp_${Rest}`
    : never;

type Mirrors = { [N in MirroredName as LmtpNameOf<N>]: Declared[N] };
type All = Declared & Mirrors;

/** Every name the registry knows. */
export type ParameterName = keyof All & string;

type Converted<E> = E extends { readonly type: 'boolean' }
  ? boolean
  : E extends { readonly type: 'integer' | 'size' | 'time' }
    ? number
    : E extends { readonly type: 'list' | 'maps' }
      ? readonly string[]
      : E extends { readonly type: 'enum'; readonly values: readonly (infer V extends string)[] }
        ? V
        : string;

/**
 * Type of the converted value: booleans, numbers (sizes in bytes, times in milliseconds), lists of words, keywords in
 * lower case, expanded text. Undefined is possible only for a parameter that has no default any more.
 */
export type ValueOf<N extends ParameterName> = All[N] extends { readonly default: null }
  ? Converted<All[N]> | undefined
  : Converted<All[N]>;

/** Name after `<transport>_` of what the scheduler reads per transport. */
export type TransportSuffix = Exclude<
  { [N in DeclaredName]: N extends `transport_${infer S}` ? S : never }[DeclaredName],
  'maps' | 'retry_time'
>;

export type ParameterValue = boolean | number | string | readonly string[] | undefined;

export interface Parameter extends Omit<Entry, 'lmtp' | 'origin'> {
  readonly name: ParameterName;
  readonly group: string;
  readonly origin: 'postfix' | 'mailfleet';
  /** Name of the LMTP form. */
  readonly lmtpName?: ParameterName;
  /** The smtp_ parameter whose LMTP form this is. */
  readonly mirrorOf?: ParameterName;
}

function isNumeric(type: ParameterType): boolean {
  return type === 'integer' || type === 'size' || type === 'time';
}

function buildRegistry(): ReadonlyMap<string, Parameter> {
  const registry = new Map<string, Parameter>();
  const add = (name: string, parameter: Omit<Parameter, 'name'>): void => {
    if (registry.has(name)) throw new Error(`parameter ${name} is declared twice`);
    if (parameter.unit !== undefined && !isNumeric(parameter.type))
      throw new Error(`${name} has a unit but is no time`);
    // The map is keyed by exactly the names that the type lists; parameter.test.ts holds the two together.
    registry.set(name, { ...parameter, name: name as ParameterName });
  };
  for (const group of groups) {
    for (const [name, { lmtp, origin = 'postfix', ...entry }] of Object.entries(group.entries)) {
      if (lmtp === undefined) {
        add(name, { ...entry, group: group.title, origin });
        continue;
      }
      const lmtpName = (lmtp.name ?? name.replace(/^smtp_/, 'lmtp_')) as ParameterName;
      add(name, { ...entry, group: group.title, origin, lmtpName });
      const { seed: _seed, ...shared } = entry;
      add(lmtpName, {
        ...shared,
        ...(lmtp.seed === true ? { seed: true } : {}),
        group: group.title,
        origin,
        mirrorOf: name as ParameterName,
        default:
          lmtp.default ??
          entry.default?.replaceAll('$smtp_', '$lmtp_').replaceAll('${smtp_', '${lmtp_') ??
          null,
        since: lmtp.since ?? entry.since,
        doc: lmtp.doc ?? `The same as ${name}, for LMTP.`,
      });
    }
  }
  return registry;
}

const registry = buildRegistry();

/** All parameters, in the order of the groups. */
export const parameters: readonly Parameter[] = [...registry.values()];

export function isParameterName(name: string): name is ParameterName {
  return registry.has(name);
}

/** The declaration of a name, if the registry knows it. */
export function findParameter(name: string): Parameter | undefined {
  return registry.get(name);
}

export function parameterOf(name: ParameterName): Parameter {
  const parameter = registry.get(name);
  if (parameter === undefined) throw new Error(`no parameter is called ${name}`);
  return parameter;
}

const TRANSPORT_NAME =
  /^(.+?)_((?:initial_)?destination_.+|transport_rate_delay|(?:extra_)?recipient_(?:limit|refill_.+)|delivery_slot_.+|minimum_delivery_slots|time_limit)$/;

/** For `slow_destination_rate_delay`: the declaration that gives it type, limits and default. */
export function transportFormOf(name: string): Parameter | undefined {
  const suffix = TRANSPORT_NAME.exec(name)?.[2];
  return suffix === undefined ? undefined : registry.get(`transport_${suffix}`);
}
