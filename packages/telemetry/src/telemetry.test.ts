import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, makeConfig } from '@mailfleet/config';
import { installed } from '@mailfleet/test-kit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MailEvent } from './event.ts';
import { createTelemetry } from './telemetry.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'telemetry-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

function configured(logFormat: 'postfix' | 'json'): Config {
  return makeConfig({
    maillog_file: join(folder, 'maillog'),
    log_format: logFormat,
    myhostname: 'mx.example.com',
  });
}

const maillog = (): string => readFileSync(join(folder, 'maillog'), 'utf8');

function attempt(queueId: string, kind: 'delivered' | 'deferred' | 'bounced', to: string): MailEvent {
  const now = Date.now();
  const times = {
    arrivalMs: now - 1500,
    activatedMs: now - 1400,
    handedOffMs: now - 1390,
    setUpMs: now - 900,
    doneMs: now,
  };
  const dsn = { delivered: '2.0.0', deferred: '4.4.1', bounced: '5.1.1' }[kind];
  return {
    kind,
    queueId,
    program: 'smtp',
    to,
    relay: 'mx.example.org[192.0.2.1]:25',
    times,
    dsn,
    reason: `${kind} so`,
  };
}

test.skipIf(!installed(['pflogsumm']))(
  'pflogsumm counts what was received, delivered, deferred and bounced',
  async () => {
    const telemetry = createTelemetry({ config: configured('postfix'), program: 'smtp' });
    for (const [queueId, kind] of [
      ['4QxZ10001', 'delivered'],
      ['4QxZ10002', 'delivered'],
      ['4QxZ10003', 'bounced'],
      ['4QxZ10004', 'deferred'],
    ] as const) {
      telemetry.emit({
        kind: 'accepted',
        queueId,
        by: 'smtpd',
        clientName: 'c.example.com',
        clientAddress: '192.0.2.7',
        messageId: `<${queueId}@x>`,
      });
      telemetry.emit({ kind: 'activated', queueId, from: 'ben@example.com', sizeBytes: 1024, nrcpt: 1 });
      if (kind === 'deferred') telemetry.emit(attempt(queueId, 'deferred', 'slow@example.org'));
      telemetry.emit(attempt(queueId, kind, 'anna@example.org'));
      if (kind !== 'deferred') telemetry.emit({ kind: 'removed', queueId });
    }
    await telemetry.shutdown();
    const report = execFileSync('pflogsumm', [join(folder, 'maillog')], { encoding: 'utf8' });
    const count = (what: string): string | undefined =>
      new RegExp(`^\\s+(\\d+)\\s+${what}\\b`, 'm').exec(report)?.[1];
    expect(['received', 'delivered', 'deferred', 'bounced'].map(count)).toEqual(['4', '2', '1', '1']);
    expect(report).toMatch(/^\s+1\s+deferred\s+\(2\s+deferrals\)/m);
    expect(report).toMatch(/^\s+4096\s+bytes received$/m);
    expect(report).toMatch(/^\s+2048\s+bytes delivered$/m);
  },
);

test('remarks of the daemon are one line each, errors included', async () => {
  const telemetry = createTelemetry({ config: configured('postfix'), program: 'qmgr' });
  telemetry.log.info('started');
  telemetry.log.warn({ queueId: '4QxZ1', err: new Error('connection lost\nat once') }, 'cannot record');
  telemetry.log.error(new Error('the queue is gone'));
  telemetry.log.debug('not shown');
  await telemetry.shutdown();
  expect(maillog()).toMatch(/^[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d mx postfix\/qmgr\[\d+\]: started\n/);
  expect(maillog().replace(/^.*?: /gm, '')).toBe(
    'started\nwarning: 4QxZ1: cannot record: connection lost?at once\nerror: the queue is gone\n',
  );
});

test('as JSON, an event is a record with the delays in seconds', async () => {
  const telemetry = createTelemetry({ config: configured('json'), program: 'smtp' });
  telemetry.emit(attempt('4QxZ1', 'deferred', 'anna@example.org'));
  telemetry.log.warn('slow');
  await telemetry.shutdown();
  const records = maillog()
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
  expect(records).toMatchObject([
    {
      level: 30,
      program: 'smtp',
      event: 'deferred',
      queueId: '4QxZ1',
      to: 'anna@example.org',
      relay: 'mx.example.org[192.0.2.1]:25',
      delay: 1.5,
      delays: [0.1, 0.01, 0.49, 0.9],
      dsn: '4.4.1',
      status: 'deferred',
      reason: 'deferred so',
    },
    { level: 40, program: 'smtp', msg: 'slow' },
  ]);
});

test('every sink gets every event', async () => {
  const seen: MailEvent[] = [];
  const telemetry = createTelemetry({
    config: configured('postfix'),
    program: 'qmgr',
    sinks: [(event) => seen.push(event)],
  });
  telemetry.emit({ kind: 'removed', queueId: '4QxZ1' });
  await telemetry.shutdown();
  expect(seen).toEqual([{ kind: 'removed', queueId: '4QxZ1' }]);
});

test('with log_format both, lines go to the file and records to the standard output', () => {
  const script = `
    import { makeConfig } from '@mailfleet/config';
    import { createTelemetry } from ${JSON.stringify(new URL('./telemetry.ts', import.meta.url).href)};
    const config = makeConfig({ maillog_file: process.argv[1], log_format: 'both' });
    const telemetry = createTelemetry({ config, program: 'qmgr' });
    telemetry.emit({ kind: 'removed', queueId: '4QxZ1' });
    await telemetry.shutdown();`;
  const file = join(folder, 'maillog');
  const records = execFileSync(
    process.execPath,
    ['--conditions=source', '--input-type=module', '-e', script, file],
    { cwd: import.meta.dirname, encoding: 'utf8' },
  );
  expect(JSON.parse(records)).toMatchObject({ event: 'removed', queueId: '4QxZ1' });
  expect(maillog()).toMatch(/qmgr\[\d+\]: 4QxZ1: removed\n$/);
});
