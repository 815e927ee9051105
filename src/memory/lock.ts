/**
 * A lock in one Int32 word of shared memory.
 *
 *   0  free
 *   1  held, nobody sleeps
 *   2  held, somebody may sleep on the word
 *
 * Taking a free lock is one compare-and-swap. A thread that finds it held spins briefly, since most
 * critical sections last well under a microsecond, then sleeps in `Atomics.wait` (a futex). The third
 * state saves the holder a wake-up call when nobody sleeps (Drepper, "Futexes Are Tricky", mutex 2).
 */

const SPINS_MAX = 200;

/** This thread's waits for locks since it was started: how often, how many sleeps, and the time asleep. */
export const lockWaits = { contended: 0, sleeps: 0, sleepMs: 0 };

/** A sleeper looks again after this long, so that a lost wake-up could only ever cost a delay. */
const SLEEP_MS_MAX = 50;

/** Takes the lock at `words[index]`, waiting as long as it takes. */
export function acquireLock(words: Int32Array, index: number): void {
  if (Atomics.compareExchange(words, index, 0, 1) !== 0) acquireContended(words, index);
}

/** Like `acquireLock`, but waits for at most about `timeoutMs`; returns whether it got the lock. */
export function acquireLockWithin(words: Int32Array, index: number, timeoutMs: number): boolean {
  if (Atomics.compareExchange(words, index, 0, 1) === 0) return true;
  const giveUpAt = performance.now() + timeoutMs;
  while (Atomics.exchange(words, index, 2) !== 0) {
    const leftMs = giveUpAt - performance.now();
    // The word stays 2, so the holder may make a needless wake-up call.
    if (leftMs <= 0) return false;
    Atomics.wait(words, index, 2, Math.min(leftMs, SLEEP_MS_MAX));
  }
  return true;
}

function acquireContended(words: Int32Array, index: number): void {
  lockWaits.contended++;
  for (let spin = 0; spin < SPINS_MAX; spin++) {
    if (Atomics.load(words, index) === 0 && Atomics.compareExchange(words, index, 0, 1) === 0) return;
  }
  if (Atomics.exchange(words, index, 2) === 0) return;
  const startedAt = performance.now();
  do {
    lockWaits.sleeps++;
    Atomics.wait(words, index, 2, SLEEP_MS_MAX);
  } while (Atomics.exchange(words, index, 2) !== 0);
  lockWaits.sleepMs += performance.now() - startedAt;
}

/** Takes the lock at `words[index]` if it is free; returns whether it was. */
export function tryLock(words: Int32Array, index: number): boolean {
  return Atomics.compareExchange(words, index, 0, 1) === 0;
}

/** Releases a lock that this thread holds. */
export function releaseLock(words: Int32Array, index: number): void {
  if (Atomics.exchange(words, index, 0) === 2) Atomics.notify(words, index, 1);
}

/** Whether another thread may wait for a lock that is held. */
export function isLockWaitedFor(words: Int32Array, index: number): boolean {
  return Atomics.load(words, index) === 2;
}
