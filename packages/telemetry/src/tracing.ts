/**
 * OpenTelemetry traces, set up from the standard OTEL_* variables only. Without an exporter in the environment the
 * SDK is not even loaded (it would cost a good part of the start-up time), and the helpers below reach the API's
 * no-op tracer. No automatic instrumentation: spans are made where a mail's life has a step.
 */
import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  type Link,
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

/** @param serviceName `mailfleet-<program>`, the resource's service.name unless the environment names one */
export async function startTracing(serviceName: string): Promise<Tracing> {
  const { env } = process;
  if (!wanted(env)) return OFF;
  const named =
    isSet(env.OTEL_SERVICE_NAME) || /(?:^|,)\s*service\.name=/.test(env.OTEL_RESOURCE_ATTRIBUTES ?? '');
  env.OTEL_NODE_RESOURCE_DETECTORS = detectorsOf(env.OTEL_NODE_RESOURCE_DETECTORS);
  const { startNodeSdk } = await import('@opentelemetry/sdk-node');
  const sdk = startNodeSdk({
    logLevel: env.OTEL_LOG_LEVEL ?? 'warn',
    resourceAttributes: { 'process.pid': process.pid, ...(named ? {} : { 'service.name': serviceName }) },
    // Traces are all we make so far.
    metricReaders: [],
    logRecordProcessors: [],
  });
  return { enabled: true, shutdown: () => sdk.shutdown() };
}

/** Never `process`: it sends the command line, where an override may hold a password (redis_url). */
function detectorsOf(names: string | undefined): string {
  const asked = (names || 'all').split(',').map((name) => name.trim());
  if (asked.includes('none')) return 'none';
  const safe = asked.includes('all') ? ['service', 'host'] : asked.filter((name) => name !== 'process');
  return safe.join(',') || 'none';
}

function wanted(env: NodeJS.ProcessEnv): boolean {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return false;
  if (isSet(env.OTEL_TRACES_EXPORTER)) return env.OTEL_TRACES_EXPORTER !== 'none';
  return isSet(env.OTEL_EXPORTER_OTLP_ENDPOINT) || isSet(env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

// A mail's trace context is stored with it, so it has one form whatever OTEL_PROPAGATORS says: W3C Trace Context
// level 1, section 3.2. A later version may append fields; an unknown one is read as far as we know it.
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** The context that a W3C traceparent names; an empty one when it is absent or malformed. */
export function contextFrom(traceparent: string | undefined): Context {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
  return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

/** W3C traceparent of a span or of a context's span; undefined when there is none (tracing is off). */
export function traceparentOf(of: Context | Span): string | undefined {
  const spanContext = 'spanContext' in of ? of.spanContext() : trace.getSpanContext(of);
  if (spanContext === undefined || !isSpanContextValid(spanContext)) return undefined;
  const { traceId, spanId, traceFlags } = spanContext;
  return `00-${traceId}-${spanId}-${(traceFlags & 1).toString(16).padStart(2, '0')}`;
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
