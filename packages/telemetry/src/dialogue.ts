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

/** Lines of a dialogue as they may be shown: without what AUTH says, cut, and without control characters. */
export class DialogueRedactor {
  /** An AUTH exchange runs: what the client says is a secret, and what the server asks may lead to one. */
  #inAuth = false;

  /** Lines of the client, joined by line ends. */
  client(text: string): string[] {
    return linesOf(text).map((line) => {
      const [, auth] = AUTH.exec(line) ?? [];
      if (auth !== undefined) this.#inAuth = true;
      return shown(auth !== undefined ? `${auth} ...` : this.#inAuth ? '...' : line);
    });
  }

  /** Lines of one reply. */
  server(text: string): string[] {
    const lines = linesOf(text).map((line) => shown(this.#inAuth && /^334/.test(line) ? '334 ...' : line));
    if (!/^334/.test(text)) this.#inAuth = false;
    return lines;
  }
}

/** For either side of a session: `client` are the commands, `server` the replies. */
export class DialogueRecorder {
  readonly #own: 'client' | 'server';
  readonly #redactor = new DialogueRedactor();
  readonly #first: string[] = [];
  #last: string[] = [];
  #left = 0;

  /** @param own the side that we are: its lines are marked `Out`, the others `In` */
  constructor(own: 'client' | 'server') {
    this.#own = own;
  }

  /** Lines of the client, joined by line ends. */
  client(text: string): void {
    for (const line of this.#redactor.client(text)) this.#add('client', line);
  }

  /** Lines of one reply. */
  server(text: string): void {
    for (const line of this.#redactor.server(text)) this.#add('server', line);
  }

  lines(): readonly string[] {
    const gap = this.#left === 0 ? [] : [`[${this.#left} lines left out]`];
    return [...this.#first, ...gap, ...this.#last];
  }

  #add(side: 'client' | 'server', line: string): void {
    const entry = `${side === this.#own ? 'Out' : 'In'}: ${line}`;
    if (this.#first.length < FIRST_LINES) {
      this.#first.push(entry);
      return;
    }
    this.#last.push(entry);
    if (this.#last.length > 2 * LAST_LINES) {
      this.#left += this.#last.length - LAST_LINES;
      this.#last = this.#last.slice(-LAST_LINES);
    }
  }
}

function shown(line: string): string {
  return printable(line.slice(0, LINE_LENGTH));
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
