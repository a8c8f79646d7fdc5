/**
 * What main.cf wants done to contents at delivery: header and body checks, addresses in headers, 7-bit conversion for servers that need
 * it, DKIM signatures.
 * Opened once per agent. Most messages need nothing of it, and then go out as they are stored.
 */
import type { Config } from '@mailfleet/config';
import { openMaps, tableOptions } from '@mailfleet/lookup';
import {
  type CheckClass,
  type CheckMaps,
  DkimSigning,
  type FilterPlan,
  type GenericMap,
  structureLimits,
} from '@mailfleet/mime';
import type { Envelope, Protocol } from '../delivery.ts';
import type { Features } from '../ehlo.ts';
import { convertsContent, type EnvelopeSettings } from '../envelope.ts';
import { openGeneric } from './generic-rules.ts';

export interface ContentRules {
  /** Undefined: smtp_generic_maps is empty. */
  readonly generic: GenericMap | undefined;
  /** Undefined: smtp_dkim_signing_maps is empty. */
  readonly dkim: DkimSigning | undefined;
  /** Undefined: the content goes out as it is. */
  planFor(envelope: Envelope, features: Features, settings: EnvelopeSettings): FilterPlan | undefined;
}

const CHECKS = [
  ['primary', 'smtp_header_checks'],
  ['mime', 'smtp_mime_header_checks'],
  ['nested', 'smtp_nested_header_checks'],
  ['body', 'smtp_body_checks'],
] as const satisfies readonly (readonly [CheckClass, string])[];

export const openContentRules = (
  config: Config,
  protocol: Protocol,
  warn: (sentence: string) => void,
): ContentRules => {
  const checks = openChecks(config, protocol, warn);
  const generic = openGeneric(config, protocol, warn);
  const limits = structureLimits(config);
  const always = generic !== undefined || Object.keys(checks).length > 0;
  const rewriteHeader: FilterPlan['rewriteHeader'] =
    generic && ((name, bytes, note) => generic.rewriteHeader(name, bytes, note));
  const plan = { checks, rewriteHeader, limits };
  const plans = { plain: { ...plan, convert: false }, converting: { ...plan, convert: true } };
  return {
    generic,
    dkim: openDkim(config, protocol, warn),
    planFor: (envelope, features, settings) => {
      if (convertsContent(envelope, features, settings)) return plans.converting;
      return always ? plans.plain : undefined;
    },
  };
};

const openDkim = (
  config: Config,
  protocol: Protocol,
  warn: (sentence: string) => void,
): DkimSigning | undefined => {
  const specs = config.getFor(protocol, 'smtp_dkim_signing_maps');
  if (specs.length === 0) return undefined;
  return new DkimSigning({
    name: `${protocol}_dkim_signing_maps`,
    table: openMaps(specs, { ...tableOptions(config), warn }),
    headers: config.getFor(protocol, 'smtp_dkim_signed_headers'),
    steadyNow: () => performance.now(),
  });
};

const openChecks = (config: Config, protocol: Protocol, warn: (sentence: string) => void): CheckMaps =>
  Object.fromEntries(
    CHECKS.flatMap(([kind, parameter]) => {
      const specs = config.getFor(protocol, parameter);
      if (specs.length === 0) return [];
      const name = parameter.replace('smtp', protocol);
      return [[kind, { name, table: openMaps(specs, { ...tableOptions(config), fold: false, warn }) }]];
    }),
  );
