/** What main.cf says of all tables. */
import type { Config } from '@mailfleet/config';
import type { TableOptions } from './table.ts';

/** For every table that a configuration names: pass it on, with what else the caller wants. */
export function tableOptions(config: Config): Pick<TableOptions, 'defaultType' | 'socketmap'> {
  return {
    defaultType: config.get('default_database_type'),
    socketmap: {
      querySizeBytes: config.get('socketmap_max_query_size'),
      replySizeBytes: config.get('socketmap_max_reply_size'),
    },
  };
}
