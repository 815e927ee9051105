/** Thread entry point: the persistence thread. */

import { parentPort, workerData } from 'node:worker_threads';
import { BackgroundSave, type PersistenceOptions } from '../src/persistence/background-save.js';
import { THREAD_READY } from '../src/thread-ready.js';

/** Waiting for a word of shared memory does not keep a thread alive; a timer that never fires in practice does. */
setInterval(() => {}, 2 ** 30);
const backgroundSave = new BackgroundSave(workerData as PersistenceOptions);
parentPort?.postMessage(THREAD_READY);
void backgroundSave.serve();
