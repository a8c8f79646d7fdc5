/**
 * header_checks, mime_header_checks, nested_header_checks and body_checks: what cleanup(8) asks about mail as it comes in, and about
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
