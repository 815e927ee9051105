/** A thread that loads keys into a server, so that the thread that measures is not disturbed. */

import { parentPort, workerData } from 'node:worker_threads';
import { preload } from './load.js';

export interface LoadThreadData {
  port: number;
  count: number;
  valueBytes: number;
}

const { port, count, valueBytes } = workerData as LoadThreadData;
await preload(port, count, valueBytes);
parentPort!.postMessage('done');
