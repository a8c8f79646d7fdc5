/**
 * ldap tables, by the files of ldap_table(5), over LDAP version 3. The driver is loaded at the first lookup; one session per server
 * carries all lookups and ends when it was idle for a minute.
 *
 * Entries give the values of `result_attribute`. One that has a `terminal_result_attribute` gives those alone. The values of a
 * `special_result_attribute` are names of entries, or LDAP addresses, which are looked up in turn, and only entries
 * without any give their `leaf_result_attribute`.
 */
import type { Entry } from 'ldapts';
import type { BareTable } from '../table.ts';
import { type Answers, databaseTable, templateOf } from './answers.ts';
import { AnswerError, openHosts } from './hosts.ts';
import { type LdapServer, LdapSession, type Scope } from './ldap-session.ts';
import { type TableContext, TableFileError, type TableSettings } from './table-file.ts';

const RETRY_INTERVAL_MS = 60_000;

export function makeLdapTable(settings: TableSettings, context: TableContext): BareTable {
  const server = serverOf(settings);
  const recursionLimit = settings.number('recursion_limit', 1000, 1);
  const baseTemplate = templateOf(settings, 'search_base', settings.text('search_base'));
  const query = templateOf(
    settings,
    'query_filter',
    settings.text('query_filter', '(mailacceptinggeneralid=%s)'),
  );
  const scope = scopeOf(settings);
  const names = {
    result: lowerWords(settings, 'result_attribute', 'maildrop'),
    special: lowerWords(settings, 'special_result_attribute'),
    terminal: lowerWords(settings, 'terminal_result_attribute'),
    leaf: lowerWords(settings, 'leaf_result_attribute'),
  };
  const attributes = [...names.terminal, ...names.leaf, ...names.result, ...names.special];
  const run = openHosts(
    addressesOf(settings).map((url) => ({
      name: url,
      local: url.startsWith('ldapi:'),
      client: new LdapSession(url, server),
    })),
    {
      retryIntervalMs: RETRY_INTERVAL_MS,
      now: context.now,
      random: context.random,
    },
  );

  const collect = async (session: LdapSession, key: Lookup, filter: string): Promise<void> => {
    let searches = 0;
    const waiting = [{ base: key.base, scope, filter }];
    for (const { base, scope: its, filter: wanted } of waiting) {
      searches += 1;
      if (searches > recursionLimit)
        throw new AnswerError(`one lookup needs more than ${recursionLimit} searches, the recursion_limit`);
      for (const entry of await session.search(base, its, wanted, attributes)) {
        const values = valuesByName(entry);
        const has = (list: readonly string[]): boolean => list.some((name) => values.has(name));
        const terminal = has(names.terminal);
        const leaf = !has(names.special);
        for (const [name, texts] of values) {
          const counts = terminal
            ? names.terminal.includes(name)
            : names.result.includes(name) || (leaf && names.leaf.includes(name));
          if (counts) {
            for (const text of texts) if (!key.answers.add(text)) return;
          } else if (!terminal && names.special.includes(name)) {
            waiting.push(...texts.map(referenceOf));
          }
        }
      }
    }
  };

  return databaseTable({
    settings,
    context,
    query: {
      usesParts: query.usesParts || baseTemplate.usesParts,
      expand: (...given) => query.expand(...given),
    },
    quote: quoteFilter,
    secrets: [server.password],
    ask: async (filter, answers) => {
      const base = baseTemplate.expand(answers.key, answers.key, quoteName);
      if (base === undefined) return;
      await run((session) => collect(session, { base, answers }, bracketed(filter)));
    },
  });
}

interface Lookup {
  readonly base: string;
  readonly answers: Answers;
}

/** Where a value of a special attribute points to. */
function referenceOf(value: string): { base: string; scope: Scope; filter: string } {
  const [, base, scope, filter] =
    /^ldaps?:\/\/[^/]*\/([^?]*)(?:\?[^?]*(?:\?([^?]*)(?:\?([^?]*))?)?)?/i.exec(value) ?? [];
  if (base === undefined) return { base: value, scope: 'base', filter: '(objectclass=*)' };
  const decoded = (text: string): string => {
    try {
      return decodeURIComponent(text);
    } catch {
      throw new AnswerError(`"${value}" is not an LDAP address`);
    }
  };
  return {
    base: decoded(base),
    scope: scope === 'one' || scope === 'sub' ? scope : 'base',
    filter: bracketed(decoded(filter ?? '') || 'objectclass=*'),
  };
}

function valuesByName(entry: Entry): Map<string, readonly string[]> {
  const values = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(entry)) {
    if (name === 'dn') continue;
    const texts = (Array.isArray(value) ? value : [value]).map(String);
    if (texts.length > 0) values.set(name.toLowerCase(), texts);
  }
  return values;
}

/** RFC 4515 section 3. */
function quoteFilter(part: string): string {
  return part.replace(/[*()\\\0]/g, hexadecimal);
}

/** RFC 4514 section 2.4, with every special character as its code. */
function quoteName(part: string): string {
  return part.replace(/[\0"#+,;<=>\\]|^ | $/g, hexadecimal);
}

function hexadecimal(character: string): string {
  return `\\${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

function bracketed(filter: string): string {
  return filter.startsWith('(') ? filter : `(${filter})`;
}

function lowerWords(settings: TableSettings, name: string, otherwise = ''): readonly string[] {
  return settings.words(name, otherwise).map((word) => word.toLowerCase());
}

/** `server_host`: names with `server_port`, or ldap, ldaps and ldapi addresses. */
function addressesOf(settings: TableSettings): string[] {
  const port = settings.number('server_port', 389, 1);
  return settings.words('server_host', 'localhost').map((host) => {
    if (/^ldap[si]?:\/\//.test(host)) return host;
    if (host.includes('://'))
      throw new TableFileError(`${settings.path}: "server_host" takes ldap, ldaps and ldapi`);
    return `ldap://${/:\d+$/.test(host) && !/:.*:/.test(host) ? host : `${host}:${port}`}`;
  });
}

function scopeOf(settings: TableSettings): Scope {
  const scope = settings.text('scope', 'sub').toLowerCase();
  if (scope === 'sub' || scope === 'one' || scope === 'base') return scope;
  throw new TableFileError(`${settings.path}: "scope" is one of sub, one and base`);
}

const DEREFERENCE = ['never', 'search', 'find', 'always'] as const;

function serverOf(settings: TableSettings): LdapServer {
  const bind = settings.text('bind', 'yes').toLowerCase();
  if (bind === 'sasl')
    throw new TableFileError(`${settings.path}: bind = sasl is not supported; use bind = yes`);
  if (settings.yes('chase_referrals', false)) {
    throw new TableFileError(
      `${settings.path}: chase_referrals is not supported; name the servers in server_host`,
    );
  }
  const dereference = DEREFERENCE[settings.number('dereference', 0)];
  if (dereference === undefined) throw new TableFileError(`${settings.path}: "dereference" is 0, 1, 2 or 3`);
  // Accepted, since files have them: the version spoken is 3, and debugging is the process's.
  settings.number('version', 3, 2);
  settings.number('debuglevel', 0);
  settings.yes('cache', false);
  const expansionLimit = settings.number('expansion_limit', 0);
  return {
    bind: ['yes', 'simple', '1', 'true', 'on'].includes(bind),
    name: settings.text('bind_dn'),
    password: settings.text('bind_pw'),
    timeoutMs: settings.time('timeout', '10'),
    startTls: settings.yes('start_tls', false),
    sizeLimit: settings.number('size_limit', expansionLimit),
    dereference,
    tls: {
      caFile: settings.text('tls_ca_cert_file'),
      certFile: settings.text('tls_cert'),
      keyFile: settings.text('tls_key'),
      // libldap's own default.
      verify: settings.yes('tls_require_cert', true),
    },
  };
}
