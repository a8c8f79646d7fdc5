export type * from './delivery.ts';
