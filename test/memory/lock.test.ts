/** The lock in shared memory: it excludes, gives up in time, and keeps nobody out for long. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import {
  acquireLock,
  acquireLockWithin,
  awaitLock,
  isLockWaitedFor,
  lockWaits,
  releaseLock,
  tryLock,
} from '../../src/memory/lock.js';

const LOCK = 0;
const COUNT = 1;
const GIVEN_UP = 2;
const STOP = 3;
/** The state of a lock that somebody has waited for long. */
const OVERDUE = 3;
const THREADS = 4;
const ROUNDS = 30_000;

/** Runs a script in a thread that has the lock's functions as `lock`, and `words`. */
function start(words: Int32Array, script: string): Promise<unknown> {
  const module = new URL('../../src/memory/lock.js', import.meta.url).href;
  const source = `
    import { threadId, workerData } from 'node:worker_threads';
    const lock = await import(${JSON.stringify(module)});
    const words = new Int32Array(workerData);
    const { acquireLock, acquireLockSoon, acquireLockWithin, awaitLock, awaitUnlock, releaseLock, tryLock } = lock;
    ${script}`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const thread = new Worker(url, { workerData: words.buffer });
  return once(thread, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`a thread has failed: ${code}`);
  });
}

const newWords = (): Int32Array => new Int32Array(new SharedArrayBuffer(64));

t.test('threads that take it in every way exclude each other', async (t) => {
  const words = newWords();
  const script = `
    let random = ${Date.now() % 10_000} + 7919 * threadId;
    for (let round = 0; round < ${ROUNDS}; round++) {
      random = (Math.imul(random, 1103515245) + 12345) >>> 1;
      const way = (random >>> 8) % 5;
      let isHeld = true;
      if (way === 0) isHeld = acquireLockWithin(words, ${LOCK}, 0);
      else if (way === 1) isHeld = tryLock(words, ${LOCK}) || awaitLock(words, ${LOCK}, () => true);
      else if (way === 2) {
        for (let hasWaited = false; ; hasWaited = true) {
          if (acquireLockSoon(words, ${LOCK}, hasWaited)) break;
          awaitUnlock(words, ${LOCK}, 10);
        }
      } else acquireLock(words, ${LOCK});
      if (!isHeld) {
        Atomics.add(words, ${GIVEN_UP}, 1);
        continue;
      }
      // Not atomic: a second holder would show.
      const count = words[${COUNT}];
      if ((random & 1023) === 0) for (const end = performance.now() + 3; performance.now() < end; );
      words[${COUNT}] = count + 1;
      releaseLock(words, ${LOCK});
    }`;
  await Promise.all(Array.from({ length: THREADS }, () => start(words, script)));
  t.equal(words[COUNT]! + words[GIVEN_UP]!, THREADS * ROUNDS);
  t.ok(words[GIVEN_UP]! > 0, `${words[GIVEN_UP]} times given up`);
  t.equal(words[LOCK], 0, 'free in the end');
});

t.test('who has waited for long has it next, whatever the holder does', async (t) => {
  const words = newWords();
  for (let round = 1; round <= 20; round++) {
    acquireLock(words, LOCK);
    const waiter = start(
      words,
      `acquireLock(words, ${LOCK});
      words[${COUNT}]++;
      releaseLock(words, ${LOCK});`,
    );
    while (Atomics.load(words, LOCK) !== OVERDUE) Atomics.wait(words, STOP, 0, 1);
    releaseLock(words, LOCK);
    // The other thread can't have woken up yet, as a rule, but has the lock as good as taken.
    const isTaken = tryLock(words, LOCK);
    if (!isTaken) acquireLock(words, LOCK);
    t.equal(words[COUNT], round, isTaken ? 'it was quick' : 'it was kept for the waiter');
    releaseLock(words, LOCK);
    await waiter;
  }
});

t.test('giving up', async (t) => {
  const words = newWords();
  acquireLock(words, LOCK);
  t.notOk(isLockWaitedFor(words, LOCK));
  t.notOk(tryLock(words, LOCK));
  const sleeps = lockWaits.sleeps;
  t.notOk(acquireLockWithin(words, LOCK, 30));
  t.ok(lockWaits.sleeps > sleeps, 'sleeps are counted');
  t.ok(isLockWaitedFor(words, LOCK), 'as far as the holder knows');
  let asked = 0;
  t.notOk(awaitLock(words, LOCK, () => ++asked === 3));
  t.equal(asked, 3);
  // Whoever has waited for long and gives up leaves nothing that keeps others out.
  releaseLock(words, LOCK);
  t.ok(tryLock(words, LOCK));
  releaseLock(words, LOCK);
  t.equal(words[LOCK], 0);
});
