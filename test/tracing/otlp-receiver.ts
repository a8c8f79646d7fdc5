/**
 * A trace collector for tests: takes OTLP over HTTP in its JSON form and keeps the spans, flattened to what a test asks
 * about. Start a process with `env` and its spans arrive here; a process sends the last ones when it shuts down.
 * OpenTelemetry protocol specification 1.x, OTLP/HTTP with JSON-encoded protobuf.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { waitFor } from '@mailfleet/test-kit';

export interface ReceivedSpan {
  /** service.name of the process that made it. */
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root of a trace. */
  readonly parentSpanId: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly events: readonly string[];
  readonly startMs: number;
  readonly endMs: number;
}

export interface OtlpReceiver {
  /** OTEL_* variables that make a process send its spans here, soon after they end. */
  readonly env: Readonly<Record<string, string>>;
  readonly spans: readonly ReceivedSpan[];
  /** All that was sent, as sent: for what must not be in it. */
  readonly bodies: readonly unknown[];
  /** Resolves with all spans once `enough` of them holds. */
  waitForSpans(
    enough: (spans: readonly ReceivedSpan[]) => boolean,
    timeoutMs?: number,
  ): Promise<readonly ReceivedSpan[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const bodies: unknown[] = [];
  const server = createServer((request, response) => {
    json(request).then(
      (body) => {
        bodies.push(body);
        spans.push(...spansOf(body as TracesData));
        response.setHeader('content-type', 'application/json').end('{}');
      },
      (error: unknown) => response.writeHead(400).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  async function close(): Promise<void> {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  return {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    },
    spans,
    bodies,
    async waitForSpans(enough, timeoutMs = 10_000) {
      await waitFor(() => enough(spans), timeoutMs, 'the spans that the test waits for');
      return spans;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The span and all below it, as indented lines of `service: name`, siblings by start: what a test compares a tree with. */
export function treeOf(spans: readonly ReceivedSpan[], root: ReceivedSpan, indent = ''): string[] {
  const children = spans
    .filter(({ traceId, parentSpanId }) => traceId === root.traceId && parentSpanId === root.spanId)
    .toSorted((a, b) => a.startMs - b.startMs);
  return [
    `${indent}${root.service}: ${root.name}`,
    ...children.flatMap((child) => treeOf(spans, child, `${indent}  `)),
  ];
}

/** The parts of an ExportTraceServiceRequest that are read here. */
interface TracesData {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly KeyValue[] };
    readonly scopeSpans?: readonly { readonly spans?: readonly OtlpSpan[] }[];
  }[];
}

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly KeyValue[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly events?: readonly { readonly name: string }[];
}

interface KeyValue {
  readonly key: string;
  /** One of stringValue, intValue, doubleValue, boolValue. */
  readonly value: Readonly<Record<string, unknown>>;
}

function spansOf(data: TracesData): ReceivedSpan[] {
  return (data.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
    const service = String(valuesOf(resource?.attributes)['service.name'] ?? '');
    return (scopeSpans ?? []).flatMap((scope) =>
      (scope.spans ?? []).map((span) => ({
        service,
        name: span.name,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        attributes: valuesOf(span.attributes),
        links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
        events: (span.events ?? []).map(({ name }) => name),
        startMs: Number(span.startTimeUnixNano) / 1e6,
        endMs: Number(span.endTimeUnixNano) / 1e6,
      })),
    );
  });
}

function valuesOf(attributes: readonly KeyValue[] = []): Readonly<Record<string, unknown>> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
