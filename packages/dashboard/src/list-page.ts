/** The paged listing of queued messages. */
import type { QueueListing, QueueName } from '@mailfleet/queue';
import { type Html, html } from './html.ts';
import { page } from './layout.ts';
import { queueMeanings } from './start-page.ts';
import { clockTime, duration, fileSize } from './units.ts';

export interface ListPageInput {
  /** Absent: all queues. */
  readonly queue?: QueueName;
  readonly messages: readonly QueueListing[];
  /** Of this page; absent on the first. */
  readonly cursor?: string;
  /** Of the next page; absent on the last. */
  readonly nextCursor?: string;
  readonly limit: number;
  readonly nowMs: number;
}

/** Recipients of a message that the list names; its own page has more. */
const namedRecipients = 3;

export function listPage(input: ListPageInput): Html {
  const { queue, messages, cursor, nextCursor } = input;
  const address = (of: { queue?: QueueName | undefined; cursor?: string }): string => {
    const query = new URLSearchParams();
    if (of.queue !== undefined) query.set('queue', of.queue);
    if (of.cursor !== undefined) query.set('cursor', of.cursor);
    if (input.limit !== defaultLimit) query.set('limit', String(input.limit));
    return query.size === 0 ? '/messages' : `/messages?${query}`;
  };
  const tabs = [undefined, ...queueMeanings.map((each) => each.queue)];
  return page(
    queue === undefined ? 'Messages' : `Messages: ${queue}`,
    html`<h1>Messages</h1>
<nav class="tabs" aria-label="Queue">
${tabs.map(
  (
    tab,
  ) => html`<a href="${address({ queue: tab })}"${tab === queue && html` aria-current="page"`}>${tab ?? 'all'}</a>
`,
)}</nav>
${
  messages.length === 0
    ? html`<p class="empty">${cursor === undefined ? 'No message is here now.' : 'No more messages.'}</p>`
    : html`<table class="list">
<thead><tr><th>Queue id</th><th>Age</th><th class="right">Size</th><th>From</th><th>To</th></tr></thead>
<tbody>
${messages.map((message) => row(message, input.nowMs))}</tbody>
</table>`
}
<nav class="pages" aria-label="Pages">
${cursor !== undefined && html`<a href="${address({ queue })}">First page</a>`}
${nextCursor !== undefined && html`<a rel="next" href="${address({ queue, cursor: nextCursor })}">Next page</a>`}
</nav>`,
  );
}

/** Messages on a page unless the address says otherwise. */
export const defaultLimit = 50;

function row({ queue, envelope, recipients, dueMs, forcedExpire }: QueueListing, nowMs: number): Html {
  const more = recipients.length - namedRecipients;
  const reason = recipients.find((recipient) => recipient.delayReason !== undefined)?.delayReason;
  return html`<tr>
<td><a class="id" href="/messages/${encodeURIComponent(envelope.queueId)}">${envelope.queueId}</a> <span class="badge ${queue}">${queue}</span>${forcedExpire && html` <span class="badge bounced">expiring</span>`}</td>
<td data-name="Age"><time datetime="${new Date(envelope.arrivalMs).toISOString()}" title="${clockTime(envelope.arrivalMs)} UTC">${duration(nowMs - envelope.arrivalMs)}</time></td>
<td data-name="Size" class="right">${fileSize(envelope.sizeBytes)}</td>
<td data-name="From" class="address">${sender(envelope.sender)}</td>
<td data-name="To" class="address">${recipients.slice(0, namedRecipients).map(({ address }) => html`<div>${address}</div>`)}${more > 0 && html`<div class="quiet">and ${more.toLocaleString('en')} more</div>`}
${reason !== undefined && html`<div class="reason">${reason}</div>`}${queue === 'deferred' && dueMs !== undefined && html`<div class="quiet">${dueMs <= nowMs ? 'due now' : `next try in ${duration(dueMs - nowMs)}`}</div>`}</td>
</tr>
`;
}

/** The null sender has no address to show. */
export function sender(address: string): string {
  return address === '' ? '<> (null sender)' : address;
}
