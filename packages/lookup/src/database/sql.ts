/**
 * What the SQL tables share: the query, its older spellings, and the rule that what comes from a key stands in a string of the
 * query. Outside of one it would be read as SQL, whatever is escaped.
 */

import { templateOf } from './answers.ts';
import type { TableSettings } from './table-file.ts';
import { TableFileError } from './table-file.ts';
import type { Template } from './template.ts';

/** A server that does not answer is given up after this; so is a query. */
export const CONNECT_TIMEOUT_MS = 5_000;
export const QUERY_TIMEOUT_MS = 10_000;
/** Connections to one server, for one table and process. */
export const CONNECTIONS = 4;

/** `query`, or what the older parameters table, select_field, where_field, select_function say. */
export function queryOf(settings: TableSettings, backslashEscapes: boolean): Template {
  const text = settings.text('query') || olderQuery(settings);
  const where = outsideOfString(text, backslashEscapes);
  if (where !== undefined) {
    throw new TableFileError(
      `${settings.path}: "${where}" in the query does not stand between single quotes; write '${where}', or a key could change the query`,
    );
  }
  return templateOf(settings, 'query', text);
}

function olderQuery(settings: TableSettings): string {
  const call = settings.text('select_function');
  if (call !== '') return `SELECT ${call}('%s')`;
  const table = settings.text('table');
  const select = settings.text('select_field');
  const where = settings.text('where_field');
  if (table === '' || select === '' || where === '') {
    throw new TableFileError(`${settings.path} needs "query"`);
  }
  return `SELECT ${select} FROM ${table} WHERE ${where} = '%s' ${settings.text('additional_conditions')}`;
}

/** The first placeholder that is not inside of '…'. */
function outsideOfString(query: string, backslashEscapes: boolean): string | undefined {
  const string = backslashEscapes ? "'(?:\\\\[^]|''|[^'\\\\])*'" : "(?<!\\b[eE])'(?:''|[^'])*'";
  return /%[^%]/.exec(query.replace(new RegExp(string, 'g'), '').replaceAll('%%', ''))?.[0];
}
