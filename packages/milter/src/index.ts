/** Milters: programs beside the fleet that inspect and change mail, asked by Sendmail's protocol as cleanup(8) does. */
export { applyMilters, type MilterResult, type MilterStore } from './apply-milters.ts';
export { type MilterSettings, milterSettings } from './settings.ts';
