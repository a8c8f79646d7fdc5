/** The daemons as commands: each reads its options, and hands a running context to its package. */
import { Command } from 'commander';
import { type DaemonContext, type LogProgram, type RunningDaemon, runDaemon } from './daemon.ts';
import { type CommonOptions, withCommonOptions } from './options.ts';

interface DaemonCommand {
  readonly service: string;
  readonly program: LogProgram;
  readonly description: string;
  /** Imports its package only when the command is run: a process loads what it needs and nothing else. */
  readonly start: (context: DaemonContext) => Promise<RunningDaemon>;
}

const daemons: readonly DaemonCommand[] = [
  {
    service: 'intake',
    program: 'smtpd',
    description: 'accept mail by SMTP and HTTP',
    start: async (context) => {
      const { runIntake } = await import('@mailfleet/intake');
      const intake = await runIntake(context);
      return {
        closed: intake.closed,
        serves: [`accepts SMTP on port ${intake.smtpPort}`, `accepts HTTP on port ${intake.httpPort}`],
      };
    },
  },
  {
    service: 'scheduler',
    program: 'qmgr',
    description: 'manage the queue and hand batches to the workers',
    start: async (context) => {
      const { runScheduler } = await import('@mailfleet/scheduler');
      return { closed: runScheduler({ ...context, holder: context.name }) };
    },
  },
  {
    service: 'smtp-worker',
    program: 'smtp',
    description: 'deliver batches over SMTP and LMTP',
    start: async (context) => {
      const { runSmtpWorker } = await import('@mailfleet/smtp-worker');
      return { closed: runSmtpWorker(context) };
    },
  },
  {
    service: 'bounce',
    program: 'bounce',
    description: 'send delivery status notifications',
    start: async (context) => {
      const { runBounce } = await import('@mailfleet/bounce');
      return { closed: runBounce(context) };
    },
  },
  {
    service: 'dashboard',
    program: 'dashboard',
    description: 'serve the job dashboard and the pages of messages',
    start: async (context) => {
      const { runDashboard } = await import('@mailfleet/dashboard');
      const dashboard = await runDashboard(context);
      return { closed: dashboard.closed, serves: [`shows ${dashboard.url}`] };
    },
  },
];

/** Throws when there is no such daemon: the caller names one of those above. */
export function daemonCommand(service: string): Command {
  const daemon = daemons.find((one) => one.service === service);
  if (daemon === undefined) throw new Error(`no daemon ${service}`);
  return withCommonOptions(new Command(service))
    .description(daemon.description)
    .action((options: CommonOptions) => runDaemon(service, daemon.program, options, daemon.start));
}
