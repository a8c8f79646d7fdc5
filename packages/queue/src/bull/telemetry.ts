/**
 * BullMQ's spans without its housekeeping: adding and processing jobs belong to the trace of a batch, but lock renewals, stalled-job
 * checks and the like would each be a trace of their own, every few seconds and for every process.
 */
import { type Span, SpanKind, type Telemetry } from 'bullmq';
import { BullMQOtel } from 'bullmq-otel';

export function bullTelemetry(): Telemetry {
  const { tracer, contextManager } = new BullMQOtel({ tracerName: 'mailfleet' });
  return {
    contextManager,
    tracer: {
      startSpan: (name, options, context) =>
        options?.kind === SpanKind.INTERNAL ? silent : tracer.startSpan(name, options, context),
    },
  };
}

const silent: Span = {
  setSpanOnContext: (context) => context,
  setAttribute: () => undefined,
  setAttributes: () => undefined,
  addEvent: () => undefined,
  recordException: () => undefined,
  end: () => undefined,
};
