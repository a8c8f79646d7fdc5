/** What main.cf wants done to contents, as servers see it: conversion, header and body checks, and what failures mean. */
import { readExamples, type SmtpServerOptions, startSmtpServer } from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from '../test-agent.ts';

interface Seen {
  readonly result: TestResult;
  readonly contents: readonly string[];
  readonly commands: readonly string[];
}

const send = async (delivery: TestDelivery, server: SmtpServerOptions = {}): Promise<Seen> => {
  await using sink = await startSmtpServer(server);
  const result = await deliver({ ...delivery, servers: [sink] });
  return {
    result,
    contents: sink.messages.map(({ raw }) => raw.toString('latin1')),
    commands: sink.sessions.flatMap(({ commands }) => commands),
  };
};

const EIGHT = 'Subject: a\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\xe9\r\n';
const SEVEN = 'Subject: a\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n';
const eight = Buffer.from(EIGHT, 'latin1');
const old = { keywords: ['PIPELINING', 'SIZE'] };

describe('disable_mime_output_conversion', () => {
  it('no: a server without 8BITMIME gets quoted-printable, and no SIZE, which would be wrong', async () => {
    const { contents, commands } = await send({ content: eight, envelope: { encoding: '8bit' } }, old);
    expect(contents).toEqual([SEVEN]);
    expect(commands).toContain('MAIL FROM:<sender@example.org>');
  });

  it('yes: it gets what is stored', async () => {
    const config = { disable_mime_output_conversion: 'yes' };
    const { contents, commands } = await send(
      { content: eight, envelope: { encoding: '8bit' }, config },
      old,
    );
    expect(contents).toEqual([EIGHT]);
    expect(commands).toContain('MAIL FROM:<sender@example.org> SIZE=20');
  });

  it.each<[string, TestDelivery, SmtpServerOptions]>([
    ['8BITMIME', { envelope: { encoding: '8bit' } }, { keywords: ['8BITMIME'] }],
    ['SMTPUTF8', { envelope: { encoding: '8bit', smtputf8: true } }, { keywords: ['SMTPUTF8'] }],
    ['a 7bit label, whatever the bytes are', { envelope: { encoding: '7bit' } }, old],
  ])('nothing changes: %s', async (_, delivery, server) => {
    expect((await send({ content: eight, ...delivery }, server)).contents).toEqual([EIGHT]);
  });

  it.each([
    ['a discarded keyword', { smtp_discard_ehlo_keywords: '8bitmime, smtputf8' }],
    ['HELO only', { smtp_never_send_ehlo: 'yes', smtp_always_send_ehlo: 'no' }],
  ])('converts: %s', async (_, config) => {
    expect((await send({ content: eight, config })).contents).toEqual([SEVEN]);
  });

  it('a stream, and several messages on one session', async () => {
    async function* stream(): AsyncGenerator<Buffer> {
      for (const byte of eight) yield Buffer.from([byte]);
    }
    const { contents } = await send({ content: async () => stream(), requests: [['a@b'], ['c@d']] }, old);
    expect(contents).toEqual([SEVEN, SEVEN]);
  });
});

describe('a message that cannot be converted (mime_nesting_limit)', () => {
  const content =
    `Content-Type: multipart/mixed; boundary=a; boundary=b\r\n; boundary=c; boundary=d\r\n\r\nx\r\n`.replace(
      '\r\n;',
      ';',
    );
  const config = { mime_nesting_limit: '1' };
  const why = 'MIME nesting exceeds safety limit';

  it('bounces, and the connection ends before the server could take what it has', async () => {
    const { result, contents, commands } = await send({ content, config }, old);
    expect(result.verdicts).toEqual([`bounced 5.6.0 ${why}`]);
    expect(result.dots).toEqual([]);
    expect(contents).toEqual([]);
    expect(commands.at(-1)).toBe('DATA');
    expect(result.outcomes[0]).not.toHaveProperty('reply');
  });

  it('so it does as a stream, in the middle of the content', async () => {
    async function* stream(): AsyncGenerator<Buffer> {
      yield Buffer.from('Subject: a\r\n');
      yield Buffer.from(content);
    }
    const { result, contents } = await send({ content: async () => stream(), config }, old);
    expect(result.verdicts).toEqual([`bounced 5.6.0 ${why}`]);
    expect(contents).toEqual([]);
  });

  it('with BDAT nothing was sent, and the next message, converted, has the session', async () => {
    const script = [
      ...['S: 220 x ESMTP', 'C: EHLO*', 'S: 250-x', 'S: 250-PIPELINING', 'S: 250 CHUNKING'],
      ...['C: MAIL*', 'C: RCPT TO:<c@d>', `C: BDAT ${SEVEN.length} LAST`],
      ...SEVEN.trimEnd()
        .split('\r\n')
        .map((line) => `C: ${line}`),
      ...['S: 250 ok', 'S: 250 ok', 'S: 250 2.0.0 taken', 'C: QUIT', 'S: 221 bye', 'eof'],
    ];
    await using server = await startSmtpServer({ scripts: [script] });
    const result = await deliver({
      servers: [server],
      config,
      content: async ({ envelope }) => (envelope.queueId === 'Q1' ? Buffer.from(content) : eight),
      requests: [['a@b'], ['c@d']],
    });
    await server.dialogueDone();
    expect(result.verdicts).toEqual([`bounced 5.6.0 ${why}`, 'delivered 2.0.0 250 2.0.0 taken']);
  });
});

describe('smtp_header_checks, smtp_mime_header_checks, smtp_nested_header_checks, smtp_body_checks', () => {
  const examples = readExamples(new URL('../../../mime/examples/checks.txt', import.meta.url));

  it.each(examples)('$name', async ({ config, input, output, log }) => {
    const { result, contents } = await send({ content: input, config });
    expect(result.remarks.filter((line) => !line.includes('lookup'))).toEqual(
      log.map((line) => `Q1: ${line}`),
    );
    if (typeof output !== 'string') expect(contents).toEqual([output.toString('latin1')]);
    else expect(result.verdicts[0]).toContain(`deferred ${output}`);
  });

  it.each(examples)(
    'lmtp_header_checks, lmtp_mime_header_checks, lmtp_nested_header_checks, lmtp_body_checks: $name',
    async ({ config, input, output }) => {
      const renamed = Object.fromEntries(
        Object.entries(config).map(([name, value]) => [name.replace('smtp_', 'lmtp_'), value]),
      );
      const { result, contents } = await send(
        { protocol: 'lmtp', content: input, config: { ...renamed, lmtp_tls_security_level: 'none' } },
        { protocol: 'lmtp' },
      );
      if (typeof output !== 'string') expect(contents).toEqual([output.toString('latin1')]);
      else expect(result.verdicts[0]).toContain(`deferred ${output}`);
    },
  );

  it('body checks see what conversion made', async () => {
    const config = {
      smtp_body_checks: 'pcre:{{/^caf=E9$$/ REPLACE tea}}',
      smtp_header_checks: 'pcre:{{/^Content-T/ STRIP}}',
    };
    const { contents } = await send({ content: eight, config }, old);
    expect(contents).toEqual(['Subject: a\r\n\r\ntea\r\n']);
  });
});

it('smtp_line_length_limit and dots hold for what checks put in', async () => {
  const config = {
    smtp_body_checks: 'pcre:{{/^x$$/ REPLACE .23456789012345}}',
    smtp_line_length_limit: '12',
  };
  const { contents, result } = await send({ content: 'a: b\r\n\r\nx\r\n', config });
  expect(contents).toEqual(['a: b\r\n\r\n.23456789012\r\n 345\r\n']);
  expect(result.remarks).toContain('Q1: breaking line > 12 bytes with <CR><LF>SPACE');
});
