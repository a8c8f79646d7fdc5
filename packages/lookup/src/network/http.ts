/**
 * http tables, ours: a web service is asked by GET. The file names `url`, whose placeholders are percent-encoded
 * (`url = https://directory.example/relay/%s`), and perhaps `authorization`, the text of that header. 200 is the value (its text
 * without white space around it), 404 and 204 are misses, everything else is an error.
 *
 * The address must be https, or http to this machine: answers decide where mail goes. Redirects are not followed, for the same
 * reason.
 */
import { databaseTable, templateOf } from '../database/answers.ts';
import { type TableContext, TableFileError, type TableSettings } from '../database/table-file.ts';
import type { BareTable } from '../table.ts';

export function makeHttpTable(settings: TableSettings, context: TableContext): BareTable {
  const address = settings.required('url');
  const authorization = settings.text('authorization');
  const timeoutMs = settings.time('timeout', '5');
  const sizeLimit = settings.number('size_limit', 10_240, 1);
  refuseOpenAddress(settings, address);
  const query = templateOf(settings, 'url', address);
  return databaseTable({
    settings,
    context,
    query,
    quote: encodeURIComponent,
    secrets: [authorization, authorization.replace(/^\S+\s+/, '')],
    ask: async (url, answers) => {
      const response = await fetch(url, {
        headers: { accept: 'text/plain', ...(authorization === '' ? {} : { authorization }) },
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      }).catch((error: unknown) => {
        throw new Error(sentence(error));
      });
      if (response.status !== 200) {
        await response.body?.cancel();
        if (response.status === 404 || response.status === 204) return;
        throw new Error(`the server answers ${response.status}`);
      }
      const value = (await readAll(response, sizeLimit)).trim();
      if (value === '') throw new Error('the server answers 200 without a text');
      answers.add(value);
    },
  });
}

function refuseOpenAddress(settings: TableSettings, address: string): void {
  const url = URL.parse(address.replace(/%[^%]/g, 'x'));
  const loopback = url !== null && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && loopback)) return;
  throw new TableFileError(`${settings.path}: "url" must be https, or http to localhost`);
}

async function readAll(response: Response, sizeLimit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > sizeLimit) throw new Error(`the answer is longer than size_limit (${sizeLimit})`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** fetch hides the reason in the cause. */
function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}
