/** Every script of the queue, for registration on a connection. */

import { endBatch, markInDoubt, noticePosted, record } from './delivery.ts';
import { answer, ask, controlsPage, liftControl, setControl, wake } from './destinations.ts';
import { takeExpired } from './expiry.ts';
import { accept, claimKey, copyPart, partRetired, partsCopied } from './intake.ts';
import {
  acquireLease,
  activate,
  activePage,
  conclude,
  quarantine,
  releaseLease,
  renewLease,
} from './leader.ts';
import {
  expire,
  flushOne,
  flushPage,
  flushSites,
  hold,
  listPage,
  readMessage,
  release,
  remove,
} from './operator.ts';
import type { Script } from './script.ts';
import { suppress, suppressionsPage, unsuppress } from './suppression.ts';
import { dropEvents } from './webhooks.ts';
import { deadWorkers, expectWorker, forgetWorker, handOver, takeBack, workerLives } from './workers.ts';

export const allScripts: readonly Script[] = [
  accept,
  acquireLease,
  activate,
  activePage,
  answer,
  ask,
  claimKey,
  conclude,
  quarantine,
  controlsPage,
  copyPart,
  deadWorkers,
  endBatch,
  expectWorker,
  expire,
  flushOne,
  flushPage,
  flushSites,
  forgetWorker,
  handOver,
  hold,
  liftControl,
  listPage,
  markInDoubt,
  noticePosted,
  partRetired,
  partsCopied,
  readMessage,
  record,
  release,
  releaseLease,
  remove,
  renewLease,
  setControl,
  takeBack,
  takeExpired,
  wake,
  workerLives,
  suppress,
  suppressionsPage,
  unsuppress,
  dropEvents,
];
