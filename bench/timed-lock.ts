/**
 * Stands in for src/memory/lock.ts in a server that bench/pauses.ts watches (timed-lock-hooks.ts puts it there): the
 * same locks, and a line in a file for each that was held long, with the processor time that its holder spent
 * meanwhile. A thread that waits for a processor of its machine holds its locks longer, but does not spend more.
 * Collections of garbage that take long have a line, too.
 */

import { appendFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';
import { threadId } from 'node:worker_threads';
import * as plain from '../src/memory/lock.js';

// What is not timed here is as it is there, so that a function more in lock.ts does not end the benchmark.
export * from '../src/memory/lock.js';

/** A line of the file. */
export interface LongHold {
  readonly kind: 'lock' | 'garbage';
  readonly thread: number;
  readonly wallMs: number;
  /** -1 where it is not known. */
  readonly processorMs: number;
  /** Who has let go. */
  readonly stack: string;
}

const file = process.env.DAMSELFLY_LONG_HOLDS ?? '';
const LONG_MS = Number(process.env.DAMSELFLY_LONG_HOLD_MS ?? 2);
const CLOCK_THREAD = 3;
const HELD_MAX = 4096;

const koffi = createRequire(import.meta.url)('koffi');
const clockOf: (clock: number, time: number) => number = koffi
  .load(null)
  .func('clock_gettime', 'int', ['int', 'intptr_t']);
const time = new BigInt64Array(2);
const timeAddress = Number(koffi.address(new Uint8Array(time.buffer)));

function processorMs(): number {
  clockOf(CLOCK_THREAD, timeAddress);
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}

// The locks that this thread holds, in the order in which it has taken them.
const heldWords: (Int32Array | null)[] = new Array(HELD_MAX).fill(null);
const heldIndices = new Int32Array(HELD_MAX);
const wallStarts = new Float64Array(HELD_MAX);
const processorStarts = new Float64Array(HELD_MAX);
let held = 0;

function note(kind: 'lock' | 'garbage', wallMs: number, spentMs: number): void {
  if (file === '') return;
  const stack = (new Error().stack ?? '').split('\n').slice(3, 9).join(' < ');
  const line: LongHold = { kind, thread: threadId, wallMs, processorMs: spentMs, stack };
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.duration >= LONG_MS) note('garbage', entry.duration, -1);
}).observe({ entryTypes: ['gc'] });

export function acquireLock(words: Int32Array, index: number): void {
  plain.acquireLock(words, index);
  holdBegins(words, index);
}

export function acquireLockWithin(words: Int32Array, index: number, timeoutMs: number): boolean {
  return noteTaken(words, index, plain.acquireLockWithin(words, index, timeoutMs));
}

export function awaitLock(words: Int32Array, index: number, givesUp: (() => boolean) | null): boolean {
  return noteTaken(words, index, plain.awaitLock(words, index, givesUp));
}

export function tryLock(words: Int32Array, index: number): boolean {
  return noteTaken(words, index, plain.tryLock(words, index));
}

export function acquireLockSoon(words: Int32Array, index: number, hasWaited: boolean): boolean {
  return noteTaken(words, index, plain.acquireLockSoon(words, index, hasWaited));
}

function noteTaken(words: Int32Array, index: number, isTaken: boolean): boolean {
  if (isTaken) holdBegins(words, index);
  return isTaken;
}

/** This thread has taken a lock. */
function holdBegins(words: Int32Array, index: number): void {
  heldWords[held] = words;
  heldIndices[held] = index;
  processorStarts[held] = processorMs();
  wallStarts[held++] = performance.now();
}

export function releaseLock(words: Int32Array, index: number): void {
  let at = held - 1;
  while (at >= 0 && (heldWords[at] !== words || heldIndices[at] !== index)) at--;
  const wallMs = at < 0 ? 0 : performance.now() - wallStarts[at]!;
  const spentMs = wallMs >= LONG_MS ? processorMs() - processorStarts[at]! : 0;
  plain.releaseLock(words, index);
  if (at < 0) return;
  held--;
  for (; at < held; at++) {
    heldWords[at] = heldWords[at + 1]!;
    heldIndices[at] = heldIndices[at + 1]!;
    wallStarts[at] = wallStarts[at + 1]!;
    processorStarts[at] = processorStarts[at + 1]!;
  }
  if (wallMs >= LONG_MS) note('lock', wallMs, spentMs);
}
