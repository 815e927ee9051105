/**
 * All shards as one thread sees them, and what concerns them together: which shard a key belongs to, the
 * memory that all of them use, eviction, and the housekeeping of the shards that this thread looks after.
 */

import { EvictionPolicy, type KeyspaceSettings } from '../config/keyspace-settings.js';
import { Journal } from '../journal/journal.js';
import { JournalRing } from '../journal/journal-ring.js';
import type { HeededBlock } from '../memory/attention.js';
import { type HashSecret, keySlot, ownHashSecret, setHashSecret } from '../memory/hash.js';
import { LockOrder } from '../memory/lock-order.js';
import { BIN_HEADS_START_BYTE, DATABASE_BYTES, HeaderWord, ShardMemory } from '../memory/shard-memory.js';
import { expiresAtMs } from './entry.js';
import { EvictionPool } from './eviction-pool.js';
import { FunctionStore } from './function-store.js';
import { Gate, type KeyName } from './gate.js';
import { KeptLock } from './kept-lock.js';
import { Shard } from './shard.js';
import { ShardSet } from './shard-set.js';
import { SnapshotState } from './shard-snapshot.js';
import { TrackingTotals } from './tracking-totals.js';

/** The smallest unit of the process-wide sum of used memory. */
const USED_UNIT_LOG2_MIN = 6;
const PUBLISH_STEP_BYTES_MAX = 65536;
/** The shards together may use at most this fraction (1/1024) of the limit without publishing it. */
const LIMIT_PER_STEPS = 1024;

/** Blocks freed lazily under one hold of a lock: some 50 µs. */
const LAZY_FREE_SLICE_STEPS = 1024;

/** Keys that are evicted under one hold of a shard's lock, at most. */
const EVICTIONS_PER_HOLD = 8;
/** Steps of making room between two looks at the clock: at least this many are done, however busy the machine is. */
const STEPS_PER_CLOCK_LOOK = 8;

/** Tracked keys forgotten under one hold of a lock. */
const UNTRACK_SLICE_KEYS = 100;

/** Keys, or fields of hashes, deleted under one hold of a shard's lock by the active expiry. */
const EXPIRE_SLICE_KEYS = 200;

/** How making room has ended. */
const enum EvictionEnd {
  BelowLimit = 0,
  TimeIsOver = 1,
  NothingLeft = 2,
}

/** What another thread needs to open the same keyspace. */
export interface KeyspaceHandle {
  readonly shards: readonly SharedArrayBuffer[];
  /** Word 0: used memory as published, an uint32 in units of `usedUnitLog2`. */
  readonly totals: SharedArrayBuffer;
  /** What clients track (tracking-totals.ts). */
  readonly tracking: SharedArrayBuffer;
  readonly journal: SharedArrayBuffer;
  /** memory/lock-order.ts */
  readonly lockOrder: HeededBlock;
  /** Libraries of functions (function-store.ts). */
  readonly functions: SharedArrayBuffer;
  readonly databaseCount: number;
  /** The secret with which all threads hash keys. */
  readonly hashSecret: HashSecret;
}

/**
 * The unit, as a power of two in bytes, in which the used memory of `shardCount` shards of `shardBytes` is summed up: so
 * large that the sum, each rounded up, stays below 2^32 when all of them are full.
 */
export function usedUnitLog2(shardCount: number, shardBytes: number): number {
  const needed = Math.floor(Math.log2(shardCount * shardBytes)) + 1 - 32;
  return Math.max(USED_UNIT_LOG2_MIN, needed);
}

/** Reserves the shards of a new keyspace. `attention`: that of the process (memory/attention.ts). */
export function createKeyspace(
  shardCount: number,
  shardBytes: number,
  databaseCount: number,
  attention: SharedArrayBuffer,
  addressOf?: (bytes: Uint8Array) => number,
): KeyspaceHandle {
  const shards: SharedArrayBuffer[] = [];
  for (let index = 0; index < shardCount; index++) {
    shards.push(ShardMemory.create(shardBytes, databaseCount, addressOf).buffer);
  }
  return {
    shards,
    totals: new SharedArrayBuffer(64),
    tracking: TrackingTotals.create(),
    journal: JournalRing.create(),
    lockOrder: LockOrder.create(attention),
    functions: FunctionStore.create(),
    databaseCount,
    hashSecret: ownHashSecret(),
  };
}

export class Keyspace {
  readonly shards: readonly Shard[];
  readonly shardMask: number;
  readonly databaseCount: number;
  readonly settings: KeyspaceSettings;
  readonly journal: Journal;
  readonly gate: Gate;
  readonly lockOrder: LockOrder;
  readonly functions: FunctionStore;
  /** What the shards take without any key: their headers. Part of used memory. */
  readonly startupBytes: number;
  /** The lock that this thread keeps for its next commands. */
  readonly keptLock: KeptLock;
  private readonly totals: Int32Array;
  private readonly unitLog2: number;
  private readonly evictionPool = new EvictionPool();
  private publishStepBytes = PUBLISH_STEP_BYTES_MAX;
  private nextShard = 0;
  /** Bytes freed in this step of `evict`, by eviction or lazily. */
  private freedBytes = 0;
  // The shards of the hold that is about to end.
  private heldSet: ShardSet | null = null;
  private heldShard: Shard | null = null;
  private readonly allShards: ShardSet;
  /** The settings have changed since the process-wide sum was exact. */
  private mustPublish = false;

  /** @param worker the worker that changes keys; -1: this thread changes none while changes are recorded */
  constructor(handle: KeyspaceHandle, settings: KeyspaceSettings, counters: Float64Array, worker = -1) {
    setHashSecret(handle.hashSecret);
    this.settings = settings;
    this.databaseCount = handle.databaseCount;
    this.journal = new Journal(handle.journal, worker);
    this.gate = new Gate(new TrackingTotals(handle.tracking));
    this.lockOrder = new LockOrder(handle.lockOrder);
    this.functions = new FunctionStore(handle.functions);
    this.keptLock = new KeptLock(this.lockOrder);
    this.shards = handle.shards.map(
      (buffer, index) =>
        new Shard(index, buffer, settings, counters, this.journal, this.keptLock, this.gate, this.lockOrder),
    );
    this.shardMask = this.shards.length - 1;
    this.allShards = new ShardSet(this.shards.length);
    this.allShards.addAll();
    this.startupBytes = this.shards.length * (BIN_HEADS_START_BYTE + 2 * this.databaseCount * DATABASE_BYTES);
    this.totals = new Int32Array(handle.totals);
    this.unitLog2 = usedUnitLog2(handle.shards.length, handle.shards[0].byteLength);
  }

  /** The shard of a key, which is bytes[offset, offset + lengthBytes). */
  shardOf(bytes: Uint8Array, offset: number, lengthBytes: number): Shard {
    return this.shards[keySlot(bytes, offset, lengthBytes) & this.shardMask];
  }

  /** Says whether this thread loads data that had room before: it may use the reserve of the shards. */
  useReserve(uses: boolean): void {
    for (const { arena } of this.shards) arena.useReserve(uses);
  }

  /** Call after `settings` have changed. */
  settingsChanged(): void {
    const { maxMemoryBytes } = this.settings;
    this.publishStepBytes =
      maxMemoryBytes === 0
        ? PUBLISH_STEP_BYTES_MAX
        : Math.min(PUBLISH_STEP_BYTES_MAX, maxMemoryBytes / (LIMIT_PER_STEPS * this.shards.length));
    this.evictionPool.clear();
    this.mustPublish = true;
  }

  /** Brings the process-wide sum up to date for a limit that is new. Holds no lock when called. */
  private publishAll(): void {
    this.mustPublish = false;
    for (const shard of this.shards) {
      shard.lock();
      this.publish(shard);
      shard.unlock();
    }
  }

  /** Exact bytes in use by keys, values and tables, and by the shards themselves. */
  usedBytes(): number {
    let used = this.startupBytes;
    for (const shard of this.shards) used += shard.arena.usedBytes;
    return used;
  }

  /** Adds the change of a shard's memory use to the process-wide sum, if it exceeds the publishing step. */
  publishIfMoved(shard: Shard): void {
    const moved = shard.words[HeaderWord.ArenaUsedBytes] - shard.words[HeaderWord.PublishedUsedBytes];
    if (moved > this.publishStepBytes || moved < -this.publishStepBytes) this.publish(shard);
  }

  private publish(shard: Shard): void {
    const { words } = shard;
    const used = words[HeaderWord.ArenaUsedBytes];
    const units = this.unitsOf(used) - this.unitsOf(words[HeaderWord.PublishedUsedBytes]);
    words[HeaderWord.PublishedUsedBytes] = used;
    Atomics.add(this.totals, 0, units);
  }

  /** A shard's use in units of the sum, rounded up. */
  private unitsOf(usedBytes: number): number {
    return Math.ceil(usedBytes / 2 ** this.unitLog2);
  }

  /**
   * Whether memory may be over the limit, given that each shard may have unpublished use. `otherBytes`: memory outside
   * the shards that counts.
   */
  isOverLimit(otherBytes: number): boolean {
    const { maxMemoryBytes } = this.settings;
    if (maxMemoryBytes === 0) return false;
    const unpublishedBytes = this.shards.length * this.publishStepBytes;
    const publishedBytes = (Atomics.load(this.totals, 0) >>> 0) * 2 ** this.unitLog2;
    return this.startupBytes + publishedBytes + unpublishedBytes + otherBytes > maxMemoryBytes;
  }

  /** Whether `makeRoom` has anything to do. */
  mustMakeRoom(otherBytes: number, neededBytes: number): boolean {
    return this.mustPublish || this.isOverLimit(otherBytes + neededBytes);
  }

  /**
   * Evicts until used memory is below the limit, together with the `neededBytes` that a command is about to take. At
   * least `neededBytes` are freed, however busy the machine is: commands pay for what they take, so memory that is
   * below the limit stays there. Any further excess is freed for at most `evictionMsMax`, at the cost of the next
   * command, and in spare time (`evictInBackground`).
   *
   * Returns false if memory is above the limit and nothing can be evicted, or if the memory outside the shards alone is
   * too much: then a command that needs memory is refused. The caller holds no lock.
   */
  makeRoom(otherBytes: number, neededBytes: number, nowMs: number): boolean {
    if (this.mustPublish) this.publishAll();
    const claimedBytes = otherBytes + neededBytes;
    if (!this.isOverLimit(claimedBytes)) return true;
    const { policy, evictionMsMax } = this.settings;
    if (policy === EvictionPolicy.NoEviction || !this.helpsToEvict(claimedBytes)) return false;
    return this.evict(claimedBytes, neededBytes, evictionMsMax, nowMs) !== EvictionEnd.NothingLeft;
  }

  /** Evicts for at most about `budgetMs` while memory is above the limit. Returns whether more is to be done. */
  evictInBackground(otherBytes: number, budgetMs: number, nowMs: number): boolean {
    if (this.mustPublish) this.publishAll();
    if (!this.isOverLimit(otherBytes)) return false;
    if (this.settings.policy === EvictionPolicy.NoEviction || !this.helpsToEvict(otherBytes)) return false;
    return this.evict(otherBytes, 0, budgetMs, nowMs) === EvictionEnd.TimeIsOver;
  }

  /**
   * Whether evicting keys can make room for so many bytes: not if they do not fit even into an empty keyspace. But if
   * an empty server exceeds the limit already, all keys are evicted.
   */
  private helpsToEvict(claimedBytes: number): boolean {
    const { maxMemoryBytes } = this.settings;
    return maxMemoryBytes <= this.startupBytes || this.startupBytes + claimedBytes <= maxMemoryBytes;
  }

  /** Evicts until there is room for `claimedBytes`, or `neededBytes` were freed and the time is over. */
  private evict(claimedBytes: number, neededBytes: number, budgetMs: number, nowMs: number): EvictionEnd {
    const giveUpAt = performance.now() + budgetMs;
    let freedBytes = 0;
    for (let steps = 1; this.isOverLimit(claimedBytes); steps++) {
      // Free deleted values first, perhaps evicted just now, before evicting keys that are in use.
      this.freedBytes = 0;
      // At first one key per shard, so that the pool gets candidates of all shards.
      const most = Math.min(EVICTIONS_PER_HOLD, Math.ceil(steps / this.shards.length));
      if (!this.freeLazily(0, 1) && !this.evictSome(claimedBytes, most, nowMs))
        return EvictionEnd.NothingLeft;
      freedBytes += this.freedBytes;
      if (freedBytes < neededBytes || steps % STEPS_PER_CLOCK_LOOK !== 0) continue;
      if (performance.now() > giveUpAt) return EvictionEnd.TimeIsOver;
    }
    return EvictionEnd.BelowLimit;
  }

  /** Evicts the best candidate, and perhaps some more of its shard, `most` in all; false if no shard has any. */
  private evictSome(claimedBytes: number, most: number, nowMs: number): boolean {
    const { shards, evictionPool } = this;
    for (let tried = 0; tried < shards.length; tried++) {
      const sampled = shards[this.nextShard];
      this.nextShard = (this.nextShard + 1) & this.shardMask;
      sampled.lock();
      evictionPool.sample(sampled, this.settings, nowMs);
      const hasEvicted = this.evictHere(sampled, claimedBytes, most, nowMs);
      this.endHold(sampled, false);
      if (hasEvicted) return true;
      while (evictionPool.count > 0) {
        const shard = shards[evictionPool.bestShard()];
        shard.lock();
        const hasEvictedThere = this.evictHere(shard, claimedBytes, most, nowMs);
        this.endHold(shard, false);
        if (hasEvictedThere) return true;
      }
    }
    return false;
  }

  /** Whether keys may be evicted. Exact under a lock, as for expiry: a thread that forbids it takes all locks once. */
  get mayEvict(): boolean {
    return this.settings.mayEvict?.() ?? true;
  }

  /**
   * Evicts the best candidate, repeatedly, while it is in this shard, whose lock is held, memory is over the limit and
   * fewer than `most` were evicted. Samples the shard again after each. Returns whether a key was evicted.
   */
  private evictHere(shard: Shard, claimedBytes: number, most: number, nowMs: number): boolean {
    const { evictionPool } = this;
    if (!this.mayEvict) return false;
    const usedBefore = shard.arena.usedBytes;
    let evicted = 0;
    while (evictionPool.count > 0 && evictionPool.bestShard() === shard.index) {
      if (!evictionPool.evictBest(shard)) continue;
      this.publish(shard);
      if (++evicted === most || !this.isOverLimit(claimedBytes)) break;
      evictionPool.sample(shard, this.settings, nowMs);
    }
    this.freedBytes += usedBefore - shard.arena.usedBytes;
    return evicted > 0;
  }

  /**
   * Frees a slice of the values waiting to be freed in every `stride`-th shard from `first` on; returns whether there
   * were any. The caller holds no lock.
   */
  freeLazily(first: number, stride: number): boolean {
    let hasFreed = false;
    for (let index = first; index < this.shards.length; index += stride) {
      const shard = this.shards[index];
      if (shard.lazyFree.pendingCount === 0) continue;
      hasFreed = true;
      shard.lock();
      const usedBefore = shard.arena.usedBytes;
      shard.lazyFree.step(LAZY_FREE_SLICE_STEPS);
      this.freedBytes += usedBefore - shard.arena.usedBytes;
      this.endSlice(shard);
    }
    return hasFreed;
  }

  /** Frees what waits in every `stride`-th shard from `first` on, for at most `budgetMs`. Returns whether more waits. */
  lazyFreeCycle(first: number, stride: number, budgetMs: number): boolean {
    const giveUpAt = performance.now() + budgetMs;
    while (this.freeLazily(first, stride)) {
      if (performance.now() >= giveUpAt) return true;
    }
    return false;
  }

  /** Makes clients forget keys while more than `tracking-table-max-keys` are tracked; returns whether more must go. */
  limitTracking(first: number, stride: number): boolean {
    const { trackedKeysMax } = this.settings;
    const { trackingTotals } = this.gate;
    if (trackedKeysMax === 0) return false;
    for (
      let index = first;
      index < this.shards.length && trackingTotals.keys > trackedKeysMax;
      index += stride
    ) {
      const shard = this.shards[index];
      shard.lock();
      for (let count = 0; count < UNTRACK_SLICE_KEYS && trackingTotals.keys > trackedKeysMax; count++) {
        if (!shard.untrackAny()) break;
      }
      this.endHold(shard, false);
    }
    return trackingTotals.keys > trackedKeysMax;
  }

  /** Values and databases that wait to be freed. */
  lazyFreePendingCount(): number {
    let pending = 0;
    for (const shard of this.shards) pending += shard.lazyFree.pendingCount;
    return pending;
  }

  /** Takes the moment of a snapshot; returns how many keys it has. The locks of all shards are held. */
  beginSnapshot(): number {
    let keys = 0;
    this.journal.ring.noteSnapshot();
    this.functions.pin();
    for (const shard of this.shards) {
      shard.snapshot.begin();
      for (let database = 0; database < this.databaseCount; database++) keys += shard.keyCount(database);
    }
    return keys;
  }

  /** Gives up a snapshot that is being taken. The locks of all shards are held. */
  cancelSnapshot(): void {
    for (const shard of this.shards) shard.snapshot.stop(SnapshotState.Cancelled);
  }

  /** Deletes all keys of the databases from `first` to before `end`. The locks of all shards are held. */
  flush(first: number, end: number, nowMs: number): void {
    for (const shard of this.shards) {
      for (let database = first; database < end; database++) shard.flush(database, nowMs);
    }
  }

  /** The data has been loaded, while clients were connected. The locks of all shards are held. */
  noteLoaded(): void {
    for (const shard of this.shards) shard.noteLoaded();
  }

  lockAll(): void {
    this.lockSet(this.allShards);
  }

  /** Takes the locks of a set of shards, in ascending order. Throws `ScriptRunsLong`, with none of them held. */
  lockSet(set: ShardSet): void {
    const { shards } = this;
    const first = set.next(0);
    let index = first;
    try {
      while (index >= 0) {
        if (shards[index].lockAmong(index !== first)) {
          index = set.next(index + 1);
        } else {
          this.unlockBefore(set, index);
          index = first;
          this.lockOrder.waitForClaim();
        }
      }
    } catch (error) {
      this.unlockBefore(set, index);
      throw error;
    }
  }

  private unlockBefore(set: ShardSet, end: number): void {
    for (let index = set.next(0); index < end; index = set.next(index + 1)) this.shards[index].unlock();
  }

  unlockAll(): void {
    this.endHolds(this.allShards);
  }

  /**
   * Ends a hold of one shard's lock. Every hold in which keys may have changed ends here, or in one of the next three.
   * `isWhole`: what was recorded happens all at once or not at all.
   */
  endHold(shard: Shard, isWhole: boolean): void {
    this.beforeRelease(isWhole, null, shard);
    this.release(shard);
    this.afterRelease();
  }

  /** Like `endHold`, for commands that began at `startedAtMs` (0: not known): the lock may be kept for the next ones. */
  endStretch(shard: Shard, startedAtMs: number): void {
    this.beforeRelease(true, null, shard);
    this.publishIfMoved(shard);
    if (this.gate.hasNotices) {
      shard.unlock();
      this.afterRelease();
    } else {
      this.keptLock.keepOrRelease(shard, startedAtMs);
    }
  }

  /** Like `endHold`, for work in slices, which needs the lock again at once: threads that wait for it get it first. */
  endSlice(shard: Shard): void {
    this.beforeRelease(false, null, shard);
    this.publishIfMoved(shard);
    shard.handOver();
    this.afterRelease();
  }

  /** Like `endHold`, for a set of shards. */
  endHolds(set: ShardSet): void {
    this.beforeRelease(true, set, null);
    for (let index = set.next(0); index >= 0; index = set.next(index + 1)) this.release(this.shards[index]);
    this.afterRelease();
  }

  /** Work at the end of a hold while the locks, of a set of shards or of one, are still held. */
  private beforeRelease(isWhole: boolean, set: ShardSet | null, shard: Shard | null): void {
    this.journal.commit(isWhole);
    if (this.gate.ready.length === 0) return;
    this.heldSet = set;
    this.heldShard = shard;
    this.gate.holdEnd?.serve();
  }

  /** Whether the lock of a shard is held by the hold that is about to end. */
  isHeld(shard: Shard): boolean {
    return shard === this.heldShard || this.heldSet?.has(shard.index) === true;
  }

  /** Sends what was noted under the locks, now that they are released. */
  private afterRelease(): void {
    if (this.gate.hasNotices) this.gate.holdEnd?.afterRelease();
  }

  /** Releases a shard's lock at the end of a hold. */
  release(shard: Shard): void {
    this.publishIfMoved(shard);
    shard.unlock();
  }

  /** Throws if an invariant of a shard or of their sum is broken. The locks of all shards are held. */
  verify(): void {
    let units = 0;
    for (const shard of this.shards) {
      shard.verify();
      units += this.unitsOf(shard.words[HeaderWord.PublishedUsedBytes]);
    }
    const published = Atomics.load(this.totals, 0) >>> 0;
    if (units !== published) throw new Error(`${published} units of memory are published, not ${units}`);
  }

  /** Keys of a database over all shards. */
  keyCount(database: number): number {
    let count = 0;
    for (const shard of this.shards) count += shard.keyCount(database);
    return count;
  }

  volatileKeyCount(database: number): number {
    let count = 0;
    for (const shard of this.shards) count += shard.volatileKeyCount(database);
    return count;
  }

  /** Hashes of a database with fields that expire, over all shards. */
  expiringHashCount(database: number): number {
    let count = 0;
    for (const shard of this.shards) count += shard.expiringHashCount(database);
    return count;
  }

  /** Whether any hash has fields that expire. */
  get hasExpiringHashes(): boolean {
    return this.shards.some((shard) => {
      for (let database = 0; database < this.databaseCount; database++) {
        if (shard.fieldCalendarOf(database) !== 0) return true;
      }
      return false;
    });
  }

  /** Libraries of functions have changed. The locks of all shards are held. */
  functionsChanged(): void {
    this.shards[0].otherChange();
  }

  /** Changes so far, over all shards. */
  dirtyCount(): number {
    let dirty = 0;
    for (const shard of this.shards) dirty += shard.dirtyCount;
    return dirty;
  }

  /** Deletes a key if its time has come, on a replica, too. Returns whether it is there and its time has still to come. */
  expireKey(name: KeyName, nowMs: number): boolean {
    const { keyDatabase, hash, bytes, view, keyOffset, keyLength } = name;
    const shard = this.shardOf(bytes, keyOffset, keyLength);
    shard.lock();
    // At time 0 nothing has expired, so it is found in any case.
    const slot = shard.find(keyDatabase, hash, bytes, view, keyOffset, keyLength, 0);
    const expiresAt = slot === 0 ? -1 : expiresAtMs(shard.words, shard.words[slot]);
    if (expiresAt >= 0 && expiresAt <= nowMs) shard.expire(keyDatabase, hash, slot);
    this.endSlice(shard);
    return expiresAt > nowMs;
  }

  /**
   * Deletes expired keys, and expired fields of hashes, of every `stride`-th shard from `first` on, for at most `budgetMs`. Returns
   * whether it stopped for lack of time.
   */
  expireCycle(first: number, stride: number, budgetMs: number): boolean {
    const giveUpAt = performance.now() + budgetMs;
    for (let index = first; index < this.shards.length; index += stride) {
      const shard = this.shards[index];
      for (let database = 0; database < this.databaseCount; database++) {
        if (shard.calendarOf(database) === 0 && shard.fieldCalendarOf(database) === 0) continue;
        for (let more = true; more; ) {
          shard.lock();
          if (this.settings.mayExpireByItself?.() === false) {
            shard.unlock();
            return false;
          }
          const nowMs = Date.now();
          more = shard.expireDue(database, nowMs, EXPIRE_SLICE_KEYS) === EXPIRE_SLICE_KEYS;
          if (shard.expireDueFields(database, nowMs, EXPIRE_SLICE_KEYS)) more = true;
          this.endSlice(shard);
          if (performance.now() > giveUpAt) return true;
        }
      }
    }
    return false;
  }
}
