/**
 * Fetches the contents of the next few requests while the present one is being delivered, so that a session never
 * waits for the queue between two messages. The first fetch starts with the batch, before the connection is there.
 * Bounded: a few messages and a megabyte ahead, and only small contents (large ones are files, read as they are sent).
 */
import type { WorkerPort } from '@mailfleet/queue';
import type { DeliveryRequest } from '@mailfleet/smtp';

type Content = Awaited<ReturnType<WorkerPort['content']>>;
type Fetch = WorkerPort['content'];

const AHEAD_REQUESTS = 8;
const AHEAD_BYTES = 1024 * 1024;

/**
 * Wraps `fetch` for one batch. Each call takes the content of a request and starts fetching those after it; a second
 * call for the same request (another host is tried) fetches anew.
 *
 * @param smallBytes contents up to this size are fetched ahead: `content_inline_limit`
 */
export function prefetchContents(
  requests: readonly DeliveryRequest[],
  fetch: Fetch,
  smallBytes: number,
): (request: DeliveryRequest) => Promise<Content> {
  const started = new Map<DeliveryRequest, Promise<Content>>();

  function startFrom(position: number): void {
    let bytes = 0;
    for (const request of requests.slice(position, position + AHEAD_REQUESTS)) {
      const { sizeBytes } = request.envelope;
      if (sizeBytes > smallBytes) continue;
      bytes += sizeBytes;
      if (bytes > AHEAD_BYTES) return;
      if (started.has(request)) continue;
      const content = fetch(request);
      // Whoever takes it sees the error; nobody does when the rest of the batch goes back.
      content.catch(() => {});
      started.set(request, content);
    }
  }

  startFrom(0);
  return (request) => {
    const content = started.get(request) ?? fetch(request);
    started.delete(request);
    startFrom(requests.indexOf(request) + 1);
    return content;
  };
}
