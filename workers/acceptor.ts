/** Thread entry point: the acceptor. */

import { parentPort, workerData } from 'node:worker_threads';
import { type AcceptorOptions, runAcceptor } from '../src/network/acceptor.js';
import { AcceptorControl } from '../src/network/acceptor-control.js';
import { WorkerChannel } from '../src/network/worker-channel.js';
import { loadLibc } from '../src/system/libc.js';
import { THREAD_READY } from '../src/system/thread-ready.js';

const { options, channels, handshakerChannels } = workerData as {
  options: AcceptorOptions;
  channels: readonly SharedArrayBuffer[];
  handshakerChannels: readonly SharedArrayBuffer[];
};
const libc = loadLibc();
if (libc === null) throw new Error('the acceptor needs koffi');
parentPort?.postMessage(THREAD_READY);
void runAcceptor(
  libc,
  new AcceptorControl(options.control, libc),
  options,
  channels.map((buffer) => new WorkerChannel(buffer, libc)),
  handshakerChannels.map((buffer) => new WorkerChannel(buffer, libc)),
);
