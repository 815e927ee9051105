/**
 * A lock in one Int32 word of shared memory.
 *
 *   0  free
 *   1  held, nobody sleeps
 *   2  held, somebody may sleep on the word
 *   3  held, somebody has slept for long: the next release hands the lock over
 *   4  handed over: free, but only for a thread that has slept
 *
 * Taking a free lock is one compare-and-swap. A thread that finds it held spins briefly, since most
 * critical sections last well under a microsecond, then sleeps in `Atomics.wait` (a futex). State 2
 * saves the holder a wake-up call when nobody sleeps (Drepper, "Futexes Are Tricky", mutex 2).
 *
 * A thread that releases a lock and takes it again at once would keep out a sleeper for as long as it does so, since
 * waking up takes longer. States 3 and 4 limit that to some milliseconds.
 */

const enum State {
  Free = 0,
  Held = 1,
  WaitedFor = 2,
  Overdue = 3,
  HandedOver = 4,
}

/** Some microseconds: as long as most commands on several keys hold their locks, and less than a sleep costs. */
const SPINS_MAX = 1000;

/** This thread's waits for locks since it was started: how often, how many sleeps, and the time asleep. */
export const lockWaits = { contended: 0, sleeps: 0, sleepMs: 0 };

/** A sleeper looks again after this long, so that a lost wake-up could only ever cost a delay. */
const SLEEP_MS_MAX = 20;
/** A thread that has waited for longer is handed the lock. */
const OVERDUE_MS = 5;

/** Takes the lock at `words[index]`, waiting as long as it takes. */
export function acquireLock(words: Int32Array, index: number): void {
  if (!tryLock(words, index)) awaitLock(words, index, null);
}

/** Like `acquireLock`, but waits for at most about `timeoutMs`; returns whether it got the lock. */
export function acquireLockWithin(words: Int32Array, index: number, timeoutMs: number): boolean {
  if (tryLock(words, index)) return true;
  const giveUpAt = performance.now() + timeoutMs;
  return awaitLock(words, index, () => performance.now() >= giveUpAt);
}

/**
 * Takes a lock that was found held. `givesUp` is asked before each sleep, every 20 ms at least: if it says so, the
 * function returns false, without the lock.
 */
export function awaitLock(words: Int32Array, index: number, givesUp: (() => boolean) | null): boolean {
  lockWaits.contended++;
  if (spinForLock(words, index)) return true;
  let state = takeOrMark(words, index, false, false);
  if (state === State.Free) return true;
  const startedAt = performance.now();
  let isTaken = false;
  while (!isTaken && !givesUp?.()) {
    lockWaits.sleeps++;
    Atomics.wait(words, index, state, SLEEP_MS_MAX);
    state = takeOrMark(words, index, true, performance.now() - startedAt >= OVERDUE_MS);
    isTaken = state === State.Free;
  }
  lockWaits.sleepMs += performance.now() - startedAt;
  if (!isTaken) leave(words, index);
  return isTaken;
}

/**
 * Takes a lock if it is free, or handed over and this thread has slept; it is waited for from then on, since others may
 * sleep, too. Otherwise marks it as waited for, or as overdue. Returns `Free` if it was taken, else its state.
 */
function takeOrMark(words: Int32Array, index: number, hasSlept: boolean, isOverdue: boolean): State {
  for (;;) {
    const state: State = Atomics.load(words, index);
    if (state === State.Free || (hasSlept && state === State.HandedOver)) {
      if (Atomics.compareExchange(words, index, state, State.WaitedFor) === state) return State.Free;
      continue;
    }
    const wanted = Math.max(state, isOverdue ? State.Overdue : State.WaitedFor);
    if (wanted === state || Atomics.compareExchange(words, index, state, wanted) === state) return wanted;
  }
}

/** Called by a thread that gives up: the lock must not be handed over to nobody. */
function leave(words: Int32Array, index: number): void {
  Atomics.compareExchange(words, index, State.Overdue, State.WaitedFor);
  if (Atomics.compareExchange(words, index, State.HandedOver, State.Free) === State.HandedOver) {
    Atomics.notify(words, index, 1);
  }
}

/** Takes the lock at `words[index]` if it is free; returns whether it was. */
export function tryLock(words: Int32Array, index: number): boolean {
  return Atomics.compareExchange(words, index, State.Free, State.Held) === State.Free;
}

/** Takes the lock if it becomes free while this thread spins. */
function spinForLock(words: Int32Array, index: number): boolean {
  for (let spin = 0; spin < SPINS_MAX; spin++) {
    if (Atomics.load(words, index) === State.Free && tryLock(words, index)) return true;
  }
  return false;
}

/**
 * Takes a lock if it is free, or becomes free within some microseconds. `hasWaited`: this thread has waited for its
 * release by `awaitUnlock`, so the lock may have been handed over to it.
 */
export function acquireLockSoon(words: Int32Array, index: number, hasWaited: boolean): boolean {
  if (spinForLock(words, index)) return true;
  if (!hasWaited) return false;
  return Atomics.compareExchange(words, index, State.HandedOver, State.WaitedFor) === State.HandedOver;
}

/** Waits for a lock to be released, for so long at most, without taking it. */
export function awaitUnlock(words: Int32Array, index: number, timeoutMs: number): void {
  const state: State = Atomics.compareExchange(words, index, State.Held, State.WaitedFor);
  if (state === State.Free || state === State.HandedOver) return;
  Atomics.wait(words, index, Math.max(state, State.WaitedFor), timeoutMs);
}

/** Releases a lock that this thread holds. */
export function releaseLock(words: Int32Array, index: number): void {
  // A plain load: if it comes too early, the next release hands the lock over.
  if (words[index] === State.Overdue) {
    Atomics.store(words, index, State.HandedOver);
    Atomics.notify(words, index, 1);
  } else if (Atomics.exchange(words, index, State.Free) !== State.Held) {
    Atomics.notify(words, index, 1);
  }
}

/** Whether another thread may wait for a lock that is held. */
export function isLockWaitedFor(words: Int32Array, index: number): boolean {
  return Atomics.load(words, index) >= State.WaitedFor;
}
