/** The syntax of `type:name` and of the braces that inline tables use. */
import { splitList } from '@mailfleet/config';

export interface TableSpec {
  readonly type: string;
  readonly name: string;
}

/** `type:name`; a path alone has the default type. */
export function parseSpec(spec: string, defaultType: string): TableSpec {
  const colon = spec.indexOf(':');
  if (colon <= 0 || spec.startsWith('/')) return { type: defaultType, name: spec };
  return { type: spec.slice(0, colon), name: spec.slice(colon + 1) };
}

/** The words between the outer braces of `{a, b {c d}}`; inner braces stay. Undefined: there are no balanced braces. */
export function bracedWords(text: string): readonly string[] | undefined {
  const inside = bracedText(text);
  return inside === undefined ? undefined : splitList(inside);
}

/** The trimmed text between outer braces; undefined when the text is not one pair of braces. */
export function bracedText(text: string): string | undefined {
  const trimmed = text.trim();
  if (!trimmed.startsWith('{') || !trimmed.endsWith('}')) return undefined;
  return trimmed.slice(1, -1).trim();
}
