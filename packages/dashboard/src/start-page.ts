/** The start page: how many messages stand in each queue. */
import type { QueueName } from '@mailfleet/queue';
import { type Html, html } from './html.ts';
import { page } from './layout.ts';

/** In the order a message meets them, with what being there means. */
export const queueMeanings: readonly { readonly queue: QueueName; readonly meaning: string }[] = [
  { queue: 'incoming', meaning: 'accepted, waiting to enter the active queue' },
  { queue: 'active', meaning: 'being delivered' },
  { queue: 'deferred', meaning: 'waiting for the next try' },
  { queue: 'hold', meaning: 'set aside by an operator' },
  { queue: 'corrupt', meaning: 'cannot be read: look at it, then release or delete it' },
];

export function startPage(counts: Readonly<Record<QueueName, number>>): Html {
  return page(
    'Queues',
    html`<h1>Queues</h1>
<ul class="counts">
${queueMeanings.map(
  ({ queue, meaning }) => html`<li class="${queue}"><a href="/messages?queue=${queue}">
<span class="number">${counts[queue].toLocaleString('en')}</span>
<span class="name">${queue}</span>
<span class="meaning">${meaning}</span>
</a></li>
`,
)}</ul>
<p class="hint">To see what became of a message, enter its queue id above: the code in the log line and in the reply to
the client, <code>250 2.0.0 Ok: queued as …</code>. It is found while it is queued and for some time afterwards.
Batches and notices that wait for a worker are under <a href="/jobs">Jobs</a>. Programs read the same as JSON under
<a href="/api/"><code>/api/</code></a>.</p>`,
  );
}
