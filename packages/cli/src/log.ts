/**
 * `mailfleet log`: the timeline of one message, or the end of the mail log. The timeline is found by queue id, also after
 * the message has left the queue, for as long as message_timeline_time keeps it.
 */
import { createReadStream, watchFile } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { MessageView, TimelineEntry } from '@mailfleet/queue';
import { Command } from 'commander';
import {
  type CommonOptions,
  configOrExit,
  EX_CONFIG,
  EX_UNAVAILABLE,
  fail,
  withCommonOptions,
} from './options.ts';
import { withQueue } from './with-queue.ts';

interface LogOptions extends CommonOptions {
  readonly follow?: boolean;
  readonly json?: boolean;
}

export function logCommand(): Command {
  return withCommonOptions(new Command('log'))
    .description('show the timeline of a message, or the end of maillog_file')
    .argument('[queue-id]', 'message whose timeline to show')
    .option('-f, --follow', 'keep showing what is added to maillog_file')
    .option('--json', 'the timeline as JSON')
    .action(async (queueId: string | undefined, options: LogOptions) => {
      if (queueId === undefined) return tail(options);
      await withQueue(options, async (queue) => {
        const view = await queue.find(queueId);
        if (view === undefined) {
          fail(
            EX_UNAVAILABLE,
            `nothing is known of ${queueId}; finished messages are kept for message_timeline_time`,
          );
        }
        process.stdout.write(options.json === true ? `${JSON.stringify(view)}\n` : timelineText(view));
      });
    });
}

/** The timeline for people: a line per step, with the seconds since acceptance. */
export function timelineText(view: MessageView): string {
  const start = startOf(view);
  const at = (ms: number): string =>
    `${new Date(ms).toISOString()} ${`+${((ms - start) / 1000).toFixed(3)}`.padStart(9)}s`;
  const lines = view.timeline.flatMap((entry) => entryLines(entry, at));
  const { listing } = view;
  if (listing !== undefined) {
    const due = listing.dueMs === undefined ? '' : `, next attempt ${new Date(listing.dueMs).toISOString()}`;
    lines.push(`now in the ${listing.queue} queue${due}`);
  }
  return `${lines.join('\n')}\n`;
}

/** When the message came in, or the earliest instant that is left of it. */
function startOf({ listing, timeline: [first] }: MessageView): number {
  if (listing !== undefined) return listing.envelope.arrivalMs;
  if (first === undefined) return 0;
  return first.kind === 'attempt' ? first.batchedMs : first.atMs;
}

function entryLines(entry: TimelineEntry, at: (ms: number) => string): string[] {
  switch (entry.kind) {
    case 'accepted':
      return [`${at(entry.atMs)} accepted from=<${entry.envelope.sender}> recipients=${entry.recipients}`];
    case 'event':
      return [`${at(entry.atMs)} ${entry.step}${entry.detail === undefined ? '' : ` ${entry.detail}`}`];
    case 'attempt':
      return [
        `${at(entry.batchedMs)} batched batch=${entry.batchId} worker=${entry.worker}`,
        ...entry.steps.map(
          (step) => `${at(step.atMs)} ${step.step}${step.detail === undefined ? '' : ` ${step.detail}`}`,
        ),
        ...entry.outcomes.map(
          (o) =>
            `${at(o.times.doneMs)} ${o.kind} to=<${o.address}> relay=${o.relay} dsn=${o.status} (${o.reason})`,
        ),
      ];
  }
}

const TAIL_BYTES = 16_384;

async function tail(options: LogOptions): Promise<void> {
  const file = configOrExit(options).get('maillog_file');
  if (file === '' || file === '/dev/stdout') {
    fail(
      EX_CONFIG,
      'maillog_file is not set, so the log goes to the standard output of the daemons; set it to a file',
    );
  }
  let position = Math.max(0, ((await stat(file).catch(() => undefined))?.size ?? 0) - TAIL_BYTES);
  const show = (end: number): void => {
    if (end < position) position = 0;
    if (end === position) return;
    createReadStream(file, { start: position, end: end - 1 }).pipe(process.stdout, { end: false });
    position = end;
  };
  show((await stat(file)).size);
  if (options.follow === true) watchFile(file, { interval: 250 }, (now) => show(now.size));
}
