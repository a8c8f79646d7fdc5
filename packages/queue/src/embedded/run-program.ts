/** Runs a helper program to its end, with a deadline; its whole process group ends with it. */
import { spawn } from 'node:child_process';

export interface ProgramResult {
  readonly ok: boolean;
  readonly output: string;
}

/** `ok` is false when the program failed, could not start or took longer than `timeoutMs`. */
export function runProgram(
  command: string,
  args: readonly string[],
  options: {
    readonly timeoutMs: number;
    readonly directory: string;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.directory,
      env: { ...options.env, LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    let output = '';
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (text: string) => {
      output += text;
    });
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, options.timeoutMs);
    const done = (ok: boolean): void => {
      clearTimeout(timer);
      resolve({ ok, output });
    };
    child.on('error', () => done(false));
    child.on('close', (code) => done(code === 0));
  });
}
