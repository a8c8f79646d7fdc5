import { expect, test } from 'vitest';
import { DialogueRecorder } from './dialogue.ts';

test('a dialogue is kept as both sides had it', () => {
  const recorder = new DialogueRecorder('client');
  recorder.server('220 mx.example.net ESMTP');
  recorder.client('EHLO me\r\n');
  recorder.server('250-mx\n250 PIPELINING');
  recorder.client('MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n');
  expect(recorder.lines()).toEqual([
    'In: 220 mx.example.net ESMTP',
    'Out: EHLO me',
    'In: 250-mx',
    'In: 250 PIPELINING',
    'Out: MAIL FROM:<a@b>',
    'Out: RCPT TO:<c@d>',
  ]);
});

test.each([
  ['PLAIN with an initial response', ['AUTH PLAIN c2VjcmV0'], ['Out: AUTH PLAIN ...']],
  [
    'LOGIN, line by line',
    ['AUTH LOGIN', '<334 VXNlcm5hbWU6', 'c2VjcmV0', '<334 UGFzc3dvcmQ6', 'c2VjcmV0', '<235 2.7.0 ok', 'NOOP'],
    [
      'Out: AUTH LOGIN ...',
      'In: 334 ...',
      'Out: ...',
      'In: 334 ...',
      'Out: ...',
      'In: 235 2.7.0 ok',
      'Out: NOOP',
    ],
  ],
])('no secret of AUTH is kept: %s', (_name, said, expected) => {
  const recorder = new DialogueRecorder('client');
  for (const line of said) {
    if (line.startsWith('<')) recorder.server(line.slice(1));
    else recorder.client(`${line}\r\n`);
  }
  expect(recorder.lines()).toEqual(expected);
});

test('memory is bounded, the beginning and the end stay', () => {
  const recorder = new DialogueRecorder('server');
  for (let index = 0; index < 100_000; index += 1) recorder.client(`${index} ${'x'.repeat(5_000)}`);
  const lines = recorder.lines();
  expect(lines.length).toBeLessThan(300);
  expect(lines[0]).toMatch(/^In: 0 x+$/);
  expect(lines.at(-1)).toMatch(/^In: 99999 x+$/);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(530);
  expect(lines.filter((line) => line.includes('left out'))).toHaveLength(1);
});

test('control characters do not pass', () => {
  const recorder = new DialogueRecorder('client');
  recorder.server('250 \u001b[31mred');
  expect(recorder.lines()).toEqual(['In: 250 ?[31mred']);
});
