/**
 * `mailfleet log`: the timeline of one message, or the end of the mail log. The timeline is found by queue id, also after
 * the message has left the queue, for as long as message_timeline_time keeps it.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
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
            `${at(o.times.doneMs)} ${o.kind} to=<${o.address}> relay=${o.relay} dsn=${o.status}${o.class === undefined ? '' : ` class=${o.class}`} (${o.reason})`,
        ),
      ];
  }
}

const TAIL_BYTES = 16_384;
const POLL_MS = 250;

async function tail(options: LogOptions): Promise<void> {
  const file = configOrExit(options).get('maillog_file');
  if (file === '' || file === '/dev/stdout') {
    fail(
      EX_CONFIG,
      'maillog_file is not set, so the log goes to the standard output of the daemons; set it to a file',
    );
  }
  // Whoever reads us may have seen enough.
  process.stdout.on('error', () => process.exit(0));
  const end = await sizeOf(file);
  if (end === undefined && options.follow !== true) {
    fail(EX_UNAVAILABLE, `there is no ${file} yet (maillog_file); a daemon makes it with its first line`);
  }
  let position = await showLastLines(file, end ?? 0);
  while (options.follow === true) {
    await pause(POLL_MS);
    const size = await sizeOf(file);
    if (size === undefined) continue;
    // Rotated: what follows is in the new file.
    if (size < position) position = 0;
    if (size > position) position = await show(file, position, size);
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  return (await stat(file).catch(() => undefined))?.size;
}

/** Shows whole lines only; returns where it ended. */
async function showLastLines(file: string, end: number): Promise<number> {
  if (end <= TAIL_BYTES) return show(file, 0, end);
  const from = end - TAIL_BYTES;
  for await (const chunk of createReadStream(file, { start: from, end: end - 1 })) {
    const newline = (chunk as Buffer).indexOf('\n');
    if (newline >= 0) return show(file, from + newline + 1, end);
  }
  return end;
}

async function show(file: string, start: number, end: number): Promise<number> {
  if (end > start) {
    for await (const chunk of createReadStream(file, { start, end: end - 1 })) process.stdout.write(chunk);
  }
  return end;
}
