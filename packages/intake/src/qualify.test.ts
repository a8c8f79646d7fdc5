/** How intake completes addresses, and when mail in UTF-8 counts as SMTPUTF8 mail. */
import type { QueueListing } from '@mailfleet/queue';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { enqueue } from './enqueue.ts';
import { dialogue, type Store, startIntake, startStore } from './fixture.ts';
import { createIntake } from './intake.ts';

let store: Store;
beforeAll(async () => {
  store = await startStore();
});
afterAll(() => store[Symbol.asyncDispose]());

const CONFIG = {
  mydestination: '',
  myorigin: 'origin.test',
  mydomain: 'my.test',
  relayhost: '[127.0.0.1]:9',
};

interface Result {
  readonly replies: readonly string[];
  /** What was stored, if anything was. */
  readonly stored: QueueListing | undefined;
}

async function submit(
  values: Record<string, string>,
  from: string,
  to: string,
  subject = 'x',
): Promise<Result> {
  await using intake = await startIntake(store, { ...CONFIG, ...values });
  const before = (await intake.stored()).length;
  const replies = await dialogue(intake.daemon.smtpPort, [
    'EHLO client.test',
    `MAIL FROM:<${from}>`,
    `RCPT TO:<${to}>`,
    'DATA',
    Buffer.from(`Subject: ${subject}\r\n\r\nx\r\n.\r\n`),
  ]);
  return { replies, stored: (await intake.stored())[before] };
}

const addresses = ({ stored }: Result): string[] =>
  stored === undefined ? [] : [stored.envelope.sender, ...stored.recipients.map(({ address }) => address)];

describe('addresses', () => {
  it('append_at_myorigin: a bare name gets @myorigin, and is refused without', async () => {
    expect(addresses(await submit({}, 'ann', 'bob'))).toEqual(['ann@origin.test', 'bob@origin.test']);
    const refused = await submit({ append_at_myorigin: 'no' }, 'ann', 'bob@example.net');
    expect(refused.replies[2]).toMatch(/^501 5\.1\.7 /);
    const postmaster = await submit({ append_at_myorigin: 'no' }, 'ann@example.com', 'Postmaster');
    expect(addresses(postmaster)).toEqual(['ann@example.com', 'Postmaster@origin.test']);
  });

  it('append_dot_mydomain: a domain without a dot gets mydomain, no other does', async () => {
    const yes = { append_dot_mydomain: 'yes' };
    expect(addresses(await submit({}, 'ann@host', 'bob@host'))).toEqual(['ann@host', 'bob@host']);
    expect(addresses(await submit(yes, 'ann@host', 'bob@[192.0.2.9]'))).toEqual([
      'ann@host.my.test',
      'bob@[192.0.2.9]',
    ]);
    expect(addresses(await submit({ ...yes, myorigin: 'here' }, 'ann', 'bob@a.test'))).toEqual([
      'ann@here.my.test',
      'bob@a.test',
    ]);
  });
});

describe('UTF-8', () => {
  it('strict_smtputf8: an address in UTF-8 needs SMTPUTF8, and is taken without where it is no', async () => {
    const strict = await submit({ strict_smtputf8: 'yes' }, 'grüße@example.com', 'bob@example.net');
    expect(strict.replies[2]).toMatch(/^553 5\.6\.7 /);
    const lenient = await submit({}, 'grüße@example.com', 'bob@example.net');
    expect(addresses(lenient)).toEqual(['grüße@example.com', 'bob@example.net']);
    expect(lenient.stored?.envelope.smtputf8).toBeUndefined();
  });

  it.each([
    ['sendmail, verify', 'grüße@example.com', 'x', undefined],
    ['smtpd', 'grüße@example.com', 'x', true],
    ['all', 'ann@example.com', 'Grüße', true],
    ['smtpd', 'ann@example.com', 'x', undefined],
  ])(
    'smtputf8_autodetect_classes = %s: mail from %s with subject %s: %s',
    async (classes, from, subject, smtputf8) => {
      const { stored } = await submit(
        { smtputf8_autodetect_classes: classes },
        from,
        'bob@example.net',
        subject,
      );
      expect(stored?.envelope.smtputf8).toBe(smtputf8);
    },
  );

  it('smtputf8_autodetect_classes: mail that comes by sendmail', async () => {
    for (const [classes, smtputf8] of [
      ['sendmail, verify', true],
      ['verify', undefined],
    ] as const) {
      const values = { ...CONFIG, smtputf8_autodetect_classes: classes, strict_smtputf8: 'yes' };
      await using intake = await startIntake(store, values);
      const before = (await intake.stored()).length;
      const telemetry = { emit: () => undefined, log: undefined as never };
      const result = await enqueue(createIntake({ config: intake.config, queue: intake.queue, telemetry }), {
        sender: 'ann@example.com',
        recipients: ['grüße@example.com'],
        content: 'Subject: x\n\nx\n',
      });
      expect(result).toMatchObject({ ok: true });
      expect((await intake.stored())[before]?.envelope.smtputf8).toBe(smtputf8);
    }
  });
});
