export { quoteAddress, quotePhrase } from './addressing.ts';
export {
  type CompletionOptions,
  ContentCompletion,
  type ContentFacts,
  type ContentRefusal,
} from './completion.ts';
export { dateDigits, mailDate } from './date.ts';
export type { CheckClass, CheckMaps, Note } from './delivery/checks.ts';
export { ContentFilter, type FilterFailure, type FilterPlan } from './delivery/filter.ts';
export { DkimSigning } from './dkim/signing.ts';
export { protocolName, type Receipt, receivedHeader } from './received.ts';
export { openReceiptChecks, openReceiptPlan } from './receiving/receipt-checks.ts';
export { GenericMap } from './rewriting/generic.ts';
export { isHeaderLine } from './structure/header-line.ts';
export { type StructureLimits, structureLimits } from './structure/limits.ts';
