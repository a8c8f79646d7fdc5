/**
 * The `mailfleet` command. A process loads the one command that it runs and nothing else, because start-up time is
 * delivery time after a crash; only the help loads them all. Compiled code is kept for the next start, in a folder that nobody
 * else can write: whoever can would run what he likes in our name. Where there is none, code is compiled each time.
 */
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';

const { env } = process;
// In the environment, so that the daemons of `mailfleet up` find this very file compiled.
env.NODE_COMPILE_CACHE ??= join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mailfleet/compiled');
enableCompileCache();

type Load = () => Promise<Command>;

const daemon =
  (service: string): Load =>
  async () =>
    (await import('./services.ts')).daemonCommand(service);

const commands: Readonly<Record<string, Load>> = {
  up: async () => (await import('./up.ts')).upCommand(),
  intake: daemon('intake'),
  scheduler: daemon('scheduler'),
  'smtp-worker': daemon('smtp-worker'),
  bounce: async () => (await import('./bounce.ts')).bounceCommand(),
  dashboard: daemon('dashboard'),
  config: async () => (await import('./config.ts')).configCommand(),
  postmap: async () => (await import('./postmap.ts')).postmapCommand(),
  sendmail: async () => (await import('./sendmail.ts')).sendmailCommand(),
  destination: async () => (await import('./destination.ts')).destinationCommand(),
  explain: async () => (await import('./explain.ts')).explainCommand(),
  queue: async () => (await import('./queue.ts')).queueCommand(),
  qshape: async () => (await import('./qshape.ts')).qshapeCommand(),
  sessions: async () => (await import('./sessions.ts')).sessionsCommand(),
  verify: async () => (await import('./verify.ts')).verifyCommand(),
  tlsrpt: async () => (await import('./tlsrpt.ts')).tlsrptCommand(),
  webhook: async () => (await import('./webhook.ts')).webhookCommand(),
  suppression: async () => (await import('./suppression.ts')).suppressionCommand(),
  log: async () => (await import('./log.ts')).logCommand(),
};

const program = new (await import('commander')).Command('mailfleet')
  .description('the delivery half of Postfix as a fleet of containers')
  .enablePositionalOptions()
  .showHelpAfterError();

const wanted = commands[process.argv[2] ?? ''];
for (const load of wanted === undefined ? Object.values(commands) : [wanted])
  program.addCommand(await load());

await program.parseAsync();
