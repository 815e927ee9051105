/**
 * Work under the lock of a shard that has to be done, but not now: a slow script may have the lock, and this thread has
 * clients to serve meanwhile. It is done by `doDeferred`, which a worker calls now and then.
 */

import { ScriptRunsLong } from '../memory/lock-order.js';
import type { Shard } from './shard.js';

interface Deferred {
  readonly shard: Shard;
  readonly action: () => void;
}

/** Of this thread, in their order. */
let waiting: Deferred[] = [];

/** Does something under the lock of a shard: now, or if a slow script has the lock later. */
export function underLock(shard: Shard, action: () => void): void {
  if (!lockUnlessBusy(shard)) {
    waiting.push({ shard, action });
    return;
  }
  action();
  shard.unlock();
}

/** Takes the lock of a shard; returns false if a slow script runs, which may have it. */
export function lockUnlessBusy(shard: Shard): boolean {
  try {
    shard.lock();
    return true;
  } catch (error) {
    if (error instanceof ScriptRunsLong) return false;
    throw error;
  }
}

/** Does what was put off, as far as locks are free. Holds no lock when called. */
export function doDeferred(): void {
  if (waiting.length === 0) return;
  const attempted = waiting;
  waiting = [];
  for (const deferred of attempted) {
    if (deferred.shard.lockSoon()) {
      deferred.action();
      deferred.shard.unlock();
    } else {
      waiting.push(deferred);
    }
  }
}
