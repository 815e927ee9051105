/**
 * Starts threads. In the installed package the code of a thread is one file (scripts/bundle.mjs). So a thread that
 * starts late, when clients use nearly all descriptors, needs only those of its event loop and one to read that file.
 */

import { Worker as Thread, type WorkerOptions } from 'node:worker_threads';

/** Descriptors that a thread has as long as it lives: its event loop's, and one for the file that it loads or writes. */
export const THREAD_DESCRIPTORS = 5;

/**
 * Limit of the young generation of a thread's heap. Code that runs often makes no garbage, but the garbage made while
 * code is loaded would let the young generation grow to several times this size for good.
 */
const YOUNG_GENERATION_MB = 3;

/**
 * Starts a thread with the module `entry`. If the thread can't be started, or its code can't be loaded, it emits `error`.
 */
export function startThread(entry: URL, options: Omit<WorkerOptions, 'eval'>): Thread {
  const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB, ...options.resourceLimits };
  return new Thread(entry, { ...options, resourceLimits });
}
