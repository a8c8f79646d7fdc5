/** Injects the demo's messages by SMTP over a few connections and remembers the queue id that each one got. */
import { createTransport } from 'nodemailer';
import { DOMAINS, SENDER } from './peers.ts';

export interface Injected {
  readonly recipient: string;
  readonly domain: string;
  readonly queueId: string;
}

const CONNECTIONS = 4;

export async function inject(
  port: number,
  count: number,
  onAccepted: () => void,
): Promise<readonly Injected[]> {
  const transport = createTransport({
    host: '127.0.0.1',
    port,
    secure: false,
    ignoreTLS: true,
    pool: true,
    maxConnections: CONNECTIONS,
    maxMessages: Number.POSITIVE_INFINITY,
  });
  const recipients = recipientsOf(count);
  try {
    return await Promise.all(
      recipients.map(async ({ recipient, domain }, index) => {
        const info = await transport.sendMail({
          from: `"The Newsletter" <${SENDER}>`,
          to: recipient,
          subject: `Issue ${index + 1}`,
          text: `Hello ${recipient},\n\nthis is number ${index + 1} of the demo's messages.\n`,
        });
        onAccepted();
        const queueId = /queued as (\S+)/.exec(info.response)?.[1];
        if (queueId === undefined) throw new Error(`intake answered without a queue id: ${info.response}`);
        return { recipient, domain, queueId };
      }),
    );
  } finally {
    transport.close();
  }
}

/** Mixes the domains evenly, so that the troubled ones stand between the good ones as in real mail. */
function recipientsOf(count: number): { recipient: string; domain: string }[] {
  const given = new Map(DOMAINS.map(({ name }) => [name, 0]));
  return Array.from({ length: count }, (_, index) => {
    const neediest = DOMAINS.reduce((best, domain) =>
      owed(domain, index, given) > owed(best, index, given) ? domain : best,
    );
    given.set(neediest.name, (given.get(neediest.name) ?? 0) + 1);
    return { recipient: `user${index + 1}@${neediest.name}`, domain: neediest.name };
  });
}

const owed = (domain: (typeof DOMAINS)[number], index: number, given: ReadonlyMap<string, number>): number =>
  domain.share * (index + 1) - (given.get(domain.name) ?? 0);
