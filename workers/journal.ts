/** Thread entry point: the journal thread. */

import { parentPort, workerData } from 'node:worker_threads';
import { type JournalOptions, JournalWriter } from '../src/journal/journal-writer.js';
import { WorkerChannel } from '../src/network/worker-channel.js';
import { loadLibc } from '../src/system/libc.js';
import { THREAD_READY } from '../src/system/thread-ready.js';

const { options, channels } = workerData as {
  options: JournalOptions;
  channels: readonly SharedArrayBuffer[];
};
const libc = loadLibc();
const workers = channels.map((buffer) => new WorkerChannel(buffer, libc));
/** When its work is done the thread stays until the process ends: a thread that ends by itself means a fault. */
setInterval(() => {}, 2 ** 30);
const writer = new JournalWriter(options, (worker) => workers[worker].wake());
parentPort?.postMessage(THREAD_READY);
writer.run();
