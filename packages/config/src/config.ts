/**
 * A configuration: what was set, the registry's defaults, and typed access to both.
 *
 * Each name is expanded and converted once and then kept, so `get` may be called on hot paths. A Config never changes; `with`
 * makes another. `loadConfig` checks every parameter before it hands one out, so `get` throws only for a bug.
 */
import { type Conversion, convert } from './convert.ts';
import { ExpandError, expand } from './expand.ts';
import {
  type DeclaredName,
  findParameter,
  type MirroredName,
  type ParameterName,
  type ParameterValue,
  parameterOf,
  type TransportSuffix,
  transportFormOf,
  type ValueOf,
} from './parameter.ts';
import { computedDefault, type System } from './system.ts';
import { builtInTransports, type Transport, type Transports } from './transports.ts';

type TransportValue<S extends TransportSuffix> = `transport_${S}` extends DeclaredName
  ? ValueOf<`transport_${S}`>
  : never;

export interface Config {
  /** Converted value: sizes in bytes, times in milliseconds, lists split, keywords in lower case, the rest expanded. */
  get<N extends ParameterName>(name: N): ValueOf<N>;
  /** The same for the protocol at hand: with lmtp, the LMTP form of the smtp_ parameter. */
  getFor<N extends MirroredName>(protocol: 'smtp' | 'lmtp', name: N): ValueOf<N>;
  /** What the scheduler uses for a transport: `<transport>_<suffix>` if it is set or known, else the default parameter. */
  getTransport<S extends TransportSuffix>(transport: string, suffix: S): TransportValue<S>;
  /** Whether main.cf, the environment or an override sets the name (registered or not). */
  isSet(name: string): boolean;
  /** Unexpanded value of any name: what was set, else the default; undefined for a name without either. */
  raw(name: string): string | undefined;
  /** Expands references in a text that is not a parameter itself, such as the entry of a table. Throws on bad syntax. */
  expand(text: string): string;
  /** Names that are set, in the order in which they were. */
  setNames(): readonly string[];
  /** A transport by its name in master.cf; undefined: there is none. */
  transport(name: string): Transport | undefined;
  /** The configuration as the delivery agent of a transport has it: with the -o values of master.cf, and its own service_name. */
  forTransport(name: string): Config;
  /** Another configuration, with these values on top. Throws a sentence about all of them that are wrong. */
  with(values: Readonly<Record<string, string>>): Config;
}

interface Resolution {
  readonly ok: boolean;
  readonly message?: string;
  readonly warning?: string;
}

/** A Config that `check` can ask about one name without a throw. */
export interface CheckedConfig extends Config {
  /** What is wrong with the value of a name (registered, or a transport's), if anything. */
  check(name: string): Resolution;
  forTransport(name: string): CheckedConfig;
}

export function createConfig(
  values: ReadonlyMap<string, string>,
  system: System,
  transports: Transports = builtInTransports,
): CheckedConfig {
  const ofTransports = new Map<string, CheckedConfig>();
  const cache = new Map<string, Conversion>();
  const computed = new Map<string, string>();

  const raw = (name: string): string | undefined => {
    const set = values.get(name);
    if (set !== undefined) return set;
    const parameter = findParameter(name);
    if (parameter === undefined) return transportFormOf(name)?.default ?? undefined;
    if (parameter.computed !== true) return parameter.default ?? undefined;
    let value = computed.get(name);
    if (value === undefined) {
      const setValue = (other: string): string | undefined => {
        const text = values.get(other);
        return text === undefined ? undefined : expand(text, raw);
      };
      value = computedDefault(parameter.name, system, (other) => expand(raw(other) ?? '', raw), setValue);
      computed.set(name, value);
    }
    return value;
  };

  const resolve = (name: string): Conversion => {
    const kept = cache.get(name);
    if (kept !== undefined) return kept;
    const parameter = findParameter(name) ?? transportFormOf(name);
    if (parameter === undefined) throw new Error(`no parameter is called ${name}`);
    let result: Conversion;
    try {
      const text = raw(name);
      result = text === undefined ? { ok: true, value: undefined } : convert(parameter, expand(text, raw));
    } catch (error) {
      if (!(error instanceof ExpandError)) throw error;
      result = { ok: false, message: error.message };
    }
    cache.set(name, result);
    return result;
  };

  const valueFor = (name: string): ParameterValue => {
    const result = resolve(name);
    if (!result.ok) throw new Error(`${name}: ${result.message}`);
    return result.value;
  };

  const config: CheckedConfig = {
    // The registry's type decides what `convert` returns; ValueOf states the same relation for the compiler.
    get: <N extends ParameterName>(name: N) => valueFor(name) as ValueOf<N>,
    getFor: <N extends MirroredName>(protocol: 'smtp' | 'lmtp', name: N) =>
      valueFor(protocol === 'smtp' ? name : (parameterOf(name).lmtpName ?? name)) as ValueOf<N>,
    getTransport: <S extends TransportSuffix>(transport: string, suffix: S) =>
      valueFor(`${transport}_${suffix}`) as TransportValue<S>,
    isSet: (name) => values.has(name),
    raw,
    expand: (text) => expand(text, raw),
    setNames: () => [...values.keys()],
    transport: (name) => transports.get(name),
    forTransport: (name) => {
      const kept = ofTransports.get(name);
      if (kept !== undefined) return kept;
      const transport = transports.get(name);
      if (transport === undefined) return config;
      const own = new Map([
        ...values,
        ...transport.overrides,
        ['process_name', programOf(transport)],
        ['service_name', name],
      ]);
      const made = createConfig(own, system, transports);
      ofTransports.set(name, made);
      return made;
    },
    with: (more) => {
      const next = createConfig(new Map([...values, ...Object.entries(more)]), system, transports);
      const wrong = Object.keys(more).flatMap((name) => {
        const { ok, message } = next.check(name);
        return ok ? [] : [`${name}: ${message}`];
      });
      if (wrong.length > 0) throw new Error(wrong.join('; '));
      return next;
    },
    check: (name) => {
      if (findParameter(name) === undefined && transportFormOf(name) === undefined) return { ok: true };
      return resolve(name);
    },
  };
  return config;
}

/** Name of the Postfix program in whose place the agent stands. */
function programOf({ agent }: Transport): string {
  return agent === 'retry' ? 'error' : agent;
}
