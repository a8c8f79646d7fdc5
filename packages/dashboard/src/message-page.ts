/** The page of one message: what it is, what became of each recipient, and its timeline. */
import type { MessageView } from '@mailfleet/queue';
import type { Outcome } from '@mailfleet/smtp';
import { type Html, type HtmlValue, html } from './html.ts';
import { page } from './layout.ts';
import { sender } from './list-page.ts';
import { type MessageStory, type Moment, type RecipientSummary, tellStory } from './timeline.ts';
import { clockTime, duration, fileSize, offset } from './units.ts';

/** Recipients and outcomes that a table shows; the JSON form has all. */
const shownRows = 200;

export function messagePage(queueId: string, view: MessageView, nowMs: number): Html {
  const story = tellStory(view);
  const delivered = story.recipients.filter(({ outcome }) => outcome?.kind === 'delivered').length;
  return page(
    queueId,
    html`<h1><span class="id">${queueId}</span> ${badge(story.state)}</h1>
${facts(view, story, nowMs)}
<h2>Recipients <span class="quiet">${delivered.toLocaleString('en')} of ${story.recipients.length.toLocaleString('en')} delivered</span></h2>
${recipientTable(story.recipients, queueId)}
<h2>Timeline <span class="quiet">times in UTC, offsets from acceptance, of steps from their attempt</span></h2>
<ol class="timeline">
${story.moments.map((moment) => momentItem(moment, queueId))}</ol>
<p class="hint">For programs: <a href="/api/messages/${encodeURIComponent(queueId)}">the same as JSON</a>.</p>`,
    queueId,
  );
}

function facts({ listing }: MessageView, { envelope }: MessageStory, nowMs: number): Html {
  const rows: readonly (readonly [string, HtmlValue])[] =
    envelope === undefined
      ? []
      : [
          ['From', html`<span class="address">${sender(envelope.sender)}</span>`],
          [
            'Arrived',
            html`${time(envelope.arrivalMs)} <span class="quiet">${duration(nowMs - envelope.arrivalMs)} ago</span>`,
          ],
          ['Size', fileSize(envelope.sizeBytes)],
          ['Message-ID', envelope.messageId],
          ['Envelope id', envelope.envid],
          ['Client', clientName(envelope.client)],
          ['Next try', listing?.queue === 'deferred' && listing.dueMs !== undefined && time(listing.dueMs)],
          ['Expiry', listing?.forcedExpire === true && 'forced by an operator'],
          ['Trace', envelope.traceparent?.split('-')[1]],
        ];
  return html`<dl class="facts">
${rows
  .filter(([, value]) => value !== undefined && value !== false && value !== '')
  .map(
    ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>
`,
  )}</dl>`;
}

function clientName(client: NonNullable<MessageStory['envelope']>['client']): string | undefined {
  if (client?.address === undefined) {
    return client?.protocol;
  }
  return `${client.name ?? 'unknown'}[${client.address}]${client.protocol === undefined ? '' : `, ${client.protocol}`}`;
}

function recipientTable(recipients: readonly RecipientSummary[], queueId: string): Html {
  return html`<table class="list">
<thead><tr><th>Recipient</th><th>Outcome</th><th>Relay</th><th>Reason</th></tr></thead>
<tbody>
${recipients.slice(0, shownRows).map(
  ({ address, destination, outcome }) => html`<tr>
<td class="address">${address}</td>
<td data-name="Outcome">${outcome === undefined ? html`<span class="badge">not tried yet</span>` : html`${badge(outcome.kind)} <span class="quiet">${outcome.status}${classOf(outcome)}</span>`}</td>
<td data-name="Relay" class="address">${outcome?.relay ?? destination}</td>
<td data-name="Reason" class="reason">${outcome?.reason}</td>
</tr>
`,
)}</tbody>
</table>
${left(recipients.length, queueId)}`;
}

function momentItem(moment: Moment, queueId: string): Html {
  const { attempt } = moment;
  return html`<li class="moment">
<div class="when">${time(moment.atMs)} <span class="offset">${offset(moment.offsetMs)}</span></div>
<div class="what"><h3>${moment.title}</h3>
${moment.detail !== undefined && html`<p>${withNoticeLinks(moment.detail)}</p>`}
${
  attempt !== undefined &&
  html`<p class="quiet">worker ${attempt.worker}, batch ${attempt.batchId}</p>
<ol class="steps">
${attempt.steps.map(
  (
    step,
  ) => html`<li><span class="offset" title="${clockTime(step.atMs)} UTC">${offset(step.offsetMs)}</span><span><b>${step.step}</b> ${step.detail}</span></li>
`,
)}</ol>
${attempt.outcomes.slice(0, shownRows).map(outcomeItem)}
${left(attempt.outcomes.length, queueId)}`
}</div>
</li>
`;
}

/** The queue ids of notices, as the bounce daemon's events name them, lead to their pages. */
function withNoticeLinks(detail: string): readonly HtmlValue[] {
  return detail
    .split(/(?<=notification: )(\w+)/)
    .map((piece, index) =>
      index % 2 === 0 ? piece : html`<a class="id" href="/messages/${piece}">${piece}</a>`,
    );
}

function outcomeItem(outcome: Outcome): Html {
  const { arrivalMs, activatedMs, handedOffMs, setUpMs, doneMs } = outcome.times;
  const phases: readonly (readonly [string, number])[] = [
    ['queued', activatedMs - arrivalMs],
    ['scheduled', handedOffMs - activatedMs],
    ['set up', setUpMs - handedOffMs],
    ['sent', doneMs - setUpMs],
  ];
  return html`<div class="outcome ${outcome.kind}">
<p><span class="address">${outcome.address}</span> ${badge(outcome.kind)} <span class="quiet">dsn ${outcome.status}${classOf(outcome)}</span></p>
<p class="reason">${outcome.reason}</p>
${outcome.reply !== undefined && !outcome.reason.includes(outcome.reply) && html`<p class="reason">reply: ${outcome.reply}</p>`}
<p class="quiet">relay ${outcome.relay}${outcome.tls !== undefined && html`, ${outcome.tls}`}${outcome.connectionUse !== undefined && html`, message ${outcome.connectionUse} of its session`};
${phases.map(([name, ms], index) => html`${index > 0 && ', '}${name} ${duration(Math.max(0, ms))}`)}</p>
</div>
`;
}

function left(rows: number, queueId: string): Html | false {
  return (
    rows > shownRows &&
    html`<p class="hint">${(rows - shownRows).toLocaleString('en')} more are in <a href="/api/messages/${encodeURIComponent(queueId)}">the JSON form</a>.</p>`
  );
}

function badge(state: string): Html {
  return html`<span class="badge ${state.replaceAll(' ', '-')}">${state}</span>`;
}

function time(ms: number): Html {
  return html`<time datetime="${new Date(ms).toISOString()}">${clockTime(ms)}</time>`;
}

/** Why it was not delivered, in one word. */
function classOf(outcome: Outcome): string {
  return outcome.class === undefined ? '' : `, ${outcome.class}`;
}
