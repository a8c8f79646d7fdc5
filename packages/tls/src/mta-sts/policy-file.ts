/**
 * An MTA-STS policy as its domain publishes it (RFC 8461 section 3.2): what the file says, read strictly. mailauth takes it apart;
 * what mail depends on is checked here once more, because the file comes from a stranger.
 */
import { parsePolicy } from 'mailauth/lib/mta-sts.js';
import { isHostName } from '../names.ts';

export interface StsPolicy {
  readonly mode: 'enforce' | 'testing' | 'none';
  /** Names of mail hosts, `*.` standing for one label. */
  readonly mx: readonly string[];
  readonly maxAgeSeconds: number;
}

/** A file is a few hundred bytes; RFC 8461 section 3.3 suggests this limit. */
export const MOST_BYTES = 64 * 1024;
const MOST_PATTERNS = 100;
/** RFC 8461 section 3.2: about a year. */
const LONGEST_SECONDS = 31_557_600;

/** @throws a sentence that says what is wrong */
export const readPolicyFile = (file: Buffer): StsPolicy => {
  const { mode, mx = [], maxAge } = parsePolicy(file);
  if (mode !== 'enforce' && mode !== 'testing' && mode !== 'none') throw new Error(`unknown mode "${mode}"`);
  if (maxAge === undefined || !Number.isInteger(maxAge)) throw new Error('max_age is not a whole number');
  if (mx.length > MOST_PATTERNS) throw new Error(`more than ${MOST_PATTERNS} mx lines`);
  const bad = mx.find((pattern) => !isHostName(pattern.replace(/^\*\./, '')));
  if (bad !== undefined) throw new Error('an mx line holds no host name');
  return { mode, mx, maxAgeSeconds: Math.min(maxAge, LONGEST_SECONDS) };
};

/** Lines as TLSRPT wants them (RFC 8460 section 4.4). */
export const policyStrings = ({ mode, mx, maxAgeSeconds }: StsPolicy): string[] => [
  'version: STSv1',
  `mode: ${mode}`,
  ...mx.map((pattern) => `mx: ${pattern}`),
  `max_age: ${maxAgeSeconds}`,
];
