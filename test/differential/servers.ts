/** The servers of a scenario, once for each client. */
import { freePort, refusingPort, type SmtpServer, startSmtpServer, waitFor } from '@mailfleet/test-kit';
import { Ports, type Scenario, sessionsOf } from './scenario.ts';

export interface ScenarioServers extends AsyncDisposable {
  readonly ports: Ports;
  /** All that the client sent, once it has left every server. */
  transcript(): Promise<string[][]>;
}

/** A port that was free may be taken before the last of the servers has it. */
const TRIES = 5;

export const startServers = async (scenario: Scenario): Promise<ScenarioServers> => {
  for (let tries = 1; ; tries++) {
    const running: SmtpServer[] = [];
    try {
      return await start(scenario, running);
    } catch (error) {
      await Promise.all(running.map((server) => server.close()));
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries === TRIES) throw error;
    }
  }
};

const start = async (scenario: Scenario, running: SmtpServer[]): Promise<ScenarioServers> => {
  const ports: number[] = [];
  // A destination has one port, so the hosts that DNS has for it differ by address.
  const servers = scenario.servers ?? [{}];
  const anybody = servers.some((server) => server !== 'refused');
  const shared = scenario.zones === undefined ? undefined : anybody ? await freePort() : refusingPort();
  for (const [index, server] of servers.entries()) {
    if (server === 'refused') {
      ports.push(shared ?? refusingPort());
      continue;
    }
    const started = await startSmtpServer({
      ...server,
      ...(shared === undefined ? {} : { host: `127.0.0.${index + 2}`, port: shared }),
      protocol: scenario.protocol ?? 'smtp',
      record: true,
    });
    running.push(started);
    ports.push(started.port);
  }
  return {
    ports: new Ports(ports),
    transcript: async () => {
      const left = (): boolean => running.every((server) => server.connections.open === 0);
      await waitFor(left, 10_000, `the client to leave the servers of "${scenario.name}"`);
      return sessionsOf(running);
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(running.map((server) => server.close()));
    },
  };
};
