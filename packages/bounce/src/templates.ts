/**
 * The templates that a process writes its notices with: those of `bounce_template_file`, expanded, and the built-in ones for the
 * rest. Read once, when the daemon starts.
 *
 * In a text `$name` and `${name}` stand for any parameter, `$$` for a dollar, and `delay_warning_time_UNIT` and
 * `maximal_queue_lifetime_UNIT` for whole units of that time (seconds, minutes, hours, days, weeks). Headers are not expanded.
 * A name that does not exist is an error: a notice with a hole in it must not go out.
 */
import { readFileSync } from 'node:fs';
import { domainToUnicode } from 'node:url';
import type { Config } from '@mailfleet/config';
import { builtinTemplate, type NoticeTemplate, type TemplateName } from './template.ts';
import { type FileTemplate, parseTemplateFile } from './template-file.ts';

export type Templates = Readonly<Record<TemplateName, NoticeTemplate>>;

/**
 * Throws a sentence when the file cannot be read or refers to what does not exist.
 * @param warn receives a sentence for each template that is not used, and for each doubtful number
 */
export function openTemplates(config: Config, warn: (sentence: string) => void): Templates {
  const file = config.get('bounce_template_file');
  let written: ReadonlyMap<TemplateName, FileTemplate> = new Map();
  if (file !== '') {
    const parsed = parseTemplateFile(readTemplateFile(file), file);
    for (const warning of parsed.warnings) warn(warning);
    written = parsed.templates;
  }
  const facts = {
    myhostname: config.get('myhostname'),
    myorigin: config.get('myorigin'),
    delayWarningMs: config.get('delay_warning_time'),
    maximalQueueLifetimeMs: config.get('maximal_queue_lifetime'),
  };
  const template = (name: TemplateName): NoticeTemplate => {
    const builtin = builtinTemplate(name, facts);
    const own = written.get(name);
    if (own === undefined) return builtin;
    const expanded = own.lines.map((line) => {
      try {
        return expandLine(line, config, warn);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`bounce_template_file ${file}: ${name}_template: ${why}`, { cause: error });
      }
    });
    return { ...builtin, ...own, lines: expanded, bytes: 'latin1' };
  };
  return {
    failure: template('failure'),
    delay: template('delay'),
    success: template('success'),
    verify: template('verify'),
  };
}

function readTemplateFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`bounce_template_file cannot be read: ${why}`, { cause: error });
  }
}

const REFERENCE = /\$(?:\$|\{(\w+)\}|\((\w+)\)|(\w+)|)/g;

function expandLine(line: string, config: Config, warn: (sentence: string) => void): string {
  return line.replace(REFERENCE, (whole, braced?: string, round?: string, bare?: string) => {
    if (whole === '$$') return '$';
    const name = braced ?? round ?? bare;
    if (name === undefined) throw new Error(`a "$" is not followed by a name; write $$ for a dollar sign`);
    const value = inUnits(name, config, warn) ?? parameterText(name, config);
    if (value === undefined) throw new Error(`there is no parameter ${name}`);
    return Buffer.from(value).toString('latin1');
  });
}

function parameterText(name: string, config: Config): string | undefined {
  const raw = config.raw(name);
  if (raw === undefined) return undefined;
  const value = config.expand(raw);
  const isHost = name === 'myhostname' || name === 'mydomain';
  return isHost && config.get('smtputf8_enable') ? domainToUnicode(value) || value : value;
}

const UNITS: Readonly<Record<string, number>> = {
  seconds: 1_000,
  minutes: 60_000,
  hours: 3_600_000,
  days: 86_400_000,
  weeks: 604_800_000,
};

/** Value of `<time parameter>_<unit>`; undefined for any other name. */
function inUnits(name: string, config: Config, warn: (sentence: string) => void): string | undefined {
  const [, parameter, unit = ''] = /^(delay_warning_time|maximal_queue_lifetime)_([a-z]+)$/.exec(name) ?? [];
  const unitMs = UNITS[unit];
  if ((parameter !== 'delay_warning_time' && parameter !== 'maximal_queue_lifetime') || unitMs === undefined)
    return undefined;
  const ms = config.get(parameter);
  const count = Math.floor(ms / unitMs);
  if (count === 0 && ms > 0)
    warn(`bounce_template_file: $${name} is 0: ${parameter} is shorter; use another unit`);
  else if (count > 999 && unitMs < 86_400_000)
    warn(`bounce_template_file: $${name} is ${count}, hard to read; use another unit`);
  return String(count);
}

/** The templates as text, each in the form of the file, for people to look at. */
export function showTemplates(templates: Templates): Buffer {
  const shown = (['failure', 'delay', 'success', 'verify'] as const).map((name) => {
    const { charset, from, subject, postmasterSubject, lines, bytes } = templates[name];
    const headers = [
      `Charset: ${charset}`,
      ...(from === undefined ? [] : [`From: ${from}`]),
      `Subject: ${subject}`,
      ...(postmasterSubject === undefined ? [] : [`Postmaster-Subject: ${postmasterSubject}`]),
    ];
    const text = lines.map((line) => line.replaceAll('$', '$$$$')).join('\n');
    return Buffer.concat([
      Buffer.from(`${name}_template = <<EOF\n${headers.join('\n')}\n\n`),
      Buffer.from(text, bytes ?? 'utf8'),
      Buffer.from('\nEOF\n\n'),
    ]);
  });
  return Buffer.concat(shown);
}
