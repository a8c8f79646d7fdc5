/**
 * What tables in databases have in common: the query template, `domain`, and how rows become one result. `result_format` is
 * applied to each value; several values are joined with commas, and more than `expansion_limit` of them are an error.
 */
import { type BareTable, found, type LookupResult, lookupError, MISS } from '../table.ts';
import { type TableContext, TableFileError, type TableSettings } from './table-file.ts';
import { expandPlain, parseTemplate, type Template } from './template.ts';

/** Reads a template from the file; the problem names the parameter. */
export function templateOf(settings: TableSettings, name: string, text: string): Template {
  const template = parseTemplate(text);
  if ('problem' in template) throw new TableFileError(`${settings.path}: ${name}: ${template.problem}`);
  return template;
}

/** Whether `domain` lets a key be looked up: bare keys and @domain are not when it is set. */
export function domainGate(
  settings: TableSettings,
  context: TableContext,
): (key: string) => Promise<LookupResult | undefined> {
  const patterns = settings.words('domain');
  if (patterns.length === 0) return async () => undefined;
  const list = context.matchDomains(patterns);
  return async (key) => {
    const at = key.lastIndexOf('@');
    if (at <= 0) return MISS;
    const result = await list.match(key.slice(at + 1));
    if (result.kind === 'error') return lookupError(result.reason);
    return result.kind === 'match' ? undefined : MISS;
  };
}

/** Collects values and gives the result. */
export class Answers {
  /** What is looked up. */
  readonly key: string;
  readonly #format: Template;
  readonly #limit: number;
  readonly #path: string;
  readonly #values: string[] = [];

  constructor(key: string, format: Template, limit: number, path: string) {
    this.key = key;
    this.#format = format;
    this.#limit = limit;
    this.#path = path;
  }

  /** False: there are too many, and no more are wanted. */
  add(value: string): boolean {
    if (value === '') return true;
    const formatted = expandPlain(this.#format, this.key, value);
    if (formatted !== undefined) this.#values.push(formatted);
    return this.#limit === 0 || this.#values.length <= this.#limit;
  }

  result(): LookupResult {
    if (this.#limit > 0 && this.#values.length > this.#limit) {
      return lookupError(
        `${this.#path}: "${this.key}" has more than ${this.#limit} results, the expansion_limit`,
      );
    }
    return this.#values.length === 0 ? MISS : found(this.#values.join(','));
  }
}

export interface DatabaseParts {
  readonly settings: TableSettings;
  readonly context: TableContext;
  readonly query: Template;
  readonly quote: (part: string) => string;
  /** Sends the query and adds what it finds. Throws what is wrong. */
  ask(query: string, answers: Answers): Promise<void>;
  /** Values that must not stand in a message. */
  readonly secrets: readonly string[];
}

/** The table of a query and of whoever can ask it. */
export function databaseTable(parts: DatabaseParts): BareTable {
  const { settings, query, quote, ask, secrets } = parts;
  const format = templateOf(settings, 'result_format', settings.text('result_format', '%s'));
  const limit = settings.number('expansion_limit', 0);
  const refuse = domainGate(settings, parts.context);
  return {
    keys: query.usesParts ? 'pattern' : 'fixed',
    fold: true,
    find: async (key) => {
      const refused = await refuse(key);
      if (refused !== undefined) return refused;
      // No database has a text with a NUL, and some end it there.
      if (key === '' || key.includes('\0')) return MISS;
      const text = query.expand(key, key, quote);
      if (text === undefined) return MISS;
      const answers = new Answers(key, format, limit, settings.path);
      try {
        await ask(text, answers);
      } catch (error) {
        return lookupError(`${settings.path}: ${withoutSecrets(error, secrets)}`);
      }
      return answers.result();
    },
  };
}

/** The message of an error, without passwords. */
function withoutSecrets(error: unknown, secrets: readonly string[]): string {
  let text = error instanceof Error ? error.message : String(error);
  if (text === '' && error instanceof AggregateError) text = error.errors.map(String).join('; ');
  for (const secret of secrets) {
    if (secret !== '') text = text.replaceAll(secret, '[secret]');
  }
  return text.replace(/\/\/[^/@\s]*@/g, '//[secret]@').replace(/\s+/g, ' ');
}
