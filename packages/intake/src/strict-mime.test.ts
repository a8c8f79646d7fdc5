/** Strict MIME and conversion as mail arrives, and where body checks stop: to what is stored. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Store, startIntake, startStore } from './fixture.ts';

let store: Store;
beforeAll(async () => {
  store = await startStore();
});
afterAll(async () => {
  await store?.[Symbol.asyncDispose]();
});

interface Taken {
  readonly status: number;
  /** Of a refusal. */
  readonly message: string | undefined;
  /** As stored; undefined: nothing is. */
  readonly content: string | undefined;
  readonly remarks: readonly string[];
}

async function take(config: Record<string, string>, content: string): Promise<Taken> {
  await using intake = await startIntake(store, config);
  const response = await fetch(`${intake.http}/v1/messages?from=a@b.example&to=c@d.example`, {
    method: 'POST',
    headers: { 'content-type': 'message/rfc822' },
    body: Buffer.from(content, 'latin1'),
  });
  const body = (await response.json()) as { id?: string; message?: string };
  const stored = (await intake.stored()).some(({ envelope }) => envelope.queueId === body.id);
  return {
    status: response.status,
    message: body.message,
    content: stored ? await intake.content(body.id ?? '') : undefined,
    remarks: intake.events.flatMap((event) => (event.kind === 'remark' ? [event.text] : [])),
  };
}

const PLAIN = 'From: a@b.example\r\nDate: x\r\nMessage-ID: <1@x>\r\n';
const WITH_PART = `${PLAIN}Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nsecret text\r\n`;

describe('body_checks', () => {
  const body_checks = 'pcre:{{/^secret/ REPLACE ***}}';
  it('body_checks_size_limit: so many bytes of each part', async () => {
    const part = '--b\r\n\r\nsecret one\r\nfiller\r\nsecret two\r\n';
    const content = `${PLAIN}Content-Type: multipart/mixed; boundary=b\r\n\r\n${part}${part}--b--\r\n`;
    const limited = await take({ body_checks, body_checks_size_limit: '12' }, content);
    expect(limited.content?.match(/\*\*\*|secret two/g)).toEqual(['***', 'secret two', '***', 'secret two']);
    const whole = await take({ body_checks }, content);
    expect(whole.content).not.toContain('secret');
  });

  it('disable_mime_input_processing: whatever follows the main header is body', async () => {
    const checks = {
      body_checks: 'pcre:{{/^Subject: inner/ REPLACE seen as text}}',
      header_checks: 'pcre:{{/^Subject: inner/ IGNORE}}',
    };
    expect((await take(checks, WITH_PART)).content).not.toContain('inner');
    const { content } = await take({ ...checks, disable_mime_input_processing: 'yes' }, WITH_PART);
    expect(content).toContain('seen as text');
  });
});

describe('strict MIME', () => {
  const header = `${PLAIN}Subject: caf\xe9\r\n\r\nx\r\n`;
  const body = `${PLAIN}\r\ncaf\xe9\r\n`;
  const declared = `${PLAIN}Content-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9\r\n`;
  const encoded = `${PLAIN}Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogYQ==\r\n`;
  const H = 'improper use of 8-bit data in message header';
  const B = 'improper use of 8-bit data in message body';
  const D = 'invalid message/* or multipart/* encoding domain';

  it.each([
    ['strict_7bit_headers', header, H],
    ['strict_7bit_headers', body, undefined],
    ['strict_8bitmime_body', body, B],
    ['strict_8bitmime_body', declared, undefined],
    ['strict_8bitmime_body', header, undefined],
    ['strict_8bitmime', header, H],
    ['strict_8bitmime', body, B],
    ['strict_8bitmime', declared, undefined],
    ['strict_mime_encoding_domain', encoded, D],
    ['strict_mime_encoding_domain', declared, undefined],
  ])('%s: %j', async (name, content, why) => {
    const { status, message } = await take({ [name]: 'yes' }, content);
    expect({ status, message }).toEqual(
      why === undefined ? { status: 202, message: undefined } : { status: 422, message: why },
    );
    expect((await take({}, content)).status).toBe(202);
  });
});

it('force_mime_input_conversion: what is stored is 7bit', async () => {
  const content = `${PLAIN}Content-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9\r\n`;
  const taken = await take({ force_mime_input_conversion: 'yes' }, content);
  expect(taken.content).toMatch(/\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n$/);
});

it('message_drop_headers, detect_8bit_encoding_header and message_size_limit hold beside checks', async () => {
  const checks = { header_checks: 'pcre:{{/^X:/ IGNORE}}', message_size_limit: '2000' };
  const { content } = await take(checks, `${PLAIN}Bcc: x@y\r\nX: 1\r\n\r\nx\r\n`);
  expect(content?.endsWith(`${PLAIN}\r\nx\r\n`)).toBe(true);
  expect((await take(checks, `${PLAIN}\r\n${'x'.repeat(3000)}\r\n`)).status).toBe(413);
});
