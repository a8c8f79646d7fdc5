/** Milters beside Postfix: what cleanup(8) tells one about mail from sendmail(1), and what becomes of its changes, is what our client does. */
import { makeConfig } from '@mailfleet/config';
import { applyMilters, milterSettings } from '@mailfleet/milter';
import {
  indexed,
  installed,
  type MilterServer,
  type MilterStep,
  startMilter,
  waitFor,
} from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import { startPostfix } from '../peers/postfix.ts';

const TIMEOUT_MS = 30_000;
const MESSAGE = [
  'Received: from elsewhere; Mon, 2 Nov 2026 10:00:00 +0000',
  'Message-Id: <1@example.com>',
  'Date: Mon, 2 Nov 2026 10:00:00 +0000',
  'From: ann@example.com',
  'To: bob@example.net',
  'Subject:  one',
  '\ttwo',
  'X-A: 1',
  'X-A: 2',
  '',
  'body',
  '',
];

/** Changes that meet in one place, where an index counted from elsewhere would show. */
const CHANGES = [
  indexed('i', 0, 'X-Zero', '0'),
  indexed('i', 1, 'X-One', 'a\n\tb'),
  indexed('i', 3, 'X-Three', '3'),
  indexed('m', 2, 'X-A', 'changed'),
  indexed('m', 1, 'X-A', ''),
  indexed('m', 1, 'X-New', 'new'),
  indexed('m', 1, 'Received', 'from nowhere'),
  indexed('m', 2, 'Received', 'from far away'),
  'hX-End\0end\0',
  'bother body\r\n',
  'c',
];

const script = ({ letter }: MilterStep): (string | Buffer)[] | undefined =>
  letter === 'E' ? CHANGES : undefined;

function told(milter: MilterServer): unknown {
  return {
    steps: milter.steps.map(({ letter }) => letter).join(''),
    ...Object.fromEntries([...'CHMRLB'].map((letter) => [letter, milter.told(letter)])),
  };
}

/** Without what delivery puts on top, and the value of the own Received: header. */
function changed(message: string): string[] {
  return message
    .replaceAll('\r\n', '\n')
    .replace(/^(?:(?:Return-Path|X-Original-To|Delivered-To): .*\n)+/, '')
    .replace(/^(Received: by postfix.test).*(?:\n[ \t].*)*/m, '$1')
    .split('\n');
}

describe.skipIf(!installed(['postfix', 'sendmail']))('non_smtpd_milters, beside cleanup(8)', () => {
  it.each(['ann@example.com', '"a b"@example.com', ''])(
    'from <%s>: the same dialogue, and the same message afterwards',
    async (from) => {
      await using theirs = await startMilter(script);
      await using ours = await startMilter(script);
      await using postfix = await startPostfix({ parameters: { non_smtpd_milters: theirs.address } });
      await postfix.sendmail(['-f', from, 'bob@example.net', 'eve@example.net'], MESSAGE.join('\n'));
      const stored = await waitFor(
        async () => (await postfix.messages()).at(-1),
        TIMEOUT_MS,
        'the message at Postfix',
      );

      const settings = milterSettings(
        makeConfig({ myhostname: 'postfix.test', non_smtpd_milters: ours.address }),
      );
      if (settings === undefined) throw new Error('no milters');
      const content = Buffer.from(['Received: by postfix.test', ...MESSAGE].join('\r\n'));
      const store = {
        read: (bytes: Buffer) => Promise.resolve(ReadableStream.from([bytes])),
        spool: async (source: AsyncIterable<Uint8Array>) => Buffer.concat(await Array.fromAsync(source)),
        drop: () => Promise.resolve(),
      };
      const mail = {
        queueId: 'Q1',
        sender: from.replaceAll('"', ''),
        recipients: ['bob@example.net', 'eve@example.net'],
        content,
      };
      const result = await applyMilters(settings, store, mail, () => {});
      if (result.kind !== 'pass') throw new Error(result.kind);
      await waitFor(() => ours.steps.at(-1)?.letter === 'Q', TIMEOUT_MS, 'the goodbye');
      expect(told(ours)).toEqual(told(theirs));
      expect(changed(result.content.toString())).toEqual(changed(String(stored)));
    },
  );
});
