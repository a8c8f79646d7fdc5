/**
 * Whom to log in as: `smtp_sasl_password_maps`, by sender where that is asked for, then by host, then by the nexthop as written.
 * The first entry wins, and a table that cannot be asked is not an empty one.
 *
 * A login keeps its password where neither JSON nor an inspected object shows it.
 */
import type { Config } from '@mailfleet/config';
import { type LookupResult, openMaps, tableOptions, withoutEntries } from '@mailfleet/lookup';
import { lookupKeys, senderKeys } from '@mailfleet/routing';
import type { FleetKey } from '@mailfleet/tls';
import { localDomains } from '../content/generic-rules.ts';
import type { SaslSettings } from './settings.ts';

export class Login {
  readonly user: string;
  readonly #password: string;

  constructor(user: string, password: string) {
    this.user = user;
    this.#password = password;
  }

  get password(): string {
    return this.#password;
  }

  /** The file that tells where its access tokens come from (oauth2-client.ts), when the table has that in place of a password. */
  get tokenFile(): string | undefined {
    return /^oauth2:(\/.*)$/.exec(this.#password)?.[1];
  }
}

export type LoginLookup =
  | { readonly kind: 'none' }
  | { readonly kind: 'found'; readonly login: Login }
  | { readonly kind: 'error'; readonly reason: string };

/** Where a login is wanted. */
export interface LoginPlace {
  /** Envelope sender; empty for the null sender. */
  readonly sender: string;
  readonly host: string;
  /** Nexthop or fallback relay as written. */
  readonly destination: string;
}

export interface Logins {
  readonly senderDependent: boolean;
  find(place: LoginPlace): Promise<LoginLookup>;
}

export const openLogins = (
  settings: SaslSettings,
  config: Config,
  warn: (sentence: string) => void,
): Logins => {
  const table = openMaps(settings.passwordMaps, {
    ...tableOptions(config),
    warn: (sentence) => warn(withoutEntries(sentence)),
  });
  const delimiters = config.get('recipient_delimiter');
  const isLocal = localDomains(config, config.get('myorigin'), warn);

  /** Address, without its extension, both without a domain that is ours, then `@domain`. */
  const askBySender = async (sender: string): Promise<LookupResult> => {
    const keys = senderKeys(sender, delimiters);
    const domainKey = keys.pop();
    const whole = await lookupKeys(table, keys);
    if (whole.kind !== 'miss' || domainKey === undefined) return whole;
    const local = await isLocal(domainKey.key.slice(1));
    if (typeof local === 'object') return { kind: 'error', reason: local.error };
    const users = keys.map(({ key }) => ({ key: key.slice(0, key.lastIndexOf('@')), partial: true }));
    return await lookupKeys(table, [...(local ? users : []), domainKey]);
  };

  const ask = async ({ sender, host, destination }: LoginPlace): Promise<LookupResult> => {
    if (settings.senderDependent && sender.includes('@')) {
      const bySender = await askBySender(sender);
      if (bySender.kind !== 'miss') return bySender;
    }
    const byHost = await table.lookup(host);
    return byHost.kind === 'miss' ? await table.lookup(destination) : byHost;
  };
  return {
    senderDependent: settings.senderDependent,
    find: async (place) => {
      const result = await ask(place);
      if (result.kind === 'error') return { kind: 'error', reason: withoutEntries(result.reason) };
      if (result.kind === 'miss') return { kind: 'none' };
      const at = result.value.indexOf(settings.delimiter);
      const login =
        at === -1
          ? new Login(result.value, '')
          : new Login(result.value.slice(0, at), result.value.slice(at + settings.delimiter.length));
      return { kind: 'found', login };
    },
  };
};

/**
 * What makes a session wrong for mail that would log in otherwise: the login (its absence too), and all that it was looked up by. Empty without
 * a password table: then no session is authenticated.
 */
export const loginTerms = (
  key: Pick<FleetKey, 'nameOf'>,
  { host, destination, sender }: LoginPlace,
  lookup: LoginLookup,
  senderDependent: boolean,
): readonly string[] => {
  const login =
    lookup.kind === 'found' ? key.nameOf(JSON.stringify([lookup.login.user, lookup.login.password])) : '';
  return [login, host, destination, ...(senderDependent ? [sender] : [])];
};
