/**
 * Runs synchronous work, such as a pattern that backtracks, and stops it when it takes too long: V8 interrupts code that runs in a
 * context with a time limit, regular expressions included. Costs about 0.1 ms, since Node starts a thread that
 * watches the clock, so it is for work that may be long and not for every key.
 */
import { createContext, Script } from 'node:vm';

const run = new Script('work()');
const context: { work: () => unknown } = { work: () => undefined };
let ready = false;

/** Undefined: it was stopped at the limit. What `work` throws is thrown. */
export function withinTimeLimit<T>(limitMs: number, work: () => T): { readonly value: T } | undefined {
  if (!ready) {
    createContext(context);
    ready = true;
  }
  context.work = work;
  try {
    return { value: run.runInContext(context, { timeout: limitMs }) as T };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined;
    throw error;
  } finally {
    context.work = () => undefined;
  }
}
