/** Parameters: lookup tables. See entry.ts for what the fields mean. */
import type { Entries } from './entry.ts';

export const maps = {
  default_database_type: {
    type: 'string',
    default: 'hash',
    minLength: 1,
    since: '<=2.0',
    doc: 'Table type assumed by postmap and friends when none is given.',
  },
  default_cache_db_type: {
    type: 'string',
    default: 'btree',
    minLength: 1,
    since: '3.11',
    moot: 'what Postfix caches in files is kept in memory and in Redis',
    doc: 'Table type for updatable caches.',
  },
  daemon_table_open_error_is_fatal: {
    type: 'boolean',
    default: 'no',
    since: '2.9',
    moot: 'a lookup in a table that cannot be opened is an error and defers, until the table is mended; a process that ends would stop the mail of everyone else',
    doc: 'Exit when a table cannot be opened, instead of failing its lookups.',
  },
  parent_domain_matches_subdomains: {
    type: 'list',
    default:
      'debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps',
    since: '<=2.0',
    doc: 'Features for which a listed domain also matches names below it.',
  },
  proxy_read_maps: {
    type: 'maps',
    default:
      '$mydestination $relay_domains $transport_maps $mynetworks $smtp_generic_maps $lmtp_generic_maps $lmtp_discard_lhlo_keyword_address_maps $lmtp_pix_workaround_maps $lmtp_sasl_password_maps $lmtp_tls_policy_maps $sender_dependent_default_transport_maps $sender_dependent_relayhost_maps $smtp_discard_ehlo_keyword_address_maps $smtp_pix_workaround_maps $smtp_sasl_password_maps $smtp_tls_policy_maps $tls_server_sni_maps $tlsproxy_client_policy_maps $default_delivery_status_filter $lmtp_delivery_status_filter $lmtp_dns_reply_filter $lmtp_reply_filter $smtp_delivery_status_filter $smtp_dns_reply_filter $smtp_reply_filter $body_checks $header_checks $lmtp_body_checks $lmtp_header_checks $lmtp_mime_header_checks $lmtp_nested_header_checks $mime_header_checks $nested_header_checks $smtp_body_checks $smtp_header_checks $smtp_mime_header_checks $smtp_nested_header_checks',
    since: '2.0',
    moot: 'tables are opened by the process that asks; `proxy:` may stand before any',
    doc: 'Tables that proxymap may open for reading.',
  },
  proxy_write_maps: {
    type: 'maps',
    default:
      '$smtp_sasl_auth_cache_name $lmtp_sasl_auth_cache_name $address_verify_map $postscreen_cache_map',
    since: '2.5',
    moot: 'tables are opened by the process that asks; `proxy:` may stand before any',
    doc: 'Tables that proxywrite may update.',
  },
  proxymap_service_name: {
    type: 'string',
    default: 'proxymap',
    minLength: 1,
    since: '2.6',
    moot: 'it names a Postfix service behind a socket; here it is part of a process',
    doc: 'Read-only table proxy service.',
  },
  proxywrite_service_name: {
    type: 'string',
    default: 'proxywrite',
    minLength: 1,
    since: '2.6',
    moot: 'it names a Postfix service behind a socket; here it is part of a process',
    doc: 'Read-write table proxy service.',
  },
  lmdb_map_size: {
    type: 'size',
    default: '16777216',
    min: 1,
    since: '2.11',
    moot: 'tables are read into memory, mostly from the text that they are made from',
    doc: 'Initial LMDB size; doubled automatically when full.',
  },
  berkeley_db_read_buffer_size: {
    type: 'size',
    default: '131072',
    min: 1,
    since: '2.0',
    moot: 'tables are read into memory, mostly from the text that they are made from',
    doc: 'Berkeley DB cache when reading.',
  },
  berkeley_db_create_buffer_size: {
    type: 'size',
    default: '16777216',
    min: 1,
    since: '2.0',
    moot: 'tables are read into memory, mostly from the text that they are made from',
    doc: 'Berkeley DB cache when building.',
  },
  socketmap_max_query_size: {
    type: 'size',
    default: '10000',
    min: 1,
    since: '3.12',
    doc: 'Largest socketmap query.',
  },
  socketmap_max_reply_size: {
    type: 'size',
    default: '100000',
    min: 1,
    since: '3.10',
    doc: 'Largest socketmap reply.',
  },
} as const satisfies Entries;
