/**
 * Real clients in, real servers out: what Postfix, Exim, OpenSMTPD and Dovecot stored is what swaks, nodemailer, HTTP and
 * `mailfleet sendmail` sent, byte for byte below the trace headers that each hop puts on top.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installed, waitFor } from '@mailfleet/test-kit';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Fleet, startFleet } from '../fleet/fleet.ts';
import { startDovecot } from '../peers/dovecot.ts';
import { startExim } from '../peers/exim.ts';
import { startOpenSmtpd } from '../peers/opensmtpd.ts';
import { startPostfix } from '../peers/postfix.ts';
import type { Receiver } from '../peers/receiver.ts';
import { CORPUS, OVERLONG, type Specimen } from './corpus.ts';

const run = promisify(execFile);
const SENDER = 'sender@corpus.test';
const TIMEOUT_MS = 60_000;
const SERVERS = ['postfix', 'exim', 'opensmtpd', 'dovecot', 'dovecot-socket'] as const;
type Server = (typeof SERVERS)[number];

const ready = installed(['postfix', 'exim4', 'opensmtpd', 'dovecot', 'swaks']);

describe.skipIf(!ready)('real peers', () => {
  const resources = new AsyncDisposableStack();
  const receivers = new Map<Server, Receiver>();
  let fleet: Fleet;

  beforeAll(async () => {
    const postfix = resources.use(await startPostfix({}));
    const exim = resources.use(await startExim());
    const opensmtpd = resources.use(await startOpenSmtpd());
    const dovecot = resources.use(await startDovecot());
    for (const [server, receiver] of [
      ['postfix', postfix],
      ['exim', exim],
      ['opensmtpd', opensmtpd],
      ['dovecot', dovecot],
      ['dovecot-socket', dovecot],
    ] as const) {
      receivers.set(server, receiver);
    }
    fleet = resources.use(
      await startFleet({
        parameters: {
          message_size_limit: '52428800',
          transport_maps: `inline:{ { postfix.test = smtp:${postfix.nexthop} } { exim.test = smtp:${exim.nexthop} } { opensmtpd.test = smtp:${opensmtpd.nexthop} } { dovecot.test = lmtp:${dovecot.nexthop} } { dovecot-socket.test = lmtp:unix:${dovecot.socket} } }`,
        },
      }),
    );
  });
  afterAll(() => resources.disposeAsync());

  /** The stored copies that hold this specimen; a server may store one for each recipient. */
  async function arrivals(server: Server, raw: Buffer, count: number): Promise<Buffer[]> {
    const id = /^Message-ID: (.*)$/m.exec(raw.toString('latin1'))?.[1] ?? '';
    return waitFor(
      async () => {
        const found = ((await receivers.get(server)?.messages()) ?? []).filter((message) =>
          message.includes(id),
        );
        return found.length >= count && found;
      },
      TIMEOUT_MS,
      `${count} of ${id} at ${server}`,
    );
  }

  async function sendByNodemailer(raw: Buffer, recipients: readonly string[]): Promise<void> {
    const transport = createTransport({ host: '127.0.0.1', port: fleet.smtpPort, ignoreTLS: true });
    await transport.sendMail({ envelope: { from: SENDER, to: [...recipients] }, raw });
    transport.close();
  }

  /** Marks a specimen so that its copies are told apart from those of other clients and servers. */
  function marked({ raw, name }: Specimen, mark: string): Buffer {
    const text = raw.toString('latin1').replace(`<${name}@corpus.test>`, `<${name}.${mark}@corpus.test>`);
    return Buffer.from(text, 'latin1');
  }

  describe.each(SERVERS)('%s stores what was sent', (server) => {
    it.each(CORPUS.map((one) => [one.name, one] as const))('%s', async (_, one) => {
      const raw = marked(one, server);
      const recipients = Array.from({ length: one.recipients }, (_, index) => `user${index}@${server}.test`);
      await sendByNodemailer(raw, recipients);
      for (const stored of await arrivals(server, raw, server === 'exim' ? 1 : one.recipients)) {
        expect(belowTrace(stored).equals(withLf(raw))).toBe(true);
      }
    });
  });

  it('folds a line above smtp_line_length_limit and loses no byte of it', async () => {
    const raw = marked(OVERLONG, 'folded');
    await sendByNodemailer(raw, ['user@exim.test']);
    const [stored = Buffer.alloc(0)] = await arrivals('exim', raw, 1);
    const body = belowTrace(stored).toString().split('\n\n')[1] ?? '';
    expect(body.split('\n').map((line) => line.length)).toEqual([998, 998, 506, 0]);
    expect(body.replaceAll('\n ', '')).toBe(`${'c'.repeat(2_500)}\n`);
  });

  const clients: readonly (readonly [string, (raw: Buffer, to: string) => Promise<unknown>])[] = [
    [
      'swaks',
      async (raw, to) => {
        const file = join(fleet.directory, `swaks-${Date.now()}.eml`);
        // swaks ends the content itself and wants LF.
        await writeFile(file, withLf(raw).toString('latin1').trimEnd(), 'latin1');
        return run('swaks', [
          '--server',
          `127.0.0.1:${fleet.smtpPort}`,
          '--from',
          SENDER,
          '--to',
          to,
          '--data',
          `@${file}`,
        ]);
      },
    ],
    [
      'HTTP',
      async (raw, to) => {
        const query = new URLSearchParams({ from: SENDER, to });
        const answer = await fetch(`${fleet.httpUrl}/v1/messages?${query}`, {
          method: 'POST',
          headers: { 'content-type': 'message/rfc822' },
          body: new Uint8Array(raw),
        });
        expect(answer.status, await answer.text()).toBe(202);
      },
    ],
    [
      'mailfleet sendmail',
      async (raw, to) => {
        const result = await fleet.command(['sendmail', '-i', '-f', SENDER, to], withLf(raw));
        expect(result.code, result.stderr).toBe(0);
      },
    ],
  ];
  it.each(clients)('%s sends what is stored', async (name, send) => {
    for (const one of CORPUS.filter((specimen) =>
      ['plain', 'eight-bit', 'multipart'].includes(specimen.name),
    )) {
      const raw = marked(one, name.replaceAll(/\W/g, '-'));
      await send(raw, 'user@exim.test');
      const [stored = Buffer.alloc(0)] = await arrivals('exim', raw, 1);
      expect(belowTrace(stored).toString().trimEnd()).toBe(withLf(raw).toString().trimEnd());
    }
  });
});

/** What stands below the trace headers: the first header of every specimen is its Date. */
function belowTrace(stored: Buffer): Buffer {
  const lf = withLf(stored);
  return lf.subarray(lf.indexOf('\nDate: ') + 1);
}

function withLf(raw: Buffer): Buffer {
  return Buffer.from(raw.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
}
