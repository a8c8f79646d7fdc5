import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import { expect, test } from 'vitest';
import { contextFrom, linksTo, traceparentOf } from './tracing.ts';

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** Runs `body` in a process of its own with `tracing` imported: the SDK is global to a process. */
async function inProcess(env: Record<string, string>, body: string): Promise<string> {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context); } });
    const tracing = await import(${JSON.stringify(new URL('./tracing.ts', import.meta.url).href)});
    ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return output;
}

test.each<[string, Record<string, string>]>([
  ['nothing is configured', {}],
  ['it is disabled', { OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }],
  [
    'the exporter is none',
    { OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' },
  ],
])('when %s the SDK is not loaded, and spans pass the context through', async (_why, env) => {
  const output = await inProcess(
    env,
    `const { enabled } = await tracing.startTracing('mailfleet-test');
     const inner = await tracing.withSpan('x', { parent: tracing.contextFrom('${PARENT}') }, (span, of) => tracing.traceparentOf(of));
     console.log(JSON.stringify({ enabled, inner, sdk: loaded.some((url) => url.includes('sdk-node')) }));`,
  );
  expect(JSON.parse(output)).toEqual({ enabled: false, inner: PARENT, sdk: false });
});

test('with an OTLP endpoint, spans arrive with their parent, links and the service name', async () => {
  const bodies: string[] = [];
  const collector = createServer((request, response) => {
    void text(request).then((body) => {
      bodies.push(body);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await once(collector.listen(0, '127.0.0.1'), 'listening');
  const { port } = collector.address() as AddressInfo;
  await inProcess(
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_NODE_RESOURCE_DETECTORS: 'all',
    },
    `const sdk = await tracing.startTracing('mailfleet-test');
     const options = { parent: tracing.contextFrom('${PARENT}'), links: tracing.linksTo('${PARENT}'), attributes: { 'mailfleet.queue_id': '4QxZ1' } };
     await tracing.withSpan('deliver smtp', options, async () => {
       await new Promise(setImmediate);
       await tracing.withSpan('inner', {}, () => { throw new Error('no'); }).catch(() => {});
     });
     await sdk.shutdown();`,
  );
  collector.close();
  const { resource, scopeSpans } = JSON.parse(bodies.join('')).resourceSpans[0];
  expect(resource.attributes).toContainEqual({
    key: 'service.name',
    value: { stringValue: 'mailfleet-test' },
  });
  const keys = resource.attributes.map(({ key }: { key: string }) => key);
  expect(keys).toEqual(expect.arrayContaining(['host.name', 'process.pid']));
  // The command line may hold a password.
  expect(keys.filter((key: string) => key.includes('command'))).toEqual([]);
  const [inner, outer] = scopeSpans[0].spans;
  expect(outer).toMatchObject({
    name: 'deliver smtp',
    traceId: '0af7651916cd43dd8448eb211c80319c',
    parentSpanId: 'b7ad6b7169203331',
    links: [{ spanId: 'b7ad6b7169203331' }],
    attributes: [{ key: 'mailfleet.queue_id', value: { stringValue: '4QxZ1' } }],
  });
  expect(inner).toMatchObject({ name: 'inner', parentSpanId: outer.spanId, status: { code: 2 } });
});

test('a traceparent survives the way into a context and back', () => {
  expect(traceparentOf(contextFrom(PARENT))).toBe(PARENT);
  expect(linksTo(PARENT, undefined, 'garbage')).toHaveLength(1);
});

test.each(['garbage', '', '00-00000000000000000000000000000000-b7ad6b7169203331-01', undefined])(
  'the traceparent %j names no context',
  (traceparent) => {
    expect(contextFrom(traceparent)).toBe(ROOT_CONTEXT);
    expect(traceparentOf(contextFrom(traceparent))).toBeUndefined();
  },
);
