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

/** How often a lock is kept before other threads get it, and how many arguments the commands may have in all. */
const KEEPS_MAX = 16;
const ARGUMENTS_MAX = 2048;

export class KeptLock {
  private readonly order: LockOrder | null;
  private shard: Shard | null = null;
  private keeps = 0;
  private argumentsDone = 0;

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
    this.startAnew();
    shard.unlock();
    return false;
  }

  /**
   * Keeps the lock of `shard` if another thread waits for it and the limits allow it; otherwise releases it.
   * `argumentCount`: arguments of the commands that have just run under the lock.
   */
  keepOrRelease(shard: Shard, argumentCount: number): void {
    this.argumentsDone += argumentCount;
    if (shard.isWaitedFor && this.keeps < KEEPS_MAX && this.argumentsDone < ARGUMENTS_MAX) {
      this.keeps++;
      this.shard = shard;
    } else {
      this.startAnew();
      shard.unlock();
    }
  }

  /** Releases the kept right and the kept lock, if any. */
  letGo(): void {
    this.order?.letRightGo();
    this.letLockGo();
  }

  /** Releases the lock that is kept, if there is one, but not the right. */
  letLockGo(): void {
    const { shard } = this;
    this.startAnew();
    if (shard === null) return;
    this.shard = null;
    shard.unlock();
  }

  private startAnew(): void {
    this.keeps = 0;
    this.argumentsDone = 0;
  }
}
