/** Builds the queue of one process: connections, scripts, BullMQ, and the port of every role over them. */
import type { Config } from '@mailfleet/config';
import type { Telemetry } from '@mailfleet/telemetry';
import { makeBouncePort } from './bounce.ts';
import type { Bull } from './bull/bull.ts';
import { makeContentFiles } from './content-files.ts';
import { keysOfShard, type QueueContext } from './context.ts';
import { withDestinations } from './destination-port.ts';
import type { DestinationPort } from './destination-ports.ts';
import { makeIntakePort } from './intake.ts';
import { keysOf } from './keys.ts';
import { makeOperatorPort } from './operator.ts';
import type { OperatorPort } from './operator-ports.ts';
import type {
  BoardPort,
  BouncePort,
  IntakePort,
  SchedulerPort,
  ScriptPort,
  TranscriptPort,
  WorkerPort,
} from './ports.ts';
import { type Connection, type ConnectionLog, makeConnections, parseRedisUrl } from './redis/connection.ts';
import { checkSafety, type Preflight } from './redis/preflight.ts';
import { makeSchedulerPort } from './scheduler.ts';
import { allScripts } from './scripts/all.ts';
import { laneRunner, promptRunner, unrepeatedRunner } from './scripts/lanes.ts';
import { makeSuppressionPort, type SuppressionPort } from './suppression.ts';
import { makeTranscriptPort } from './transcripts.ts';
import type { WebhookPort } from './webhook-ports.ts';
import { makeWorkerPort } from './worker.ts';

/** How long a Redis that does not answer is waited for at the start. Later it is waited for without end. */
const FIRST_ANSWER_MS = 10_000;

export type Queue = IntakePort &
  SchedulerPort &
  WorkerPort &
  BouncePort &
  OperatorPort &
  ScriptPort &
  TranscriptPort &
  SuppressionPort &
  WebhookPort &
  DestinationPort &
  BoardPort & {
    /** Resolves when Redis answers; waits while it is away. */
    ping(): Promise<void>;
    /** Ends all connections. Let `work` and `workNotices` come home first. */
    close(): Promise<void>;
  };

export interface QueueOptions {
  readonly config: Config;
  readonly redisUrl: string;
  /** Without a log, remarks about Redis become warnings of the process. */
  readonly telemetry?: Pick<Telemetry, 'emit'> & Partial<Pick<Telemetry, 'log'>>;
  /** Spans of BullMQ's own, as part of the trace at hand. */
  readonly tracing?: boolean;
}

/** Throws a sentence when the URL is wrong, Redis does not answer within ten seconds, or it can lose mail (see redis_data_loss_ok). */
export async function openQueue(options: QueueOptions): Promise<Queue> {
  const { config, telemetry } = options;
  const log = logOf(telemetry?.log);
  const connections = makeConnections(parseRedisUrl(options.redisUrl), log);
  const redis = connections.open({ name: 'mailfleet', kind: 'pipelined' });
  const preflight = await preflightOf(redis, config.get('redis_data_loss_ok'));
  if (!preflight.ok) {
    await connections.close();
    throw new Error(preflight.problem);
  }
  for (const warning of preflight.warnings) log.warn(warning);

  const shards = Array.from({ length: config.get('scheduler_shards') }, (_, shard) => keysOf(shard));
  const leaseMs = config.get('batch_lease_time');
  const tracing = options.tracing === true;
  let loaded: Promise<Bull> | undefined;
  const bull = (): Promise<Bull> => {
    loaded ??= import('./bull/bull.ts').then(({ makeBull }) =>
      makeBull({ connections, shards, leaseMs, tracing, log, redis, run: context.run }),
    );
    return loaded;
  };
  const context: QueueContext = {
    config,
    shards,
    redis,
    run: laneRunner(connections),
    runOnce: unrepeatedRunner(connections, allScripts),
    prompt: promptRunner(connections),
    openBlocking: (name) => connections.open({ name, kind: 'blocking' }),
    files: makeContentFiles(config.get('content_directory')),
    bull,
    now: Date.now,
    log,
  };
  const intake = makeIntakePort(context);
  return {
    ...intake,
    ...makeSchedulerPort(context),
    ...makeWorkerPort(context),
    ...makeBouncePort(context),
    ...withDestinations(context, makeOperatorPort(context, intake, telemetry)),
    ...makeTranscriptPort(context, intake),
    ...makeSuppressionPort(context),
    workWebhooks: async (work, post) => (await bull()).webhooks.work(work, post),
    webhookState: async () => (await bull()).webhooks.state(),
    openScripts: (scripts) => unrepeatedRunner(connections, scripts),
    scriptKeys: (shard) => keysOfShard({ shards }, shard),
    async boardQueues() {
      const { batches, notices, webhooks } = await bull();
      const used = config.get('webhook_url') !== '';
      return shards.flatMap((_, shard) => [
        batches.queue(shard),
        notices.queue(shard),
        ...(used ? [webhooks.queue(shard)] : []),
      ]);
    },
    async ping() {
      await redis.ping();
    },
    async close() {
      const used = await loaded;
      await Promise.all([used?.batches.close(), used?.notices.close(), used?.webhooks.close()]);
      await connections.close();
    },
  };
}

/** The same question as at the start of openQueue, for a command that only wants the answer. */
export async function checkRedis(options: {
  readonly redisUrl: string;
  readonly dataLossOk: boolean;
}): Promise<Preflight> {
  // An outage is in the answer.
  const connections = makeConnections(parseRedisUrl(options.redisUrl), {
    warn: () => undefined,
    info: () => undefined,
  });
  try {
    return await preflightOf(
      connections.open({ name: 'mailfleet-check', kind: 'plain' }),
      options.dataLossOk,
    );
  } finally {
    await connections.close();
  }
}

async function preflightOf(redis: Connection, dataLossOk: boolean): Promise<Preflight> {
  let lastError = '';
  redis.on('error', (error: Error) => {
    lastError = `: ${error.message}`;
  });
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<Preflight>((resolve) => {
    timer = setTimeout(() => {
      resolve({
        ok: false,
        problem: `Redis of redis_url does not answer${lastError}; check the URL and that it runs`,
      });
    }, FIRST_ANSWER_MS);
  });
  try {
    return await Promise.race([checkSafety(redis, dataLossOk), silence]);
  } finally {
    clearTimeout(timer);
  }
}

function logOf(log: Telemetry['log'] | undefined): ConnectionLog {
  if (log !== undefined) {
    return { warn: (text) => log.warn(text), info: (text) => log.info(text) };
  }
  return {
    warn: (text) => process.emitWarning(text),
    info: () => undefined,
  };
}
