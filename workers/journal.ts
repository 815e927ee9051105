/** Thread entry point: the journal thread. */

import { workerData } from 'node:worker_threads';
import { type JournalOptions, JournalWriter } from '../src/journal/journal-writer.js';
import { WorkerChannel } from '../src/network/worker-channel.js';
import { loadLibc } from '../src/system/libc.js';

const { options, channels } = workerData as {
  options: JournalOptions;
  channels: readonly SharedArrayBuffer[];
};
const libc = loadLibc();
const workers = channels.map((buffer) => new WorkerChannel(buffer, libc));
/** When its work is done the thread stays until the process ends: a thread that ends by itself means a fault. */
setInterval(() => {}, 2 ** 30);
new JournalWriter(options, (worker) => workers[worker].wake()).run();
