/**
 * One scenario of the comparison with Postfix's client: servers that behave in a certain way, and a message for them. Both clients
 * get servers of their own that behave alike; what each of them says, and what each of them makes of the answers, is the account.
 */
import type { DnsZones, SmtpServer, SmtpServerOptions } from '@mailfleet/test-kit';

export interface ScenarioRecipient {
  readonly localPart: string;
  /** RCPT parameters at submission, as on the wire. */
  readonly parameters?: string;
  /** The same for a delivery request. */
  readonly notify?: readonly ('NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY')[];
  readonly orcpt?: string;
}

export interface Scenario {
  readonly name: string;
  readonly protocol?: 'smtp' | 'lmtp';
  /** In the order in which they stand in the nexthop; one correct server by default. `refused`: nobody listens. */
  readonly servers?: readonly (Omit<SmtpServerOptions, 'protocol' | 'port' | 'record'> | 'refused')[];
  /** main.cf of both clients. `%1` is the port of the first server, and so on. */
  readonly config?: Readonly<Record<string, string>>;
  /** `%1` as above; default: all servers as a list. */
  readonly nexthop?: string;
  /**
   * What the name server knows besides; the names are this scenario's own. The servers then stand on 127.0.0.2, 127.0.0.3 and so on,
   * all with one port.
   */
  readonly zones?: DnsZones;
  readonly sender?: string;
  readonly recipients?: readonly (string | ScenarioRecipient)[];
  /** What follows the header, CRLF included; latin1, a char for each byte. */
  readonly body?: string;
  /** All of the content, in place of `body`; latin1 as well. */
  readonly content?: string;
  readonly encoding?: '7bit' | '8bit';
  readonly smtputf8?: boolean;
  readonly envid?: string;
  readonly ret?: 'FULL' | 'HDRS';
}

/** What one client did and decided, free of what differs between any two runs. */
export interface Account {
  /** For each session, what the client sent at a time. */
  readonly sessions: readonly (readonly string[])[];
  /** For each recipient, in order of decision: `address relay dsn status (reason)`. */
  readonly verdicts: readonly string[];
  /** Other log lines about the message and its servers, sorted. */
  readonly remarks: readonly string[];
}

/** Where Postfix does not say whose message or server a log line is about, ours often does: such lines are looked for among all. */
export const withoutAnonymous = (account: Account, anonymous: ReadonlySet<string>): Account => ({
  ...account,
  remarks: account.remarks.filter((remark) => !anonymous.has(remark)),
});

export const scenarioDomain = (index: number): string => `s${index}.test`;

export const recipientsOf = (scenario: Scenario): readonly ScenarioRecipient[] =>
  (scenario.recipients ?? ['one']).map((item) => (typeof item === 'string' ? { localPart: item } : item));

/** A recipient as on the wire. */
export const mailboxOf = ({ localPart }: ScenarioRecipient, index: number): string =>
  `${quoted(localPart)}@${scenarioDomain(index)}`;

const quoted = (localPart: string): string =>
  /^[^\s"\\<>()[\],;:@.]+(\.[^\s"\\<>()[\],;:@.]+)*$/.test(localPart)
    ? localPart
    : `"${localPart.replace(/["\\]/g, '\\$&')}"`;

/** The sender as on the wire. */
export const returnPathOf = (scenario: Scenario): string => {
  const [, localPart, domain] = /^(.*)(@.*)$/.exec(senderOf(scenario)) ?? [];
  return localPart === undefined ? '' : `${quoted(localPart)}${domain}`;
};

export const senderOf = (scenario: Scenario): string => scenario.sender ?? 'sender@example.org';

/** Complete, so that neither side has a header to add. */
export const contentOf = (scenario: Scenario): Buffer =>
  Buffer.from(
    scenario.content ??
      'From: sender@example.org\r\nTo: one@example.com\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n' +
        `Message-ID: <1@example.org>\r\nSubject: a scenario\r\n\r\n${scenario.body ?? 'Hello\r\n'}`,
    'latin1',
  );

/** Whether a log line that tells no message is about this scenario: it has a name that no other has. */
export const isAbout = (scenario: Scenario, text: string): boolean =>
  Object.keys(scenario.zones ?? {}).some((name) => text.includes(name));

/** Ports of one client's servers, and texts about them. */
export class Ports {
  readonly #ports: readonly number[];

  constructor(ports: readonly number[]) {
    this.#ports = ports;
  }

  nexthop(scenario: Scenario): string {
    const all = this.#ports.map((_, index) => `[127.0.0.1]:%${index + 1}`).join(', ');
    return this.fill(scenario.nexthop ?? all);
  }

  config(scenario: Scenario): Record<string, string> {
    return Object.fromEntries(
      Object.entries(scenario.config ?? {}).map(([name, value]) => [name, this.fill(value)]),
    );
  }

  fill(text: string): string {
    return text.replace(/%(\d)/g, (_, digit: string) => String(this.#ports[Number(digit) - 1]));
  }

  names(text: string): boolean {
    return this.#ports.some((port) => new RegExp(`:${port}\\b`).test(text));
  }

  /** Ports as %1, %2; sizes, which count a header more or less, as N. */
  normalize(text: string): string {
    let result = text;
    for (const [index, port] of this.#ports.entries()) {
      result = result.replace(new RegExp(`:${port}\\b`, 'g'), `:%${index + 1}`);
    }
    return (
      result
        .replace(/message size \d+ /, 'message size N ')
        // Two versions of OpenSSL agree on other keys.
        .replace(/( TLS connection established .* bits\)) key-exchange .*/, '$1')
    );
  }
}

/** Where the client's first TLS record begins, on a connection that stays in clear for the server. */
const TLS_HANDSHAKE = '\x16\x03';

export const sessionsOf = (servers: readonly SmtpServer[]): string[][] =>
  servers.flatMap((server) =>
    server.sessions.map((session) =>
      session.rounds.map((round) => {
        const handshake = round.indexOf(TLS_HANDSHAKE);
        const clear = handshake < 0 ? round : `${round.slice(0, handshake)}TLS`;
        return clear.replace(/ SIZE=\d+/g, ' SIZE=N');
      }),
    ),
  );
