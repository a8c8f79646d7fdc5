/**
 * HTML by tagged template: every value is escaped unless it is HTML made here. There is no way to mark a string as
 * safe, so that nothing from a message can become markup.
 */

const content = Symbol('html');

/** Markup that `html` made. */
export interface Html {
  readonly [content]: string;
}

/** What a template takes; undefined and false leave nothing. */
export type HtmlValue = Html | string | number | undefined | false | readonly HtmlValue[];

export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  const text = strings.reduce(
    (all, part, index) => `${all}${index > 0 ? render(values[index - 1]) : ''}${part}`,
    '',
  );
  return { [content]: text };
}

/** The markup as text, for the response. */
export function htmlText(markup: Html): string {
  return markup[content];
}

function render(value: HtmlValue): string {
  if (value === undefined || value === false) {
    return '';
  }
  if (typeof value === 'string' || typeof value === 'number') {
    return escapeHtml(String(value));
  }
  return isList(value) ? value.map(render).join('') : value[content];
}

function isList(value: Html | readonly HtmlValue[]): value is readonly HtmlValue[] {
  return Array.isArray(value);
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
