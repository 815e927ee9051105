/** The main thread: opens the sockets, starts the threads, watches over them, stops them. */

import { availableParallelism, totalmem } from 'node:os';
import { Worker as Thread } from 'node:worker_threads';
import { createKeyspace } from './keyspace/keyspace.js';
import { SHARD_BYTES_MAX } from './memory/shard-memory.js';
import { AcceptorWord } from './network/acceptor.js';
import { loadLibc } from './network/libc.js';
import { openListeners } from './network/listener.js';
import { WorkerChannel } from './network/worker-channel.js';
import { drawHashSecret, type WorkerOptions } from './worker.js';

/** Starts the server. */
export async function startServer(port: number, threads = availableParallelism()): Promise<void> {
  const libc = loadLibc();
  if (libc === null) throw new Error('no transport');
  const shardCount = 2 ** Math.ceil(Math.log2(Math.max(4 * threads, (1.5 * totalmem()) / SHARD_BYTES_MAX)));
  const keyspace = createKeyspace(shardCount, SHARD_BYTES_MAX, 16);
  const sockets = await openListeners(libc, {
    bind: ['127.0.0.1', '-::1'],
    port,
    backlog: 511,
    unixSocket: '',
    unixSocketMode: 0,
  });
  const hashSecret = drawHashSecret();
  const channels: SharedArrayBuffer[] = [];
  for (let index = 0; index < threads; index++) {
    const channel = WorkerChannel.create(libc.eventfd(0, 0x80800)).buffer;
    channels.push(channel);
    const workerData: WorkerOptions = { index, workerCount: threads, keyspace, channel, hashSecret };
    new Thread(new URL('../workers/shard.js', import.meta.url), { workerData });
  }
  const control = new SharedArrayBuffer(AcceptorWord.COUNT * 4);
  new Int32Array(control)[AcceptorWord.ClientsMax] = 10000;
  new Int32Array(control)[AcceptorWord.KeepAliveSeconds] = 300;
  const options = { sockets, wakeFd: libc.eventfd(0, 0x80800), control };
  new Thread(new URL('../workers/acceptor.js', import.meta.url), { workerData: { options, channels } });
}
