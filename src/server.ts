/**
 * The main thread: opens the sockets, starts the threads, watches over them, stops them. Touches no keys.
 *
 * An exception in a worker may have left a shard half changed or locked, so it ends the process: with a
 * report on stderr and exit code 1.
 */

import { randomInt } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { Worker as Thread } from 'node:worker_threads';
import { createCommandTable } from './commands/commands.js';
import type { Config } from './config/config.js';
import { createKeyspace } from './keyspace/keyspace.js';
import { defaultSettings } from './keyspace/settings.js';
import { createLog } from './log.js';
import { HeaderWord, SHARD_BYTES_MAX } from './memory/shard-memory.js';
import { AcceptorWord } from './network/acceptor.js';
import { type Libc, loadLibc } from './network/libc.js';
import { openListeners } from './network/listener.js';
import { WorkerChannel } from './network/worker-channel.js';
import { loadSnapshot } from './persistence/load.js';
import { ControlBlock, ShutdownRequest } from './state/control-block.js';
import { PersistenceState } from './state/persistence-state.js';
import { createProcessState } from './state/process-state.js';
import { SharedConfig } from './state/shared-config.js';
import { DAMSELFLY_VERSION, REDIS_VERSION } from './version.js';
import type { WorkerOptions } from './worker.js';

/** EFD_NONBLOCK | EFD_CLOEXEC */
const EVENTFD_FLAGS = 0x80800;

/** Address space reserved for keys, relative to the machine's memory: shards do not fill evenly. */
const RESERVE_FACTOR = 1.5;

/** How often the main thread looks for changes by CONFIG SET. */
const CONFIG_POLL_MS = 100;

let log = createLog('');

function setAcceptorLimits(control: Int32Array, config: Config): void {
  Atomics.store(control, AcceptorWord.ClientsMax, Math.min(config.maxClients, 0x7fffffff));
  Atomics.store(control, AcceptorWord.KeepAliveSeconds, config.tcpKeepAliveSeconds);
}

/** The number of shards: a power of two, at least four per thread, and enough to hold the memory. */
export function shardCountFor(threads: number, memoryBytes: number): number {
  const wanted = Math.max(4 * threads, (RESERVE_FACTOR * memoryBytes) / SHARD_BYTES_MAX);
  return 2 ** Math.ceil(Math.log2(wanted));
}

/** Starts the server; resolves once it accepts connections. Rejects with a one-line message. */
export async function startServer(config: Config): Promise<void> {
  const { threads } = config;
  const libc = loadLibc();
  if (libc === null) throw new Error('no transport');
  const table = createCommandTable(config.renamedCommands);
  process.chdir(config.dir);
  log = createLog(config.logFile, () => config.logLevel);
  const sockets = await openListeners(libc, {
    bind: config.bind,
    port: config.port,
    backlog: config.tcpBacklog,
    unixSocket: config.unixSocket,
    unixSocketMode: config.unixSocketMode,
  });
  const keyspace = createKeyspace(
    shardCountFor(threads, totalmem()),
    SHARD_BYTES_MAX,
    config.databases,
    (bytes) => libc.addressOf(bytes),
  );
  const state = createProcessState(threads, table.size);
  const block = new ControlBlock(state.control);
  block.startupMemoryBytes = keyspace.shards.reduce(
    (sum, shard) => sum + new Int32Array(shard)[HeaderWord.ArenaUsedBytes],
    0,
  );
  const sharedConfig = new SharedConfig(state.config);
  let configVersion = sharedConfig.publish(JSON.stringify(config));
  const hashSecret: [number, number] = [randomInt(2 ** 32), randomInt(2 ** 32)];
  const settings = defaultSettings();
  config.copyTo(settings);
  const loaded = await loadSnapshot(
    {
      keyspace,
      settings,
      hashSecret,
      fileName: config.dbFileName,
      logFile: config.logFile,
      hasChecksum: config.rdbChecksum,
      nowMs: Date.now(),
    },
    threads,
    log,
  );
  if (loaded !== null) {
    new PersistenceState(state.persistence).noteLoaded(loaded.keysLoaded, loaded.keysExpired);
  }
  const channels = Array.from({ length: threads }, () => newChannel(libc));
  for (let index = 0; index < threads; index++) {
    const workerData: WorkerOptions = { index, workerCount: threads, keyspace, state, channels, hashSecret };
    watchThread(
      new Thread(new URL('../workers/shard.js', import.meta.url), { workerData }),
      `worker ${index}`,
    );
  }
  const control = new SharedArrayBuffer(AcceptorWord.COUNT * 4);
  setAcceptorLimits(new Int32Array(control), config);
  const options = {
    sockets,
    wakeFd: libc.eventfd(0, EVENTFD_FLAGS),
    control,
    processControl: state.control,
  };
  watchThread(
    new Thread(new URL('../workers/acceptor.js', import.meta.url), { workerData: { options, channels } }),
    'acceptor',
  );
  const followConfig = setInterval(() => {
    const published = sharedConfig.readIfNewer(configVersion);
    if (published === null) return;
    configVersion = published.version;
    config.adopt(JSON.parse(published.json));
    setAcceptorLimits(new Int32Array(control), config);
  }, CONFIG_POLL_MS);
  followConfig.unref();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log(`Received ${signal}, shutting down`, 'warning');
      block.requestShutdown(ShutdownRequest.Default);
    });
  }
  const ceiling =
    config.maxMemoryBytes === 0 ? 'no memory ceiling' : `${config.maxMemoryBytes} bytes at most`;
  log(
    `Damselfly ${DAMSELFLY_VERSION} (Redis ${REDIS_VERSION} compatible), port ${config.port}, ` +
      `${threads} ${threads === 1 ? 'thread' : 'threads'}, ${ceiling}, pid ${process.pid}`,
  );
  if (config.pidFile !== '') writeFileSync(config.pidFile, `${process.pid}\n`);
  log('Ready to accept connections');
  void block.waitForShutdown().then(() => {
    if (config.pidFile !== '') rmSync(config.pidFile, { force: true });
    log('Damselfly is now ready to exit, bye bye...', 'warning');
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
