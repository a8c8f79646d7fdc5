export { quoteAddress, quotePhrase } from './addressing.ts';
export {
  type CompletionOptions,
  ContentCompletion,
  type ContentFacts,
  type ContentRefusal,
} from './completion.ts';
export { dateDigits, mailDate } from './date.ts';
export { protocolName, type Receipt, receivedHeader } from './received.ts';
