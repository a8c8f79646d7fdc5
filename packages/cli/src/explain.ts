/** `mailfleet explain`: why a message, or the mail for a destination, is not moving: what it waits for, and until when. */
import type { Explanation } from '@mailfleet/queue';
import { Command } from 'commander';
import { controlLine } from './destination.ts';
import { isDestination, parseDestination } from './destination-name.ts';
import { type CommonOptions, EX_UNAVAILABLE, withCommonOptions } from './options.ts';
import { withQueue } from './with-queue.ts';

export function explainCommand(): Command {
  return withCommonOptions(new Command('explain'))
    .description('say why a message or a destination is not moving')
    .argument('<subject>', 'queue id, or destination: transport:nexthop, or a nexthop of default_transport')
    .option('-j, --json', 'all that is known, as JSON')
    .action(async (subject: string, options: CommonOptions & { readonly json?: boolean }) => {
      await withQueue(options, async (queue, config) => {
        const explanation = await queue.explain(
          isDestination(subject) ? { destination: parseDestination(subject, config) } : { queueId: subject },
        );
        process.stdout.write(
          options.json === true ? `${JSON.stringify(explanation)}\n` : explanationText(explanation),
        );
        if (explanation.state === 'unknown') process.exitCode = EX_UNAVAILABLE;
      });
    });
}

/** For people: the state, a line for each reason, what is set, and the last replies. */
export function explanationText({ subject, state, reasons, replies, controls }: Explanation): string {
  const lines = [`${subject}: ${state}`, ...reasons.map(({ text }) => `  ${text}`)];
  // A pause is a reason already.
  const limits = controls.filter(({ kind }) => kind !== 'pause');
  if (limits.length > 0)
    lines.push('set by the operator:', ...limits.map((control) => `  ${controlLine(control)}`));
  if (replies.length > 0) lines.push('last replies:', ...replies.map((reply) => `  ${reply}`));
  const next = reasons.flatMap(({ nextMs }) => nextMs ?? []);
  if (next.length > 0) lines.push(`next: ${new Date(Math.min(...next)).toISOString()}`);
  return `${lines.join('\n')}\n`;
}
