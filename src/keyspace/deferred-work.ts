/**
 * Work that needs the locks of shards, but must not wait for them: a slow script may hold one, and this thread has
 * clients to serve meanwhile. `doDeferred`, which a worker calls now and then, does such work later.
 */

import { ScriptRunsLong } from '../memory/lock-order.js';
import type { Shard } from './shard.js';

/** Takes the lock of a shard; false if it can't be had now. */
export type TakeLock = (shard: Shard) => boolean;
/** Returns whether it is done; if not, it could not get a lock, and is called again. */
type Work = (takeLock: TakeLock) => boolean;

/** The deferred work of this thread, in order. */
let waiting: Work[] = [];

/** Runs `action` under the lock of a shard: now, or later if a slow script may hold the lock. */
export function underLock(shard: Shard, action: () => void): void {
  const work: Work = (takeLock) => {
    if (!takeLock(shard)) return false;
    action();
    shard.unlock();
    return true;
  };
  if (!work(lockUnlessBusy)) defer(work);
}

/** Has `doDeferred` call `work` until it is done. */
export function defer(work: Work): void {
  waiting.push(work);
}

/** Takes the lock of a shard; returns false if a slow script runs, which may hold the lock. */
export function lockUnlessBusy(shard: Shard): boolean {
  try {
    shard.lock();
    return true;
  } catch (error) {
    if (error instanceof ScriptRunsLong) return false;
    throw error;
  }
}

const lockSoon: TakeLock = (shard) => shard.lockSoon();

/** Tries the deferred work again, without waiting for locks. The caller holds no lock, and keeps none. */
export function doDeferred(): void {
  if (waiting.length === 0) return;
  const attempted = waiting;
  waiting = [];
  for (const work of attempted) if (!work(lockSoon)) waiting.push(work);
}
