/** Delivery status notifications: the daemon, and its texts. */
export { type BounceOptions, runBounce } from './daemon.ts';
export { openTemplates, showTemplates } from './templates.ts';
