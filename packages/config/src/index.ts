/** Parameters and main.cf: `loadConfig` for programs, `makeConfig` for tests. */
export type { Config } from './config.ts';
export { parseTime, splitList } from './convert.ts';
export { followConfig } from './follow.ts';
export { type ListenAddress, parseListenAddress } from './listen-address.ts';
export {
  type LoadOptions,
  type LoadResult,
  loadConfig,
  makeConfig,
  type Problem,
  readConfig,
} from './load.ts';
export { logicalLines, parseMainCf } from './main-cf.ts';
export { type MasterEntry, masterLine } from './master-cf.ts';
export {
  isParameterName,
  type MirroredName,
  type Parameter,
  type ParameterName,
  parameters,
  type TransportSuffix,
  type ValueOf,
} from './parameter.ts';
export { type Shown, type ShowOptions, showParameters } from './postconf.ts';
export { unread } from './registry/unread.ts';
export type { DeliveryAgentName, Transport } from './transports.ts';
