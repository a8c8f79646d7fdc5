/**
 * Mail to the postmaster about a session that went wrong: what happened, with whom, and the dialogue (smtp(8) and smtpd(8) with
 * `notify_classes`). A plain message from the double-bounce address, so that nothing can come of it.
 */
import { dateDigits, mailDate, receivedHeader } from '@mailfleet/mime';
import type { TranscriptNotice } from '@mailfleet/queue';
import type { NoticeSettings } from './settings.ts';
import { fold } from './text.ts';

/** Columns of a line of dialogue, its blank included. */
const COLUMNS = 78;

export interface TranscriptMail {
  readonly messageId: string;
  readonly recipient: string;
  readonly bytes: Buffer;
}

/** The classes that the intake's errors belong to; bounce is the one whose postmaster is another. */
const isBounceOnly = ({ classes }: TranscriptNotice): boolean => classes.every((name) => name === 'bounce');

export function writeTranscript(
  notice: TranscriptNotice,
  settings: NoticeSettings,
  nowMs: number,
): TranscriptMail {
  const { mailName, myhostname, myorigin } = settings;
  const { noticeQueueId: queueId } = notice;
  const recipient = isBounceOnly(notice) ? settings.bounceNoticeRecipient : settings.errorNoticeRecipient;
  const messageId = `<${dateDigits(nowMs)}.${queueId}@${myhostname}>`;
  const side = notice.program === 'smtpd' ? 'SMTP server' : `${notice.program.toUpperCase()} client`;
  const eightBit = notice.lines.some((line) => /[^\0-\x7f]/.test(line));
  const lines = [
    receivedHeader({ by: myhostname, software: mailName, queueId, timeMs: nowMs }).toString().trimEnd(),
    `Date: ${mailDate(nowMs)}`,
    `From: Mail Delivery System <MAILER-DAEMON@${myorigin}>`,
    `To: ${recipient}`,
    `Subject: ${mailName} ${side}: errors from ${notice.peer}`,
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    `Content-Type: text/plain; charset=${eightBit ? 'utf-8' : 'us-ascii'}`,
    `Content-Transfer-Encoding: ${eightBit ? '8bit' : '7bit'}`,
    `Message-ID: ${messageId}`,
    '',
    notice.program === 'smtpd'
      ? `${notice.peer} made errors (class ${notice.classes.join(', ')}).`
      : `Something unexpected came of ${notice.peer} (class ${notice.classes.join(', ')}).`,
    ...(notice.queueId === undefined ? [] : [`The message was ${notice.queueId}.`]),
    `It was ${mailDate(notice.atMs)}.`,
    '',
    'The session:',
    '',
    ...notice.lines.flatMap((line) => fold(line, COLUMNS - 1).map((part) => ` ${part}`)),
    '',
    'The log of that time may tell more.',
  ];
  return { messageId, recipient, bytes: Buffer.from(`${lines.join('\r\n')}\r\n`) };
}
