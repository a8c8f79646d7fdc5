/** The intake daemon: SMTP and HTTP listeners over one queue, until the signal; then both drain. */
import { parseListenAddress } from '@mailfleet/config';
import type { IntakeOptions } from './intake.ts';
import { createIntake } from './intake.ts';
import { listen } from './listen.ts';
import { createSmtpServer, type IntakeSmtpServer } from './smtp-server.ts';

export interface IntakeDaemon {
  /** Port of the first SMTP listener; 0 when there is none. */
  readonly smtpPort: number;
  /** Port of the first HTTP listener; 0 when there is none. */
  readonly httpPort: number;
  /** Resolves when everything has drained after the signal. */
  readonly closed: Promise<void>;
}

/** Resolves when all listeners accept connections; rejects with a sentence when one cannot. */
export async function runIntake(
  options: IntakeOptions & { readonly signal: AbortSignal },
): Promise<IntakeDaemon> {
  const { config, signal } = options;
  const intake = createIntake(options);
  const closers: (() => Promise<void>)[] = [];
  const ports = { smtp: [] as number[], http: [] as number[] };
  const closeAll = async (): Promise<void> => {
    await Promise.all(closers.map((close) => close()));
  };
  try {
    for (const text of config.get('intake_smtp_listen')) {
      const server: IntakeSmtpServer = await createSmtpServer(intake);
      ports.smtp.push(await listen(server.server, parseListenAddress('intake_smtp_listen', text)));
      closers.push(() => server.drain());
    }
    for (const text of config.get('intake_http_listen')) {
      // Most of the code of an intake, and SMTP can do without it.
      const { createHttpServer } = await import('./http-server.ts');
      const app = await createHttpServer(intake);
      await app.ready();
      ports.http.push(await listen(app.server, parseListenAddress('intake_http_listen', text)));
      closers.push(async () => app.close());
    }
  } catch (error) {
    await closeAll();
    throw error;
  }
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  return { smtpPort: ports.smtp[0] ?? 0, httpPort: ports.http[0] ?? 0, closed: aborted.then(closeAll) };
}
