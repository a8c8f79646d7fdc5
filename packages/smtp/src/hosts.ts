/**
 * What the engine needs to know about a destination: the addresses to try, in order, or why there are none. The real answer comes
 * from @mailfleet/routing (DNS, MX choice, loop detection); tests pass a function.
 */
import type { MxAnswer } from '@mailfleet/routing';
import type { Endpoint } from './connect.ts';

export interface Host extends Endpoint {
  /** MX preference; 0 without MX. */
  readonly preference: number;
  /** What DNSSEC says of it; absent: nothing. */
  readonly canonicalName?: string;
  readonly validated?: boolean;
  /** The MX or SRV answer that names it; absent: the destination does. */
  readonly mx?: MxAnswer;
}

export type HostLookup =
  | {
      readonly kind: 'found';
      readonly hosts: readonly Host[];
      /** Lowest preference of all records; absent: of these hosts. */
      readonly bestPreference?: number;
      /** The local host is an MX for the destination: nothing after it may be tried. */
      readonly finalNexthop: boolean;
    }
  | {
      readonly kind: 'failed';
      readonly status: string;
      readonly reason: string;
      /** As above: the mail would come back to us, from this destination and from any other. */
      readonly finalNexthop?: boolean;
    };

/** Looks one TCP destination up: `name`, `[name]:port`, `[address]`, … */
export type FindHosts = (destination: string) => Promise<HostLookup>;
