/** The `mailfleet` command. */
import { Command } from 'commander';
import { configCommand } from './config.ts';
import { logCommand } from './log.ts';
import { queueCommand } from './queue.ts';
import { sendmailCommand } from './sendmail.ts';
import { daemonCommands } from './services.ts';
import { upCommand } from './up.ts';

const program = new Command('mailfleet')
  .description('the delivery half of Postfix as a fleet of containers')
  .enablePositionalOptions()
  .showHelpAfterError();

for (const command of [
  upCommand(),
  ...daemonCommands(),
  configCommand(),
  sendmailCommand(),
  queueCommand(),
  logCommand(),
]) {
  program.addCommand(command);
}

await program.parseAsync();
