/**
 * A thread reports when it has loaded all of its code. If the process exits earlier, while one of its threads is
 * still loading a native module, it aborts.
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
