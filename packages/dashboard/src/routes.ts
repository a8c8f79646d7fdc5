/**
 * The addresses of pages and of their JSON twins: /api in front of a page's address gives the same facts to programs.
 *
 * | Address               | Shows                                                                   |
 * | --------------------- | ----------------------------------------------------------------------- |
 * | `/`                   | counts                                                                  |
 * | `/messages`           | listing; `queue` (absent: all), `cursor` (from the answer), `limit`     |
 * | `/messages/<queueId>` | one message, queued or finished                                         |
 * | `/find?id=<queueId>`  | leads to the message's page                                             |
 */
import type { OperatorPort, QueueName } from '@mailfleet/queue';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isForPrograms, sendPage, sendSentence } from './answer.ts';
import { defaultLimit, listPage } from './list-page.ts';
import { messagePage } from './message-page.ts';
import { queueMeanings, startPage } from './start-page.ts';
import { icon, styleSheet } from './style.ts';

const maximalLimit = 500;

export function addRoutes(app: FastifyInstance, queue: OperatorPort): void {
  both(app, '/', async (request, reply) => {
    const counts = await queue.counts();
    return isForPrograms(request) ? { counts } : sendPage(reply, startPage(counts));
  });

  both(app, '/messages', async (request, reply) => {
    const query = readListQuery(request.query);
    if (typeof query === 'string') {
      return sendSentence(request, reply, 400, 'Not possible', query);
    }
    const { queue: queueName, ...paging } = query;
    const answer = await queue.list({
      ...(queueName === undefined ? {} : { queues: [queueName] }),
      ...paging,
    });
    if (isForPrograms(request)) {
      return answer;
    }
    const { messages, cursor: nextCursor } = answer;
    const nowMs = Date.now();
    return sendPage(
      reply,
      listPage({ ...query, messages, nowMs, ...(nextCursor === undefined ? {} : { nextCursor }) }),
    );
  });

  both(app, '/messages/:queueId', async (request, reply) => {
    const { queueId } = request.params as { queueId: string };
    // Queue ids are letters and digits; nothing else is worth a look-up.
    const view = /^[0-9A-Za-z]{1,64}$/.test(queueId) ? await queue.find(queueId) : undefined;
    if (view === undefined) {
      const sentence = `No message with queue id ${queueId} is queued, or was until lately. Queue ids tell upper from lower case.`;
      return sendSentence(request, reply, 404, 'Not found', sentence, queueId);
    }
    return isForPrograms(request)
      ? { queueId, ...view }
      : sendPage(reply, messagePage(queueId, view, Date.now()));
  });

  app.get('/find', async (request, reply) => {
    const { id } = request.query as { id?: unknown };
    const queueId = typeof id === 'string' ? id.trim() : '';
    return reply.redirect(queueId === '' ? '/' : `/messages/${encodeURIComponent(queueId)}`, 303);
  });

  app.get('/style.css', async (_request, reply) => reply.type('text/css; charset=utf-8').send(styleSheet));
  app.get('/icon.svg', async (_request, reply) => reply.type('image/svg+xml').send(icon));
}

function both(
  app: FastifyInstance,
  path: string,
  handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
): void {
  app.get(path, handler);
  app.get(`/api${path}`, handler);
}

interface ListQuery {
  readonly queue?: QueueName;
  readonly cursor?: string;
  readonly limit: number;
}

/** A sentence when the query makes no sense. */
function readListQuery(query: FastifyRequest['query']): ListQuery | string {
  const { queue, cursor, limit = String(defaultLimit) } = query as Record<string, unknown>;
  const known = queueMeanings.find((each) => each.queue === queue)?.queue;
  if (queue !== undefined && known === undefined) {
    return `There is no such queue; there are ${queueMeanings.map((each) => each.queue).join(', ')}.`;
  }
  if (cursor !== undefined && typeof cursor !== 'string') {
    return 'Give one cursor, as it came with the page before.';
  }
  const count = typeof limit === 'string' && /^\d{1,4}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > maximalLimit) {
    return `The limit is a number from 1 to ${maximalLimit}.`;
  }
  return {
    limit: count,
    ...(known === undefined ? {} : { queue: known }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}
