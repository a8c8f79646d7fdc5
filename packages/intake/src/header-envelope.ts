/**
 * The envelope that a message's own header names, for sendmail -t and for raw messages handed in without one. Recipients:
 * To, Cc and Bcc, or, when the message is a resent one, Resent-To, Resent-Cc and Resent-Bcc only; sender: Sender, else the
 * first From, with the same preference (RFC 5322 section 3.6.6).
 */
import { quoteAddress } from '@mailfleet/mime';
import addressparser from 'nodemailer/lib/addressparser';

const RECIPIENTS = ['to', 'cc', 'bcc'];
const SENDERS = ['sender', 'from'];

interface Block {
  readonly recipients: string[];
  readonly senders: Map<string, string>;
}

export class HeaderEnvelope {
  readonly #limit: number;
  readonly #original: Block = { recipients: [], senders: new Map() };
  readonly #resent: Block = { recipients: [], senders: new Map() };

  /** Collects little more than `limit` recipients: enough to see that there are too many. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes a header: name in lower case, value unfolded. */
  header(name: string, value: string): void {
    const resent = name.startsWith('resent-');
    const block = resent ? this.#resent : this.#original;
    const plain = resent ? name.slice('resent-'.length) : name;
    if (RECIPIENTS.includes(plain) && block.recipients.length <= this.#limit) {
      block.recipients.push(...mailboxes(value));
    } else if (SENDERS.includes(plain)) {
      const [first] = mailboxes(value);
      if (first !== undefined && !block.senders.has(plain)) block.senders.set(plain, first);
    }
  }

  /** In external form, unchecked. */
  recipients(): readonly string[] {
    return this.#resent.recipients.length > 0 ? this.#resent.recipients : this.#original.recipients;
  }

  /** In external form, unchecked. */
  sender(): string | undefined {
    for (const { senders } of [this.#resent, this.#original]) {
      const found = senders.get('sender') ?? senders.get('from');
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** The addresses of a header value or of a list that a person wrote, in external form. */
export function mailboxes(value: string): string[] {
  // The parser takes quotes off. They go back where there were any, but what nobody quoted (`a@@b`) stays wrong.
  const quotes = value.includes('"@');
  return addressparser(value, { flatten: true })
    .map(({ address }) => address)
    .filter((address) => address !== '')
    .map((address) => (quotes && !address.startsWith('"') ? quoteAddress(address) : address));
}
