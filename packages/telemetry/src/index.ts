export { type DialogueObserver, DialogueRecorder, DialogueRedactor } from './dialogue.ts';
export type * from './event.ts';
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
