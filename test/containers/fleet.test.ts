/**
 * The image and the fleet as containers: Redis, intake, scheduler, two workers, bounce daemon and a receiving server, each in
 * its own container on one network. Mail goes in while one worker is killed; every message must arrive.
 */
import { fileURLToPath } from 'node:url';
import { waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import {
  GenericContainer,
  getContainerRuntimeClient,
  Network,
  type StartedNetwork,
  type StartedTestContainer,
  Wait,
} from 'testcontainers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineAvailable } from './engine.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MESSAGES = 3_000;
const IMAGE = 'mailfleet-test:latest';

describe.skipIf(!(await engineAvailable()))('the fleet in containers', () => {
  const started: StartedTestContainer[] = [];
  let network: StartedNetwork;
  let sink: StartedTestContainer;
  let intake: StartedTestContainer;
  let worker: StartedTestContainer;
  let survivor: StartedTestContainer;

  beforeAll(async () => {
    network = await new Network().start();
    const image = await GenericContainer.fromDockerfile(ROOT, 'infra/Dockerfile').build(IMAGE, {
      deleteOnExit: false,
    });
    await start(
      new GenericContainer('redis:7-bookworm')
        .withNetworkAliases('redis')
        .withExposedPorts(6379)
        .withCommand([
          'redis-server',
          ...['--bind', '0.0.0.0', '--protected-mode', 'no', '--dir', '/data'],
          ...['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'],
        ])
        .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/)),
    );
    sink = await start(
      new GenericContainer('node:24-bookworm-slim')
        .withNetworkAliases('sink')
        .withCopyDirectoriesToContainer([
          { source: `${ROOT}/test/kit/src`, target: '/sink/kit/src' },
          { source: `${ROOT}/test/containers`, target: '/sink/containers' },
        ])
        .withCommand(['node', '/sink/containers/sink.ts'])
        .withExposedPorts(8000)
        .withWaitStrategy(Wait.forHttp('/', 8000)),
    );
    const daemon = (service: string, log: RegExp): GenericContainer =>
      image
        .withEnvironment({
          MAILFLEET_redis_url: 'redis://redis:6379',
          MAILFLEET_myhostname: 'fleet.test',
          MAILFLEET_mynetworks: '0.0.0.0/0',
          MAILFLEET_relayhost: '[sink]:2525',
          MAILFLEET_batch_lease_time: '2s',
          MAILFLEET_intake_smtp_listen: '0.0.0.0:2525',
          MAILFLEET_intake_http_listen: '0.0.0.0:8025',
        })
        .withCommand([service])
        .withWaitStrategy(Wait.forLogMessage(log));
    await start(daemon('scheduler', /ready/));
    worker = await start(daemon('smtp-worker', /ready/));
    survivor = await start(daemon('smtp-worker', /ready/));
    await start(daemon('bounce', /ready/));
    intake = await start(daemon('intake', /ready/).withExposedPorts(2525, 8025));
  }, 600_000);

  afterAll(async () => {
    await Promise.all(started.map((container) => container.stop({ timeout: 1_000 })));
    await network?.stop();
  });

  async function start(container: GenericContainer): Promise<StartedTestContainer> {
    const running = await container.withNetwork(network).start();
    started.push(running);
    return running;
  }

  async function deliveries(): Promise<Record<string, number>> {
    const answer = await fetch(`http://${sink.getHost()}:${sink.getMappedPort(8000)}/`);
    return (await answer.json()) as Record<string, number>;
  }

  it('delivers every message although a worker is killed meanwhile', async () => {
    const transport = createTransport({
      host: intake.getHost(),
      port: intake.getMappedPort(2525),
      ignoreTLS: true,
      pool: true,
      maxConnections: 10,
      maxMessages: Number.POSITIVE_INFINITY,
    });
    const recipients = Array.from({ length: MESSAGES }, (_, index) => `user${index}@containers.test`);
    const sending = Promise.all(
      recipients.map((to) =>
        transport.sendMail({ from: 'sender@fleet.test', to, subject: to, text: 'x'.repeat(4_000) }),
      ),
    );
    await waitFor(
      async () => Object.keys(await deliveries()).length > MESSAGES / 10,
      60_000,
      'the first tenth',
    );
    const { container } = await getContainerRuntimeClient();
    await container.dockerode.getContainer(worker.getId()).kill({ signal: 'SIGKILL' });
    expect(Object.keys(await deliveries()).length, 'the kill came in the middle').toBeLessThan(MESSAGES);
    await sending;
    transport.close();

    const all = await waitFor(
      async () => {
        const now = await deliveries();
        return Object.keys(now).length === MESSAGES && now;
      },
      120_000,
      'every message at the sink',
    );
    expect(Object.keys(all).sort()).toEqual([...recipients].sort());
    const twice = Object.values(all).filter((count) => count > 1).length;
    const log = await container.dockerode.getContainer(survivor.getId()).logs({ stdout: true, stderr: true });
    const inDoubt = log
      .toString()
      .split('\n')
      .filter((line) => line.includes('in doubt')).length;
    expect(twice, 'what came twice had been in doubt').toBeLessThanOrEqual(inDoubt);
  }, 240_000);
});
