/** Selectors of `mailfleet queue`: which messages are meant, in options. All that are given must hold. */
import type { QueueName } from '@mailfleet/queue';
import { type Command, Option } from 'commander';
import { EX_USAGE, fail, timeIn } from './options.ts';
import type { Selection } from './queue-listing.ts';

export interface SelectOptions {
  readonly sender?: string;
  readonly recipient?: string;
  readonly domain?: string;
  /** Milliseconds. */
  readonly olderThan?: number;
  readonly queue?: readonly QueueName[];
}

const QUEUES: readonly QueueName[] = ['incoming', 'active', 'deferred', 'hold', 'corrupt'];

export function withSelectOptions(command: Command): Command {
  return command
    .option('--sender <address>', 'from this address, @domain, or <> for the null sender')
    .option('--recipient <address>', 'to this address or @domain, not yet delivered')
    .option('--domain <domain>', 'to this domain, not yet delivered')
    .option(
      '--older-than <time>',
      'that arrived longer ago: 90 or 90m, 2h, 3d (without a letter minutes)',
      timeIn('m'),
    )
    .addOption(new Option('--queue <name...>', 'in these queues').choices([...QUEUES]));
}

export function isSelective({ sender, recipient, domain, olderThan, queue }: SelectOptions): boolean {
  return [sender, recipient, domain, olderThan, queue].some((option) => option !== undefined);
}

/** Ends the process with a sentence where the options make no sense. */
export function selectionOf(options: SelectOptions, nowMs: number): Selection {
  const { sender, recipient, domain, olderThan, queue } = options;
  if (recipient !== undefined && domain !== undefined)
    fail(EX_USAGE, '--recipient and --domain both name recipients; give one of them');
  const to = domain === undefined ? recipient : `@${domain.replace(/^@/, '')}`;
  return {
    ...(queue === undefined ? {} : { queues: queue }),
    where: {
      ...(sender === undefined ? {} : { sender: /^(<>|mailer-daemon)$/i.test(sender) ? '' : sender }),
      ...(to === undefined ? {} : { recipient: to }),
      ...(olderThan === undefined ? {} : { arrivedBeforeMs: nowMs - olderThan }),
    },
  };
}
