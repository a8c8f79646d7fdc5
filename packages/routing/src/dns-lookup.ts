/**
 * The DNS lookup primitive: (name, type) to records or to one class of failure with the words that mail logs have for it.
 * Aliases are followed for every type. Names in the result are valid host names or numeric addresses.
 */
import type { Table } from '@mailfleet/lookup';
import type { Answer } from 'dns-packet';
import type { Ask } from './dns-cache.ts';
import { type ExchangeResult, isServerTrouble } from './dns-exchange.ts';
import { type LookupType, RCODE, type RecordData, type Reply, sameName } from './dns-message.ts';
import { isHostname, isNumericAddress, toALabel } from './hostname.ts';
import { filterAnswers } from './reply-filter.ts';

const MOST_QUERIES = 10;
/** Longer lists come from mistakes or attacks; Postfix has the same limit. */
const MOST_RECORDS = 100;

/**
 * notfound: final; retry: later; fail: the server said no for good; invalid: unusable data; null: null MX (RFC 7505);
 * policy: the reply filter left nothing.
 */
export type LookupFailure = 'notfound' | 'retry' | 'fail' | 'invalid' | 'null' | 'policy';

/** How one delivery agent wants its lookups. */
export interface LookupSettings {
  /** Ask for DNSSEC data; without it nothing counts as validated. */
  readonly dnssec?: boolean;
  /** smtp_dns_reply_filter. */
  readonly replyFilter?: Table;
  /** res_defnames: a name without dots may be one in the local domain. */
  readonly localNames?: boolean;
  /** res_dnsrch: a name may be one in the domains of the search list. */
  readonly searchList?: boolean;
}

/** Sentences for the log. */
interface LookupRemarks {
  readonly warnings: readonly string[];
  /** What happened as main.cf wants it. */
  readonly notes: readonly string[];
}

export type LookupResult<T extends LookupType> =
  | ({
      readonly kind: 'ok';
      readonly records: readonly RecordData[T][];
      /** The name that holds the records: the end of the chain of aliases. */
      readonly canonicalName: string;
      /** DNSSEC was asked for, and every answer on the way had the AD bit. */
      readonly validated: boolean;
    } & LookupRemarks)
  | ({ readonly kind: LookupFailure; readonly reason: string } & LookupRemarks);

export async function lookupRecords<T extends LookupType>(
  ask: Ask,
  name: string,
  type: T,
  settings: LookupSettings = {},
): Promise<LookupResult<T>> {
  const warnings: string[] = [];
  const notes: string[] = [];
  const failure = (kind: LookupFailure, reason: string): LookupResult<T> => ({
    kind,
    reason,
    warnings,
    notes,
  });
  const first = toALabel(name);
  if (first === undefined || !isHostname(first.replace(/^\*\./, ''))) {
    return failure('notfound', `Name service error for ${name}: invalid host or domain name`);
  }
  let current = first;
  let validated = settings.dnssec === true;
  for (let queries = 0; queries < MOST_QUERIES; queries++) {
    const error = `Name service error for name=${current} type=${type}: `;
    const malformed = `${error}Malformed or unexpected name server reply`;
    const result = await ask({ name: current, type, dnssec: settings.dnssec === true });
    const failed = failureOf(result);
    if (failed !== undefined) {
      const reason =
        failed.text === undefined ? malformed : `Host or domain name not found. ${error}${failed.text}`;
      return failure(failed.kind, reason);
    }
    if (result.kind !== 'reply') return failure('retry', malformed);
    validated &&= result.validated;
    if (result.answers.some((answer) => !isHostname(answer.name.replace(/^\*\./, '')))) {
      return failure('invalid', malformed);
    }
    const { owner, records } = followAliases(result, current, type);
    if (records.length === 0 && !sameName(owner, current)) {
      if (!isHostname(owner)) return failure('invalid', malformed);
      current = owner;
      continue;
    }
    if (records.length === 0) {
      const text = 'Host found but no data record of requested type';
      return failure('notfound', `Host or domain name not found. ${error}${text}`);
    }
    if (records.some((record) => targetOf(record) === '.')) {
      const text = type === 'SRV' ? 'support SRV requests' : 'accept mail (nullMX)';
      return failure('null', `Domain ${current} does not ${text}`);
    }
    const usable = records.filter((record) => checkTarget(record, type, current, warnings));
    if (usable.length === 0) return failure('invalid', malformed);
    if (usable.length > MOST_RECORDS) {
      warnings.push(
        `more than ${MOST_RECORDS} ${type} records for ${current}: using the first ${MOST_RECORDS}`,
      );
      usable.length = MOST_RECORDS;
    }
    const filtered =
      settings.replyFilter === undefined
        ? usable
        : await filterAnswers(settings.replyFilter, usable, { warnings, notes });
    if (filtered === undefined || filtered.length === 0) {
      const trouble = `Error looking up name=${current} type=${type}: `;
      return filtered === undefined
        ? failure('retry', `${trouble}Invalid DNS reply filter syntax`)
        : failure('policy', `${trouble}DNS reply filter drops all results`);
    }
    const data = filtered.map((record) => dataOf(record) as RecordData[T]);
    return { kind: 'ok', records: data, canonicalName: owner, validated, warnings, notes };
  }
  const reason = `Name server loop for ${current}`;
  warnings.push(`dns_lookup: ${reason}`);
  return failure('notfound', reason);
}

/** The class of an answer that holds no data; no text means that the answer made no sense. */
function failureOf(result: ExchangeResult): { kind: LookupFailure; text?: string } | undefined {
  if (result.kind === 'malformed') return { kind: 'retry' };
  if (result.kind === 'silent' || isServerTrouble(result.rcode)) {
    return { kind: 'retry', text: 'Host not found, try again' };
  }
  if (result.rcode === RCODE.NXDOMAIN) return { kind: 'notfound', text: 'Host not found' };
  if (result.rcode !== RCODE.NOERROR) return { kind: 'fail', text: 'Non-recoverable error' };
  return undefined;
}

/** Walks the aliases within one answer; without records `owner` is where to ask next. */
function followAliases(reply: Reply, name: string, type: LookupType): { owner: string; records: Answer[] } {
  let owner = name;
  for (let step = 0; step <= reply.answers.length; step++) {
    const records = reply.answers.filter((answer) => answer.type === type && sameName(answer.name, owner));
    if (records.length > 0) return { owner, records };
    const alias = reply.answers.find((answer) => answer.type === 'CNAME' && sameName(answer.name, owner));
    if (alias?.type !== 'CNAME') break;
    owner = alias.data;
  }
  return { owner, records: [] };
}

function targetOf(record: Answer): string | undefined {
  if (record.type === 'MX') return record.data.exchange;
  if (record.type === 'SRV') return record.data.target;
  return undefined;
}

/** Whether a record can be used; numeric targets can, with a warning. */
function checkTarget(record: Answer, type: LookupType, name: string, warnings: string[]): boolean {
  const target = targetOf(record);
  if (target === undefined || isHostname(target)) return true;
  const numeric = isNumericAddress(target);
  const printable = target.replace(/[^\x20-\x7e]/g, '?');
  warnings.push(
    `${numeric ? 'numeric' : 'malformed'} domain name in resource data of ${type} record for ${name}: ${printable}`,
  );
  return numeric;
}

function dataOf(record: Answer): RecordData[LookupType] | undefined {
  switch (record.type) {
    case 'A':
    case 'AAAA':
    case 'CNAME':
    case 'NS':
      return record.data;
    case 'MX':
      return { preference: record.data.preference ?? 0, exchange: record.data.exchange };
    case 'SRV':
      return {
        priority: record.data.priority ?? 0,
        weight: record.data.weight ?? 0,
        port: record.data.port,
        target: record.data.target,
      };
    case 'TLSA':
      return record.data;
    case 'TXT':
      return [record.data].flat().map(String).join('');
    default:
      return undefined;
  }
}
