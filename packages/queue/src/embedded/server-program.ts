/** A Redis server to run, and whether a file is a program. */
import { access, constants } from 'node:fs/promises';

/** A program and what must be added to its environment. */
export interface ServerProgram {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
