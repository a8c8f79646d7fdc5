/** TLS policy and handshakes of outbound sessions. */
export type { TlsaPolicy } from './dane/decide.ts';
export type { DaneAnswer, DaneDns } from './dane/find-tlsa.ts';
export type { ServerFacts } from './dane/open-dane.ts';
export { distrustLine } from './distrust.ts';
export { type FailedHandshakes, isKnownToFail, type TlsServer } from './failed-handshakes.ts';
export { createTlsClient, type HandshakeOptions, type TlsClient } from './handshake.ts';
export { globalLevel, parseLevel, requiresMatch, requiresTls, type TlsLevel, usesDane } from './level.ts';
export { parseLogLevel, type TlsLogging } from './log-level.ts';
export { fetchPolicy } from './mta-sts/fetch-policy.ts';
export { type MtaSts, openMtaSts, type StsCache, type StsEntry } from './mta-sts/mta-sts.ts';
export { asciiName, matchesMxPattern } from './names.ts';
export { type OutsideOptions, requestOutside } from './outside-request.ts';
export { type PeerVerdict, verifyPeer } from './peer.ts';
export {
  type CipherGrade,
  type InvalidPolicy,
  nexthopDomain,
  type PublishedPolicy,
  type TlsPolicy,
  tlsPolicy,
} from './policy.ts';
export { openTlsPolicies, type TlsPolicies } from './policy-table.ts';
export { openRequireTlsPolicy, type RequireTlsAction, type RequireTlsPolicy } from './requiretls.ts';
export { type FleetKey, makeFleetKey, readFleetKey } from './tickets/fleet-key.ts';
export { Resumption } from './tickets/resumption.ts';
export {
  policyTerms,
  SessionTickets,
  sessionLifetimeMs,
  type TicketStore,
  trustTerms,
} from './tickets/session-tickets.ts';
export type { FailureType } from './tlsrpt/failure-type.ts';
export { outsidePolicy } from './tlsrpt/failure-type.ts';
export { type ReportWish, readReportWish } from './tlsrpt/record.ts';
export {
  buildReport,
  type CountedResult,
  type ReportFacts,
  reportFileName,
  reportId,
  type TlsReport,
} from './tlsrpt/report.ts';
export {
  dayOf,
  failureOf,
  failureTypeOf,
  policyFailureResult,
  type ReportedFailure,
  reportDueMs,
  reportedPolicy,
  resultKey,
  type TlsResult,
} from './tlsrpt/result.ts';
export type { TrustAnchors } from './trust-anchors.ts';
