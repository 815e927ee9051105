/**
 * The main thread: opens the sockets, starts the threads, watches over them, stops them. Touches no keys.
 *
 * An exception in a worker may have left a shard half changed or locked, so it ends the process: with a
 * report on stderr and exit code 1.
 */

import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker as Thread } from 'node:worker_threads';
import { createCommandTable } from '../commands/commands.js';
import type { Config } from '../config/config.js';
import { followOomScore, OOM_SCORE_DIRECTIVES, warnOfOomScores } from '../config/oom-score-setting.js';
import { usesTls } from '../config/tls-settings.js';
import { SHUTDOWN_FAILED } from '../execution/errors.js';
import { JournalRing } from '../journal/journal-ring.js';
import { createKeyspace, type Keyspace } from '../keyspace/keyspace.js';
import { Loading } from '../loading/loading.js';
import { Attention } from '../memory/attention.js';
import { ScriptRunsLong } from '../memory/lock-order.js';
import { SHARD_BYTES_MAX } from '../memory/shard-memory.js';
import type { AcceptorOptions } from '../network/acceptor.js';
import { AcceptorControl } from '../network/acceptor-control.js';
import { IoUring } from '../network/io-uring.js';
import { type ListenOptions, openListeners } from '../network/listener.js';
import { ServerTls } from '../network/tls/server-tls.js';
import { TlsListeners } from '../network/tls/tls-listeners.js';
import type { TransportKind } from '../network/transport.js';
import { WorkerChannel } from '../network/worker-channel.js';
import type { PersistenceOptions } from '../persistence/background-save.js';
import type { SnapshotHistory } from '../persistence/key-form.js';
import { ChannelRegistry } from '../pubsub/channel-registry.js';
import type { ReplicationOptions } from '../replication/replication.js';
import { ControlBlock, ShutdownRequest } from '../state/control-block.js';
import { PersistenceState } from '../state/persistence-state.js';
import { PreparedReplies } from '../state/prepared-replies.js';
import { createProcessState } from '../state/process-state.js';
import { NO_ID, newReplicationId, ReplicationState } from '../state/replication-state.js';
import { SharedConfig } from '../state/shared-config.js';
import { SharedLines } from '../state/shared-lines.js';
import { TlsState } from '../state/tls-state.js';
import { WorkerLoad } from '../state/worker-load.js';
import { type Libc, loadLibc, Socket } from '../system/libc.js';
import { createConfiguredLog, createLog } from '../system/log.js';
import { availableMemoryBytes } from '../system/memory-limit.js';
import { loadOpenSsl } from '../system/openssl.js';
import { residentBytes } from '../system/resident-memory.js';
import { startThread } from '../system/thread.js';
import { untilReady } from '../system/thread-ready.js';
import type { ListenAnswer, ListenMessage, WorkerOptions } from '../worker/worker.js';
import { makeRoomForClients } from './client-room.js';
import { crash, setCrashLog, watchThread, writeReport } from './crash.js';
import { openEventfd } from './eventfd.js';
import { HandshakerThreads, handshakerCount } from './handshaker-threads.js';
import { initialUsers } from './initial-users.js';
import { JournalThread } from './journal-thread.js';
import { type LateThread, startLateThread } from './late-thread.js';
import { openKeyspace } from './main-keyspace.js';
import { prepareReplies } from './prepare-replies.js';
import { setProcessTitle } from './process-title.js';
import {
  removeOwnFiles,
  removeTemporaryFiles,
  saveBeforeExit,
  shutdownRequestFor,
  untilReplicasHaveAll,
} from './shutdown.js';
import { reportAbort } from './signals.js';
import { logStart, warnOfMemory } from './start-log.js';
import { giveBackStartMemory } from './start-memory.js';
import { notifySystemd } from './supervision.js';

/** Pause between two attempts to shut down while a slow script runs. */
const SLOW_SCRIPT_POLL_MS = 20;

/** Address space reserved for keys, relative to the machine's memory: shards do not fill evenly. */
const RESERVE_FACTOR = 1.5;

/**
 * When what only the start has needed is given back: when nothing is being started any more, and again when the
 * JavaScript engine has tidied up by itself, which takes it more than ten seconds.
 */
const START_MEMORY_MS = [1000, 20_000] as const;

let log = createLog('', () => 'notice');

/** The number of shards: a power of two, at least four per thread, and enough to hold the memory. */
export function shardCountFor(threads: number, memoryBytes: number): number {
  const wanted = Math.max(4 * threads, (RESERVE_FACTOR * memoryBytes) / SHARD_BYTES_MAX);
  return 2 ** Math.ceil(Math.log2(wanted));
}

/**
 * Starts the server; resolves once its data is there. Rejects with a one-line message.
 * @param onListening called once clients can connect
 */
export async function startServer(config: Config, onListening = (): void => {}): Promise<void> {
  try {
    await start(config, onListening);
  } catch (error) {
    // The caller gets the error; the log should have it, too.
    log(`Can't start: ${(error as Error).message}`, 'warning');
    throw error;
  }
}

async function start(config: Config, onListening: () => void): Promise<void> {
  const { threads } = config;
  const libc = loadLibc();
  const table = createCommandTable(config.renamedCommands);
  process.chdir(config.dir);
  log = createConfiguredLog(config);
  setCrashLog(config.crashLogEnabled ? config.logFile : '');
  // The reader of the log may close the pipe; that must not end the server. Opened here, a pipe does not block the
  // threads that log, either: if it is not read, lines are lost (log.ts).
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  process.on('uncaughtException', (error) => crash('main thread', error));
  reportAbort(() => writeReport('main thread', new Error('killed by SIGABRT')));
  logStart(config, log);
  setProcessTitle(config);
  const users = initialUsers(config, table, log);
  const hasPort = (config.port !== 0 || config.tlsPort !== 0) && config.bind.length > 0;
  if (config.unixSocket === '' && !hasPort) {
    throw new Error('configured to not listen anywhere');
  }
  const descriptors = makeRoomForClients(config, libc, log);
  const transport = chooseTransport(libc, config);
  const calls = transport === 'node' ? null : libc;
  const listen: ListenOptions = {
    bind: config.bind,
    port: config.port,
    tlsPort: config.tlsPort,
    backlog: config.tcpBacklog,
    keepAliveSeconds: config.tcpKeepAliveSeconds,
    unixSocket: config.unixSocket,
    unixSocketMode: config.unixSocketMode,
  };
  const sockets = calls === null ? [] : await openListeners(calls, listen);
  const attention = Attention.create(threads + 1);
  const keyspace = createKeyspace(
    shardCountFor(threads, availableMemoryBytes()),
    SHARD_BYTES_MAX,
    config.databases,
    attention,
    libc === null ? undefined : (bytes) => libc.addressOf(bytes),
  );
  const state = createProcessState(attention, threads, table.size);
  configureTls(config, transport, state.tls);
  const channelRegistry = ChannelRegistry.create();
  const block = new ControlBlock(state.control);
  block.runtimeMemoryBytes = residentBytes();
  const workerLoad = new WorkerLoad(state.workerLoad);
  // Over node:net each worker accepts by itself, and keeps what it has accepted.
  if (calls !== null) workerLoad.begin(Math.min(config.activeWorkers || 1, threads));
  const sharedConfig = new SharedConfig(state.config);
  let configVersion = sharedConfig.publish(JSON.stringify(config));
  new SharedLines(state.users).replace(users.serialize());
  const persistenceState = new PersistenceState(state.persistence);
  persistenceState.beginLoading(Date.now());
  const threadsReady: Promise<unknown>[] = [];
  const untilAllReady = async (): Promise<void> => {
    // While it waits, another thread may have been started.
    for (let awaited = 0; awaited < threadsReady.length; ) {
      awaited = threadsReady.length;
      await Promise.all(threadsReady);
    }
  };
  let isExiting = false;
  /** Set if the signal that ends the process asks not to wait for replicas. */
  let isNow = false;
  const startLate = async (late: LateThread): Promise<void> => {
    const thread = await startLateThread(late, threadsReady, log);
    if (thread !== null) watchThread(thread, late.name);
  };
  void persistenceState.untilStarted().then(() => {
    if (isExiting) return;
    const workerData: PersistenceOptions = { keyspace, state };
    void startLate({
      name: 'persistence',
      start: () =>
        startThread(new URL('../../workers/persistence.js', import.meta.url), {
          workerData,
          // The thread closes pipes that other threads have opened.
          trackUnmanagedFds: false,
        }),
      isGivenUp: () => isExiting,
    });
  });
  const acceptor = calls === null ? null : AcceptorControl.create(openEventfd(calls), calls);
  acceptor?.setLimits(config.maxClients, config.tcpKeepAliveSeconds);
  const channels = Array.from({ length: threads }, () =>
    WorkerChannel.create(calls === null ? -1 : openEventfd(calls), calls),
  );
  const handshakerThreads = acceptor === null ? 0 : handshakerCount(threads);
  const tlsListeners = TlsListeners.create(handshakerThreads);
  const handshakers = new HandshakerThreads(calls, startLate, () => isExiting, handshakerThreads, {
    workers: channels.map((channel) => channel.buffer),
    acceptorControl: acceptor?.buffer ?? new SharedArrayBuffer(0),
    listeners: tlsListeners,
    config: state.config,
    processControl: state.control,
    tls: state.tls,
    workerLoad: state.workerLoad,
  });
  handshakers.startIfWanted(config);
  // Threads that sleep in a system call would hold up the exit, whatever the reason for it.
  process.on('exit', () => {
    acceptor?.stop();
    handshakers.stop();
    for (const channel of channels) channel.stop();
  });
  const wakePipe = calls === null ? null : openWakePipe(calls);
  const channelBuffers = channels.map((channel) => channel.buffer);
  const allChannels = [...channelBuffers, WorkerChannel.create(wakePipe?.writer ?? -1, calls).buffer];
  const replicationState = new ReplicationState(state.replication);
  void replicationState.untilThreadWanted().then(() => {
    if (isExiting || wakePipe === null) return;
    const workerData: ReplicationOptions = {
      keyspace,
      state,
      channelRegistry,
      channels: allChannels,
      workerCount: threads,
      wakeDescriptor: wakePipe.reader,
    };
    void startLate({
      name: 'replication',
      start: () =>
        startThread(new URL('../../workers/replication.js', import.meta.url), {
          workerData,
          // The thread closes files in memory that the C library has opened.
          trackUnmanagedFds: false,
        }),
      isGivenUp: () => isExiting,
    });
  });
  const journal = new JournalThread(keyspace, state, config, (outcome) => {
    const options = { ring: keyspace.journal, state, workerCount: threads };
    const start = (): Thread => JournalThread.start(options, channelBuffers);
    void startLate({ name: 'journal', start, isGivenUp: () => isExiting, ...outcome });
  });
  const startWorker = (index: number): Thread => {
    const workerData: WorkerOptions = {
      index,
      workerCount: threads,
      keyspace,
      state,
      channelRegistry,
      channels: allChannels,
      transport,
      acceptorControl: acceptor === null ? null : acceptor.buffer,
      reservedDescriptors: descriptors.reserved,
    };
    return startThread(new URL('../../workers/worker.js', import.meta.url), { workerData });
  };
  const workers: Thread[] = [];
  for (let index = 0; index < workerLoad.startedWorkers; index++) {
    const thread = startWorker(index);
    watchThread(thread, `worker ${index}`);
    threadsReady.push(untilReady(thread));
    workers.push(thread);
  }
  const giveBackMemory = (): void => {
    if (libc === null) return;
    for (const delayMs of START_MEMORY_MS) setTimeout(giveBackStartMemory, delayMs, libc).unref();
  };
  const startMoreWorkers = async (): Promise<void> => {
    for (;;) {
      const started = workerLoad.startedWorkers;
      const wanted = await workerLoad.untilMoreWanted(started);
      if (isExiting) return;
      const more = Array.from({ length: wanted - started }, (_, index) => started + index);
      await Promise.all(
        more.map((index) =>
          startLate({ name: `worker ${index}`, start: () => startWorker(index), isGivenUp: () => isExiting }),
        ),
      );
      if (isExiting) return;
      workerLoad.startedWorkers = wanted;
      giveBackMemory();
    }
  };
  void startMoreWorkers();
  if (acceptor === null) {
    await untilAllReady();
    await listenInWorkers(workers, listen);
  } else {
    const options: AcceptorOptions = {
      sockets,
      listen: { bind: config.bind, port: config.port, tlsPort: config.tlsPort },
      backlog: config.tcpBacklog,
      control: acceptor.buffer,
      processControl: state.control,
      workerLoad: state.workerLoad,
      tlsListeners,
      logFile: config.logFile,
    };
    const thread = startThread(new URL('../../workers/acceptor.js', import.meta.url), {
      workerData: { options, channels: channelBuffers, handshakerChannels: handshakers.channelBuffers },
    });
    watchThread(thread, 'acceptor');
    threadsReady.push(untilReady(thread));
  }
  const followConfig = (): void => {
    const published = sharedConfig.readIfNewer(configVersion);
    if (published === null) return;
    configVersion = published.version;
    const changed = config.adopt(JSON.parse(published.json));
    // REPLICAOF and FAILOVER change the configuration, too.
    if (changed.some((name) => OOM_SCORE_DIRECTIVES.has(name))) followOomScore(config, block.oomScore, log);
    acceptor?.setLimits(config.maxClients, config.tcpKeepAliveSeconds);
    journal.configurationChanged();
    handshakers.startIfWanted(config);
    setProcessTitle(config);
    setCrashLog(config.crashLogEnabled ? config.logFile : '');
  };
  void (async () => {
    for (;;) {
      await sharedConfig.waitForNewer(configVersion);
      followConfig();
    }
  })();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (signal === 'SIGINT' && block.shutdownRequest !== ShutdownRequest.None) {
        log('You insist... exiting now.', 'warning');
        removeTemporaryFiles(config);
        process.exit(1);
      }
      log(`Received ${signal} scheduling shutdown...`, 'warning');
      followConfig();
      const flags = signal === 'SIGTERM' ? config.shutdownOnSigterm : config.shutdownOnSigint;
      isNow = flags.includes('now');
      block.requestShutdown(shutdownRequestFor(flags));
    });
  }
  void untilAllReady().then(() => {
    giveBackMemory();
    const usedBytes = openKeyspace(keyspace, config).usedBytes();
    block.runtimeMemoryBytes = Math.max(0, residentBytes() - usedBytes);
  });
  log('Server initialized', 'warning');
  warnOfMemory(config, log);
  warnOfOomScores(config, log);
  followOomScore(config, block.oomScore, log);
  if (config.pidFile !== '') writePidFile(config.pidFile);
  onListening();
  const loading = new Loading({
    keyspace,
    config,
    persistence: state.persistence,
    sharedConfig: state.config,
    state: persistenceState,
    log,
  });
  /** Calls `saveBeforeExit` once no slow script runs; skips it if an exit without saving is requested meanwhile. */
  const saveWhenIdle = async (request: ShutdownRequest): Promise<boolean> => {
    for (;;) {
      try {
        return saveBeforeExit(request, config, keyspace, state, log);
      } catch (error) {
        if (!(error instanceof ScriptRunsLong)) throw error;
      }
      await delay(SLOW_SCRIPT_POLL_MS);
      if (block.shutdownRequest === ShutdownRequest.Exit) return true;
    }
  };
  void (async () => {
    for (;;) {
      const request = await block.waitForShutdown();
      followConfig();
      await loading.untilInterruptible();
      await untilAllReady();
      if (request !== ShutdownRequest.Exit) log('User requested shutdown...', 'warning');
      if (request !== ShutdownRequest.Exit && !isNow && !persistenceState.isLoading) {
        if (!(await untilReplicasHaveAll(config, keyspace, state, log))) {
          block.abortShutdown();
          continue;
        }
      }
      if (persistenceState.isLoading || (await saveWhenIdle(request))) break;
      log("Error trying to save the DB, can't exit.", 'warning');
      log(SHUTDOWN_FAILED, 'warning');
      if (replicationState.replicaCount > 0) block.unpause();
      block.abortShutdown();
    }
    isExiting = true;
    if (config.appendOnly) log('Calling fsync() on the AOF file.');
    if (!(await journal.stop())) {
      log('The disk does not answer: the end of the append only file may be lost', 'warning');
    }
    removeOwnFiles(config, log);
    removeTemporaryFiles(config);
    if (config.isUnderSystemd) notifySystemd(libc, ['STOPPING=1']);
    log('Damselfly is now ready to exit, bye bye...', 'warning');
    process.exit(0);
  })();
  try {
    const { manifest, needsNewBase, replication } = await loading.run();
    const ring = new JournalRing(keyspace.journal);
    if (config.replicaOf !== null)
      beginAsReplica(config, ring, replicationState, replication, wakePipe !== null);
    else if (replication !== null && wakePipe !== null)
      goOnAsPrimary(openKeyspace(keyspace, config), replicationState, replication);
    if (manifest !== null) journal.resume(config, openKeyspace(keyspace, config), needsNewBase);
  } catch (error) {
    await loading.untilInterruptible();
    await untilAllReady();
    throw error;
  }
  persistenceState.endLoading();
  log('Ready to accept connections');
  prepareReplies(table, new PreparedReplies(state.preparedReplies));
  if (config.isUnderSystemd) {
    const failure = notifySystemd(libc, ['READY=1', 'STATUS=Ready to accept connections']);
    if (failure !== '') log(`systemd can't be told that the server is ready: ${failure}`, 'warning');
  }
}

/** Makes the TLS context that connections begin with, if there are to be any. Throws an Error with one line. */
function configureTls(config: Config, transport: TransportKind, state: SharedArrayBuffer): void {
  if (!usesTls(config)) return;
  const tls = new ServerTls(transport === 'node', new TlsState(state), config, log);
  if (!tls.prepare()) throw new Error('Failed to configure TLS. Check logs for more info.');
  tls.publish();
}

/** The server is a replica before clients can change anything; the replication thread then connects to the primary. */
function beginAsReplica(
  config: Config,
  ring: JournalRing,
  state: ReplicationState,
  loaded: SnapshotHistory | null,
  isPossible: boolean,
): void {
  if (config.replicaOf === null) return;
  if (!isPossible) throw new Error('replicaof needs the transport io_uring or epoll');
  state.setPrimary(config.replicaOf.host, config.replicaOf.port);
  ring.isReplica = true;
  ring.database = loaded?.database ?? 0;
  if (loaded !== null) {
    state.setHistory(loaded.id, NO_ID, -1);
    state.countFrom(0, loaded.offset);
    state.streamDatabase = loaded.database;
    state.hasLoadedHistory = true;
  }
  state.isReplica = true;
  state.wantThread();
}

/**
 * Replicas from before this start may continue where they are, if the loaded data is all that they had: the loaded
 * history becomes the second history.
 */
function goOnAsPrimary(keyspace: Keyspace, state: ReplicationState, loaded: SnapshotHistory): void {
  keyspace.lockAll();
  const position = keyspace.journal.ring.turnOnReplication();
  state.setHistory(newReplicationId(), loaded.id, loaded.offset + 1);
  state.countFrom(position, loaded.offset);
  state.isBacklogOn = true;
  keyspace.unlockAll();
  state.wantThread();
}

/** Opens a pipe: bytes written to `writer` are read from `reader`. */
function openWakePipe(libc: Libc): { reader: number; writer: number } {
  const numbers = new Int32Array(2);
  const type = Socket.SOCK_STREAM | Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK;
  if (libc.socketPair(Socket.AF_UNIX, type, 0, libc.addressOf(new Uint8Array(numbers.buffer))) < 0)
    throw new Error(`can't open a pair of sockets: ${libc.errorText(libc.errno())}`);
  return { reader: numbers[0], writer: numbers[1] };
}

/** As with Redis, a server does without the file if it can't be written. */
function writePidFile(name: string): void {
  try {
    writeFileSync(name, `${process.pid}\n`);
  } catch (error) {
    log(`Failed to write the pid file: ${(error as Error).message}`, 'warning');
  }
}

/** Chooses how sockets are read, and logs that with the reason. Throws if the configured way is not available. */
function chooseTransport(libc: Libc | null, config: Config): TransportKind {
  const { transport } = config;
  if (libc === null && (transport === 'epoll' || transport === 'io_uring'))
    throw new Error(`transport ${transport} is not available: it needs Linux and the koffi package`);
  const lacksTls = config.tlsPort !== 0 && loadOpenSsl() === null;
  if (lacksTls && transport !== 'node' && transport !== 'auto')
    throw new Error(
      `TLS is not available with transport ${transport}: this Node.js lacks the functions of OpenSSL`,
    );
  if (libc !== null && transport !== 'node' && !lacksTls) {
    const mayUseRing = transport !== 'epoll' && IoUring.isAvailable(libc);
    if (transport === 'io_uring' && !mayUseRing)
      throw new Error('transport io_uring is not available: it needs Linux 6.1, and may be forbidden here');
    const kind = mayUseRing ? 'io_uring' : 'epoll';
    log(`Transport: ${kind}`);
    return kind;
  }
  const reason =
    transport === 'node'
      ? 'as configured'
      : lacksTls && libc !== null
        ? 'TLS by node:tls, since the functions of OpenSSL are not to be had'
        : process.platform === 'linux'
          ? 'the koffi package does not load'
          : `there is no epoll on ${process.platform}`;
  log(`Transport: node:net (${reason}), workers share the listening sockets`);
  return 'node';
}

/** Has the first worker open the listening sockets and the others listen on them too. */
async function listenInWorkers(workers: readonly Thread[], listen: ListenOptions): Promise<void> {
  const [first, ...others] = workers;
  const answer = new Promise<ListenAnswer>((resolve) => first.once('message', resolve));
  first.postMessage({ open: listen } satisfies ListenMessage);
  const { listeners, failure } = await answer;
  if (failure !== '') throw new Error(failure);
  for (const worker of others)
    worker.postMessage({ join: listeners, backlog: listen.backlog } satisfies ListenMessage);
}
