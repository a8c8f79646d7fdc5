/**
 * Servers that offer STARTTLS and cannot do it, remembered for a time by the whole fleet: opportunistic sessions with them go without TLS at
 * once, in place of one failed handshake and one deferral for every message. Only what level may allows anyway is shortened:
 * nothing that demands TLS ever asks here. No secret is in it.
 */

export interface TlsServer {
  readonly address: string;
  readonly port: number;
}

export interface FailedHandshakes {
  /** Neither waits nor fails. */
  remember(server: TlsServer, forMs: number): void;
  /** May reject. */
  isKnown(server: TlsServer): Promise<boolean>;
}

/** A connection goes on without an answer that takes longer. */
const LOOKUP_LIMIT_MS = 50;

/** An answer that is late or lost means: try TLS. */
export const isKnownToFail = async (memory: FailedHandshakes, server: TlsServer): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), LOOKUP_LIMIT_MS);
  });
  try {
    return await Promise.race([memory.isKnown(server).catch(() => false), late]);
  } finally {
    clearTimeout(timer);
  }
};
