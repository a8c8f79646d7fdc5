/**
 * Which parameters the sources read. A parameter counts as read when a source file of a package names it in quotes, when it is
 * the LMTP or the per-transport form of such a one, or when the default of one that is read refers to it.
 */
import { globSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { isParameterName, type Parameter, parameters } from '@mailfleet/config';

/** They are there for values that refer to them, such as `$process_name`. */
const FOR_REFERENCES = ['mail_version', 'process_id', 'process_name', 'service_name'] as const;

/** Names that nothing reads, sorted. `root` is the repository. */
export function unreadParameters(root: string): string[] {
  const read = new Set<string>(FOR_REFERENCES);
  for (const source of packageSources(root)) {
    const quoted = new Set(
      [...source.text.matchAll(/['"`]([A-Za-z0-9_]+)['"`]/g)].map((match) => match[1] ?? ''),
    );
    for (const parameter of parameters) {
      if (isRead(parameter, quoted, source)) read.add(parameter.name);
    }
  }
  const byName = new Map(parameters.map((parameter) => [parameter.name as string, parameter]));
  for (const name of read) {
    const value = byName.get(name)?.default ?? '';
    for (const [, reference = ''] of value.matchAll(/\$[{(]*([A-Za-z0-9_]+)/g)) {
      if (byName.has(reference)) read.add(reference);
    }
  }
  return parameters.flatMap(({ name }) => (read.has(name) ? [] : [name as string])).sort();
}

interface Source {
  readonly text: string;
  readonly usesGetFor: boolean;
  readonly usesGetTransport: boolean;
}

/** One entry per package: what one file of it names, another may ask for. The registry itself reads nothing. */
function packageSources(root: string): Source[] {
  const texts = new Map<string, string>();
  for (const path of globSync('packages/*/src/**/*.ts', { cwd: root }).sort()) {
    const name = path.split(sep)[1] ?? '';
    if (name === 'config' || path.endsWith('.test.ts')) continue;
    texts.set(name, `${texts.get(name) ?? ''}\n${readFileSync(join(root, path), 'utf8')}`);
  }
  return [...texts.values()].map((text) => ({
    text,
    usesGetFor: /\bgetFor\b/.test(text),
    usesGetTransport: /\bgetTransport\b/.test(text),
  }));
}

function isRead({ name, mirrorOf }: Parameter, quoted: ReadonlySet<string>, source: Source): boolean {
  if (quoted.has(name)) return true;
  if (mirrorOf !== undefined && source.usesGetFor && quoted.has(mirrorOf)) return true;
  if (!source.usesGetTransport) return false;
  const suffix = /^(?:transport|smtp|lmtp|relay|local|virtual)_(.+)$/.exec(name)?.[1];
  return suffix !== undefined && isParameterName(`transport_${suffix}`) && quoted.has(suffix);
}
