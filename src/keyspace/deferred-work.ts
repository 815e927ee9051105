/**
 * Work that needs the lock of a shard, but must not wait for it: a slow script may hold the lock, and this thread has
 * clients to serve meanwhile. `doDeferred`, which a worker calls now and then, does such work later.
 */

import { ScriptRunsLong } from '../memory/lock-order.js';
import type { Shard } from './shard.js';

interface Deferred {
  readonly shard: Shard;
  readonly action: () => void;
}

/** The deferred work of this thread, in order. */
let waiting: Deferred[] = [];

/** Runs `action` under the lock of a shard: now, or later if a slow script may hold the lock. */
export function underLock(shard: Shard, action: () => void): void {
  if (!lockUnlessBusy(shard)) {
    waiting.push({ shard, action });
    return;
  }
  action();
  shard.unlock();
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

/** Runs the deferred work whose locks are free. The caller holds no lock. */
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
