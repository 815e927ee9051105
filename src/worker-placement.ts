/**
 * On which workers connections are.
 *
 * One worker that has much to do works better than several that have little: its rounds are larger, so that it sleeps,
 * wakes up and calls the kernel less per command, no lock is ever waited for, and what it writes to the journal at once
 * is more. So connections are on as few workers as the load needs. When these are busy and processors are idle, more
 * workers become active, and connections that have something to do move there; when all that is to be done would fit
 * into half of fewer workers, they move back. A connection that says nothing stays where it is: it costs nothing.
 *
 * Workers that wait for each other's locks, since all use one key or one disk, are too many, too.
 *
 * A command that takes long holds up all that is on the same worker. Where there are such, all workers are active.
 *
 * `active-workers` sets the number instead.
 */

import { cpus } from 'node:os';
import { lockWaits } from './memory/lock.js';
import type { Connection } from './network/connection.js';
import type { ProcessorLoad } from './network/processor-load.js';
import type { WorkerLoad } from './state/worker-load.js';

/** Active workers so busy on average are too few, if so many processors are idle. */
const GROW_BUSY = 0.8;
const GROW_IDLE_PROCESSORS = 0.25;
/** When all workers are not busier than this, nobody needs to know what the processors are. */
const IDLE_BUSY = 0.3;
/** For so many ticks in a row. */
const GROW_TICKS = 2;
/** Workers that would be less busy than this, on average, are enough. */
const SHRINK_BUSY = 0.5;
const SHRINK_TICKS = 10;
/** Of the time of all active workers: when they wait for locks so long, half of them do as much. */
const CROWDED_WAITING = 0.25;
const CROWDED_TICKS = 2;
/** For so long nothing else is tried then; twice as long each time that it proves right again. */
const CROWDED_MEMORY_MS_MIN = 5000;
const CROWDED_MEMORY_MS_MAX = 60_000;
/** A round so long holds others up. */
const STALL_MS = 50;
const STALL_MEMORY_MS = 30_000;

/** Worker 0's decision how many workers are active. */
export class ActiveWorkerPolicy {
  private readonly workerCount: number;
  private busyTicks = 0;
  private idleTicks = 0;
  private crowdedTicks = 0;
  private crowdedMs = 0;
  private crowdedUntilMs = Number.NEGATIVE_INFINITY;
  private stallsUntilMs = Number.NEGATIVE_INFINITY;

  constructor(workerCount: number) {
    this.workerCount = workerCount;
  }

  /**
   * How many workers are to be active now that `active` are: `busy` is what all workers use and `idle` what nobody uses,
   * in processors; `waiting` workers wait for locks.
   */
  next(
    active: number,
    busy: number,
    idle: number,
    waiting: number,
    longestRoundMs: number,
    nowMs: number,
  ): number {
    if (longestRoundMs >= STALL_MS) this.stallsUntilMs = nowMs + STALL_MEMORY_MS;
    if (nowMs < this.stallsUntilMs) return this.workerCount;
    const isCrowded = active > 1 && waiting > CROWDED_WAITING * active;
    this.crowdedTicks = isCrowded ? this.crowdedTicks + 1 : 0;
    if (this.crowdedTicks >= CROWDED_TICKS) {
      const isAgain = nowMs < this.crowdedUntilMs + CROWDED_MEMORY_MS_MAX;
      this.crowdedMs = isAgain ? Math.min(2 * this.crowdedMs, CROWDED_MEMORY_MS_MAX) : CROWDED_MEMORY_MS_MIN;
      this.crowdedUntilMs = nowMs + this.crowdedMs;
      this.crowdedTicks = 0;
      return active >> 1;
    }
    const isShort = busy > GROW_BUSY * active && idle > GROW_IDLE_PROCESSORS && nowMs >= this.crowdedUntilMs;
    this.busyTicks = isShort ? this.busyTicks + 1 : 0;
    const enough = Math.max(1, Math.ceil(busy / SHRINK_BUSY));
    this.idleTicks = enough < active ? this.idleTicks + 1 : 0;
    if (this.busyTicks >= GROW_TICKS) {
      this.busyTicks = 0;
      return Math.min(2 * active, this.workerCount);
    }
    return this.idleTicks >= SHRINK_TICKS ? enough : active;
  }
}

/** A worker with so many more active connections than its share gives some away. */
const SURPLUS_MIN = 2;
const SURPLUS_SHARE = 0.25;

/** Which of a worker's connections go elsewhere, and where. */
export class WorkerPlacement {
  private readonly load: WorkerLoad;
  private readonly index: number;
  private readonly processors: ProcessorLoad;
  private readonly processorCount = cpus().length;
  private readonly threadCpuMs: () => number;
  private readonly policy: ActiveWorkerPolicy;
  /** Counts the ticks. */
  private window = 1;
  private activeConnections = 0;
  private longestRoundMs = 0;
  /** Connections that are still to go. */
  private surplus = 0;
  private tickMs = 0;
  private cpuMs = 0;
  private sleptMs = 0;

  /** @param threadCpuMs processor time that this thread has used */
  constructor(load: WorkerLoad, index: number, processors: ProcessorLoad, threadCpuMs: () => number) {
    this.load = load;
    this.index = index;
    this.processors = processors;
    this.threadCpuMs = threadCpuMs;
    this.policy = new ActiveWorkerPolicy(load.workerCount);
  }

  /** A connection has sent something; returns whether it is to move to another worker. */
  noteInput(connection: Connection): boolean {
    if (connection.activeWindow === this.window) return false;
    connection.activeWindow = this.window;
    this.activeConnections++;
    if (this.surplus < 1) return false;
    this.surplus--;
    return true;
  }

  noteRound(milliseconds: number): void {
    if (milliseconds > this.longestRoundMs) this.longestRoundMs = milliseconds;
  }

  /** `fixed`: how many workers shall be active, 0 for as many as the load needs. */
  tick(nowMs: number, fixed: number): void {
    const { load, index } = this;
    const cpuMs = this.threadCpuMs();
    const elapsedMs = nowMs - this.tickMs;
    // Below 0 when the clock has been set back.
    const busy = elapsedMs > 0 ? Math.min(1, (cpuMs - this.cpuMs) / elapsedMs) : 0;
    const waiting = elapsedMs > 0 ? Math.min(1, (lockWaits.sleptMs - this.sleptMs) / elapsedMs) : 0;
    this.sleptMs = lockWaits.sleptMs;
    load.publish(index, busy, waiting, this.activeConnections, this.longestRoundMs);
    this.tickMs = nowMs;
    this.cpuMs = cpuMs;
    this.window++;
    this.activeConnections = 0;
    this.longestRoundMs = 0;
    if (index === 0) load.activeWorkers = this.wanted(nowMs, fixed);
    this.surplus = this.countSurplus();
  }

  private wanted(nowMs: number, fixed: number): number {
    const { load } = this;
    if (fixed > 0) return Math.min(fixed, load.workerCount);
    const busy = load.busy();
    // To look costs something, too.
    const idle = busy < IDLE_BUSY ? 0 : this.processors.idleRatio(nowMs) * this.processorCount;
    return this.policy.next(load.activeWorkers, busy, idle, load.waiting(), load.longestRoundMs(), nowMs);
  }

  private countSurplus(): number {
    const { load, index } = this;
    const { activeWorkers } = load;
    if (index >= activeWorkers) return Number.POSITIVE_INFINITY;
    const share = load.allConnections() / activeWorkers;
    const surplus = load.connections(index) - share;
    return surplus >= Math.max(SURPLUS_MIN, SURPLUS_SHARE * share) ? surplus : 0;
  }

  /** The worker to which a connection moves, of which both take note; this one if it had better stay. */
  takeTarget(): number {
    const { load, index } = this;
    const { activeWorkers } = load;
    let target = index < activeWorkers ? index : 0;
    for (let worker = 0; worker < activeWorkers; worker++) {
      if (load.connections(worker) < load.connections(target)) target = worker;
    }
    if (target !== index) load.connectionMoves(index, target);
    return target;
  }
}
