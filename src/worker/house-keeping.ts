/**
 * What a worker does when no command asks for it: for its share of the shards it deletes expired keys, frees large
 * values, evicts, limits the tracked keys and has the kernel make large pages; the first worker also begins saves. The
 * memory of unused buffers is given back.
 */

import { performance } from 'node:perf_hooks';
import { followAppendOnly } from '../commands/server/append-only.js';
import { sampleUsedMemory } from '../commands/server/memory-figures.js';
import { saveIfDue } from '../commands/server/save.js';
import type { CommandChecks } from '../execution/command-checks.js';
import type { ServerServices } from '../execution/services.js';
import { doDeferred } from '../keyspace/deferred-work.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import type { OwnExpiries } from '../keyspace/own-expiries.js';
import type { Shard } from '../keyspace/shard.js';
import { lockWaits } from '../memory/lock.js';
import { ScriptRunsLong } from '../memory/lock-order.js';
import { inputBuffers } from '../network/input-buffers.js';
import { outputBlocks } from '../network/output-blocks.js';
import type { ReplyWriter } from '../protocol/reply-writer.js';
import { ServerCounter } from '../state/command-statistics.js';
import { monotonicMs } from '../system/clock.js';
import type { Libc } from '../system/libc.js';
import { HugePages } from './huge-pages.js';
import { StartGarbage } from './start-garbage.js';

/** How long active expiry may take between two ticks. */
const EXPIRE_BUDGET_MS = 10;
/** How much longer for each step of `active-expire-effort`. */
const EXPIRE_EFFORT_MS = 4;
/** The same for freeing large values. */
const LAZY_FREE_BUDGET_MS = 10;
/** The same for evicting. */
const EVICTION_BUDGET_MS = 10;
/** The same for each call in spare time: short, since the next client may have to wait for it. */
const SPARE_TIME_BUDGET_MS = 1;
/** Buffers that were not needed for so long are given back. */
const TRIM_MS = 3000;

/** What is needed of the worker whose house it is. */
export interface House {
  readonly keyspace: Keyspace;
  readonly services: ServerServices;
  readonly checks: CommandChecks;
  readonly reply: ReplyWriter;
  readonly ownExpiries: OwnExpiries;
  /** Whether keys may be deleted without a command that asks for them. */
  mayExpireByItself(): boolean;
}

export class HouseKeeping {
  private readonly house: House;
  private readonly index: number;
  private readonly hugePages: HugePages | null;
  private readonly startGarbage = new StartGarbage();
  private nextTrimMs = 0;

  constructor(house: House, libc: Libc | null) {
    this.house = house;
    const { workerIndex, state } = house.services;
    this.index = workerIndex;
    const { startedWorkers } = state.workerLoad;
    // The workers that the process has begun with share all shards. Workers that are started later have none.
    const memories = house.keyspace.shards
      .filter((shard) => workerIndex < startedWorkers && shard.index % startedWorkers === workerIndex)
      .map((shard) => shard.memory);
    this.hugePages = libc === null ? null : new HugePages(libc, memories);
  }

  /** The workers that keep house now: each for the shards whose number modulo theirs is its own. */
  private get houseKeepers(): number {
    return Math.max(this.house.services.state.workerLoad.startedWorkers, this.index + 1);
  }

  /** Called when nothing else is to be done. Returns whether work is left. */
  inSpareTime(): boolean {
    const { keyspace, checks } = this.house;
    const arePagesLeft = this.hugePages?.step() ?? false;
    const hasWork = this.unlessBusy(() => {
      const mustEvict = checks.evictInBackground(SPARE_TIME_BUDGET_MS, Date.now());
      return keyspace.lazyFreeCycle(this.index, this.houseKeepers, SPARE_TIME_BUDGET_MS) || mustEvict;
    });
    return hasWork || arePagesLeft;
  }

  /** Each tick of the worker; returns whether more is to be done soon. */
  tick(nowMs: number): boolean {
    const { services, checks } = this.house;
    let isWorkLeft = false;
    if (checks.isLoading) {
      const { loadedBytes, loadTotalBytes } = services.state.persistence;
      this.hugePages?.followLoading(loadedBytes / Math.max(1, loadTotalBytes));
    } else {
      if (this.hugePages?.step()) isWorkLeft = true;
      if (this.unlessBusy(() => this.keepShards(nowMs))) isWorkLeft = true;
      this.startGarbage.tick(monotonicMs(), services.state.counters.server[ServerCounter.CommandsProcessed]);
    }
    if (performance.now() >= this.nextTrimMs) {
      this.nextTrimMs = performance.now() + TRIM_MS;
      this.giveBackBuffers(false);
    }
    this.publishLockWaits();
    if (this.index === 0) {
      services.state.statistics.sample(monotonicMs());
      sampleUsedMemory(this.house.keyspace, services);
      services.state.clients.forgetOldPeaks(Math.floor(monotonicMs() / 1000));
    }
    return isWorkLeft;
  }

  /** What the worker does for its shards; returns whether more is to be done. */
  private keepShards(nowMs: number): boolean {
    const { keyspace, services, checks } = this.house;
    const { index, houseKeepers } = this;
    let isWorkLeft = false;
    if (services.state.control.isActiveExpireOn && this.house.mayExpireByItself()) {
      const budgetMs = EXPIRE_BUDGET_MS + EXPIRE_EFFORT_MS * (services.config.activeExpireEffort - 1);
      isWorkLeft = keyspace.expireCycle(index, houseKeepers, budgetMs);
    }
    if (services.state.appendOnly.writeError === 0) this.house.ownExpiries.expire(keyspace, nowMs);
    if (keyspace.lazyFreeCycle(index, houseKeepers, LAZY_FREE_BUDGET_MS)) isWorkLeft = true;
    if (keyspace.limitTracking(index, houseKeepers)) isWorkLeft = true;
    if (checks.evictInBackground(EVICTION_BUDGET_MS, nowMs)) isWorkLeft = true;
    if (index === 0) {
      saveIfDue(keyspace, services, nowMs);
      followAppendOnly(keyspace, services, nowMs);
    }
    return isWorkLeft;
  }

  /** The append-only file may have to be opened, rewritten or closed. The first worker does that. */
  followAppendOnly(): void {
    if (this.index !== 0 || this.house.checks.isLoading) return;
    this.unlessBusy(() => {
      followAppendOnly(this.house.keyspace, this.house.services, Date.now());
      return false;
    });
  }

  /** Does something that takes locks, but not while a slow script may have them. Returns what it returns, or false. */
  private unlessBusy(action: () => boolean): boolean {
    const { keyspace } = this.house;
    if (keyspace.lockOrder.slowScripts !== 0) return false;
    try {
      doDeferred();
      // Does what could not be finished after an earlier hold because of a slow script.
      if (keyspace.gate.hasNotices) keyspace.gate.holdEnd?.afterRelease();
      return action();
    } catch (error) {
      if (error instanceof ScriptRunsLong) return false;
      throw error;
    }
  }

  /** Gives back memory that is kept for long replies: what was not used lately, or with `isForced` all of it. */
  giveBackBuffers(isForced: boolean): void {
    outputBlocks.trim(isForced);
    inputBuffers.trim(isForced);
    this.house.reply.shrinkIfUnused(isForced);
  }

  /** Gives pages of a shard that nothing uses back to the operating system. The shard's lock is held. */
  releaseUnusedPages(shard: Shard): void {
    shard.arena.forEachUnusedPageRun((offset, lengthBytes) =>
      this.hugePages?.release(shard.memory, offset, lengthBytes),
    );
  }

  private publishLockWaits(): void {
    const { server } = this.house.services.state.counters;
    server[ServerCounter.LocksContended] = lockWaits.contended;
    server[ServerCounter.LockSleeps] = lockWaits.sleeps;
    server[ServerCounter.LockSleepMicroseconds] = Math.round(1000 * lockWaits.sleepMs);
  }
}
