/**
 * `dnssec_probe`: whether the name servers validate at all. Asked once per process, when an answer that could have been validated was
 * not: an unsigned zone is the usual reason, and a resolver that does not validate the one that makes DANE silently useless.
 */
import type { Ask } from './dns-cache.ts';
import type { LookupType } from './dns-message.ts';

export interface DnssecProbe {
  readonly name: string;
  readonly type: LookupType;
}

const types = ['NS', 'A', 'AAAA', 'MX', 'TXT'] as const satisfies readonly LookupType[];

/** Reads `ns:.`, the parameter's one word; undefined: no probe. */
export const parseDnssecProbe = (
  words: readonly string[],
): DnssecProbe | { readonly error: string } | undefined => {
  const [word] = words;
  if (word === undefined) return undefined;
  const [, typeName = '', name = ''] = /^([^:]*):(.+)$/.exec(word) ?? [];
  const type = types.find((each) => each === typeName.toUpperCase());
  if (words.length > 1 || type === undefined) {
    const known = types.map((each) => each.toLowerCase()).join(', ');
    return { error: `dnssec_probe is not "type:name" with a type of ${known}: "${words.join(' ')}"` };
  }
  return { name: name === '.' ? '.' : name.replace(/\.$/, ''), type };
};

/** @returns the sentence for the log, when validation seems to be missing */
export const probeDnssec = async (ask: Ask, { name, type }: DnssecProbe): Promise<string | undefined> => {
  const reply = await ask({ name, type, dnssec: true });
  if (reply.kind === 'reply' && reply.validated) return undefined;
  const what = `dnssec_probe '${type.toLowerCase()}:${name}' received`;
  return reply.kind === 'silent'
    ? `DNSSEC validation may be unavailable; reason: ${what} no response`
    : `DNSSEC validation may be unavailable; reason: ${what} a response that is not DNSSEC validated`;
};
