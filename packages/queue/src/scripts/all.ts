/** Every script of the queue, for registration on a connection. */
import { endBatch, markInDoubt, noticePosted, record } from './delivery.ts';
import { accept, claimKey, copyPart, partRetired, partsCopied } from './intake.ts';
import { acquireLease, activate, activePage, conclude, releaseLease, renewLease } from './leader.ts';
import { flushOne, flushPage, hold, listPage, release, remove } from './operator.ts';
import type { Script } from './script.ts';
import { deadWorkers, expectWorker, forgetWorker, takeBack, workerLives } from './workers.ts';

export const allScripts: readonly Script[] = [
  accept,
  acquireLease,
  activate,
  activePage,
  claimKey,
  conclude,
  copyPart,
  deadWorkers,
  endBatch,
  expectWorker,
  flushOne,
  flushPage,
  forgetWorker,
  hold,
  listPage,
  markInDoubt,
  noticePosted,
  partRetired,
  partsCopied,
  record,
  release,
  releaseLease,
  remove,
  renewLease,
  takeBack,
  workerLives,
];
