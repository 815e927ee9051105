/** Thread entry point: the persistence thread. */

import { parentPort, workerData } from 'node:worker_threads';
import { BackgroundSave, type PersistenceOptions } from '../src/persistence/background-save.js';
import { loadLibc } from '../src/system/libc.js';
import { THREAD_READY } from '../src/system/thread-ready.js';

const TIME_SLICE_MS = 0.2;

/** Waiting for a word of shared memory does not keep a thread alive; a timer that never fires in practice does. */
setInterval(() => {}, 2 ** 30);
const libc = loadLibc();
// So much it gives up each time that it gives way to somebody.
libc?.setTimeSlice(TIME_SLICE_MS);
const backgroundSave = new BackgroundSave(workerData as PersistenceOptions, libc);
parentPort?.postMessage(THREAD_READY);
void backgroundSave.serve();
