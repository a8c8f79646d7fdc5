/**
 * The dashboard daemon: pages of queues and messages, their JSON twins under /api, bull-board under /jobs.
 *
 * It reads and shows, and owns nothing; any number may run. Our pages carry no script and a policy that allows none.
 * Whatever fails is answered with a sentence, the cause goes to the log and not to the reader.
 */
import { once } from 'node:events';
import fastifyBasicAuth from '@fastify/basic-auth';
import type { Config } from '@mailfleet/config';
import type { BoardPort, OperatorPort } from '@mailfleet/queue';
import type { Telemetry } from '@mailfleet/telemetry';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { sendSentence } from './answer.ts';
import { mountBoard } from './board.ts';
import { type Access, hostName, isLoopback, type ListenAddress, readAccess } from './listen.ts';
import { addRoutes } from './routes.ts';

export interface DashboardOptions {
  readonly config: Config;
  readonly queue: OperatorPort & BoardPort;
  readonly telemetry: Pick<Telemetry, 'log'>;
  readonly signal: AbortSignal;
}

export interface Dashboard {
  /** Where it answers, the first of several; with the port it got when port 0 was asked for. */
  readonly url: string;
  /** Settles when it has closed after the signal. */
  readonly closed: Promise<void>;
}

const pagePolicy =
  "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/** Resolves when it listens; throws a sentence when it may not (see readAccess) or cannot. */
export async function runDashboard(options: DashboardOptions): Promise<Dashboard> {
  const access = await readAccess(options.config);
  const servers: FastifyInstance[] = [];
  const listen = async (address: ListenAddress): Promise<string> => {
    const server = await buildServer(options, access);
    servers.push(server);
    return server.listen(address);
  };
  const [first, ...others] = access.addresses;
  try {
    const url = await listen(first);
    for (const address of others) {
      await listen(address);
    }
    return { url, closed: closeOnAbort(servers, options.signal) };
  } catch (error) {
    await Promise.all(servers.map((server) => server.close()));
    throw error;
  }
}

async function closeOnAbort(servers: readonly FastifyInstance[], signal: AbortSignal): Promise<void> {
  if (!signal.aborted) {
    await once(signal, 'abort');
  }
  await Promise.all(servers.map((server) => server.close()));
}

async function buildServer({ queue, telemetry }: DashboardOptions, access: Access): Promise<FastifyInstance> {
  const app = fastify({ forceCloseConnections: true, routerOptions: { maxParamLength: 200 } });
  await guard(app, access);
  app.setNotFoundHandler((request, reply) => {
    sendSentence(request, reply, 404, 'Not found', 'There is no such page.');
  });
  app.setErrorHandler<Error & { statusCode?: number }>((error, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status === 401) {
      sendSentence(
        request,
        reply,
        401,
        'Password needed',
        'Log in with any user name and the dashboard password.',
      );
    } else if (status < 500) {
      sendSentence(request, reply, status, 'Not possible', error.message);
    } else {
      telemetry.log.error({ err: error }, `dashboard: ${request.method} ${request.url} failed`);
      const sentence = 'The queue cannot be read now; the log of this program has the reason.';
      sendSentence(request, reply, status, 'Not available', sentence);
    }
  });
  app.get('/healthz', async () => ({ status: 'ok' }));
  addRoutes(app, queue);
  await mountBoard(app, queue, access.checkPassword === undefined);
  return app;
}

/** Password, host and origin checks, and the headers of every answer. */
async function guard(app: FastifyInstance, { checkPassword }: Access): Promise<void> {
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers({
      'content-security-policy': pagePolicy,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
  });
  if (checkPassword === undefined) {
    app.addHook('onRequest', async (request, reply) => {
      if (!isLoopback(hostName(request.headers.host))) {
        return sendSentence(
          request,
          reply,
          421,
          'Wrong host',
          'Without a password this dashboard answers only to localhost.',
        );
      }
      if (!isReading(request)) {
        return sendSentence(
          request,
          reply,
          405,
          'Read-only',
          'Without a password this dashboard changes nothing.',
        );
      }
    });
    return;
  }
  await app.register(fastifyBasicAuth, {
    authenticate: { realm: 'Mailfleet' },
    validate: async (_user, password) => (checkPassword(password) ? undefined : unauthorized()),
  });
  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.url === '/healthz') {
      done();
    } else {
      app.basicAuth(request, reply, done);
    }
  });
  // A browser sends its password along with what another site's page asks it to post.
  app.addHook('onRequest', async (request, reply) => {
    const { origin, host } = request.headers;
    if (!isReading(request) && origin !== undefined && URL.parse(origin)?.host !== host) {
      return sendSentence(
        request,
        reply,
        403,
        'Refused',
        'Changes are taken from the dashboard itself only.',
      );
    }
  });
}

function unauthorized(): Error {
  return Object.assign(new Error('wrong password'), { statusCode: 401 });
}

function isReading(request: FastifyRequest): boolean {
  return request.method === 'GET' || request.method === 'HEAD';
}
