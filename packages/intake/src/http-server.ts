/**
 * The HTTP way in: POST /v1/messages with a JSON message or a raw RFC 5322 one, GET /openapi.json, /healthz (the process
 * runs) and /readyz (the queue takes mail). Answers 202 when the message is durable; any other answer means that nothing
 * was stored.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import swagger from '@fastify/swagger';
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyRequest,
  type onRequestAsyncHookHandler,
} from 'fastify';
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import { z } from 'zod';
import { enqueue } from './enqueue.ts';
import { createAccessCheck } from './http-access.ts';
import { composeMessage } from './http-compose.ts';
import { problemOf, problemOfError } from './http-problem.ts';
import { Accepted, MessageBody, MessageHeaders, MessageQuery, Problem, RawBody } from './http-schema.ts';
import { addSuppressions } from './http-suppressions.ts';
import type { Intake } from './intake.ts';
import type { Refusal } from './refusal.ts';
import type { Submission } from './submission.ts';

/** Room for what JSON adds to a message: escapes, field names, base64 where the message will have quoted-printable. */
const JSON_OVERHEAD = 2;
const JSON_MINIMUM = 1024 * 1024;
const READY_TIMEOUT_MS = 2_000;
const RAW = 'message/rfc822';

type PartOfRaw = Pick<
  Submission,
  | 'sender'
  | 'recipients'
  | 'recipientsFromHeader'
  | 'notify'
  | 'content'
  | 'smtputf8'
  | 'ret'
  | 'envid'
  | 'requireTls'
>;

export async function createHttpServer(intake: Intake): Promise<FastifyInstance> {
  const { config, telemetry } = intake;
  const access = await createAccessCheck(intake);
  const sizeLimit = config.get('message_size_limit');
  const app = fastify({
    logger: false,
    bodyLimit: sizeLimit === 0 ? Number.MAX_SAFE_INTEGER : Math.max(JSON_MINIMUM, sizeLimit * JSON_OVERHEAD),
    requestTimeout: config.get('smtpd_timeout'),
    return503OnClosing: true,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser(RAW, (_request, payload, done) => done(null, payload));
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Mailfleet intake', version: '1', description: 'Hands mail in for delivery.' },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
    transform: describeBodies,
  });

  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const known = problemOfError(error);
    if (known !== undefined) return reply.code(known.statusCode).send(known.problem);
    telemetry.log.error({ err: error }, `HTTP request failed: ${error.message}`);
    return reply
      .code(500)
      .send({ error: 'internal', message: 'internal error; nothing was stored' } satisfies Problem);
  });
  app.setNotFoundHandler((request, reply) => {
    const message = `there is no ${request.method} ${request.url.split('?')[0] ?? ''}; see /openapi.json`;
    return reply.code(404).send({ error: 'not-found', message } satisfies Problem);
  });

  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'ok' }));
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    if (await isReady(intake)) return { status: 'ready' };
    return reply.code(503).send({ status: 'the queue cannot be written at this moment' });
  });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());

  app.decorateRequest('caller', '');
  // Before the body is read: a stranger's body is not worth a byte of memory.
  const admit: onRequestAsyncHookHandler = async (request, reply) => {
    const answer = await access(request.headers, request.ip.replace(/^::ffff:/, ''));
    if (answer.ok) {
      request.setDecorator('caller', answer.caller);
      return undefined;
    }
    const { statusCode, error, message } = answer;
    if (statusCode === 401) reply.header('www-authenticate', 'Bearer');
    return reply.code(statusCode).send({ error, message });
  };
  addSuppressions(app, intake.queue, admit);
  app.withTypeProvider<ZodTypeProvider>().post(
    '/v1/messages',
    {
      schema: {
        summary: 'Hand in a message',
        security: [{ token: [] }],
        consumes: ['application/json', RAW],
        querystring: MessageQuery,
        headers: MessageHeaders,
        body: { content: { 'application/json': { schema: MessageBody }, [RAW]: { schema: RawBody } } },
        response: {
          202: Accepted,
          400: Problem,
          401: Problem,
          403: Problem,
          413: Problem,
          415: Problem,
          422: Problem,
          503: Problem,
        },
      },
      onRequest: admit,
    },
    async (request, reply) => {
      const part = isRaw(request)
        ? rawMessage(request.body as Readable, request.query)
        : jsonMessage(request, intake);
      if ('ok' in part) return refuse(part);
      const result = await enqueue(intake, { ...part, ...circumstances(request, request.headers) });
      if (request.body instanceof Readable) request.body.resume();
      if (!result.ok) return refuse(result);
      return reply.code(202).send({ id: result.queueId, accepted: [...result.recipients] });

      function refuse(why: Refusal): typeof reply {
        const { statusCode, problem } = problemOf(why);
        if (statusCode === 503) reply.header('retry-after', '30');
        return reply.code(statusCode as 400).send(problem);
      }
    },
  );
  return app;
}

function isRaw(request: FastifyRequest): boolean {
  return request.body instanceof Readable;
}

function rawMessage(content: Readable, query: MessageQuery): PartOfRaw {
  const named = query.to === undefined ? [] : [query.to].flat();
  return {
    recipients: named,
    recipientsFromHeader: query.to === undefined,
    content: content.iterator({ destroyOnReturn: false }),
    ...(query.from === undefined ? {} : { sender: query.from }),
    ...(query.notify === undefined ? {} : { notify: query.notify.toUpperCase().split(',') }),
    ...(query.ret === undefined ? {} : { ret: query.ret }),
    ...(query.envid === undefined ? {} : { envid: query.envid }),
    ...(query.requireTls === 'true' ? { requireTls: true } : {}),
    // Non-ASCII addresses say by themselves that they need it.
    smtputf8: [query.from ?? '', ...named].some((address) => Buffer.byteLength(address) > address.length),
  };
}

function jsonMessage(request: FastifyRequest, intake: Intake): Submission | Refusal {
  const composed = composeMessage(request.body as MessageBody, intake.smtputf8);
  return composed.ok ? composed.submission : composed;
}

function circumstances(request: FastifyRequest, headers: MessageHeaders): Partial<Submission> {
  const key = headers['idempotency-key'];
  const caller = request.getDecorator<string>('caller');
  return {
    by: 'http',
    client: {
      address: request.ip.replace(/^::ffff:/, ''),
      port: request.socket.remotePort ?? 0,
      protocol: 'HTTP',
    },
    ...(headers.traceparent === undefined ? {} : { traceparent: headers.traceparent }),
    ...(key === undefined
      ? {}
      : { idempotencyKey: createHash('sha256').update(`${caller}\n${key}`).digest('hex') }),
  };
}

/** Writes something that is gone in a moment: a queue that can be read but not written takes no mail. */
async function isReady({ queue }: Intake): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), READY_TIMEOUT_MS);
  });
  const written = queue.claimIdempotencyKey('readyz', queue.newQueueId(), 1_000).then(
    () => true,
    () => false,
  );
  const ready = await Promise.race([written, timeout]);
  clearTimeout(timer);
  return ready;
}

/** The type provider describes a body with one content type only; ours has two. */
const describeBodies: typeof jsonSchemaTransform = (document) => {
  const { body, ...schema } = document.schema ?? {};
  const described = jsonSchemaTransform({ ...document, schema } as typeof document);
  if (body !== undefined) {
    described.schema = {
      ...described.schema,
      body: {
        content: {
          'application/json': { schema: z.toJSONSchema(MessageBody, { io: 'input' }) },
          [RAW]: { schema: { type: 'string', description: 'The message as RFC 5322 text' } },
        },
      },
    } as typeof described.schema;
  }
  return described;
};
