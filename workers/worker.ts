/** Thread entry point: a worker. */

import { parentPort, workerData } from 'node:worker_threads';
import { digestReady } from '../src/commands/strings/digest.js';
import { THREAD_READY } from '../src/system/thread-ready.js';
import { Worker, type WorkerOptions } from '../src/worker/worker.js';

void digestReady.then(() => {
  const worker = new Worker(workerData as WorkerOptions);
  parentPort?.postMessage(THREAD_READY);
  worker.start();
});
