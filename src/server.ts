/**
 * The main thread: opens the sockets, starts the threads, watches over them, stops them. Touches no keys.
 *
 * An exception in a worker may have left a shard half changed or locked, so it ends the process: with a
 * report on stderr and exit code 1.
 */

import { randomInt } from 'node:crypto';
import { availableParallelism, totalmem } from 'node:os';
import { Worker as Thread } from 'node:worker_threads';
import { createCommandTable } from './commands/commands.js';
import { createKeyspace } from './keyspace/keyspace.js';
import { SHARD_BYTES_MAX } from './memory/shard-memory.js';
import { AcceptorWord } from './network/acceptor.js';
import { type Libc, loadLibc } from './network/libc.js';
import { openListeners } from './network/listener.js';
import { WorkerChannel } from './network/worker-channel.js';
import { ControlBlock, ShutdownRequest } from './state/control-block.js';
import { createProcessState } from './state/process-state.js';
import { DAMSELFLY_VERSION, REDIS_VERSION } from './version.js';
import type { WorkerOptions } from './worker.js';

/** EFD_NONBLOCK | EFD_CLOEXEC */
const EVENTFD_FLAGS = 0x80800;

/** Address space reserved for keys, relative to the machine's memory: shards do not fill evenly. */
const RESERVE_FACTOR = 1.5;

function log(text: string): void {
  process.stdout.write(`${process.pid}:M ${new Date().toISOString()} * ${text}\n`);
}

/** The number of shards: a power of two, at least four per thread, and enough to hold the memory. */
export function shardCountFor(threads: number, memoryBytes: number): number {
  const wanted = Math.max(4 * threads, (RESERVE_FACTOR * memoryBytes) / SHARD_BYTES_MAX);
  return 2 ** Math.ceil(Math.log2(wanted));
}

/** Starts the server; resolves once it accepts connections. Rejects with a one-line message. */
export async function startServer(port: number, threads = availableParallelism()): Promise<void> {
  const libc = loadLibc();
  if (libc === null) throw new Error('no transport');
  const sockets = await openListeners(libc, {
    bind: ['127.0.0.1', '-::1'],
    port,
    backlog: 511,
    unixSocket: '',
    unixSocketMode: 0,
  });
  const keyspace = createKeyspace(shardCountFor(threads, totalmem()), SHARD_BYTES_MAX, 16);
  const state = createProcessState(threads, createCommandTable().size);
  const hashSecret: [number, number] = [randomInt(2 ** 32), randomInt(2 ** 32)];
  const channels = Array.from({ length: threads }, () => newChannel(libc));
  for (let index = 0; index < threads; index++) {
    const workerData: WorkerOptions = { index, workerCount: threads, keyspace, state, channels, hashSecret };
    watchThread(
      new Thread(new URL('../workers/shard.js', import.meta.url), { workerData }),
      `worker ${index}`,
    );
  }
  const control = new SharedArrayBuffer(AcceptorWord.COUNT * 4);
  new Int32Array(control)[AcceptorWord.ClientsMax] = 10000;
  new Int32Array(control)[AcceptorWord.KeepAliveSeconds] = 300;
  const options = { sockets, wakeFd: libc.eventfd(0, EVENTFD_FLAGS), control };
  watchThread(
    new Thread(new URL('../workers/acceptor.js', import.meta.url), { workerData: { options, channels } }),
    'acceptor',
  );
  const block = new ControlBlock(state.control);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log(`Received ${signal}, shutting down`);
      block.requestShutdown(ShutdownRequest.Default);
    });
  }
  log(
    `Damselfly ${DAMSELFLY_VERSION} (Redis ${REDIS_VERSION} compatible), port ${port}, ${threads} threads, pid ${process.pid}`,
  );
  log('Ready to accept connections');
  void block.waitForShutdown().then(() => {
    log('Damselfly is now ready to exit, bye bye...');
    process.exit(0);
  });
}

function newChannel(libc: Libc): SharedArrayBuffer {
  return WorkerChannel.create(libc.eventfd(0, EVENTFD_FLAGS)).buffer;
}

/** Ends the process if a thread fails or ends by itself. */
function watchThread(thread: Thread, name: string): void {
  thread.on('error', (error) => crash(name, error));
  thread.on('exit', (code) => crash(name, new Error(`the thread ended with code ${code}`)));
}

let hasCrashed = false;

function crash(threadName: string, error: Error): void {
  if (hasCrashed) return;
  hasCrashed = true;
  process.stderr.write(
    [
      '',
      '=== DAMSELFLY BUG REPORT START: cut and paste from here ===',
      `version ${DAMSELFLY_VERSION}, node ${process.version}, ${process.platform} ${process.arch}, pid ${process.pid}`,
      `${threadName}: ${error.stack ?? error.message}`,
      '=== DAMSELFLY BUG REPORT END ===',
      '',
    ].join('\n'),
  );
  process.exit(1);
}
