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

import type { LockOrder } from '../memory/lock-order.js';
import type { Shard } from './shard.js';

/** How often a lock is kept before others have it, and for commands of how many arguments in all. */
const KEEPS_MAX = 16;
const ARGUMENTS_MAX = 2048;

export class KeptLock {
  private readonly order: LockOrder | null;
  private shard: Shard | null = null;
  private keeps = 0;
  private argumentsDone = 0;

  /** `order`: the right that scripts may keep is let go with the lock. */
  constructor(order: LockOrder | null = null) {
    this.order = order;
  }

  /** Whether `wanted` is the shard whose lock is kept; the caller has the lock then. No lock is kept any more. */
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
   * Keeps the lock of `shard`, under which commands with so many arguments have just run, if somebody waits for it and it
   * was not kept too often or for too much; else releases it.
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

  /** Releases what is kept, if there is something. */
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
