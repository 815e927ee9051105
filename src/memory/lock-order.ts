/**
 * Prevents deadlocks between threads that hold locks of several shards, and clients from waiting for a script that does
 * not end.
 *
 * A thread that needs several locks takes them in ascending order, and changes nothing before it has all of them. The
 * one exception is a script whose keys are not known beforehand: it may have changed something already when it needs
 * the lock of another shard. So that two such scripts can't wait for each other, each takes the *right*, which only one
 * thread at a time may hold, before its first change. While the holder of the right waits for a lock, it says so
 * (`isClaimed`), and any other thread that waits for a lock while it holds others releases these and begins anew. So
 * the lock that the holder waits for is held by a thread that itself waits for nothing, and there is no deadlock.
 *
 *   int32 words
 *     0 the right, a lock (lock.ts)
 *     1 its holder waits for a lock      2 slow scripts that run now
 */

import { Attention, type HeededBlock } from './attention.js';
import { awaitLock, isLockWaitedFor, releaseLock, tryLock } from './lock.js';

const enum Word {
  Right = 0,
  Claimed = 1,
  SlowScripts = 2,
  COUNT = 16,
}

/** How often, and for how long, the right is kept while others wait. */
const KEEPS_MAX = 16;
const KEPT_MS_MAX = 1;
/** A sleeping thread looks again after this long even if nothing wakes it. */
const SLEEP_MS_MAX = 20;

/** The thread gave up waiting for a lock: a slow script runs (BUSY), and may hold it. */
export class ScriptRunsLong extends Error {
  constructor() {
    super('a slow script runs');
  }
}

export class LockOrder {
  private readonly words: Int32Array;
  private readonly attention: Attention;
  /** This thread gives up waiting while a slow script runs: it has clients to serve. */
  givesUp = false;
  /** This thread still holds the right, but does not use it now. */
  private keepsRight = false;
  private keeps = 0;
  private keptSinceMs = 0;
  // Of the lock that is waited for.
  private holdsOthers = false;
  private beginsAnew = false;

  constructor({ block, attention }: HeededBlock) {
    this.words = new Int32Array(block);
    this.attention = new Attention(attention);
  }

  static create(attention: SharedArrayBuffer): HeededBlock {
    return { block: new SharedArrayBuffer(4 * Word.COUNT), attention };
  }

  /** Slow scripts that run now. */
  get slowScripts(): number {
    return this.words[Word.SlowScripts];
  }

  addSlowScripts(delta: number): void {
    Atomics.add(this.words, Word.SlowScripts, delta);
    this.attention.raiseAll();
  }

  /**
   * Takes the lock at `words[index]`, waiting as long as it takes. Throws `ScriptRunsLong` if this thread gives up, and
   * returns false if `holdsOthers` and the holder of the right waits for a lock.
   */
  acquire(words: Int32Array, index: number, holdsOthers: boolean): boolean {
    this.holdsOthers = holdsOthers;
    if (awaitLock(words, index, this.mustGiveUp)) return true;
    if (this.beginsAnew) return false;
    throw new ScriptRunsLong();
  }

  /** Asked while `acquire` waits. */
  private readonly mustGiveUp = (): boolean => {
    this.beginsAnew = this.holdsOthers && this.isClaimed;
    return this.beginsAnew || (this.givesUp && Atomics.load(this.words, Word.SlowScripts) !== 0);
  };

  /** Whether the holder of the right waits for a lock. */
  get isClaimed(): boolean {
    return Atomics.load(this.words, Word.Claimed) !== 0;
  }

  /** Waits until the holder of the right has the lock that it wants. The caller must not hold any lock. */
  waitForClaim(): void {
    while (this.isClaimed) {
      if (this.givesUp && Atomics.load(this.words, Word.SlowScripts) !== 0) throw new ScriptRunsLong();
      Atomics.wait(this.words, Word.Claimed, 1, SLEEP_MS_MAX);
    }
  }

  /** Called by the holder of the right when it begins to wait for a lock (true), and when it has it (false). */
  claim(waits: boolean): void {
    Atomics.store(this.words, Word.Claimed, waits ? 1 : 0);
    if (!waits) Atomics.notify(this.words, Word.Claimed);
  }

  /** Takes the right, waiting for it; the caller must not hold the lock of a shard. Throws as `acquire`. */
  takeRight(): void {
    if (this.tryTakeRight()) return;
    this.acquire(this.words, Word.Right, false);
    this.keeps = 0;
  }

  /** Takes the right if it is free, or kept. */
  tryTakeRight(): boolean {
    if (this.keepsRight) {
      this.keepsRight = false;
      return true;
    }
    if (!tryLock(this.words, Word.Right)) return false;
    this.keeps = 0;
    return true;
  }

  /**
   * Called when a script no longer needs the right. If others wait for it, this thread keeps it for its next scripts,
   * up to a limit, since waking a thread costs more than a script. No thread keeps it while it waits for anything else.
   */
  keepOrReleaseRight(): void {
    const { words } = this;
    this.keepsRight = isLockWaitedFor(words, Word.Right) && this.mayKeep();
    if (!this.keepsRight) releaseLock(words, Word.Right);
  }

  private mayKeep(): boolean {
    const nowMs = performance.now();
    if (this.keeps === 0) this.keptSinceMs = nowMs;
    return this.keeps++ < KEEPS_MAX && nowMs - this.keptSinceMs < KEPT_MS_MAX;
  }

  /** Releases the right if it is kept. */
  letRightGo(): void {
    if (!this.keepsRight) return;
    this.keepsRight = false;
    releaseLock(this.words, Word.Right);
  }
}
