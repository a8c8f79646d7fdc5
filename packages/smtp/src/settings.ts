/**
 * What the engine reads of main.cf, worked out once per agent so that no transaction looks a parameter up.
 * Durations in milliseconds, sizes in bytes. The LMTP forms apply when the protocol is lmtp.
 */
import type { Config } from '@mailfleet/config';
import type { ConnectSettings } from './connect.ts';
import type { ConnectionLimits } from './connection.ts';
import type { Protocol } from './delivery.ts';
import { type Discard, parseDiscard } from './ehlo.ts';
import type { EnvelopeSettings } from './envelope.ts';

/** Section 9 of the client's time limits; each holds for one read or write. */
export interface Timeouts {
  readonly helo: number;
  readonly starttls: number;
  readonly xforward: number;
  readonly mail: number;
  readonly rcpt: number;
  readonly dataInit: number;
  readonly dataXfer: number;
  readonly dataDone: number;
  readonly rset: number;
  readonly quit: number;
}

interface PixSettings {
  readonly workarounds: readonly string[];
  readonly delayMs: number;
  readonly thresholdMs: number;
}

export interface AgentSettings extends ConnectSettings, ConnectionLimits, EnvelopeSettings {
  readonly protocol: Protocol;
  readonly myhostname: string;
  readonly heloName: string;
  readonly alwaysSendEhlo: boolean;
  readonly neverSendEhlo: boolean;
  readonly skip4xxGreeting: boolean;
  readonly skip5xxGreeting: boolean;
  readonly skipQuitResponse: boolean;
  readonly discard: Discard;
  readonly sendXforward: boolean;
  /** Send the next transaction's commands along with the end of data. */
  readonly transactionPipelining: boolean;
  /** Send small contents with BDAT where the server takes it. */
  readonly chunking: boolean;
  readonly lineLimit: number;
  /** Stage after which an address probe knows enough. */
  readonly verifyTarget: 'rcpt' | 'data';
  readonly softBounce: boolean;
  /** Those of `notify_classes` that a session's transcript is for. */
  readonly transcriptClasses: ReadonlySet<string>;
  /** In lower case: mail that no notice is made about. */
  readonly doubleBounceAddress: string;
  readonly helpfulWarnings: boolean;
  /** LMTP: a success is final delivery even when the server does not offer DSN. */
  readonly assumeFinal: boolean;
  readonly addressLimit: number;
  readonly sessionLimit: number;
  readonly fallbackRelays: readonly string[];
  readonly relayhost: string;
  /** `best_mx_transport`: where mail goes that loops back to us; undefined: it bounces. */
  readonly bestMx: { readonly transport: string; readonly nexthop: string } | undefined;
  readonly reuseTimeLimitMs: number;
  readonly reuseCountLimit: number;
  readonly minimalBackoffMs: number;
  /** `tls_required_enable` */
  readonly honoursTlsRequired: boolean;
  /** `smtp_tlsrpt_skip_reused_handshakes` */
  readonly skipsReusedHandshakes: boolean;
  /** `requiretls_enable` */
  readonly requireTlsEnabled: boolean;
  /** How long a server whose handshakes fail is remembered; 0: never. */
  readonly fallbackMs: number;
  readonly noteStarttlsOffer: boolean;
  /** Server text that waits before MAIL inside TLS ends the session. */
  readonly blockEarlyMailReply: boolean;
  /** `tls=` in delivery records. */
  readonly logTlsFeatureStatus: boolean;
  readonly tlsWrapperMode: boolean;
  readonly pix: PixSettings;
  readonly timeouts: Timeouts;
}

/** `transport` or `transport:nexthop`. */
const bestMxOf = (text: string): AgentSettings['bestMx'] => {
  const [, transport, nexthop = ''] = /^([^:]+):?(.*)$/.exec(text.trim()) ?? [];
  return transport === undefined ? undefined : { transport, nexthop };
};

export const agentSettings = (config: Config, protocol: Protocol): AgentSettings => ({
  protocol,
  myhostname: config.get('myhostname'),
  heloName: config.getFor(protocol, 'smtp_helo_name'),
  alwaysSendEhlo: config.get('smtp_always_send_ehlo'),
  neverSendEhlo: config.get('smtp_never_send_ehlo'),
  skip4xxGreeting: protocol === 'lmtp' || config.get('smtp_skip_4xx_greeting') !== false,
  skip5xxGreeting: config.getFor(protocol, 'smtp_skip_5xx_greeting'),
  skipQuitResponse: config.getFor(protocol, 'smtp_skip_quit_response'),
  discard: parseDiscard(config.getFor(protocol, 'smtp_discard_ehlo_keywords')),
  sendXforward: config.getFor(protocol, 'smtp_send_xforward_command'),
  transactionPipelining: config.getFor(protocol, 'smtp_transaction_pipelining'),
  minDataRate: config.getFor(protocol, 'smtp_min_data_rate'),
  chunking: config.getFor(protocol, 'smtp_chunking'),
  verifyTarget: config.getFor(protocol, 'smtp_address_verify_target'),
  lineLimit: config.getFor(protocol, 'smtp_line_length_limit'),
  lineLengthLimit: config.get('line_length_limit'),
  utf8Replies: config.get('smtputf8_enable'),
  perRequestDeadline: config.getFor(protocol, 'smtp_per_request_deadline'),
  quoteEnvelope: config.getFor(protocol, 'smtp_quote_rfc821_envelope'),
  neverConvert: config.get('disable_mime_output_conversion'),
  softBounce: config.get('soft_bounce'),
  transcriptClasses: new Set(
    config.get('notify_classes').filter((name) => name === 'protocol' || name === 'data'),
  ),
  doubleBounceAddress: `${config.get('double_bounce_sender')}@${config.get('myhostname')}`.toLowerCase(),
  helpfulWarnings: config.get('helpful_warnings'),
  assumeFinal: protocol === 'lmtp' && config.get('lmtp_assume_final'),
  addressLimit: config.getFor(protocol, 'smtp_mx_address_limit'),
  sessionLimit: config.getFor(protocol, 'smtp_mx_session_limit'),
  fallbackRelays: config.getFor(protocol, 'smtp_fallback_relay'),
  bestMx: protocol === 'smtp' ? bestMxOf(config.get('best_mx_transport')) : undefined,
  relayhost: config.get('relayhost').join(' '),
  reuseTimeLimitMs: config.getFor(protocol, 'smtp_connection_reuse_time_limit'),
  reuseCountLimit: config.getFor(protocol, 'smtp_connection_reuse_count_limit'),
  minimalBackoffMs: config.get('minimal_backoff_time'),
  honoursTlsRequired: config.get('tls_required_enable'),
  requireTlsEnabled: config.get('requiretls_enable'),
  fallbackMs: config.getFor(protocol, 'smtp_tls_fallback_time'),
  skipsReusedHandshakes: config.getFor(protocol, 'smtp_tlsrpt_skip_reused_handshakes'),
  noteStarttlsOffer: config.getFor(protocol, 'smtp_tls_note_starttls_offer'),
  blockEarlyMailReply: config.getFor(protocol, 'smtp_tls_block_early_mail_reply'),
  logTlsFeatureStatus: config.getFor(protocol, 'smtp_log_tls_feature_status'),
  tlsWrapperMode: config.getFor(protocol, 'smtp_tls_wrappermode'),
  connectTimeoutMs: config.getFor(protocol, 'smtp_connect_timeout'),
  bindAddress: config.getFor(protocol, 'smtp_bind_address'),
  bindAddress6: config.getFor(protocol, 'smtp_bind_address6'),
  bindAddressEnforce: config.getFor(protocol, 'smtp_bind_address_enforce'),
  queueDirectory: config.get('queue_directory'),
  pix: {
    workarounds: config.getFor(protocol, 'smtp_pix_workarounds').map((name) => name.toLowerCase()),
    delayMs: config.getFor(protocol, 'smtp_pix_workaround_delay_time'),
    thresholdMs: config.getFor(protocol, 'smtp_pix_workaround_threshold_time'),
  },
  timeouts: {
    helo: config.getFor(protocol, 'smtp_helo_timeout'),
    starttls: config.getFor(protocol, 'smtp_starttls_timeout'),
    xforward: config.getFor(protocol, 'smtp_xforward_timeout'),
    mail: config.getFor(protocol, 'smtp_mail_timeout'),
    rcpt: config.getFor(protocol, 'smtp_rcpt_timeout'),
    dataInit: config.getFor(protocol, 'smtp_data_init_timeout'),
    dataXfer: config.getFor(protocol, 'smtp_data_xfer_timeout'),
    dataDone: config.getFor(protocol, 'smtp_data_done_timeout'),
    rset: config.getFor(protocol, 'smtp_rset_timeout'),
    quit: config.getFor(protocol, 'smtp_quit_timeout'),
  },
});
