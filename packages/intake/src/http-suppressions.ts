/**
 * The suppression list over HTTP: GET /v1/suppressions (a page), GET, PUT and DELETE /v1/suppressions/{address}. Who may use it is
 * who may hand in mail.
 */
import type { SuppressionPort } from '@mailfleet/queue';
import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { Problem } from './http-schema.ts';

const LONGEST_PAGE = 1_000;

const Address = z.object({
  address: z
    .string()
    .min(3)
    .max(320)
    .regex(/^[^\s@]+.*@[^\s@]+$/),
});
const Entry = z.object({
  address: z.string(),
  class: z.string(),
  reason: z.string(),
  sinceMs: z.number(),
  untilMs: z.number().optional(),
});
const Page = z.object({ entries: z.array(Entry), cursor: z.string().optional() });
const Wish = z.object({
  reason: z.string().max(500).default('added over HTTP'),
  /** Milliseconds since the epoch; absent: until it is removed. */
  untilMs: z.number().int().positive().optional(),
});

export function addSuppressions(
  app: FastifyInstance,
  queue: SuppressionPort,
  onRequest: onRequestAsyncHookHandler,
): void {
  const routes = app.withTypeProvider<ZodTypeProvider>();
  const common = { security: [{ token: [] }] };
  const gone = (address: string) => ({
    error: 'not-found',
    message: `${address} is not on the suppression list`,
  });

  routes.get(
    '/v1/suppressions',
    {
      schema: {
        ...common,
        summary: 'A page of the suppression list',
        querystring: z.object({
          cursor: z.string().max(500).optional(),
          limit: z.coerce.number().int().min(1).max(LONGEST_PAGE).default(100),
        }),
        response: { 200: Page },
      },
      onRequest,
    },
    async ({ query }) => {
      const { entries, ...rest } = await queue.suppressionsPage(query.cursor, query.limit);
      return { entries: [...entries], ...rest };
    },
  );
  routes.get(
    '/v1/suppressions/:address',
    { schema: { ...common, params: Address, response: { 200: Entry, 404: Problem } }, onRequest },
    async ({ params: { address } }, reply) => {
      const [entry] = await queue.suppressed([address]);
      return entry === undefined ? reply.code(404).send(gone(address)) : reply.send(entry);
    },
  );
  routes.put(
    '/v1/suppressions/:address',
    {
      schema: {
        ...common,
        summary: 'Put a recipient on the suppression list',
        params: Address,
        body: Wish,
        response: { 204: z.null() },
      },
      onRequest,
    },
    async ({ params: { address }, body: { reason, untilMs } }, reply) => {
      const entry = { address, class: 'policy' as const, reason, sinceMs: Date.now() };
      await queue.suppress([untilMs === undefined ? entry : { ...entry, untilMs }]);
      return reply.code(204).send(null);
    },
  );
  routes.delete(
    '/v1/suppressions/:address',
    { schema: { ...common, params: Address, response: { 204: z.null(), 404: Problem } }, onRequest },
    async ({ params: { address } }, reply) =>
      (await queue.unsuppress(address)) ? reply.code(204).send(null) : reply.code(404).send(gone(address)),
  );
}
