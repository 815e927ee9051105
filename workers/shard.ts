/** Thread entry point: a worker. */

import { workerData } from 'node:worker_threads';
import { Worker, type WorkerOptions } from '../src/worker.js';

new Worker(workerData as WorkerOptions).start();
