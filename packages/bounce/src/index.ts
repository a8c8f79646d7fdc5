/** Delivery status notifications: the daemon, and its texts. */

export { type BounceOptions, runBounce } from './daemon.ts';
export {
  type InboundReport,
  parseReport,
  REPORT_BYTES,
  type ReportedOutcome,
} from './inbound/parse-report.ts';
export { openTemplates, showTemplates } from './templates.ts';
export { reportFacts } from './tlsrpt/send-reports.ts';
