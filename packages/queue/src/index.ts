export type * from './ports.ts';
export { LeaseLostError } from './ports.ts';
