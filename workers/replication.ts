/** Thread entry point: the replication thread. */

import { parentPort, workerData } from 'node:worker_threads';
import { digestReady } from '../src/commands/strings/digest.js';
import { Replication, type ReplicationOptions } from '../src/replication/replication.js';
import { THREAD_READY } from '../src/system/thread-ready.js';

void digestReady.then(() => {
  const replication = new Replication(workerData as ReplicationOptions);
  parentPort?.postMessage(THREAD_READY);
  replication.start();
});
