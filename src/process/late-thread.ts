/**
 * Threads that start when they are first wanted. The system may have no descriptor or no memory left then: the server
 * goes on without the thread, says so in the log, and tries again.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Worker as Thread } from 'node:worker_threads';
import type { Log } from '../system/log.js';
import { THREAD_READY } from '../system/thread-ready.js';

const RETRY_MS = 1000;

export interface LateThread {
  /** As the log calls it. */
  readonly name: string;
  /** Starts it. It posts THREAD_READY once its code is loaded. */
  start(): Thread;
  /** Called when it could not be started for the first time. */
  failed?(): void;
  started?(): void;
  /** Whether it is not wanted any more. */
  isGivenUp(): boolean;
}

/**
 * Starts a thread, with as many attempts as it takes. Resolves once it is ready; to null if it was given up.
 * @param attempts gets a promise for each attempt, which settles when the thread has loaded its code, or can't
 */
export async function startLateThread(
  late: LateThread,
  attempts: Promise<unknown>[],
  log: Log,
): Promise<Thread | null> {
  let hasFailed = false;
  while (!late.isGivenUp()) {
    const thread = late.start();
    const attempt = untilReadyOrFailed(thread);
    attempts.push(attempt);
    const failure = await attempt;
    if (failure === null) {
      late.started?.();
      if (hasFailed) log(`The ${late.name} thread has started`);
      return thread;
    }
    if (!hasFailed) {
      late.failed?.();
      log(`Can't start the ${late.name} thread, trying again each second: ${failure.message}`, 'warning');
    }
    hasFailed = true;
    await delay(RETRY_MS);
  }
  return null;
}

/** Resolves to null once the thread has said that it is ready, or to the reason why it never will. */
function untilReadyOrFailed(thread: Thread): Promise<Error | null> {
  return new Promise((resolve) => {
    const end = (failure: Error | null): void => {
      thread.off('message', onMessage).off('error', onError).off('exit', onExit);
      // An error and an exit may both come; only the first one counts.
      if (failure !== null) thread.on('error', () => {});
      resolve(failure);
    };
    const onMessage = (message: unknown): void => {
      if (message === THREAD_READY) end(null);
    };
    const onError = (error: Error): void => end(error);
    const onExit = (code: number): void => end(new Error(`it ended with code ${code}`));
    thread.on('message', onMessage).on('error', onError).on('exit', onExit);
  });
}
