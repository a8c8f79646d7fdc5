/**
 * `npm run bench:backlog`: a scheduler on a queue of a million messages (`--messages N` for another length), with its start-up
 * time and memory. Wants some 6 GB of memory and of disk for Redis.
 */
import { parseArgs } from 'node:util';
import { measureBacklog } from './backlog.ts';

const { values: flags } = parseArgs({ options: { messages: { type: 'string', default: '1000000' } } });
const figures = await measureBacklog(Number(flags.messages), (line) => process.stderr.write(`${line}\n`));
process.stdout.write(`${JSON.stringify(figures)}\n`);
