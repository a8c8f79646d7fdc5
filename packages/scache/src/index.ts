/** The fleet's connection cache: which worker holds which open session. */
export { openFailedHandshakes } from './failed-handshakes.ts';
export type { Destination } from './keys.ts';
export {
  type ListedSession,
  openSessionRegistry,
  type SessionRegistry,
  type SharedSession,
} from './registry.ts';
export { answerQuestions, type OpenSession, openSessionBoard } from './session-board.ts';
export { openStsCache } from './sts-cache.ts';
export { openRejectionStore, openTicketStore } from './ticket-store.ts';
export { BUCKETS, openReportStore, type ReportStore, type ReportSubject } from './tlsrpt-store.ts';
