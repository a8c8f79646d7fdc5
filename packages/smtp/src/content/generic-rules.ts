/**
 * smtp_generic_maps: opened once per agent, and the envelope addresses of each request, looked up along with its content so that its
 * commands can go out behind the last message.
 */
import type { Config } from '@mailfleet/config';
import { matchDomains, openMaps, tableOptions } from '@mailfleet/lookup';
import { GenericMap } from '@mailfleet/mime';
import { findOwnAddresses, type OwnAddresses } from '@mailfleet/routing';
import type { Remark } from '../attempt.ts';
import type { DeliveryRequest, Protocol } from '../delivery.ts';
import type { FetchContent } from './prefetch.ts';

/** Envelope addresses as the server gets them; logs, outcomes and ORCPT keep the original ones. */
export interface WireAddresses {
  readonly sender: string;
  /** By the recipient's index. */
  readonly recipients: ReadonlyMap<number, string>;
}

/** Undefined: the parameter is empty. */
export const openGeneric = (
  config: Config,
  protocol: Protocol,
  warn: (sentence: string) => void,
): GenericMap | undefined => {
  const specs = config.getFor(protocol, 'smtp_generic_maps');
  if (specs.length === 0) return undefined;
  const myorigin = config.get('myorigin');
  return new GenericMap({
    name: `${protocol}_generic_maps`,
    table: openMaps(specs, { ...tableOptions(config), warn }),
    delimiters: config.get('recipient_delimiter'),
    propagate: config.get('propagate_unmatched_extensions').some((name) => name.toLowerCase() === 'generic'),
    isLocal: localDomains(config, myorigin, warn),
    complete: (address) => completed(address, myorigin, config),
    tokenLimit: config.get('header_address_token_limit'),
  });
};

/** Whether mail of a domain is this machine's own: myorigin, mydestination, and addresses of its interfaces. */
export const localDomains = (config: Config, myorigin: string, warn: (sentence: string) => void) => {
  const mydestination = matchDomains(config.get('mydestination'), { ...tableOptions(config), warn });
  let own: Promise<OwnAddresses> | undefined;
  return async (domain: string): Promise<boolean | { readonly error: string }> => {
    if (domain.toLowerCase() === myorigin.toLowerCase()) return true;
    const literal = /^\[(?:ipv6:)?(.*)\]$/i.exec(domain)?.[1];
    if (literal !== undefined) {
      own ??= findOwnAddresses(config, { warn });
      return (await own).has(literal.toLowerCase());
    }
    const result = await mydestination.match(domain.toLowerCase());
    return result.kind === 'error' ? { error: `mydestination: ${result.reason}` } : result.kind === 'match';
  };
};

/** append_at_myorigin, append_dot_mydomain. */
const completed = (address: string, myorigin: string, config: Config): string => {
  const at = address.lastIndexOf('@');
  if (at < 0) return config.get('append_at_myorigin') ? `${address}@${myorigin}` : address;
  const isBareHost = !/[.[]/.test(address.slice(at + 1));
  return isBareHost && config.get('append_dot_mydomain') ? `${address}.${config.get('mydomain')}` : address;
};

/** Envelope addresses of a batch's requests, looked up along with their contents. */
export class WireAddressBook {
  readonly #generic: GenericMap;
  readonly #remark: (event: Remark) => void;
  readonly #protocol: Protocol;
  readonly #known = new WeakMap<DeliveryRequest, WireAddresses | { readonly error: string }>();

  constructor(generic: GenericMap, remark: (event: Remark) => void, protocol: Protocol) {
    this.#generic = generic;
    this.#remark = remark;
    this.#protocol = protocol;
  }

  /** Known once the content of the request is here; an error says which lookup failed. */
  of(request: DeliveryRequest): WireAddresses | { readonly error: string } | undefined {
    return this.#known.get(request);
  }

  alongWith(fetch: FetchContent): FetchContent {
    return async (request) => {
      const [content] = await Promise.all([fetch(request), this.#prepare(request)]);
      return content;
    };
  }

  async #prepare(request: DeliveryRequest): Promise<void> {
    const { queueId, sender } = request.envelope;
    const note = (text: string, warning: boolean): void =>
      this.#remark({ kind: 'remark', program: this.#protocol, queueId, text, warning });
    const from = await this.#generic.rewrite(sender, note);
    const recipients = new Map<number, string>();
    let failed = 'error' in from ? from : undefined;
    for (const { index, address } of failed === undefined ? request.recipients : []) {
      const to = await this.#generic.rewrite(address, note);
      if ('error' in to) failed = to;
      else recipients.set(index, to.address ?? address);
    }
    if (failed !== undefined) {
      note(`generic map lookup error for the envelope: ${failed.error}`, true);
      this.#known.set(request, failed);
    } else if ('address' in from) {
      this.#known.set(request, { sender: from.address ?? sender, recipients });
    }
  }
}
