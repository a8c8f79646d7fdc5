/**
 * Tables about the server: what it says (`smtp_reply_filter`), and settings that depend on its address: which EHLO keywords to overlook (`smtp_discard_ehlo_keyword_address_maps`)
 * and which PIX workarounds to use (`smtp_pix_workaround_maps`). A found entry replaces the list of main.cf.
 */
import { type Config, splitList } from '@mailfleet/config';
import { openMaps, openTable, type Table, tableOptions } from '@mailfleet/lookup';
import type { Protocol } from './delivery.ts';
import type { ReplyFilter } from './reply.ts';

/** Words for an address; undefined: no entry; an error is a failed lookup. */
type MapAnswer = { readonly words: readonly string[] | undefined } | { readonly error: string };

export interface ServerMaps {
  discardKeywords(address: string): Promise<MapAnswer>;
  pixWorkarounds(address: string): Promise<MapAnswer>;
  /** `smtp_reply_filter`; undefined when there is none. */
  readonly replyFilter: ReplyFilter | undefined;
}

export const openServerMaps = (config: Config, protocol: Protocol): ServerMaps => {
  const open = (specs: readonly string[]): Table | undefined =>
    specs.length === 0 ? undefined : openMaps(specs, tableOptions(config));
  const discard = open(config.getFor(protocol, 'smtp_discard_ehlo_keyword_address_maps'));
  const pix = open(config.getFor(protocol, 'smtp_pix_workaround_maps'));
  const filterSpec = config.getFor(protocol, 'smtp_reply_filter');
  const filter =
    filterSpec === '' ? undefined : openTable(filterSpec, { ...tableOptions(config), fold: false });
  return {
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
