/**
 * Posts a batch of events to `webhook_url`, signed as the Standard Webhooks specification says: HMAC-SHA256 over id, time and body,
 * so that the receiver knows who sent it, that nothing was changed, and that it is not an old one again.
 *
 * The URL is https, or http to this machine; redirects are not followed, and nothing of the answer but its code is used.
 */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from '@mailfleet/config';
import type { WebhookBatch } from '@mailfleet/queue';

const TIMEOUT_MS = 15_000;
const LEAST_SECRET_BYTES = 24;

export type PostWebhook = (batch: WebhookBatch) => Promise<void>;

/** Undefined: there is no webhook. Throws a sentence when URL or secret cannot be used. */
export function openWebhook(config: Config, now: () => number = Date.now): PostWebhook | undefined {
  const text = config.get('webhook_url');
  if (text === '') return undefined;
  const url = safeUrl(text);
  const secret = readSecret(config.get('webhook_secret_file'));
  const userAgent = config.get('mail_name');
  return async ({ id, events }) => {
    const body = JSON.stringify({ version: 1, type: 'mailfleet.outcomes', id, events });
    const timestamp = Math.floor(now() / 1000).toString();
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        'content-type': 'application/json',
        'user-agent': userAgent,
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${signature(secret, id, timestamp, body)}`,
      },
      body,
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`the receiver answered ${response.status}`);
  };
}

export function webhookLimits(config: Config): { readonly batchLimit: number; readonly maxAgeMs: number } {
  return { batchLimit: config.get('webhook_batch_limit'), maxAgeMs: config.get('webhook_max_age') };
}

function signature(secret: Buffer, id: string, timestamp: string, body: string): string {
  return createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64');
}

function safeUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null) throw new Error(`webhook_url is no URL: ${text}`);
  if (url.username !== '' || url.password !== '') {
    throw new Error(
      'webhook_url holds a user or password; requests are signed with webhook_secret_file instead',
    );
  }
  const isLoopback = /^(?:127\.\d+\.\d+\.\d+|\[::1\]|localhost)$/.test(url.hostname);
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback)) return url;
  throw new Error(`webhook_url must begin with https:// (http:// to this machine only): ${url.origin}`);
}

/** `whsec_` and base64, as receivers' libraries show it, or any text. */
function readSecret(file: string): Buffer {
  if (file === '') throw new Error('webhook_url needs webhook_secret_file: events are signed');
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`webhook_secret_file cannot be read: ${why}`, { cause: error });
  }
  const secret = text.startsWith('whsec_') ? Buffer.from(text.slice(6), 'base64') : Buffer.from(text);
  if (secret.length < LEAST_SECRET_BYTES) {
    throw new Error(`webhook_secret_file ${file}: the secret has fewer than ${LEAST_SECRET_BYTES} bytes`);
  }
  return secret;
}
