/** bounce_template_file: its form, what in it cannot be used, and what its references become. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { afterAll, describe, expect, test } from 'vitest';
import { parseTemplateFile } from './template-file.ts';
import { openTemplates, showTemplates, type Templates } from './templates.ts';

const directory = mkdtempSync(join(tmpdir(), 'templates-'));
afterAll(() => rmSync(directory, { recursive: true }));

let files = 0;

function open(
  text: string | Buffer,
  values: Record<string, string> = {},
): { templates: Templates; warnings: readonly string[] } {
  files += 1;
  const file = join(directory, `bounce${files}.cf`);
  writeFileSync(file, text);
  const warnings: string[] = [];
  const config = makeConfig({ myhostname: 'mail.example.com', bounce_template_file: file, ...values });
  return { templates: openTemplates(config, (sentence) => void warnings.push(sentence)), warnings };
}

const builtin = openTemplates(makeConfig({ myhostname: 'mail.example.com' }), () => undefined);

describe('bounce_template_file', () => {
  test('replaces the templates that it has, headers and text, and leaves the others', () => {
    const { templates, warnings } = open(`
# our words
failure_template = <<END
Charset: us-ascii
FROM: Post Office <MAILER-DAEMON>
Subject: Not delivered
Postmaster-Subject: Copy of what was not

 from $myhostname, $\{myhostname}, $(myhostname): 5$$
EOF
END

success_template = <<EOF
Subject: Delivered

done
EOF
`);
    expect(warnings).toEqual([]);
    expect(templates.failure).toMatchObject({
      from: 'Post Office <MAILER-DAEMON>',
      subject: 'Not delivered',
      postmasterSubject: 'Copy of what was not',
      lines: [' from mail.example.com, mail.example.com, mail.example.com: 5$', 'EOF'],
    });
    expect(templates.success).toMatchObject({ subject: 'Delivered', lines: ['done'] });
    expect(templates.delay).toEqual(builtin.delay);
    expect(templates.verify).toEqual(builtin.verify);
  });

  test.each([
    ['an unknown header', 'X-Color: red\n\ntext', 'there is no header X-Color'],
    ['an empty header', 'Subject:\n\ntext', 'the header Subject is empty'],
    ['a header that is not ASCII', 'Subject: größer\n\ntext', 'the header Subject is not ASCII'],
    ['no text', 'Subject: x\n\n', 'no text'],
    ['8-bit text without a charset', 'Subject: x\n\ngrößer', 'not ASCII'],
    ['text that is not in its charset', Buffer.from('Charset: utf-8\n\ngr\xf6\xdfer', 'latin1'), 'not UTF-8'],
  ])('%s makes the built-in template take its place, with a warning', (_name, template, why) => {
    const text = Buffer.concat([
      Buffer.from('delay_template = <<EOF\n'),
      Buffer.from(template),
      Buffer.from('\nEOF\n'),
    ]);
    const { templates, warnings } = open(text);
    expect(templates.delay).toEqual(builtin.delay);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      /bounce_template_file .*, line 1: delay_template: .*; the built-in text is used/,
    );
    expect(warnings[0]).toContain(why);
  });

  test('a Postmaster-Subject is for failure and delay only', () => {
    const { warnings } = open('verify_template = <<EOF\nPostmaster-Subject: x\n\ntext\nEOF\n');
    expect(warnings[0]).toContain('a verify notice has no Postmaster-Subject');
  });

  test('unknown names, stray lines and a missing end are warned about, and the rest counts', () => {
    const { templates, warnings } = parseTemplateFile(
      Buffer.from('hello\nsad_template = <<A\nx\nA\nfailure_template = <<B\nSubject: s\n\ntext\n'),
      'f.cf',
    );
    expect(warnings).toHaveLength(3);
    expect(warnings[0]).toContain('f.cf, line 1:');
    expect(warnings[1]).toContain('no sad_template');
    expect(warnings[2]).toContain('no line "B" ends failure_template');
    expect(templates.get('failure')).toEqual({ charset: 'us-ascii', subject: 's', lines: ['text'] });
  });

  test.each([
    ['$no_such_name', 'no parameter no_such_name'],
    ['50 $ please', 'write $$'],
  ])('%s is an error, not a hole in a notice', (text, why) => {
    expect(() => open(`failure_template = <<EOF\nSubject: x\n\n${text}\nEOF\n`)).toThrow(why);
  });

  test('a file that is not there is an error', () => {
    const config = makeConfig({ bounce_template_file: join(directory, 'none') });
    expect(() => openTemplates(config, () => undefined)).toThrow('bounce_template_file cannot be read');
  });

  test('keeps the bytes of its charset', () => {
    const latin = Buffer.from(
      'failure_template = <<EOF\nCharset: iso-8859-1\n\ngr\xf6\xdfer\nEOF\n',
      'latin1',
    );
    const { templates } = open(latin);
    expect(templates.failure).toMatchObject({ charset: 'iso-8859-1', bytes: 'latin1' });
    const bytes = Buffer.from(templates.failure.lines[0] ?? '', 'latin1');
    expect(bytes).toEqual(Buffer.from('gr\xf6\xdfer', 'latin1'));
  });

  test('tells times in units, and warns of unreadable ones', () => {
    const units = ['seconds', 'minutes', 'hours', 'days', 'weeks'];
    const lines = units.map((unit) => `$delay_warning_time_${unit} $maximal_queue_lifetime_${unit}`);
    const { templates, warnings } = open(`delay_template = <<EOF\n\n${lines.join('\n')}\nEOF\n`, {
      delay_warning_time: '4h',
      maximal_queue_lifetime: '5d',
    });
    expect(templates.delay.lines).toEqual(['14400 432000', '240 7200', '4 120', '0 5', '0 0']);
    expect(warnings.map((each) => /\$(\w+) is (\d+)/.exec(each)?.slice(1).join(' '))).toEqual([
      'delay_warning_time_seconds 14400',
      'maximal_queue_lifetime_seconds 432000',
      'maximal_queue_lifetime_minutes 7200',
      'delay_warning_time_days 0',
      'delay_warning_time_weeks 0',
      'maximal_queue_lifetime_weeks 0',
    ]);
  });

  test('host names are in UTF-8 with smtputf8_enable', () => {
    const text = 'failure_template = <<EOF\nCharset: utf-8\n\n$myhostname\nEOF\n';
    const shown = (value: string) => {
      const { templates } = open(text, { myhostname: 'xn--bcher-kva.example', smtputf8_enable: value });
      return Buffer.from(templates.failure.lines[0] ?? '', 'latin1').toString();
    };
    expect([shown('yes'), shown('no')]).toEqual(['bücher.example', 'xn--bcher-kva.example']);
  });

  test('what is shown of the templates is a template file that says the same', () => {
    const { templates } = open('failure_template = <<E\nSubject: s\n\n1$$ a\\b\nE\n');
    const again = open(showTemplates(templates));
    expect(again.warnings).toEqual([]);
    expect(again.templates.failure).toMatchObject({ subject: 's', lines: ['1$ a\\b'] });
    expect(again.templates.delay.lines).toEqual(templates.delay.lines);
  });
});
