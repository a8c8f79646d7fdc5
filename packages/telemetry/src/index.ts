export { type DialogueObserver, DialogueRecorder, DialogueRedactor } from './dialogue.ts';
export type * from './event.ts';
export { outcomeClass } from './outcome-class/classify.ts';
export type { OutcomeClass } from './outcome-class/status.ts';
export { printable, quotedAddress } from './printable.ts';
export { Progress } from './progress.ts';
export {
  createTelemetry,
  type EventSink,
  type Telemetry,
  type TelemetryOptions,
} from './telemetry.ts';
export {
  contextFrom,
  linksTo,
  type SpanOptions,
  startTracing,
  type Tracing,
  traceparentOf,
  tracer,
  withSpan,
} from './tracing.ts';
export { Watchdog, type Watched } from './watchdog.ts';
