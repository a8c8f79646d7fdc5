/** What the HTTP API says when it refuses: a kind for programs, a sentence for people, the place in the request. */
import type { FastifyError } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { Problem } from './http-schema.ts';
import type { Refusal, RefusalName } from './refusal.ts';

const STATUS_OF: Readonly<Record<RefusalName, number>> = {
  'bad-sender': 400,
  'bad-recipient': 400,
  'bad-parameter': 400,
  'no-recipients': 400,
  'too-many-recipients': 400,
  'too-many-hops': 422,
  'content-rejected': 422,
  'content-interrupted': 400,
  'too-large': 413,
  unavailable: 503,
};

export interface HttpProblem {
  readonly statusCode: number;
  readonly problem: Problem;
}

export function problemOf({ error, sentence, path }: Refusal): HttpProblem {
  return {
    statusCode: STATUS_OF[error],
    problem: { error, message: sentence, ...(path === undefined ? {} : { path }) },
  };
}

/** Problem of an error that Fastify raised before the handler ran; undefined for one that is ours to mend. */
export function problemOfError(error: FastifyError): HttpProblem | undefined {
  if (hasZodFastifySchemaValidationErrors(error)) return schemaProblem(error);
  const statusCode = error.statusCode ?? 500;
  if (statusCode === 413) {
    const message = 'the request is too large for a message of message_size_limit bytes';
    return { statusCode, problem: { error: 'too-large', message } };
  }
  if (statusCode === 415) {
    const message = 'send application/json or message/rfc822';
    return { statusCode, problem: { error: 'unsupported-media-type', message } };
  }
  if (statusCode >= 500) return undefined;
  const isJson = error instanceof SyntaxError || error.code?.startsWith('FST_ERR_CTP') === true;
  return {
    statusCode,
    problem: isJson
      ? { error: 'bad-json', message: `the body is not valid JSON: ${error.message}` }
      : { error: 'bad-request', message: error.message },
  };
}

interface Issue {
  readonly instancePath: string;
  readonly message?: string;
  readonly params?: { readonly keys?: unknown };
}

function schemaProblem(error: FastifyError): HttpProblem {
  const issue: Issue | undefined = error.validation?.[0];
  const where = error.validationContext === 'body' ? '' : `${error.validationContext ?? 'request'}.`;
  const keys = Array.isArray(issue?.params?.keys) ? issue.params.keys.map(String) : [];
  const base = (issue?.instancePath ?? '/').split('/').filter((part) => part !== '');
  const path = [...base, ...keys.slice(0, 1)].reduce(
    (text, part) => (/^\d+$/.test(part) ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
  const message =
    keys.length > 0
      ? `unknown field ${keys.map((key) => `"${key}"`).join(', ')}`
      : (issue?.message ?? error.message);
  return {
    statusCode: 400,
    problem: {
      error: keys.length > 0 ? 'unknown-field' : 'bad-request',
      message,
      ...(path === '' ? {} : { path: `${where}${path}` }),
    },
  };
}
