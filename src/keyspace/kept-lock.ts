/**
 * The lock that a thread keeps beyond the end of what it was taken for, since others wait for it and the thread is
 * likely to need it again at once.
 *
 * When all connections use one key, the workers take its shard's lock in turns. To let it go wakes a worker that
 * sleeps, which costs several microseconds on both sides, and for nothing if the lock is taken again before that worker
 * runs. So a worker does all that has come for it, up to a limit, and only then lets the next worker do the same.
 *
 * No thread waits for anything else than a shard's lock while it keeps one, and `Shard.lock` lets the kept one go
 * before it waits.
 */

import type { Shard } from './shard.js';

/** How often a lock is kept before others have it. */
const KEEPS_MAX = 16;

export class KeptLock {
  private shard: Shard | null = null;
  private keeps = 0;

  /** Whether `wanted` is the shard whose lock is kept; the caller has the lock then. No lock is kept any more. */
  takeOver(wanted: Shard): boolean {
    const { shard } = this;
    if (shard === null) return false;
    this.shard = null;
    if (shard === wanted) return true;
    this.keeps = 0;
    shard.unlock();
    return false;
  }

  /** Keeps the lock of `shard`, which is held, if somebody waits for it and it was not kept too often; else releases it. */
  keepOrRelease(shard: Shard): void {
    if (shard.isWaitedFor && this.keeps < KEEPS_MAX) {
      this.keeps++;
      this.shard = shard;
    } else {
      this.keeps = 0;
      shard.unlock();
    }
  }

  /** Releases the lock that is kept, if there is one. */
  letGo(): void {
    const { shard } = this;
    this.keeps = 0;
    if (shard === null) return;
    this.shard = null;
    shard.unlock();
  }
}
