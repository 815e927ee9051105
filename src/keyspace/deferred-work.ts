/**
 * Work that needs the locks of shards, but must not wait for them: a slow script may hold one, and this thread has
 * clients to serve meanwhile. `doDeferred`, which a worker calls now and then, does such work later.
 */

import { ScriptRunsLong } from '../memory/lock-order.js';
import type { Shard } from './shard.js';

/** The deferred work of this thread, in order. */
let waiting: (() => boolean)[] = [];

/** Runs `action` under the lock of a shard: now, or later if a slow script may hold the lock. */
export function underLock(shard: Shard, action: () => void): void {
  untilDone(() => {
    if (!lockUnlessBusy(shard)) return false;
    action();
    shard.unlock();
    return true;
  });
}

/** Calls `work` until it returns true: now, and then with each `doDeferred`. It takes locks by `lockUnlessBusy`. */
export function untilDone(work: () => boolean): void {
  if (!work()) waiting.push(work);
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

/** Tries the deferred work again. The caller holds no lock. */
export function doDeferred(): void {
  if (waiting.length === 0) return;
  const attempted = waiting;
  waiting = [];
  for (const work of attempted) untilDone(work);
}
