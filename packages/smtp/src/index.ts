/** The SMTP and LMTP client engine: hand it a batch, get an outcome for every recipient. */
export {
  type BatchIo,
  createDeliveryAgent,
  type DeliveryAgent,
  type DeliveryAgentOptions,
} from './agent.ts';
export type { Remark } from './attempt.ts';
export { deliverMessage, type OneMessage } from './deliver-message.ts';
export type * from './delivery.ts';
export { type LearnedOfHosts, learnedOfHosts } from './host-memory.ts';
export type { FindHosts, Host, HostLookup } from './hosts.ts';
export { type PoolListener, SessionPool, type WaitingSession } from './reuse/session-pool.ts';
export { checkLogins } from './sasl/settings.ts';
export { LOGIN_KEY_USE, type SharedLogins, shareLogins } from './sasl/shared-logins.ts';
export type { TlsReports } from './tls/report-result.ts';
export { type StsDns, stsDns } from './tls/sts-dns.ts';
