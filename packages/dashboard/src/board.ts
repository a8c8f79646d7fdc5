/**
 * bull-board under /jobs: the batches and notice requests that wait in BullMQ, as they are. Read-only unless the
 * dashboard has a password. Its pages bring their own scripts and styles, so they get a policy of their own.
 */
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { BoardPort } from '@mailfleet/queue';
import type { FastifyInstance } from 'fastify';

/** Its scripts are files of its own; styles are partly inline. Nothing is loaded from elsewhere. */
const boardPolicy =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

export async function mountBoard(app: FastifyInstance, queue: BoardPort, readOnly: boolean): Promise<void> {
  const queues = await queue.boardQueues();
  const adapter = new FastifyAdapter();
  adapter.setBasePath('/jobs');
  createBullBoard({
    // All shards' queues share their names; the prefix, which differs, keeps them apart.
    queues: queues.map(
      (each) => new BullMQAdapter(each, { readOnlyMode: readOnly, prefix: `${each.opts.prefix ?? ''} ` }),
    ),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: 'Mailfleet jobs', miscLinks: [{ text: 'Mailfleet', url: '/' }] } },
  });
  await app.register(
    async (scope) => {
      scope.addHook('onRequest', async (_request, reply) => {
        reply.header('content-security-policy', boardPolicy);
      });
      await scope.register(adapter.registerPlugin());
    },
    { prefix: '/jobs' },
  );
}
