/**
 * Reads a file of notice templates in the form that bounce(5) describes:
 *
 *     failure_template = <<EOF
 *     Charset: us-ascii
 *     Subject: …
 *
 *     text, with $names
 *     EOF
 *
 * Pure. The file says nothing that mail depends on, so a template that cannot be used is replaced by the built-in one with a warning
 * that names file and line, as bounce(8) does. Bytes are kept as Latin-1 characters: the charset is the author's affair.
 */
import { isUtf8 } from 'node:buffer';
import type { TemplateName } from './template.ts';

/** A template as written: references not expanded. */
export interface FileTemplate {
  readonly charset: string;
  /** Header values; undefined: the built-in one. */
  readonly from?: string;
  readonly subject?: string;
  readonly postmasterSubject?: string;
  /** One character for each byte. */
  readonly lines: readonly string[];
}

export interface TemplateFile {
  readonly templates: ReadonlyMap<TemplateName, FileTemplate>;
  /** Sentences, each with file and line. */
  readonly warnings: readonly string[];
}

const NAMES: ReadonlyMap<string, TemplateName> = new Map([
  ['failure_template', 'failure'],
  ['delay_template', 'delay'],
  ['success_template', 'success'],
  ['verify_template', 'verify'],
]);

/** `name = <<WORD`; WORD starts alphanumeric and stands without quotes. */
const START = /^([A-Za-z0-9_]+)\s*=\s*<<\s*([A-Za-z0-9]\S*)\s*$/;

/** @param file name to show in warnings */
export function parseTemplateFile(bytes: Buffer, file: string): TemplateFile {
  const lines = bytes.toString('latin1').split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const templates = new Map<TemplateName, FileTemplate>();
  const warnings: string[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    if (/^\s*(?:#|$)/.test(line)) continue;
    const where = `bounce_template_file ${file}, line ${at + 1}`;
    const [, title, word] = START.exec(line) ?? [];
    if (title === undefined || word === undefined) {
      warnings.push(`${where}: "name_template = <<WORD" is expected here; the line is ignored`);
      continue;
    }
    const end = lines.indexOf(word, at + 1);
    if (end < 0) warnings.push(`${where}: no line "${word}" ends ${title}; it takes the rest of the file`);
    const body = lines.slice(at + 1, end < 0 ? lines.length : end);
    at = end < 0 ? lines.length : end;
    const name = NAMES.get(title);
    if (name === undefined) {
      warnings.push(`${where}: there is no ${title}; the names are ${[...NAMES.keys()].join(', ')}`);
      continue;
    }
    const parsed = parseTemplate(name, body);
    if (typeof parsed === 'string') {
      warnings.push(`${where}: ${title}: ${parsed}; the built-in text is used`);
      templates.delete(name);
    } else templates.set(name, parsed);
  }
  return { templates, warnings };
}

const HEADER = /^([!-9;-~]+)[ \t]*:[ \t]*(.*)$/;

/** The template, or why it cannot be used. */
function parseTemplate(name: TemplateName, lines: readonly string[]): FileTemplate | string {
  const headers: { -readonly [K in keyof Omit<FileTemplate, 'lines'>]: FileTemplate[K] } = {
    charset: 'us-ascii',
  };
  let at = 0;
  for (; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const [, title = '', value = ''] = HEADER.exec(line) ?? [];
    if (title === '') break;
    if (!isAscii(line)) return `the header ${title} is not ASCII`;
    if (value.trim() === '') return `the header ${title} is empty`;
    switch (title.toLowerCase()) {
      case 'charset':
        headers.charset = value.trim();
        break;
      case 'from':
        headers.from = value.trim();
        break;
      case 'subject':
        headers.subject = value.trim();
        break;
      case 'postmaster-subject':
        if (name !== 'failure' && name !== 'delay') return `a ${name} notice has no ${title}`;
        headers.postmasterSubject = value.trim();
        break;
      default:
        return `there is no header ${title}; the names are Charset, From, Subject and Postmaster-Subject`;
    }
  }
  const text = (lines[at] ?? '').trim() === '' ? lines.slice(at + 1) : lines.slice(at);
  if (text.every((line) => line.trim() === '')) return 'it has no text after its headers';
  if (headers.charset.toLowerCase() === 'us-ascii' && !text.every(isAscii)) {
    return 'its text is not ASCII; name its character set in a Charset header';
  }
  if (/^utf-?8$/i.test(headers.charset) && !isUtf8(Buffer.from(text.join('\n'), 'latin1'))) {
    return 'its text is not UTF-8';
  }
  return { ...headers, lines: text };
}

function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text);
}
