/**
 * On which workers connections are.
 *
 * One worker that has much to do works better than several that have little: its rounds are larger, so that it sleeps,
 * wakes up and calls the kernel less per command, no lock is ever waited for, and what it writes to the journal at once
 * is more. So connections are on as few workers as the load needs. When these are busy and processors are idle, twice as
 * many are tried, and connections that have something to do move there. If these get no more done, because all wait for
 * one disk, say, the change is undone, and at once if they wait for each other's locks, since all use one key. When
 * processors are short, or workers wait for locks, half as many are tried. When fewer workers could do all the work at
 * half load, connections go back to them. An idle connection stays where it is: it costs nothing.
 *
 * A command that takes long holds up all connections of its worker. While such commands keep coming, all workers
 * are active.
 *
 * `active-workers` sets the number instead.
 *
 * A worker is started when it is to be active for the first time; until then it takes no memory.
 */

import { cpus } from 'node:os';
import type { Connection } from '../network/connection.js';
import type { ProcessorLoad } from '../network/processor-load.js';
import type { WorkerLoad } from '../state/worker-load.js';

/** Active workers that are busier than this on average are too few, if more than so many processors are idle. */
const GROW_BUSY = 0.8;
const GROW_IDLE_PROCESSORS = 0.25;
/** Less busy ones may be too many, if less than this part of all processors is idle: half as many are tried. */
const CROWDED_BUSY = 0.7;
const CROWDED_IDLE_RATIO = 0.25;
/** Active workers that spend more of their time than this asleep until a lock is free are too many. */
const LOCK_WAIT_MAX = 0.15;
/** When all workers together use less than this, the load of the processors is not measured. */
const IDLE_BUSY = 0.3;
/** Ticks in a row that ask for another number before it is tried; a trial lasts as many, after a few to settle. */
const TRIAL_TICKS = 5;
const SETTLING_TICKS = 2;
/** Factor by which twice as many workers have to do more; part of the work that half as many must still do. */
const GAIN_MIN = 1.2;
const KEPT_MIN = 0.9;
/** Delay after a failed trial until the next one; it doubles each time that a trial fails again, up to a limit. */
const HOLD_MS_MIN = 5000;
const HOLD_MS_MAX = 60_000;
/** If fewer workers would be less busy than this on average, they are enough, without a trial. */
const SHRINK_BUSY = 0.5;
const SHRINK_TICKS = 10;
/** A round of this length holds other connections up; after two of them, more are expected for so long. */
const STALL_MS = 100;
const STALL_MEMORY_MS = 30_000;
/** Reports within this time are of the same long round: workers report it in two ticks at most. */
const STALL_TOLD_MS = 350;

/** What the policy decides by at a tick. */
export interface Load {
  /** Processors that all workers use. */
  readonly busy: number;
  /** The part of all processors that is idle. */
  readonly idleRatio: number;
  /** Commands that have run since the server started. */
  readonly commands: number;
  readonly longestRoundMs: number;
  /** Workers that sleep until a lock is free, on average. */
  readonly lockWait: number;
}

/** When something may be tried again. */
class Hold {
  private milliseconds = 0;
  private untilMs = 0;

  isOver(nowMs: number): boolean {
    return nowMs >= this.untilMs;
  }

  begin(nowMs: number): void {
    const isAgain = nowMs < this.untilMs + HOLD_MS_MAX;
    this.milliseconds = isAgain ? Math.min(2 * this.milliseconds, HOLD_MS_MAX) : HOLD_MS_MIN;
    this.untilMs = nowMs + this.milliseconds;
  }
}

const enum Direction {
  Fewer = -1,
  None = 0,
  More = 1,
}

function waitsForLocks(active: number, { lockWait }: Load): boolean {
  return active > 1 && lockWait > LOCK_WAIT_MAX * active;
}

/** Worker 0's decision how many workers are active. */
export class ActiveWorkerPolicy {
  private readonly workerCount: number;
  private readonly processorCount: number;
  private tickMs = 0;
  private commands = 0;
  private idleTicks = 0;
  /** The direction that seems better, or is tried; ticks with it in a row, and the sum of their commands per ms. */
  private direction = Direction.None;
  private ticks = 0;
  private rates = 0;
  /** Active workers before the trial, 0 without one; and their commands per ms. */
  private triedFrom = 0;
  private rateBefore = 0;
  private readonly moreHold = new Hold();
  private readonly fewerHold = new Hold();
  private stalledAtMs = Number.NEGATIVE_INFINITY;
  private stallsUntilMs = 0;

  constructor(workerCount: number, processorCount: number) {
    this.workerCount = workerCount;
    this.processorCount = processorCount;
  }

  /** How many workers are to be active now that `active` are. */
  next(active: number, load: Load, nowMs: number): number {
    const rate = (load.commands - this.commands) / Math.max(1, nowMs - this.tickMs);
    this.commands = load.commands;
    this.tickMs = nowMs;
    if (load.longestRoundMs >= STALL_MS) this.noteStall(nowMs);
    if (nowMs < this.stallsUntilMs) {
      this.turn(Direction.None);
      return this.workerCount;
    }
    if (this.triedFrom > 0) return this.goOnWithTrial(active, load, rate, nowMs);
    const direction = this.directionFor(active, load);
    if (direction !== this.direction) this.turn(direction);
    this.ticks++;
    this.rates += rate;
    if (direction !== Direction.None && this.ticks === TRIAL_TICKS) {
      const { rates } = this;
      this.turn(direction);
      const isMore = direction === Direction.More;
      if ((isMore ? this.moreHold : this.fewerHold).isOver(nowMs)) {
        this.triedFrom = active;
        this.rateBefore = rates / TRIAL_TICKS;
        this.ticks = -SETTLING_TICKS;
        return isMore ? Math.min(2 * active, this.workerCount) : active >> 1;
      }
    }
    const enough = Math.max(1, Math.ceil(load.busy / SHRINK_BUSY));
    this.idleTicks = enough < active ? this.idleTicks + 1 : 0;
    return this.idleTicks >= SHRINK_TICKS ? enough : active;
  }

  private noteStall(nowMs: number): void {
    const sinceLastMs = nowMs - this.stalledAtMs;
    if (sinceLastMs <= STALL_TOLD_MS) return;
    this.stalledAtMs = nowMs;
    if (sinceLastMs < STALL_MEMORY_MS) this.stallsUntilMs = nowMs + STALL_MEMORY_MS;
  }

  private directionFor(active: number, load: Load): Direction {
    const { busy, idleRatio } = load;
    if (waitsForLocks(active, load)) return Direction.Fewer;
    const idle = idleRatio * this.processorCount;
    if (busy > GROW_BUSY * active && idle > GROW_IDLE_PROCESSORS && active < this.workerCount) {
      return Direction.More;
    }
    const isCrowded = active > 1 && busy < CROWDED_BUSY * active && idleRatio < CROWDED_IDLE_RATIO;
    return isCrowded ? Direction.Fewer : Direction.None;
  }

  /** Starts counting anew, for another direction, and ends a trial. */
  private turn(direction: Direction): void {
    this.direction = direction;
    this.triedFrom = 0;
    this.ticks = 0;
    this.rates = 0;
  }

  private goOnWithTrial(active: number, load: Load, rate: number, nowMs: number): number {
    const isMore = this.direction === Direction.More;
    if (isMore && waitsForLocks(active, load)) return this.endTrial(active, false, nowMs);
    // The load has gone, so the trial proves nothing.
    if (load.busy < GROW_BUSY * Math.min(this.triedFrom, active)) {
      this.turn(Direction.None);
      return active;
    }
    if (++this.ticks > 0) this.rates += rate;
    if (this.ticks < TRIAL_TICKS) return active;
    const gain = this.rates / TRIAL_TICKS / this.rateBefore;
    return this.endTrial(active, gain >= (isMore ? GAIN_MIN : KEPT_MIN), nowMs);
  }

  /** Ends a trial. Returns how many workers are to be active: as many as were tried, if that is good. */
  private endTrial(active: number, isGood: boolean, nowMs: number): number {
    const before = this.triedFrom;
    const isMore = this.direction === Direction.More;
    this.turn(Direction.None);
    // If more workers are better, fewer are worse, and vice versa: the worse direction is not tried for a while.
    (isMore === isGood ? this.fewerHold : this.moreHold).begin(nowMs);
    return isGood ? active : before;
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
  private readonly threadCpuMs: () => number;
  private readonly countCommands: () => number;
  private readonly lockSleepMs: () => number;
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
  /** Number of workers to be active once they have been started; 0: none is being started. */
  private awaited = 0;

  /**
   * @param threadCpuMs processor time that this thread has used
   * @param countCommands commands that all workers have run
   * @param lockSleepMs how long this thread has slept until locks were free
   */
  constructor(
    load: WorkerLoad,
    index: number,
    processors: ProcessorLoad,
    threadCpuMs: () => number,
    countCommands: () => number,
    lockSleepMs: () => number,
  ) {
    this.load = load;
    this.countCommands = countCommands;
    this.index = index;
    this.processors = processors;
    this.threadCpuMs = threadCpuMs;
    this.lockSleepMs = lockSleepMs;
    this.policy = new ActiveWorkerPolicy(load.workerCount, cpus().length);
  }

  /** A connection has sent something; returns whether it is to move to another worker. */
  noteInput(connection: Connection): boolean {
    if (connection.activeWindow === this.window) return false;
    connection.activeWindow = this.window;
    this.activeConnections++;
    if (this.index >= this.load.activeWorkers) return true;
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
    const part = (milliseconds: number) => (elapsedMs > 0 ? Math.min(1, milliseconds / elapsedMs) : 0);
    const busy = part(cpuMs - this.cpuMs);
    const sleptMs = this.lockSleepMs();
    const lockWait = part(sleptMs - this.sleptMs);
    load.publish(index, busy, this.activeConnections, this.longestRoundMs, lockWait);
    this.tickMs = nowMs;
    this.cpuMs = cpuMs;
    this.sleptMs = sleptMs;
    this.window++;
    this.activeConnections = 0;
    this.longestRoundMs = 0;
    if (index === 0) load.activeWorkers = this.wanted(nowMs, fixed);
    this.surplus = this.countSurplus();
  }

  private wanted(nowMs: number, fixed: number): number {
    const { load } = this;
    if (fixed > 0) {
      this.awaited = 0;
      const wanted = Math.min(fixed, load.workerCount);
      load.want(wanted);
      return Math.min(wanted, load.startedWorkers);
    }
    if (this.awaited > 0) return this.endAwaiting();
    const busy = load.busy();
    // Measuring the processors has a cost, too.
    const idleRatio = busy < IDLE_BUSY ? 1 : this.processors.idleRatio(nowMs);
    const commands = this.countCommands();
    const longestRoundMs = load.longestRoundMs();
    const lockWait = load.lockWait();
    const figures = { busy, idleRatio, commands, longestRoundMs, lockWait };
    const next = this.policy.next(load.activeWorkers, figures, nowMs);
    if (next <= load.startedWorkers) return next;
    load.want(next);
    this.awaited = next;
    return load.activeWorkers;
  }

  /** The policy is not asked while threads are being started: that takes processors and spoils the measurements. */
  private endAwaiting(): number {
    const { load, awaited } = this;
    if (load.startedWorkers < awaited) return load.activeWorkers;
    this.awaited = 0;
    return awaited;
  }

  private countSurplus(): number {
    const { load, index } = this;
    const { activeWorkers } = load;
    if (index >= activeWorkers) return 0;
    const share = load.allConnections() / activeWorkers;
    const surplus = load.connections(index) - share;
    return surplus >= Math.max(SURPLUS_MIN, SURPLUS_SHARE * share) ? surplus : 0;
  }

  /** The worker to which a connection moves, counted in the loads of both; this one if it should stay. */
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
