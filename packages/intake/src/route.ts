/** Where a recipient goes: the routing package's router as intake needs it. */
import type { Config } from '@mailfleet/config';

export type Route =
  | {
      readonly kind: 'routed';
      readonly transport: string;
      readonly nexthop: string;
      readonly address: string;
    }
  | { readonly kind: 'error'; readonly reason: string };

export interface Router {
  route(recipient: string, sender: string): Promise<Route>;
}

/** relayhost, else default_transport and the recipient's domain. */
export function createRouter(config: Config): Router {
  const [transport = 'smtp', nexthop = ''] = config.get('default_transport').split(/:(.*)/);
  return {
    route: async (address) => ({
      kind: 'routed',
      address,
      transport,
      nexthop:
        config.get('relayhost').join(' ') ||
        nexthop ||
        address.slice(address.lastIndexOf('@') + 1).toLowerCase(),
    }),
  };
}
