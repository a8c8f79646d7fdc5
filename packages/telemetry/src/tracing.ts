/**
 * OpenTelemetry traces, set up from the standard OTEL_* variables only. Without an exporter in the environment the
 * SDK is not even loaded (it would cost a third of a second at start), and the helpers below reach the API's
 * no-op tracer. No automatic instrumentation: spans are made where a mail's life has a step.
 */
import {
  type Attributes,
  type Context,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';

export interface Tracing {
  readonly enabled: boolean;
  /** Sends the spans that wait. */
  shutdown(): Promise<void>;
}

const OFF: Tracing = { enabled: false, shutdown: async () => {} };

/** @param serviceName `mailfleet-<program>`, the resource's service.name unless OTEL_SERVICE_NAME is set */
export async function startTracing(serviceName: string): Promise<Tracing> {
  const { env } = process;
  if (!wanted(env)) return OFF;
  // Traces are all we make: say so, or the SDK sets up metrics and logs that nothing fills.
  env.OTEL_METRICS_EXPORTER ??= 'none';
  env.OTEL_LOGS_EXPORTER ??= 'none';
  env.OTEL_SERVICE_NAME ??= serviceName;
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const sdk = new NodeSDK();
  sdk.start();
  return { enabled: true, shutdown: () => sdk.shutdown() };
}

function wanted(env: NodeJS.ProcessEnv): boolean {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return false;
  const exporter = env.OTEL_TRACES_EXPORTER ?? '';
  if (exporter !== '') return exporter !== 'none';
  return (env.OTEL_EXPORTER_OTLP_ENDPOINT ?? env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? '') !== '';
}

/** The context that a W3C traceparent names; an empty one when there is none. */
export function contextFrom(traceparent: string | undefined): Context {
  return traceparent === undefined ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent });
}

/** W3C traceparent of a context's span; undefined when tracing is off. */
export function traceparentOf(of: Context): string | undefined {
  const carrier: { traceparent?: string } = {};
  propagation.inject(of, carrier);
  return carrier.traceparent;
}

/** A link to the span that a traceparent names; none when it names none. */
export function linksTo(...traceparents: readonly (string | undefined)[]): Link[] {
  return traceparents.flatMap((traceparent) => {
    const spanContext = trace.getSpanContext(contextFrom(traceparent));
    return spanContext === undefined ? [] : [{ context: spanContext }];
  });
}

export interface SpanOptions {
  /** Default: the current context. */
  readonly parent?: Context;
  readonly links?: Link[];
  readonly attributes?: Attributes;
  readonly kind?: SpanKind;
}

/**
 * Runs `work` inside a span, which ends with it. A throw marks the span as failed and passes on. The span's context is
 * current within `work`.
 */
export async function withSpan<T>(
  name: string,
  options: SpanOptions,
  work: (span: Span, spanContext: Context) => Promise<T> | T,
): Promise<T> {
  const { parent = context.active(), ...spanOptions } = options;
  const span = tracer().startSpan(name, spanOptions, parent);
  const spanContext = trace.setSpan(parent, span);
  try {
    return await context.with(spanContext, work, undefined, span, spanContext);
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
    throw error;
  } finally {
    span.end();
  }
}

/** Our tracer: the SDK's once `startTracing` enabled it, a no-op before and otherwise. */
export function tracer(): ReturnType<typeof trace.getTracer> {
  return trace.getTracer('mailfleet');
}
