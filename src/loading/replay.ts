/**
 * Runs the commands of append-only files again, with the handlers that clients' commands have, in a thread that has
 * the keyspace for itself. Handlers get a process state that belongs to this thread, so the commands of a file can
 * neither stop the server nor show up in its statistics.
 */

import { createReplayTable } from '../commands/commands.js';
import { Config, type ConfigSnapshot } from '../config/config.js';
import { defaultSettings } from '../config/keyspace-settings.js';
import { AccessControl } from '../execution/access-control.js';
import { ClientRows } from '../execution/client-rows.js';
import { CommandContext } from '../execution/context.js';
import { Executor } from '../execution/executor.js';
import { createMessaging } from '../execution/messaging.js';
import { MonitorFeed } from '../execution/monitor-feed.js';
import { NO_CONNECTION, NO_TLS_CONTROL } from '../execution/no-connection.js';
import type { ServerServices } from '../execution/services.js';
import { Session } from '../execution/session.js';
import type { CommandTable } from '../execution/table/command-table.js';
import { TransferFailure, type Transfers } from '../execution/transfers.js';
import { WaitRoom } from '../execution/wait-room.js';
import { AofEnd, AofError, AofInput } from '../journal/aof-input.js';
import { KeyspaceCounter } from '../keyspace/counters.js';
import { Gate } from '../keyspace/gate.js';
import { Keyspace, type KeyspaceHandle } from '../keyspace/keyspace.js';
import type { Shard } from '../keyspace/shard.js';
import { SnapshotState } from '../keyspace/shard-snapshot.js';
import { Attention, type HeededBlock } from '../memory/attention.js';
import { RdbMemoryError } from '../persistence/rdb-format.js';
import { ReplyWriter } from '../protocol/reply-writer.js';
import { ChannelRegistry } from '../pubsub/channel-registry.js';
import type { MessageOutput } from '../pubsub/subscriptions.js';
import { PersistenceState } from '../state/persistence-state.js';
import { createProcessState, ProcessState } from '../state/process-state.js';
import { FileSource } from '../system/files.js';
import { compactShard } from './compact-shard.js';
import { LoadDelay } from './load-delay.js';

/** Bytes between two progress reports. */
const PROGRESS_BYTES = 1 << 20;
/** Failed commands that the log mentions at most. */
const WARNINGS_MAX = 10;

export interface ReplayFile {
  readonly path: string;
  /** Where its commands begin. */
  readonly offset: number;
}

export interface ReplayRequest {
  readonly keyspace: KeyspaceHandle;
  readonly configuration: ConfigSnapshot;
  /** In the order of writing. */
  readonly files: readonly ReplayFile[];
  /** Reads up to the first annotation with a later time, in seconds since the epoch. */
  readonly untilSeconds: number;
  /** Where to report the progress: a PersistenceState. */
  readonly progress: HeededBlock;
  /** The configuration in force: a SharedConfig. */
  readonly sharedConfig: HeededBlock;
  /** Bytes of other files that were loaded before. */
  readonly loadedBytes: number;
}

export interface ReplayResult {
  /** One line that says what can't be loaded; '' if all could, up to where the last file that was read ends. */
  readonly failure: string;
  readonly warnings: readonly string[];
  /** The last file that was read: how it ended, its index, and the offset up to which it is valid. */
  readonly end: AofEnd;
  readonly file: number;
  readonly offset: number;
  /** The first annotation's time, -1 without any. */
  readonly firstTimestamp: number;
  readonly lastTimestamp: number;
}

/** Why the files can't be used, in one line. */
class ReplayError extends Error {}

/** Nobody is subscribed. */
const NO_MESSAGES: MessageOutput<Session> = {
  begin: () => {},
  writer: () => new ReplyWriter(0),
  deliver: () => {},
};

/** Blocks that are freed at a time. */
const FREED_PER_STEP = 65536;

/** Nothing is sent anywhere. */
const NO_TRANSFERS: Transfers = {
  start: () => ({ id: 0, result: { failure: TransferFailure.Connecting, preambleError: '', replies: [] } }),
  collect: () => {},
  wait: () => {},
};

/** Runs the files' commands, in a thread that may have done nothing else before. */
export function replayFiles(request: ReplayRequest): ReplayResult {
  const state = new PersistenceState(request.progress);
  state.noteLoadingThread();
  return new Replay(request, state).run();
}

class Replay {
  private readonly request: ReplayRequest;
  private readonly progress: PersistenceState;
  private readonly keyspace: Keyspace;
  private readonly context: CommandContext;
  private readonly executor: Executor;
  private readonly delay: LoadDelay;
  private readonly warnings: string[] = [];
  /** Offset of the command for which shards were compacted last, and those shards. */
  private compactedFor = -1;
  private readonly compacted = new Set<Shard>();
  private firstTimestamp = -1;
  private lastTimestamp = -1;

  constructor(request: ReplayRequest, progress: PersistenceState) {
    this.request = request;
    this.progress = progress;
    this.delay = new LoadDelay(request.sharedConfig);
    const config = new Config(request.configuration);
    const settings = { ...defaultSettings(), isReplaying: true };
    config.copyTo(settings);
    const counters = new Float64Array(KeyspaceCounter.COUNT);
    this.keyspace = new Keyspace(request.keyspace, settings, counters);
    this.keyspace.useReserve(true);
    const table = createReplayTable(config.renamedCommands);
    const services = replayServices(config, table);
    this.context = new CommandContext(this.keyspace, table, new ReplyWriter(), services, counters);
    // No other thread uses the shards, or the caller holds their locks: handlers must not take them.
    this.context.locks.assumeAll();
    this.executor = new Executor(this.context);
  }

  run(): ReplayResult {
    const { files, loadedBytes } = this.request;
    let end: AofEnd = AofEnd.Complete;
    let file = 0;
    let offset = 0;
    let failure = '';
    let doneBytes = loadedBytes;
    for (; file < files.length; file++) {
      let source: FileSource | null = null;
      try {
        source = new FileSource(files[file].path);
        const input = this.replayFile(source, files[file], doneBytes);
        ({ end, offset } = input);
        doneBytes += offset;
      } catch (error) {
        failure = describeFailure(files[file].path, error);
      }
      source?.close();
      if (failure !== '' || end !== AofEnd.Complete || file === files.length - 1) break;
    }
    const { warnings, firstTimestamp, lastTimestamp } = this;
    return { failure, warnings, end, file, offset, firstTimestamp, lastTimestamp };
  }

  private replayFile(source: FileSource, { path, offset }: ReplayFile, doneBytes: number): AofInput {
    const { context, executor, progress } = this;
    const input = new AofInput(source, offset, this.request.untilSeconds);
    const session = new Session(0, NO_CONNECTION, 0);
    let nextProgress = 0;
    while (input.next()) {
      context.nowMs = Date.now();
      const { bytes, view, parser, commandCount } = input;
      if (this.delay.isOn) for (let left = commandCount; left > 0; left--) this.delay.pause();
      for (let next = 0; next < commandCount; ) {
        next = executor.logReplay.run(session, bytes, view, parser, next, commandCount);
        if (next === commandCount) break;
        if (this.mayTryAgain(input.commandOffset(next))) continue;
        this.judge(path, input.commandOffset(next++));
      }
      if (input.offset >= nextProgress) {
        nextProgress = input.offset + PROGRESS_BYTES;
        progress.loadedBytes = doneBytes + input.offset;
        this.free();
      }
    }
    progress.loadedBytes = doneBytes + input.offset;
    if (this.firstTimestamp < 0) this.firstTimestamp = input.firstTimestamp;
    if (input.lastTimestamp >= 0) this.lastTimestamp = input.lastTimestamp;
    return input;
  }

  /** The error of the command that the executor stopped at, '' if it could not be run. */
  private get replyError(): string {
    const { reply } = this.context;
    if (this.executor.logReplay.problem !== '') return '';
    const text = Buffer.from(reply.bytes.subarray(0, reply.length)).toString('latin1');
    return /^-(.*)\r$/m.exec(text)?.[1] ?? '';
  }

  /**
   * Whether to run the failed command at an offset again: its shard had no memory for it, but now has more, because
   * large values were freed or the free memory was made one piece.
   */
  private mayTryAgain(offset: number): boolean {
    if (!this.replyError.startsWith('OOM ')) return false;
    const { shard } = this.context;
    const { compacted } = this;
    if (offset !== this.compactedFor) compacted.clear();
    this.compactedFor = offset;
    if (shard.lazyFree.pendingCount > 0) {
      this.free();
      return true;
    }
    // A shard with a snapshot is not compacted: its arena may hold images, too.
    if (compacted.has(shard) || shard.snapshot.state !== SnapshotState.None) return false;
    compacted.add(shard);
    compactShard(this.keyspace, shard, Date.now());
    return true;
  }

  /** Frees large values that were deleted. Usually workers do this, but they wait until loading ends. */
  private free(): void {
    for (const { lazyFree } of this.keyspace.shards) {
      while (lazyFree.pendingCount > 0) lazyFree.step(FREED_PER_STEP);
    }
  }

  /** Throws for the command that the executor stopped at, or notes a warning. */
  private judge(path: string, offset: number): void {
    const { problem } = this.executor.logReplay;
    const error = this.replyError;
    const place = `reading the append only file ${path} at offset ${offset}`;
    if (problem !== '') throw new ReplayError(`${problem} ${place}`);
    if (error.startsWith('OOM ')) throw new ReplayError(`not enough memory ${place}`);
    if (this.warnings.length === WARNINGS_MAX) return;
    this.warnings.push(`A command failed with '${error}' that once had an effect, ${place}`);
  }
}

/** There are no clients here, and no other workers. */
const NO_OTHERS = {
  close: () => {},
  changed: () => {},
  workerIndex: 0,
  wakeWorker: () => {},
  mayWait: () => false,
};

/** The process state that handlers use, without any clients. */
function replayServices(config: Config, table: CommandTable): ServerServices {
  const state = new ProcessState(createProcessState(Attention.create(2), 1, table.size), 0, () => {});
  const clientRows = new ClientRows(state.clients, 0);
  const sessions = new Map<number, Session>();
  return {
    state,
    config,
    clientRows,
    access: new AccessControl({ state, config, clientRows, sessions, ...NO_OTHERS }, table),
    monitors: new MonitorFeed(
      state,
      0,
      1,
      () => {},
      () => {},
    ),
    transfers: NO_TRANSFERS,
    waitRoom: new WaitRoom(state, 0, () => {}),
    ...createMessaging(
      new ChannelRegistry(ChannelRegistry.create(1 << 20), 1),
      NO_MESSAGES,
      state,
      new Gate(),
      0,
      1,
      () => undefined,
    ),
    flush: () => true,
    wakeWorker: () => {},
    workerCount: 1,
    multiplexingApi: '',
    // The limit was checked when a client sent the string.
    maxBulkLengthBytes: 2 ** 31 - 1,
    workerIndex: 0,
    sessions,
    hasReplication: false,
    askForAcks: () => {},
    isAllowed: () => false,
    listenOn: () => false,
    tls: NO_TLS_CONTROL,
    roomForClients: () => 0,
    limitClients: () => {},
    loadAppendOnlyAgain: () => '',
    followConfig: () => {},
    isDebugAllowed: () => false,
    log: () => {},
    releaseUnusedPages: () => {},
    serveWhileBusy: () => {},
    purgeBuffers: () => {},
    writeDirectly: () => 0,
    executeTransaction: () => true,
  };
}

function describeFailure(path: string, error: unknown): string {
  if (error instanceof ReplayError) return error.message;
  if (error instanceof RdbMemoryError) return `not enough memory reading the append only file ${path}`;
  if (error instanceof AofError) {
    return (
      `Bad file format reading the append only file ${path}: ${error.message} ` +
      '(make a backup of the file, then use redis-check-aof --fix)'
    );
  }
  if ((error as NodeJS.ErrnoException).code !== undefined) {
    return `can't read the append only file ${path}: ${(error as Error).message}`;
  }
  throw error;
}
