/**
 * The templates of query, search_base, key_format and result_format: what a key, or a value that was found, turns into.
 *
 *     %s  the text                    %S  the key that was looked up (the same as %s in a query)
 *     %u  its local part, or all of it when it has no @           %U  of the key
 *     %d  its domain                  %D  of the key              %1 … %9  labels of the key's domain from the right
 *     %%  a percent sign
 *
 * A template that needs a part which is not there gives nothing: the query is not sent, the value is left out. Facts:
 * pgsql_table(5), "query" and "result_format".
 */

export interface Template {
  /** It uses parts of a key, so that partial keys must not be put into it. */
  readonly usesParts: boolean;
  /**
   * @param key what was looked up
   * @param value what `%s`, `%u` and `%d` stand for; the key in a query
   * @param quote makes a part safe where it is inserted
   * @returns undefined when a part is missing or empty
   */
  expand(key: string, value: string, quote: (part: string) => string): string | undefined;
}

const plain = (part: string): string => part;

/** A string is what is wrong with the text. */
export function parseTemplate(text: string): Template | { readonly problem: string } {
  const parts = [...text.matchAll(/[^%]+|%([\s\S]?)/g)].map(([whole, letter]) => ({ whole, letter }));
  const wrong = parts.find(({ letter }) => letter !== undefined && !/^[%suSdUD1-9]$/.test(letter));
  if (wrong !== undefined) {
    return { problem: `"${wrong.whole}" in "${text}" is none of %s %u %d %S %U %D %1 to %9 %%` };
  }
  return {
    usesParts: parts.some(({ letter }) => letter !== undefined && /[udUD1-9]/.test(letter)),
    expand: (key, value, quote) => {
      let result = '';
      for (const { whole, letter } of parts) {
        if (letter === undefined) result += whole;
        else if (letter === '%') result += '%';
        else {
          const part = partOf(letter, key, value);
          if (part === undefined || part === '') return undefined;
          result += quote(part);
        }
      }
      return result;
    },
  };
}

/** Without quoting, as in result_format. */
export function expandPlain(template: Template, key: string, value: string): string | undefined {
  return template.expand(key, value, plain);
}

function partOf(letter: string, key: string, value: string): string | undefined {
  const text = /[SUD1-9]/.test(letter) ? key : value;
  const at = text.lastIndexOf('@');
  switch (letter.toLowerCase()) {
    case 's':
      return text;
    case 'u':
      return at < 0 ? text : text.slice(0, at);
    case 'd':
      return at < 0 ? undefined : text.slice(at + 1);
    default:
      return at < 0
        ? undefined
        : text
            .slice(at + 1)
            .split('.')
            .at(-Number(letter));
  }
}
