/** Thread entry point: a worker. */

import { parentPort, workerData } from 'node:worker_threads';
import { THREAD_READY } from '../src/system/thread-ready.js';
import { Worker, type WorkerOptions } from '../src/worker/worker.js';

const worker = new Worker(workerData as WorkerOptions);
parentPort?.postMessage(THREAD_READY);
worker.start();
