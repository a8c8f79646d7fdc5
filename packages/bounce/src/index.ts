export { type BounceOptions, runBounce } from './daemon.ts';
