/** How the dashboard answers: programs (under /api) in JSON, people with a page. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Html, htmlText } from './html.ts';
import { sentencePage } from './layout.ts';

/** @param search what stands in the search box, on a page */
export function sendSentence(
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  title: string,
  sentence: string,
  search?: string,
): FastifyReply {
  reply.code(status);
  return isForPrograms(request)
    ? reply.send({ error: sentence })
    : sendPage(reply, sentencePage(title, sentence, search));
}

export function sendPage(reply: FastifyReply, markup: Html): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(htmlText(markup));
}

export function isForPrograms(request: FastifyRequest): boolean {
  return /^\/api(?:[/?]|$)/.test(request.url);
}
