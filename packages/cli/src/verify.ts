/**
 * `mailfleet verify`: asks the mail server of each address whether it would take mail for it, and sends none. Ends with EX_NOUSER when one
 * is refused, else with EX_TEMPFAIL when one could not be decided.
 */
import { createRouter } from '@mailfleet/routing';
import type { Verdict } from '@mailfleet/smtp-worker';
import { createTelemetry } from '@mailfleet/telemetry';
import { Command } from 'commander';
import { type CommonOptions, configOrExit, withCommonOptions } from './options.ts';

const EX_NOUSER = 67;
const EX_TEMPFAIL = 75;

export function verifyCommand(): Command {
  return withCommonOptions(new Command('verify'))
    .description('ask mail servers whether they take mail for addresses, without sending any')
    .argument('<addresses...>')
    .option('-f, --from <sender>', 'envelope sender; default is double_bounce_sender')
    .option('-j, --json', 'one JSON object per line')
    .action(verify);
}

async function verify(
  addresses: string[],
  options: CommonOptions & { readonly from?: string; readonly json?: boolean },
): Promise<void> {
  const config = configOrExit(options);
  // What a worker would log is for the mail log of the fleet, not for this terminal.
  const telemetry = createTelemetry({
    config: config.with({ maillog_file: '/dev/null', log_format: 'postfix' }),
    program: 'verify',
  });
  const { verifyAddress } = await import('@mailfleet/smtp-worker');
  const router = createRouter(config, {
    warn: (sentence) => process.stderr.write(`mailfleet: warning: ${sentence}\n`),
  });
  const sender = options.from ?? `${config.get('double_bounce_sender')}@${config.get('myhostname')}`;
  const verdicts: Verdict[] = [];
  for (const address of addresses) {
    const verdict = await verifyAddress(address, { config, router, sender, log: telemetry.log });
    verdicts.push(verdict);
    process.stdout.write(options.json === true ? `${JSON.stringify(verdict)}\n` : verdictLine(verdict));
  }
  await telemetry.shutdown();
  if (verdicts.some(({ kind }) => kind === 'undeliverable')) process.exitCode = EX_NOUSER;
  else if (verdicts.some(({ kind }) => kind === 'unknown')) process.exitCode = EX_TEMPFAIL;
}

function verdictLine({ address, kind, relay, status, reason }: Verdict): string {
  return `${address}: ${kind} relay=${relay} dsn=${status} (${reason})\n`;
}
