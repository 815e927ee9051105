/**
 * How the persistence thread shares the processors with the threads that serve clients.
 *
 * A thread that is woken up on the processor where this one runs waits for the scheduler's next tick (some
 * milliseconds) unless this one yields; so it yields again and again, holding no lock. And while others want the
 * processors too, it sleeps whenever it has had more than its share of the time: each of its turns costs the others
 * more than the time it takes.
 *
 * Even if this thread never waits, others may have to share a processor while it has one for itself: the scheduler
 * regards that as balanced. So it sleeps for a moment then, too, only less often, and the scheduler moves one of the
 * others to this processor. If there is no other thread to move, the sleeping costs a tenth of the time.
 */

import { sleep } from '../system/wait.js';

/** Fraction of the time while others want the processors too. */
const SHARE = 0.36;
/** The thread is disturbed if it waits for a processor for more than this fraction of its working time. */
const DISTURBED_SHARE = 0.1;
/** Time between checks whether to sleep, and work after which the thread sleeps even if it is undisturbed. */
const LOOK_MS = 0.1;
const UNDISTURBED_MS = 2;
const SLEEP_MS = 0.2;

/** What the system says and does. */
export interface Scheduler {
  /** Lets other threads run that wait for this one's processor. */
  yieldProcessor(): void;
  /** Processor time of this thread so far. */
  threadCpuMs(): number;
}

export class ProcessorShare {
  private readonly scheduler: Scheduler | null;
  private readonly now: () => number;
  private readonly sleep: (milliseconds: number) => void;
  private startMs = 0;
  private cpuStartMs = 0;
  private lookedMs = 0;
  /** At its last sleep, or its beginning: the work done until then, and the time. */
  private sleptWorkedMs = 0;
  private sleptMs = 0;

  /** Without a scheduler it never gives way. */
  constructor(scheduler: Scheduler | null, now = () => performance.now(), sleepFor = sleep) {
    this.scheduler = scheduler;
    this.now = now;
    this.sleep = sleepFor;
  }

  /** Begins a piece of work that may take seconds. */
  begin(): void {
    this.startMs = this.now();
    this.cpuStartMs = this.scheduler?.threadCpuMs() ?? 0;
    this.lookedMs = this.startMs;
    this.sleptWorkedMs = 0;
    this.sleptMs = this.startMs;
  }

  /** Lets others have the processor, if that is fair. To be called every few microseconds, without any lock. */
  giveWay(): void {
    const { scheduler } = this;
    if (scheduler === null) return;
    if (this.now() - this.lookedMs >= LOOK_MS) this.look(scheduler);
    scheduler.yieldProcessor();
  }

  private look(scheduler: Scheduler): void {
    const workedMs = scheduler.threadCpuMs() - this.cpuStartMs;
    const nowMs = this.now();
    const sinceMs = workedMs - this.sleptWorkedMs;
    const isDisturbed = nowMs - this.sleptMs - sinceMs > DISTURBED_SHARE * sinceMs;
    const isAhead = workedMs > SHARE * (nowMs - this.startMs);
    if (isAhead && (isDisturbed || sinceMs > UNDISTURBED_MS)) {
      this.sleep(SLEEP_MS);
      this.sleptWorkedMs = workedMs;
      this.sleptMs = this.now();
    }
    this.lookedMs = this.now();
  }
}
