/** All shared state of the process in one place: handles to pass to a thread, objects to use in it. */

import { Attention, type HeededBlock } from '../memory/attention.js';
import { AccessLog, type AccessLogHandle } from './access-log.js';
import { AppendOnlyState } from './append-only-state.js';
import { ClientTable, type ClientTableHandle } from './client-table.js';
import { CommandLog } from './command-log.js';
import { Statistics, type StatisticsHandle, WorkerStatistics } from './command-statistics.js';
import { Confirmations } from './confirmations.js';
import { ControlBlock } from './control-block.js';
import { LatencyMonitor } from './latency-monitor.js';
import { Mail, type MailHandle } from './mail.js';
import { Outbox } from './outbox.js';
import { PersistenceState } from './persistence-state.js';
import { PreparedReplies } from './prepared-replies.js';
import { ReplicaFeed } from './replica-feed.js';
import { ReplicationState } from './replication-state.js';
import { RunningScripts } from './running-scripts.js';
import { ScriptCache, type ScriptCacheHandle } from './script-cache.js';
import { SharedConfig } from './shared-config.js';
import { SharedLines } from './shared-lines.js';
import { TlsState } from './tls-state.js';
import { WorkerLoad } from './worker-load.js';

export interface ProcessStateHandle {
  readonly attention: SharedArrayBuffer;
  readonly control: HeededBlock;
  readonly config: HeededBlock;
  readonly clients: ClientTableHandle;
  readonly statistics: StatisticsHandle;
  readonly slowLog: SharedArrayBuffer;
  readonly largeRequestLog: SharedArrayBuffer;
  readonly largeReplyLog: SharedArrayBuffer;
  readonly latency: SharedArrayBuffer;
  readonly persistence: HeededBlock;
  readonly appendOnly: HeededBlock;
  readonly workerLoad: SharedArrayBuffer;
  readonly mail: MailHandle;
  readonly preparedReplies: SharedArrayBuffer;
  readonly tls: SharedArrayBuffer;
  readonly replication: HeededBlock;
  readonly replicaFeed: SharedArrayBuffer;
  readonly confirmations: SharedArrayBuffer;
  readonly users: HeededBlock;
  readonly usersFollowed: SharedArrayBuffer;
  readonly accessLog: AccessLogHandle;
  readonly scriptCache: ScriptCacheHandle;
  readonly runningScripts: SharedArrayBuffer;
}

/** Address space for the texts of all users: some hundred thousand of them. */
const USERS_BYTES_MAX = 64 << 20;

/**
 * Makes the shared state of a new process. The replication thread is one more beside the workers, behind them: `attention`
 * has a word for it, too.
 */
export function createProcessState(
  attention: SharedArrayBuffer,
  workers: number,
  commands: number,
): ProcessStateHandle {
  return {
    attention,
    control: ControlBlock.create(attention),
    config: SharedConfig.create(attention),
    clients: ClientTable.create(attention),
    statistics: Statistics.create(workers + 1, commands),
    slowLog: CommandLog.create(),
    largeRequestLog: CommandLog.create(),
    largeReplyLog: CommandLog.create(),
    latency: LatencyMonitor.create(),
    persistence: PersistenceState.create(attention),
    appendOnly: AppendOnlyState.create(attention),
    workerLoad: WorkerLoad.create(workers),
    mail: Mail.create(attention, workers + 1),
    preparedReplies: PreparedReplies.create(),
    tls: TlsState.create(),
    replication: ReplicationState.create(attention),
    replicaFeed: ReplicaFeed.create(),
    confirmations: Confirmations.create(),
    users: SharedLines.create(USERS_BYTES_MAX, attention),
    usersFollowed: new SharedArrayBuffer(4 * (workers + 1)),
    accessLog: AccessLog.create(),
    scriptCache: ScriptCache.create(),
    runningScripts: RunningScripts.create(workers + 1),
  };
}

export class ProcessState {
  readonly attention: Attention;
  readonly control: ControlBlock;
  /** The configuration in force, a ConfigSnapshot as JSON. */
  readonly config: SharedConfig;
  readonly clients: ClientTable;
  readonly statistics: Statistics;
  readonly slowLog: CommandLog;
  readonly largeRequestLog: CommandLog;
  readonly largeReplyLog: CommandLog;
  readonly latency: LatencyMonitor;
  readonly persistence: PersistenceState;
  readonly appendOnly: AppendOnlyState;
  readonly workerLoad: WorkerLoad;
  readonly preparedReplies: PreparedReplies;
  readonly tls: TlsState;
  readonly replication: ReplicationState;
  readonly replicaFeed: ReplicaFeed;
  readonly confirmations: Confirmations;
  /** The users, as text (execution/access-control.ts). */
  readonly users: SharedLines;
  /** By worker, the version of the users that it has taken over. */
  readonly usersFollowed: Int32Array;
  readonly accessLog: AccessLog;
  readonly scriptCache: ScriptCache;
  readonly runningScripts: RunningScripts;
  /** This worker's own counters. */
  readonly counters: WorkerStatistics;
  readonly mail: Mail;
  /** What this worker sends to the others. */
  readonly outbox: Outbox;

  /** `wakeWorker` makes a worker look into its box. */
  constructor(handle: ProcessStateHandle, worker: number, wakeWorker: (worker: number) => void) {
    this.attention = new Attention(handle.attention);
    this.control = new ControlBlock(handle.control);
    this.config = new SharedConfig(handle.config);
    this.clients = new ClientTable(handle.clients);
    this.statistics = new Statistics(handle.statistics);
    this.slowLog = new CommandLog(handle.slowLog);
    this.largeRequestLog = new CommandLog(handle.largeRequestLog);
    this.largeReplyLog = new CommandLog(handle.largeReplyLog);
    this.latency = new LatencyMonitor(handle.latency);
    this.persistence = new PersistenceState(handle.persistence);
    this.appendOnly = new AppendOnlyState(handle.appendOnly);
    this.workerLoad = new WorkerLoad(handle.workerLoad);
    this.preparedReplies = new PreparedReplies(handle.preparedReplies);
    this.tls = new TlsState(handle.tls);
    this.replication = new ReplicationState(handle.replication);
    this.replicaFeed = new ReplicaFeed(handle.replicaFeed);
    this.confirmations = new Confirmations(handle.confirmations);
    this.users = new SharedLines(handle.users);
    this.usersFollowed = new Int32Array(handle.usersFollowed);
    this.accessLog = new AccessLog(handle.accessLog);
    this.scriptCache = new ScriptCache(handle.scriptCache);
    this.runningScripts = new RunningScripts(handle.runningScripts);
    this.counters = new WorkerStatistics(handle.statistics, worker);
    this.mail = new Mail(handle.mail, wakeWorker);
    this.outbox = new Outbox(this.mail);
  }
}
