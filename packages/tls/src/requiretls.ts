/**
 * How strictly a REQUIRETLS request is honoured for a destination (`smtp_requiretls_policy`; RFC 8689 section 4.2.1): a list of actions
 * and tables, of which the first that says something decides. A table that cannot answer, or answers nonsense, defers the mail.
 */
import type { Config } from '@mailfleet/config';
import { openTable, type Table } from '@mailfleet/lookup';
import { asciiName } from './names.ts';
import { nexthopDomain } from './policy.ts';
import { policyKeys } from './policy-table.ts';

const actions = ['enforce', 'opportunistic+starttls', 'opportunistic', 'disable'] as const;

/**
 * enforce: the server proves who it is and takes REQUIRETLS, or gets nothing; opportunistic+starttls: TLS at least; opportunistic:
 * pass the request on where the server takes it; disable: as if nobody had asked.
 */
export type RequireTlsAction = (typeof actions)[number];

const actionOf = (word: string): RequireTlsAction | undefined =>
  actions.find((action) => action === word.trim().toLowerCase());

export interface RequireTlsPolicy {
  /** @param destination as routed, brackets and port included; the path of a UNIX-domain socket */
  actionFor(destination: string): Promise<{ readonly action: RequireTlsAction } | { readonly error: string }>;
}

type Item = { readonly action: RequireTlsAction } | { readonly table: Table } | { readonly error: string };

export const openRequireTlsPolicy = (config: Config, protocol: 'smtp' | 'lmtp'): RequireTlsPolicy => {
  const name = `${protocol}_requiretls_policy`;
  const items = config.getFor(protocol, 'smtp_requiretls_policy').map((word): Item => {
    const action = actionOf(word);
    if (action !== undefined) return { action };
    return /^[a-z0-9]+:/i.test(word)
      ? { table: openTable(word) }
      : { error: `${name}: unknown action "${word}"` };
  });
  return {
    actionFor: async (destination) => {
      const domain = nexthopDomain(destination);
      const [whole = domain, ...parents] = policyKeys(asciiName(domain) ?? domain);
      for (const item of items) {
        if (!('table' in item)) return item;
        for (const [index, key] of [whole, ...parents].entries()) {
          const result = await item.table.lookup(key, { partial: index > 0 });
          if (result.kind === 'miss') continue;
          if (result.kind === 'error') return { error: `${name}: ${result.reason}` };
          const action = actionOf(result.value);
          return action === undefined
            ? { error: `${name}: ${item.table.spec} has the unknown action "${result.value}" for ${key}` }
            : { action };
        }
      }
      return { action: 'enforce' };
    },
  };
};
