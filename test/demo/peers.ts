/**
 * The demo's outside world: a name server and one receiving SMTP server whose recipients' domains behave differently, and
 * a domain whose mail host is down. Counts what each domain saw, so that the demo can judge how every message ended.
 */
import { type DnsServer, type SmtpServer, startDnsServer, startSmtpServer } from '@mailfleet/test-kit';

export interface Domain {
  readonly name: string;
  readonly what: string;
  readonly share: number;
  readonly ends: 'delivered' | 'delivered later' | 'returned';
}

export const SENDER = 'newsletter@sender.test';

export const DOMAINS: readonly Domain[] = [
  { name: 'accepting.test', what: 'accepts everything', share: 0.7, ends: 'delivered' },
  {
    name: 'greylisting.test',
    what: 'answers 450 once for each recipient',
    share: 0.2,
    ends: 'delivered later',
  },
  { name: 'rejecting.test', what: 'knows no such user', share: 0.05, ends: 'returned' },
  { name: 'down.test', what: 'has a mail host that is down', share: 0.05, ends: 'returned' },
];

export interface Peers {
  readonly dns: DnsServer;
  readonly smtp: SmtpServer;
  /** How often each recipient was delivered. */
  readonly deliveries: ReadonlyMap<string, number>;
  readonly greylisted: ReadonlySet<string>;
  /** Failed recipients that returned messages name, by recipient, with the report's diagnostic. */
  readonly returned: ReadonlyMap<string, string>;
  close(): Promise<void>;
}

export async function startPeers(): Promise<Peers> {
  const deliveries = new Map<string, number>();
  const greylisted = new Set<string>();
  const returned = new Map<string, string>();
  const smtp = await startSmtpServer({
    hostname: 'mx.receiving.test',
    keepMessages: false,
    hooks: {
      rcpt: ({ recipient = '' }) => {
        if (recipient.endsWith('@rejecting.test')) return '550 5.1.1 no such user here';
        if (recipient.endsWith('@greylisting.test') && !greylisted.has(recipient)) {
          greylisted.add(recipient);
          return '450 4.7.1 greylisted, come back in a moment';
        }
        return undefined;
      },
    },
    onMessage: (message) => {
      for (const address of message.recipients) {
        if (address === SENDER) noteReturned(message.raw.toString(), returned);
        else deliveries.set(address, (deliveries.get(address) ?? 0) + 1);
      }
    },
  });
  const mx = { MX: '10 mx.receiving.test' };
  const dns = await startDnsServer({
    zones: {
      'accepting.test': mx,
      'greylisting.test': mx,
      'rejecting.test': mx,
      'sender.test': mx,
      'down.test': { MX: '10 mx.down.test' },
      'mx.receiving.test': { A: '127.0.0.1' },
      'mx.down.test': { A: '127.0.0.99' },
    },
  });
  return {
    dns,
    smtp,
    deliveries,
    greylisted,
    returned,
    close: async () => {
      await Promise.all([dns.close(), smtp.close()]);
    },
  };
}

/** Reads Final-Recipient and Diagnostic-Code from a report (RFC 3464). */
function noteReturned(report: string, returned: Map<string, string>): void {
  const unfolded = report.replaceAll(/\r\n[ \t]+/g, ' ');
  for (const block of unfolded.split('\r\n\r\n')) {
    const recipient = /^Final-Recipient: rfc822; *(\S+)/im.exec(block)?.[1];
    const diagnostic = /^Diagnostic-Code: [^;]+; *(.*)$/im.exec(block)?.[1];
    if (recipient !== undefined) returned.set(recipient, diagnostic ?? '');
  }
}
