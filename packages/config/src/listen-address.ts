/** Where a listener listens: `address:port`, `[IPv6]:port`, or `unix:/path`. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** Throws a sentence that names the parameter. Port 0 takes any free port. */
export function parseListenAddress(parameter: string, text: string): ListenAddress {
  if (text.startsWith('unix:/')) return { path: text.slice('unix:'.length) };
  const [, bracketed, plain, port = ''] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) {
    throw new Error(
      `${parameter}: "${text}" is no address to listen at; write address:port, [IPv6 address]:port or unix:/path`,
    );
  }
  return { host, port: Number(port) };
}
