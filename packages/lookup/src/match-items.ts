/**
 * Match lists: the value of parameters such as mynetworks and relay_domains. A list holds patterns, `/file/name` with
 * further patterns, and `type:table`; `!` before any of them excludes, and the first that matches decides.
 *
 * A broken pattern or table makes the whole answer an error from that place on: whoever asks must neither let in nor keep out
 * because of it.
 */
import { logicalLines, splitList } from '@mailfleet/config';
import { type IpAddress, parseAddress, parseBlock } from './address-block.ts';
import type { Table, TableOptions } from './table.ts';
import { type WatchedFile, watchFile } from './watched-file.ts';

export type MatchResult =
  | { readonly kind: 'match' }
  | { readonly kind: 'miss' }
  | { readonly kind: 'error'; readonly reason: string };

export interface MatchList {
  /** Whether the list holds the subject. Never rejects. */
  match(subject: string): Promise<MatchResult>;
}

export interface DomainListOptions extends TableOptions {
  /** A pattern also stands for its subdomains (parent_domain_matches_subdomains); otherwise `.pattern` does. */
  readonly parentMatchesSubdomains?: boolean;
}

/** How a list opens the tables in it: given, since some tables have lists of their own. */
export type OpenTable = (spec: string, options: TableOptions) => Table;

const MATCH: MatchResult = { kind: 'match' };
const MISS: MatchResult = { kind: 'miss' };

type Test = (subject: string) => MatchResult | Promise<MatchResult>;

type Item = { readonly negated: boolean } & (
  | { readonly test: Test }
  | { readonly file: WatchedFile<readonly Item[]> }
);

export function matchNetworksWith(
  open: OpenTable,
  patterns: readonly string[],
  options: TableOptions = {},
): MatchList {
  const items = readItems(
    open,
    patterns,
    options,
    networkTest,
    (table) => (subject) => tableTest(table, [subject]),
  );
  return { match: (subject) => matchItems(items, subject.replace(/^\[(.*)\]$/, '$1')) };
}

export function matchDomainsWith(
  open: OpenTable,
  patterns: readonly string[],
  options: DomainListOptions = {},
): MatchList {
  const { parentMatchesSubdomains = false } = options;
  const domainTest = (pattern: string): Test => {
    const wanted = pattern.toLowerCase();
    const ending = wanted.startsWith('.') ? wanted : parentMatchesSubdomains ? `.${wanted}` : undefined;
    return (subject) =>
      subject === wanted || (ending !== undefined && subject.endsWith(ending)) ? MATCH : MISS;
  };
  const ofTable = (table: Table): Test => {
    return (subject) => tableTest(table, domainKeys(subject, parentMatchesSubdomains));
  };
  const items = readItems(open, patterns, options, domainTest, ofTable);
  return { match: (subject) => matchItems(items, subject.toLowerCase()) };
}

function readItems(
  open: OpenTable,
  patterns: readonly string[],
  options: TableOptions,
  ofPattern: (pattern: string) => Test,
  ofTable: (table: Table) => Test,
): Item[] {
  return patterns.map((text): Item => {
    const pattern = text.replace(/^!+/, '');
    const negated = (text.length - pattern.length) % 2 === 1;
    if (pattern.startsWith('/')) {
      const file = watchFile(pattern, options.now ?? (() => performance.now()), (content) => {
        const words = logicalLines(content).lines.flatMap(({ text: line }) => splitList(line) ?? [line]);
        return { ok: true, value: readItems(open, words, options, ofPattern, ofTable) };
      });
      return { negated, file };
    }
    const isTable = /^[a-z0-9]+:/i.test(pattern) && !isIpv6(pattern);
    return { negated, test: isTable ? ofTable(open(pattern, options)) : ofPattern(pattern) };
  });
}

/** `fd00::/8` without brackets looks like type:name. */
function isIpv6(pattern: string): boolean {
  return parseAddress(pattern.replace(/\/\d+$/, '')) !== undefined;
}

async function matchItems(items: readonly Item[], subject: string): Promise<MatchResult> {
  const decision = await decide(items, subject);
  return typeof decision !== 'boolean' ? (decision ?? MISS) : decision ? MATCH : MISS;
}

/** True or false from the first item that matches; the items of a file count as if they stood in its place. */
async function decide(
  items: readonly Item[],
  subject: string,
): Promise<boolean | undefined | (MatchResult & { kind: 'error' })> {
  for (const item of items) {
    if ('file' in item) {
      const content = await item.file.read();
      if (!content.ok) return { kind: 'error', reason: content.reason };
      const decision = await decide(content.value, subject);
      if (typeof decision === 'boolean') return decision !== item.negated;
      if (decision !== undefined) return decision;
      continue;
    }
    const result = await item.test(subject);
    if (result.kind === 'error') return result;
    if (result.kind === 'match') return !item.negated;
  }
  return undefined;
}

function networkTest(pattern: string): Test {
  const block = parseBlock(pattern);
  if (typeof block === 'string') return () => ({ kind: 'error', reason: block });
  return (subject) => {
    const address: IpAddress | undefined = parseAddress(subject);
    return address !== undefined && block.contains(address) ? MATCH : MISS;
  };
}

async function tableTest(table: Table, keys: readonly string[]): Promise<MatchResult> {
  for (const [index, key] of keys.entries()) {
    const result = await table.lookup(key, { partial: index > 0 });
    if (result.kind === 'found') return MATCH;
    if (result.kind === 'error') return result;
  }
  return MISS;
}

/** The domain, then its parents: bare where a parent stands for its subdomains, else with a leading dot. */
function domainKeys(domain: string, bareParents: boolean): string[] {
  const keys = [domain];
  for (let dot = domain.indexOf('.', 1); dot >= 0; dot = domain.indexOf('.', dot + 1)) {
    keys.push(domain.slice(bareParents ? dot + 1 : dot));
  }
  return keys;
}
