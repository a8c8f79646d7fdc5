import { makeConfig } from '@mailfleet/config';
import { expect, test } from 'vitest';
import { ContentFilter } from '../delivery/filter.ts';
import { openReceiptChecks } from './receipt-checks.ts';

const MESSAGE = [
  'Content-Type: multipart/mixed; boundary=abcdef-one',
  '',
  '--abcdef-two',
  'Content-Type: text/x-virus',
  '',
  'text',
  '--abcdef-one--',
  '',
].join('\r\n');

test.each([
  ['6', true],
  ['2048', false],
])('mime_boundary_length_limit = %s: boundaries that differ beyond it are one: %s', async (limit, one) => {
  const plan = openReceiptChecks(
    makeConfig({
      mime_header_checks: 'regexp:{{/x-virus/ REJECT a virus}}',
      mime_boundary_length_limit: limit,
    }),
    () => undefined,
  );
  if (plan === undefined) throw new Error('there are checks');
  const filter = new ContentFilter(plan, () => undefined);
  await filter.whole(Buffer.from(MESSAGE));
  expect(filter.sentence?.kind === 'reject').toBe(one);
});
