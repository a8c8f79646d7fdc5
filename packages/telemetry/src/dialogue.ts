/**
 * Keeps the dialogue of one SMTP session for a transcript: commands and replies, never content, never what AUTH says.
 *
 * Memory is bounded: the first lines stay, since they tell who the other side is, and of the rest the last. Lines are cut, and
 * hold no control characters.
 */
import { printable } from './printable.ts';

/** Sees a session's commands and replies as they go, each with its line ends. */
export interface DialogueObserver {
  /** Commands written; content is not shown. */
  sent(text: string): void;
  /** One reply, its lines joined by newlines. */
  received(text: string): void;
}

const FIRST_LINES = 40;
const LAST_LINES = 120;
const LINE_LENGTH = 512;

const AUTH = /^(AUTH +[A-Z0-9_-]+)(?: .*)?$/i;

/** For either side of a session: `client` are the commands, `server` the replies. */
export class DialogueRecorder {
  readonly #own: 'client' | 'server';
  readonly #first: string[] = [];
  #last: string[] = [];
  #left = 0;
  /** An AUTH exchange runs: what the client says is a secret, and what the server asks may lead to one. */
  #inAuth = false;

  /** @param own the side that we are: its lines are marked `Out`, the others `In` */
  constructor(own: 'client' | 'server') {
    this.#own = own;
  }

  /** Lines of the client, joined by line ends. */
  client(text: string): void {
    for (const line of linesOf(text)) {
      const [, auth] = AUTH.exec(line) ?? [];
      if (auth !== undefined) this.#inAuth = true;
      this.#add('client', auth !== undefined ? `${auth} ...` : this.#inAuth ? '...' : line);
    }
  }

  /** Lines of one reply. */
  server(text: string): void {
    for (const line of linesOf(text))
      this.#add('server', this.#inAuth && /^334/.test(line) ? '334 ...' : line);
    if (!/^334/.test(text)) this.#inAuth = false;
  }

  lines(): readonly string[] {
    const gap = this.#left === 0 ? [] : [`[${this.#left} lines left out]`];
    return [...this.#first, ...gap, ...this.#last];
  }

  #add(side: 'client' | 'server', line: string): void {
    const shown = `${side === this.#own ? 'Out' : 'In'}: ${printable(line.slice(0, LINE_LENGTH))}`;
    if (this.#first.length < FIRST_LINES) {
      this.#first.push(shown);
      return;
    }
    this.#last.push(shown);
    if (this.#last.length > 2 * LAST_LINES) {
      this.#left += this.#last.length - LAST_LINES;
      this.#last = this.#last.slice(-LAST_LINES);
    }
  }
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
