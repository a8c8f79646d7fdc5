/** The bursts of bursts.ts, to one destination, through a Postfix beside it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificates, waitFor } from '@mailfleet/test-kit';
import { startPostfix } from '../peers/postfix.ts';
import { runSource } from '../peers/source.ts';
import { type BurstResult, type Bursts, startCountingServer } from './bursts.ts';

/** Reuse of TLS sessions takes this service. */
const TLS_PROXY = 'tlsproxy unix - - n - 0 tlsproxy\n';

export async function postfixBursts(
  options: Omit<Bursts, 'workers' | 'domains' | 'between'>,
): Promise<Omit<BurstResult, 'maillog'>> {
  const authority = makeCertificates();
  let received = 0;
  const server = await startCountingServer(authority, options, () => {
    received += 1;
  });
  try {
    await using postfix = await startPostfix({
      relayPort: server.port,
      parameters: {
        smtp_tls_security_level: options.tls ? 'encrypt' : 'none',
        smtp_tls_connection_reuse: 'yes',
        ...options.parameters,
      },
      services: TLS_PROXY,
    });
    const startMs = performance.now();
    for (let sent = 0; sent < options.messages; ) {
      const messages = Math.min(options.burst, options.messages - sent);
      await runSource(postfix.smtpPort, { messages, sessions: Math.min(10, messages), contentBytes: 100 });
      sent += messages;
      await waitFor(() => received >= sent, 120_000, `message ${sent}`);
      if (sent < options.messages) await sleep(options.pauseMs);
    }
    const seconds = (performance.now() - startMs) / 1000;
    const twice = received - options.messages;
    return { ...server.counts(), messages: options.messages, twice, seconds };
  } finally {
    await server.close();
    authority.remove();
  }
}
