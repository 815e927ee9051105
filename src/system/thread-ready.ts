/**
 * A thread says so when it has loaded all of its code. A process that ends before, while a thread of it is still
 * loading a native module, ends with an abort.
 */

import type { Worker as Thread } from 'node:worker_threads';

/** The message. */
export const THREAD_READY = 'ready';

/** Settles when the thread has sent the message. */
export function untilReady(thread: Thread): Promise<void> {
  return new Promise((resolve) => {
    const listener = (message: unknown): void => {
      if (message !== THREAD_READY) return;
      thread.off('message', listener);
      resolve();
    };
    thread.on('message', listener);
  });
}
