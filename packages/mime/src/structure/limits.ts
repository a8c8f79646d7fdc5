/** What main.cf says about the size of a message's parts. */
import type { Config } from '@mailfleet/config';
import type { MimeOptions } from './parser.ts';

export type StructureLimits = Pick<
  MimeOptions,
  'headerSizeLimit' | 'lineLengthLimit' | 'nestingLimit' | 'boundaryLengthLimit'
>;

export const structureLimits = (config: Config): StructureLimits => ({
  headerSizeLimit: config.get('header_size_limit'),
  lineLengthLimit: config.get('line_length_limit'),
  nestingLimit: config.get('mime_nesting_limit'),
  boundaryLengthLimit: config.get('mime_boundary_length_limit'),
});
