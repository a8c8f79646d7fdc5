/**
 * What is done to mail as it comes in: header_checks, mime_header_checks, nested_header_checks and body_checks: what cleanup(8) asks about mail as it comes in, and about
 * notices of ours where internal_mail_filter_classes says so.
 */
import type { Config } from '@mailfleet/config';
import { openMaps, tableOptions } from '@mailfleet/lookup';
import type { CheckClass, CheckMaps } from '../delivery/checks.ts';
import type { FilterPlan } from '../delivery/filter.ts';
import { structureLimits } from '../structure/limits.ts';

const CHECKS = [
  ['primary', 'header_checks'],
  ['mime', 'mime_header_checks'],
  ['nested', 'nested_header_checks'],
  ['body', 'body_checks'],
] as const satisfies readonly (readonly [CheckClass, string])[];

/** Undefined: nothing is asked about. */
export const openReceiptChecks = (
  config: Config,
  warn: (sentence: string) => void,
): FilterPlan | undefined => {
  const checks: CheckMaps = Object.fromEntries(
    CHECKS.flatMap(([kind, name]) => {
      const specs = config.get(name);
      if (specs.length === 0) return [];
      const table = openMaps(specs, { ...tableOptions(config), fold: false, warn });
      return [[kind, { name, table, atReceipt: true as const }]];
    }),
  );
  if (Object.keys(checks).length === 0) return undefined;
  return {
    convert: false,
    checks,
    rewriteHeader: undefined,
    limits: structureLimits(config),
    bodyLimit: config.get('body_checks_size_limit'),
    program: 'cleanup',
  };
};

/** The same with strict MIME and conversion, which notices of ours never meet. Undefined: contents pass as they are. */
export const openReceiptPlan = (config: Config, warn: (sentence: string) => void): FilterPlan | undefined => {
  const all = config.get('strict_8bitmime');
  const strict = {
    headers: all || config.get('strict_7bit_headers'),
    bodies: all || config.get('strict_8bitmime_body'),
    encodingDomain: config.get('strict_mime_encoding_domain'),
  };
  const primaryOnly = config.get('disable_mime_input_processing');
  const convert = config.get('force_mime_input_conversion') && !primaryOnly;
  const checks = openReceiptChecks(config, warn);
  if (checks === undefined && !convert && !Object.values(strict).includes(true)) return undefined;
  const plain: FilterPlan = {
    convert,
    checks: {},
    rewriteHeader: undefined,
    limits: structureLimits(config),
    program: 'cleanup',
  };
  return { ...plain, ...checks, convert, primaryOnly, strict };
};
