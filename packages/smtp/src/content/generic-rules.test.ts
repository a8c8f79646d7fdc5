/** smtp_generic_maps: addresses in the envelope and in headers as the server sees them; everything else keeps the original ones. */
import { readExamples, startSmtpServer } from '@mailfleet/test-kit';
import { describe, expect, it } from 'vitest';
import { deliver, type TestDelivery, type TestResult } from '../test-agent.ts';

interface Seen {
  readonly result: TestResult;
  readonly contents: readonly string[];
  /** MAIL and RCPT commands. */
  readonly envelope: readonly string[];
}

const send = async (delivery: TestDelivery): Promise<Seen> => {
  await using sink = await startSmtpServer({ protocol: delivery.protocol ?? 'smtp' });
  const result = await deliver({ ...delivery, servers: [sink] });
  return {
    result,
    contents: sink.messages.map(({ raw }) => raw.toString('latin1')),
    envelope: sink.sessions.flatMap(({ commands }) => commands.filter((line) => /^(MAIL|RCPT)/.test(line))),
  };
};

const table = 'inline:{u@local.test=U@isp.example, @in.example=@out.example, ext@local.test=E@isp.example}';

describe('smtp_generic_maps in headers', () => {
  const examples = readExamples(new URL('../../../mime/examples/generic.txt', import.meta.url));

  it.each(examples)('$name', async ({ config, input, output, log }) => {
    const { result, contents } = await send({ content: input, config });
    expect(contents).toEqual([output.toString('latin1')]);
    expect(result.remarks).toEqual(log.map((line) => `Q1: ${line}`));
  });

  it('header_address_token_limit: a header with more words stays as it is', async () => {
    const content = `To: ${'a, '.repeat(30)}u@local.test\r\nCc: u@local.test\r\n\r\nu@local.test\r\n`;
    const { contents, result } = await send({
      content,
      config: { smtp_generic_maps: table, header_address_token_limit: '60' },
    });
    expect(contents).toEqual([content.replace('Cc: u@local.test', 'Cc: U@isp.example')]);
    expect(result.remarks[0]).toContain('header To has more than header_address_token_limit words');
  });

  it('parts and attached messages are left alone', async () => {
    const content =
      'From: u@local.test\r\nContent-Type: message/rfc822\r\n\r\nFrom: u@local.test\r\n\r\nu@local.test\r\n';
    const { contents } = await send({ content, config: { smtp_generic_maps: table } });
    expect(contents).toEqual([content.replace('u@local.test', 'U@isp.example')]);
  });

  it('comes after smtp_header_checks, and after conversion', async () => {
    const config = {
      smtp_generic_maps: table,
      smtp_header_checks:
        'pcre:{{/^From: x/ REPLACE From: u@local.test} {/^Subject/ PREPEND To: u@local.test}}',
      smtp_discard_ehlo_keywords: '8bitmime, smtputf8',
    };
    const content = Buffer.from(
      'From: x\r\nSubject: y\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe9\r\n',
      'latin1',
    );
    const { contents } = await send({ content, config });
    expect(contents).toEqual([
      'From: U@isp.example\r\nTo: u@local.test\r\nSubject: y\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n',
    ]);
  });
});

describe('smtp_generic_maps in the envelope', () => {
  const config = { smtp_generic_maps: table, recipient_delimiter: '+' };

  it('sender and recipients at MAIL and RCPT; outcomes and ORCPT keep the original', async () => {
    const { envelope, result } = await send({
      config,
      envelope: { sender: 'u@local.test' },
      recipients: [
        [
          { address: 'any+t@in.example', orcpt: 'rfc822;any+t@in.example' },
          { address: 'other@b.example', originalAddress: 'u@local.test' },
        ],
      ],
    });
    expect(envelope).toEqual([
      'MAIL FROM:<U@isp.example> SIZE=20',
      'RCPT TO:<any+t@out.example> ORCPT=rfc822;any+2Bt@in.example',
      'RCPT TO:<other@b.example> ORCPT=rfc822;u@local.test',
    ]);
    expect(result.outcomes.map(({ address }) => address)).toEqual(['any+t@in.example', 'other@b.example']);
  });

  it('the null sender stays', async () => {
    const { envelope } = await send({
      config: { smtp_generic_maps: 'static:x@y' },
      envelope: { sender: '' },
    });
    expect(envelope).toEqual(['MAIL FROM:<> SIZE=20', 'RCPT TO:<x@y>']);
  });

  it('commands that go out ahead have them too', async () => {
    const { envelope, result } = await send({
      config,
      requests: [['u@local.test'], ['one@in.example', 'two@in.example'], ['u@local.test']],
    });
    expect(envelope.filter((line) => line.startsWith('RCPT'))).toEqual([
      'RCPT TO:<U@isp.example>',
      'RCPT TO:<one@out.example>',
      'RCPT TO:<two@out.example>',
      'RCPT TO:<U@isp.example>',
    ]);
    expect(result.outcomes.map(({ kind }) => kind)).toEqual(Array(4).fill('delivered'));
  });

  it.each([
    ['canonical, virtual', 'E@isp.example'],
    ['canonical, generic', 'E+more@isp.example'],
  ])('propagate_unmatched_extensions = %s', async (propagate, expected) => {
    const { envelope } = await send({
      config: { ...config, propagate_unmatched_extensions: propagate },
      requests: [['ext+more@local.test']],
    });
    expect(envelope[1]).toBe(`RCPT TO:<${expected}>`);
  });

  it('recipient_delimiter: without it there is no extension', async () => {
    const { envelope } = await send({
      config: { smtp_generic_maps: table },
      requests: [['ext+more@local.test']],
    });
    expect(envelope[1]).toBe('RCPT TO:<ext+more@local.test>');
  });

  it.each([
    ['append_at_myorigin', { append_at_myorigin: 'no' }, 'joe', 'joe@host'],
    [
      'append_at_myorigin, append_dot_mydomain',
      { append_dot_mydomain: 'yes' },
      'joe@org.test',
      'joe@host.dom.test',
    ],
  ])('%s: results are completed', async (_, settings, one, two) => {
    const { envelope } = await send({
      config: {
        smtp_generic_maps: 'inline:{a@b=joe, c@d=joe@host}',
        myorigin: 'org.test',
        mydomain: 'dom.test',
        ...settings,
      },
      requests: [['a@b', 'c@d']],
    });
    expect(envelope.slice(1)).toEqual([`RCPT TO:<${one}>`, `RCPT TO:<${two}>`]);
  });

  it.each([
    ['mydestination', 'user@here.test', 'User@isp.example'],
    ['myorigin', 'user@org.test', 'User@isp.example'],
    ['an address of ours', 'user@[127.0.0.9]', 'User@isp.example'],
    ['nobody', 'user@else.test', 'user@else.test'],
    ['an address of others', 'user@[127.0.0.8]', 'user@[127.0.0.8]'],
  ])('a bare name is looked up for %s', async (_, address, expected) => {
    const { envelope } = await send({
      config: {
        smtp_generic_maps: 'inline:{user=User@isp.example}',
        mydestination: 'here.test',
        myorigin: 'org.test',
        proxy_interfaces: '127.0.0.9',
        inet_interfaces: '127.0.0.1',
      },
      requests: [[address]],
    });
    expect(envelope[1]).toBe(`RCPT TO:<${expected}>`);
  });

  it.each([
    ['a table that cannot be asked', 'fail:broken', 'fail:broken fails every lookup'],
    ['a result without an address', 'static:()', 'smtp_generic_maps has no address in the result'],
  ])('%s defers, and nothing is sent', async (_, maps, why) => {
    const { envelope, result } = await send({ config: { smtp_generic_maps: maps } });
    expect(envelope).toEqual([]);
    expect(result.verdicts[0]).toMatch(/^deferred 4\.3\.0 /);
    expect(result.verdicts[0]).toContain(why);
  });

  it('lmtp_generic_maps for LMTP', async () => {
    const { envelope } = await send({
      protocol: 'lmtp',
      config: { lmtp_generic_maps: table, smtp_generic_maps: 'fail:x', lmtp_tls_security_level: 'none' },
      requests: [['u@local.test']],
    });
    expect(envelope[1]).toBe('RCPT TO:<U@isp.example>');
  });
});
