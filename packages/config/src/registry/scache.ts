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
  connection_cache_share: {
    type: 'boolean',
    default: 'yes',
    since: '0.1.0',
    origin: 'mailfleet',
    doc: 'Workers list their parked sessions in Redis, and a batch goes to a worker that has one for its destination (the scheduler looks for it) or for its server (a worker without one does). Otherwise each worker uses its own as batches happen to come.',
  },
  connection_cache_endpoint_limit: {
    type: 'integer',
    default: '$default_destination_concurrency_limit',
    min: 0,
    since: '0.1.0',
    origin: 'mailfleet',
    doc: 'Parked sessions that a worker keeps with one server under one policy; when there are more, the oldest ends; 0 is no limit. Parked and busy sessions together are limited by smtp_worker_sessions.',
  },
  tls_session_cache_key_file: {
    type: 'file',
    default: '',
    since: '0.1.0',
    origin: 'mailfleet',
    doc: 'File with a random key of the whole fleet (openssl rand -base64 32). With it workers share TLS sessions in Redis, encrypted; without, each worker remembers its own where smtp_tls_session_cache_database is set. A new key costs full handshakes only.',
  },
} as const satisfies Entries;
