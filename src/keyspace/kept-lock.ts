/**
 * The lock that a thread keeps after its commands are done, since others wait for it and the thread is likely to need
 * it again at once.
 *
 * When all connections use one key, the workers take its shard's lock in turns. Releasing it wakes a sleeping worker,
 * which costs several microseconds on both sides, and in vain if the lock is taken again before that worker runs. So a
 * worker executes all commands that have arrived, up to a limit, before it lets the next worker do the same.
 *
 * While a thread keeps a lock, it waits for nothing but the lock of a shard, and `Shard.lock` releases the kept lock
 * before it waits.
 */

import type { LockOrder } from '../memory/lock-order.js';
import type { Shard } from './shard.js';

/** Other threads get the lock after so long. */
const KEEP_MS_MAX = 0.2;

export class KeptLock {
  private readonly order: LockOrder | null;
  private shard: Shard | null = null;
  /** When the commands began for which the lock has been kept, in ms of the monotonic clock; 0 if it was not kept. */
  private sinceMs = 0;

  /** `order`: has the right that scripts may keep (lock-order.ts); `letGo` releases it too. */
  constructor(order: LockOrder | null = null) {
    this.order = order;
  }

  /** Hands the kept lock to the caller and returns true if it is that of `wanted`; otherwise releases it, if any. */
  takeOver(wanted: Shard): boolean {
    const { shard } = this;
    if (shard === null) return false;
    this.shard = null;
    if (shard === wanted) return true;
    this.sinceMs = 0;
    shard.unlock();
    return false;
  }

  /**
   * Keeps the lock of `shard` if another thread waits for it, but not for long; otherwise releases it. `startedAtMs`: when
   * the command began that has just run under the lock; 0 if that is not known, for quick ones.
   */
  keepOrRelease(shard: Shard, startedAtMs: number): void {
    if (shard.isWaitedFor && this.isTimeLeft(startedAtMs)) {
      this.shard = shard;
    } else {
      this.sinceMs = 0;
      shard.unlock();
    }
  }

  private isTimeLeft(startedAtMs: number): boolean {
    const nowMs = performance.now();
    if (this.sinceMs === 0) this.sinceMs = startedAtMs > 0 ? startedAtMs : nowMs;
    return nowMs - this.sinceMs < KEEP_MS_MAX;
  }

  /** Releases the kept right and the kept lock, if any. */
  letGo(): void {
    this.order?.letRightGo();
    this.letLockGo();
  }

  /** Releases the lock that is kept, if there is one, but not the right. */
  letLockGo(): void {
    const { shard } = this;
    this.sinceMs = 0;
    if (shard === null) return;
    this.shard = null;
    shard.unlock();
  }
}
