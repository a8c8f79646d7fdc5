/** A destination to try: a TCP destination still to be looked up, or a UNIX-domain socket. */
export type Element =
  | { readonly kind: 'tcp'; readonly destination: string; readonly fallback: boolean }
  | { readonly kind: 'unix'; readonly path: string };

/** A destination as its TLS policy and its parked sessions know it. */
export const nameOf = (element: Element): string =>
  element.kind === 'unix' ? element.path : element.destination;
