/**
 * The texts that a notice opens with, one template for each kind of notice (bounce(5), built-in forms, our own words).
 *
 * `bounce_template_file` may replace each of them: its headers and its lines (templates.ts). The lines are complete here.
 */

/** Kind of notice, which selects the template. */
export type TemplateName = 'failure' | 'delay' | 'success' | 'verify';

export interface NoticeTemplate {
  /** Of the text part; `us-ascii` promises that the lines are. */
  readonly charset: string;
  /** Value of the From header; undefined: ours, in the form of `header_from_format`. */
  readonly from?: string;
  readonly subject: string;
  /** Subject of the copy for the postmaster; only failure and delay have one. */
  readonly postmasterSubject?: string;
  /** Lines of text without line ends. */
  readonly lines: readonly string[];
  /** How the lines become bytes; default UTF-8. `latin1`: each character is a byte of `charset`. */
  readonly bytes?: 'latin1';
}

/** What the built-in texts mention. */
export interface TemplateFacts {
  readonly myhostname: string;
  readonly myorigin: string;
  readonly delayWarningMs: number;
  readonly maximalQueueLifetimeMs: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** The built-in template of a notice. */
export function builtinTemplate(name: TemplateName, facts: TemplateFacts): NoticeTemplate {
  const shared = { charset: 'us-ascii' };
  const greeting = [`This is the mail system of ${facts.myhostname}.`, ''];
  const help = [
    `If you need help, write to <postmaster@${facts.myorigin}> and include this`,
    'report. Your own message, quoted below, you may leave out.',
    '',
    '                   The mail system',
  ];
  switch (name) {
    case 'failure':
      return {
        ...shared,
        subject: 'Your mail could not be delivered and is returned',
        postmasterSubject: 'Postmaster copy: mail that could not be delivered',
        lines: [
          ...greeting,
          'Sorry: your message did not reach one or more of its recipients. Who they',
          'are, and why, stands below; your message is attached.',
          '',
          ...help,
        ],
      };
    case 'delay':
      return {
        ...shared,
        subject: 'Your mail is delayed; delivery is still being tried',
        postmasterSubject: 'Postmaster warning: mail is delayed',
        lines: [
          ...greeting,
          '##################################################################',
          '#  THIS IS ONLY A WARNING.  YOU NEED NOT SEND THE MESSAGE AGAIN. #',
          '##################################################################',
          '',
          `Your message could not be delivered for more than ${amount(facts.delayWarningMs)}.`,
          `It will be tried until it is ${amount(facts.maximalQueueLifetimeMs)} old.`,
          '',
          ...help,
        ],
      };
    case 'success':
      return {
        ...shared,
        subject: 'Report of successful mail delivery',
        lines: [
          ...greeting,
          'Your message was delivered to the destinations below. Where that was a',
          'mailbox you will hear no more of it. Elsewhere another mail system took it',
          'over, and may still report trouble to you.',
          '',
          '                   The mail system',
        ],
      };
    case 'verify':
      return {
        ...shared,
        subject: 'Report of mail delivery status',
        lines: [
          ...greeting,
          'Here is the delivery report that was asked for.',
          '',
          '                   The mail system',
        ],
      };
  }
}

/** In the largest unit that is not exceeded: `5 days`, `4 hours`, `30 minutes`. */
function amount(ms: number): string {
  const [unit, unitMs]: readonly [string, number] =
    ms >= dayMs ? ['day', dayMs] : ms >= hourMs ? ['hour', hourMs] : ['minute', minuteMs];
  const count = Math.floor(ms / unitMs);
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
