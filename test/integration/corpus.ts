/**
 * Real-life messages in miniature, composed for these tests: each complete in its headers, so that intake adds nothing but
 * a Received line and what is sent can be compared byte for byte with what arrives. Lines end in CRLF.
 */
import { createHash } from 'node:crypto';

export interface Specimen {
  readonly name: string;
  readonly raw: Buffer;
  readonly recipients: number;
}

const MEGABYTE = 1_048_576;

function headers(name: string, more: readonly string[] = []): string {
  return [
    'Date: Mon, 23 Nov 2026 10:00:00 +0000',
    'From: "Corpus, A." <sender@corpus.test>',
    'To: undisclosed-recipients:;',
    `Message-ID: <${name}@corpus.test>`,
    `Subject: specimen ${name}`,
    'MIME-Version: 1.0',
    ...more,
  ].join('\r\n');
}

function specimen(name: string, more: readonly string[], body: string | Buffer, recipients = 1): Specimen {
  return {
    name,
    raw: Buffer.concat([Buffer.from(`${headers(name, more)}\r\n\r\n`), Buffer.from(body)]),
    recipients,
  };
}

/** Reproducible bytes, so that two runs compare the same message. */
function bytes(seed: string, size: number): Buffer {
  const blocks: Buffer[] = [];
  for (let length = 0, index = 0; length < size; length += 32, index += 1) {
    blocks.push(createHash('sha256').update(`${seed}${index}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, size);
}

function attachment(name: string, size: number): Specimen {
  const boundary = `=_${name}`;
  const base64 = bytes(name, size).toString('base64').replaceAll(/.{76}/g, '$&\r\n');
  const body = [
    `--${boundary}`,
    'Content-Type: text/plain; charset=utf-8',
    '',
    'See the attachment.',
    `--${boundary}`,
    'Content-Type: application/octet-stream; name="data.bin"',
    'Content-Disposition: attachment; filename="data.bin"',
    'Content-Transfer-Encoding: base64',
    '',
    base64,
    `--${boundary}--`,
    '',
  ].join('\r\n');
  return specimen(name, [`Content-Type: multipart/mixed; boundary="${boundary}"`], body);
}

export const CORPUS: readonly Specimen[] = [
  specimen('plain', ['Content-Type: text/plain'], 'Hello,\r\n\r\nplain words.\r\n'),
  specimen('empty-body', [], ''),
  specimen('dots', ['Content-Type: text/plain'], '.\r\n..\r\n.leading\r\nlast line\r\n.\r\n'),
  specimen(
    'multipart',
    ['Content-Type: multipart/alternative; boundary=alt'],
    '--alt\r\nContent-Type: text/plain\r\n\r\nwords\r\n--alt\r\nContent-Type: text/html\r\n\r\n<p>words</p>\r\n--alt--\r\n',
  ),
  specimen(
    'eight-bit',
    ['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit'],
    'Grüße aus Zürich, žluťoučký kůň, 日本語\r\n',
  ),
  specimen('folded-headers', ['X-Folded: one\r\n two\r\n\tthree', 'Content-Type: text/plain'], 'after\r\n'),
  specimen('longest-line', ['Content-Type: text/plain'], `${'a'.repeat(998)}\r\n${'b'.repeat(997)}\r\n`),
  specimen('many-recipients', ['Content-Type: text/plain'], 'to all of you\r\n', 300),
  attachment('attachment-0', 0),
  attachment('attachment-100k', 100_000),
  attachment('attachment-2M', 2 * MEGABYTE),
  attachment('attachment-20M', 20 * MEGABYTE),
];

/** A line above smtp_line_length_limit: what arrives is folded, by design. */
export const OVERLONG = specimen('overlong', ['Content-Type: text/plain'], `${'c'.repeat(2_500)}\r\n`);
