/**
 * Starts threads. As it is installed, the code of a thread is one file (scripts/bundle.mjs): one that starts late, when
 * clients have nearly all descriptors, needs no more than the few of its event loop and one for the file that it reads.
 */

import { Worker as Thread, type WorkerOptions } from 'node:worker_threads';

/** Descriptors that a thread has as long as it lives: its event loop's, and one for the file that it loads or writes. */
export const THREAD_DESCRIPTORS = 5;

/**
 * The young generation of a thread's heap: what runs often makes no garbage, and what is made while the code is loaded would
 * let it grow to several times that for good.
 */
const YOUNG_GENERATION_MB = 3;

/**
 * Starts a thread with the module `entry`. If the thread can't be started, or its code can't be loaded, it emits `error`.
 */
export function startThread(entry: URL, options: Omit<WorkerOptions, 'eval'>): Thread {
  const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB, ...options.resourceLimits };
  return new Thread(entry, { ...options, resourceLimits });
}
