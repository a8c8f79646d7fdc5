/** Parameters: session cache. See entry.ts for what the fields mean. */
import type { Entries } from './entry.ts';

export const scache = {
  connection_cache_service_name: {
    type: 'string',
    default: 'scache',
    minLength: 1,
    since: '2.2',
    moot: 'it names a Postfix service behind a socket; here it is part of a process',
    doc: 'Name of the connection cache service.',
  },
  connection_cache_status_update_time: {
    type: 'time',
    default: '600s',
    unit: 's',
    min: 1,
    since: '<=2.0',
    doc: 'Interval between hit/miss statistics log records.',
  },
  connection_cache_ttl_limit: {
    type: 'time',
    default: '2s',
    unit: 's',
    min: 1,
    since: '<=2.0',
    doc: 'Upper bound the cache service puts on requested storage times.',
  },
} as const satisfies Entries;
