/**
 * Where log lines go: a file that many processes append to, or the standard output. Lines are gathered for a few
 * milliseconds and written together off the event loop, in order. A file that was renamed or removed (logrotate) is
 * noticed within a second of the next line and opened anew; SIGHUP does it at once through `reopen`. `close` resolves
 * when everything is written; an exit without it writes what is left synchronously.
 */
import { closeSync, fstatSync, openSync, write as writeCallback, writeSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';

const write = promisify(writeCallback);

/** Lines wait this long for company: a write per line would cost more than the line. */
const GATHER_MS = 5;
const ROTATION_CHECK_MS = 1000;
const RETRY_MS = 500;
/** A non-blocking pipe whose reader is behind. */
const BUSY_MS = 10;
/** While the disk is full lines wait in memory; beyond this the newest are dropped and counted. */
const BACKLOG_BYTES = 16 * 1024 * 1024;
const STDOUT = 1;
const STDERR = 2;

export interface LogOutput {
  /** Takes one whole line, newline included; never blocks. */
  write(line: string): void;
  /** Opens the file anew before the next write. */
  reopen(): void;
  /** Resolves when all is written; a later line goes to the standard error. */
  close(): Promise<void>;
}

/** @param file path, or empty or `/dev/stdout` for the standard output. Throws a sentence when it cannot be opened. */
export function openLogOutput(file: string): LogOutput {
  const output = new FileOutput(file === '' || file === '/dev/stdout' ? undefined : file);
  process.on('exit', output.flushSync);
  return output;
}

class FileOutput implements LogOutput {
  #file: string | undefined;
  #fd: number;
  #lines: string[] = [];
  #backlogBytes = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  #draining: Promise<void> | undefined;
  #reopenDue = false;
  #rotationCheckedMs = Date.now();
  #failing = false;
  #closing = false;

  constructor(file: string | undefined) {
    this.#file = file;
    this.#fd = file === undefined ? STDOUT : openForAppend(file);
  }

  write(line: string): void {
    if (this.#backlogBytes > BACKLOG_BYTES) {
      this.#dropped += 1;
      return;
    }
    this.#lines.push(line);
    this.#backlogBytes += line.length;
    if (this.#timer === undefined && this.#draining === undefined) {
      this.#timer = setTimeout(this.#startDrain, GATHER_MS);
    }
  }

  reopen(): void {
    this.#reopenDue = true;
  }

  /** For a process about to die. */
  readonly flushSync = (): void => {
    const text = this.#take();
    if (text === '') return;
    const bytes = Buffer.from(text);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      this.#complain(error);
    }
  };

  async close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#timer);
    this.#startDrain();
    await this.#draining;
    process.off('exit', this.flushSync);
    if (this.#file === undefined) return;
    closeSync(this.#fd);
    // The number may soon mean another file; a straggler is better seen than written there.
    this.#file = undefined;
    this.#fd = STDERR;
  }

  readonly #startDrain = (): void => {
    this.#timer = undefined;
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = undefined;
      if (this.#lines.length > 0) this.#timer = setTimeout(this.#startDrain, GATHER_MS);
    });
  };

  async #drain(): Promise<void> {
    while (this.#lines.length > 0) {
      await this.#followRotation();
      const bytes = Buffer.from(this.#take());
      for (let at = 0; at < bytes.length; ) at += await this.#writeSome(bytes, at);
    }
  }

  #take(): string {
    const text = this.#lines.join('');
    this.#lines = [];
    this.#backlogBytes = 0;
    return text;
  }

  /** Bytes written: 0 after an error that was waited out. */
  async #writeSome(bytes: Buffer, at: number): Promise<number> {
    try {
      const { bytesWritten } = await write(this.#fd, bytes, at);
      if (this.#failing) this.#recovered();
      return bytesWritten;
    } catch (error) {
      // A reader that closed its end of the pipe never comes back: the lines have nowhere to go.
      if (codeOf(error) === 'EPIPE') return bytes.length - at;
      const busy = codeOf(error) === 'EAGAIN';
      if (!busy) this.#complain(error);
      // A full disk must not keep a process from ending.
      if (!busy && this.#closing) return bytes.length - at;
      await new Promise((resolve) => setTimeout(resolve, busy ? BUSY_MS : RETRY_MS));
      return 0;
    }
  }

  async #followRotation(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    const now = Date.now();
    if (!this.#reopenDue && now - this.#rotationCheckedMs < ROTATION_CHECK_MS) return;
    this.#rotationCheckedMs = now;
    const there = await stat(file).catch(() => undefined);
    const ours = fstatSync(this.#fd);
    if (!this.#reopenDue && there?.ino === ours.ino && there.dev === ours.dev) return;
    try {
      const fd = openForAppend(file);
      closeSync(this.#fd);
      this.#fd = fd;
      this.#reopenDue = false;
    } catch (error) {
      // The old file is still open: better there than nowhere.
      this.#complain(error);
    }
  }

  #complain(error: unknown): void {
    if (this.#failing) return;
    this.#failing = true;
    process.stderr.write(
      `cannot write the log to ${this.#file ?? 'the standard output'}: ${String(error)}; trying again\n`,
    );
  }

  #recovered(): void {
    this.#failing = false;
    process.stderr.write(`the log is written again; ${this.#dropped} lines were dropped meanwhile\n`);
    this.#dropped = 0;
  }
}

function openForAppend(file: string): number {
  try {
    return openSync(file, 'a', 0o644);
  } catch (cause) {
    throw new Error(
      `maillog_file: cannot open ${file} for appending (${codeOf(cause)}); check that its folder exists and is writable`,
      {
        cause,
      },
    );
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
