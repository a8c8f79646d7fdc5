/** Whether foreign programs that a test speaks to are there. */
import { execFileSync } from 'node:child_process';

/** True when all are installed. Where one is not, says so loudly; in CI (CI=true), which must have them all, throws. */
export function installed(programs: readonly string[]): boolean {
  const missing = programs.filter((program) => !has(program));
  if (missing.length === 0) return true;
  if (process.env.CI === 'true') throw new Error(`CI lacks ${missing.join(', ')}`);
  process.stderr.write(
    `\n*** TESTS LEFT OUT: ${missing.join(', ')} not installed; .ci/run names the Debian packages. ***\n\n`,
  );
  return false;
}

function has(program: string): boolean {
  try {
    // Servers stand in sbin, which is not on everybody's PATH.
    execFileSync('sh', ['-c', `PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "${program}"`], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}
