/** DANE's questions, put to the resolver of the process: validated answers only count, and only silence counts as failure. */
import type { LookupResult, LookupSettings, LookupType, RecordData, Resolver } from '@mailfleet/routing';
import type { DaneAnswer, DaneDns } from '@mailfleet/tls';

/** @param settings the reply filter of main.cf, if it has one */
export const daneDns = (
  resolver: Pick<Resolver, 'lookup'>,
  settings: LookupSettings,
  warn: (text: string) => void,
): DaneDns => {
  // A name that a search list made longer would be another server's.
  const exact = { ...settings, dnssec: true, localNames: false, searchList: false };
  const ask = async <T extends LookupType>(name: string, type: T): Promise<DaneAnswer<RecordData[T]>> => {
    const result: LookupResult<T> = await resolver.lookup(name, type, exact);
    for (const warning of result.warnings) warn(warning);
    if (result.kind === 'ok') return { kind: 'found', records: result.records, validated: result.validated };
    if (result.kind === 'notfound') return { kind: 'none' };
    return { kind: 'failed', reason: result.reason, ...(result.kind === 'policy' ? { local: true } : {}) };
  };
  return { tlsa: (name) => ask(name, 'TLSA'), cname: (name) => ask(name, 'CNAME') };
};
