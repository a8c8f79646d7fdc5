/** What the agents of a process, and the workers of a fleet, share about logins. */
import { randomBytes } from 'node:crypto';
import { type FleetKey, makeFleetKey, type TicketStore } from '@mailfleet/tls';
import { AccessTokens } from './access-tokens.ts';
import { processRejections } from './rejections.ts';

export interface SharedLogins {
  /** Names what belongs to a login without telling whose it is. */
  readonly key: FleetKey;
  /** Logins that a server rejected; sealed by the key. */
  readonly rejections: TicketStore;
  readonly tokens: AccessTokens;
}

/** What the key of a fleet is used for here. */
export const LOGIN_KEY_USE = 'sasl logins';

export interface SharedLoginsOptions {
  /** Shared by the fleet, with its key; absent: a process keeps to itself. */
  readonly fleet?: Pick<SharedLogins, 'key' | 'rejections'>;
  /** Takes a sentence that an operator should know. */
  readonly warn: (sentence: string) => void;
  /** Milliseconds since the epoch, and of a clock that never jumps. */
  readonly now?: () => number;
  readonly steadyNow?: () => number;
}

export const shareLogins = (options: SharedLoginsOptions): SharedLogins => {
  const { fleet, warn, now = Date.now, steadyNow = () => performance.now() } = options;
  return {
    key: fleet?.key ?? makeFleetKey(randomBytes(32).toString('base64'), LOGIN_KEY_USE),
    rejections: fleet?.rejections ?? processRejections(steadyNow),
    tokens: new AccessTokens({ now, warn }),
  };
};
