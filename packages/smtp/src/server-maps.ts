/**
 * Tables about the server: what it says (`smtp_reply_filter`), and settings that depend on its address: which EHLO keywords to overlook (`smtp_discard_ehlo_keyword_address_maps`),
 * which PIX workarounds to use (`smtp_pix_workaround_maps`), and, by its name first, what to log of TLS (`smtp_tls_loglevel_maps`). A found entry
 * replaces the list of main.cf.
 */
import { type Config, splitList } from '@mailfleet/config';
import { openMaps, openTable, type Table, tableOptions } from '@mailfleet/lookup';
import { parseLogLevel, type TlsLogging } from '@mailfleet/tls';
import type { Endpoint } from './connect.ts';
import type { Protocol } from './delivery.ts';
import type { ReplyFilter } from './reply.ts';

/** Words for an address; undefined: no entry; an error is a failed lookup. */
type MapAnswer = { readonly words: readonly string[] | undefined } | { readonly error: string };

export interface ServerMaps {
  discardKeywords(address: string): Promise<MapAnswer>;
  pixWorkarounds(address: string): Promise<MapAnswer>;
  /** What to log of a TLS session. A table that cannot be asked says nothing: main.cf decides. */
  tlsLogging(server: Endpoint): Promise<TlsLogging>;
  /** `smtp_reply_filter`; undefined when there is none. */
  readonly replyFilter: ReplyFilter | undefined;
}

/** @param warn is told of words that are no log level, and of a table of log levels that cannot be asked */
export const openServerMaps = (
  config: Config,
  protocol: Protocol,
  warn: (text: string) => void,
): ServerMaps => {
  const open = (specs: readonly string[]): Table | undefined =>
    specs.length === 0 ? undefined : openMaps(specs, tableOptions(config));
  const discard = open(config.getFor(protocol, 'smtp_discard_ehlo_keyword_address_maps'));
  const pix = open(config.getFor(protocol, 'smtp_pix_workaround_maps'));
  const filterSpec = config.getFor(protocol, 'smtp_reply_filter');
  const filter =
    filterSpec === '' ? undefined : openTable(filterSpec, { ...tableOptions(config), fold: false });
  const levels = open(config.getFor(protocol, 'smtp_tls_loglevel_maps'));
  const readLevel = (words: readonly string[], where: string): TlsLogging => {
    const { unknown, ...logging } = parseLogLevel(words);
    if (unknown.length > 0) warn(`${where}: unknown TLS log level "${unknown.join(', ')}"`);
    return logging;
  };
  const logging = readLevel(config.getFor(protocol, 'smtp_tls_loglevel'), `${protocol}_tls_loglevel`);
  return {
    tlsLogging: async ({ host, address }) => {
      if (levels === undefined) return logging;
      const name = `${protocol}_tls_loglevel_maps`;
      for (const key of [host, address]) {
        const found = await ask(levels, key);
        if ('error' in found) warn(`${name}: ${found.error}`);
        else if (found.words !== undefined) return readLevel(found.words, `${name}, ${key}`);
      }
      return logging;
    },
    replyFilter: filter && ((line) => filter.lookup(line)),
    discardKeywords: (address) => ask(discard, address),
    pixWorkarounds: (address) => ask(pix, address),
  };
};

const ask = async (table: Table | undefined, address: string): Promise<MapAnswer> => {
  if (table === undefined) return { words: undefined };
  const result = await table.lookup(address);
  if (result.kind === 'error') return { error: result.reason };
  return { words: result.kind === 'found' ? splitList(result.value) : undefined };
};
