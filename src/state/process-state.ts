/** All shared state of the process in one place: handles to pass to a thread, objects to use in it. */

import { AppendOnlyState } from './append-only-state.js';
import { ClientTable, type ClientTableHandle } from './client-table.js';
import { CommandLog } from './command-log.js';
import { Statistics, type StatisticsHandle, WorkerStatistics } from './command-statistics.js';
import { ControlBlock } from './control-block.js';
import { LatencyMonitor } from './latency-monitor.js';
import { Mailbox } from './mailbox.js';
import { PersistenceState } from './persistence-state.js';
import { SharedConfig } from './shared-config.js';
import { WorkerLoad } from './worker-load.js';

export interface ProcessStateHandle {
  readonly control: SharedArrayBuffer;
  readonly config: SharedArrayBuffer;
  readonly clients: ClientTableHandle;
  readonly statistics: StatisticsHandle;
  readonly slowLog: SharedArrayBuffer;
  readonly largeRequestLog: SharedArrayBuffer;
  readonly largeReplyLog: SharedArrayBuffer;
  readonly latency: SharedArrayBuffer;
  readonly persistence: SharedArrayBuffer;
  readonly appendOnly: SharedArrayBuffer;
  readonly workerLoad: SharedArrayBuffer;
  /** One per worker. */
  readonly mailboxes: readonly SharedArrayBuffer[];
}

/** Makes the shared state of a new process. */
export function createProcessState(workers: number, commands: number): ProcessStateHandle {
  return {
    control: ControlBlock.create(),
    config: SharedConfig.create(),
    clients: ClientTable.create(),
    statistics: Statistics.create(workers, commands),
    slowLog: CommandLog.create(),
    largeRequestLog: CommandLog.create(),
    largeReplyLog: CommandLog.create(),
    latency: LatencyMonitor.create(),
    persistence: PersistenceState.create(),
    appendOnly: AppendOnlyState.create(),
    workerLoad: WorkerLoad.create(workers),
    mailboxes: Array.from({ length: workers }, () => Mailbox.create()),
  };
}

export class ProcessState {
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
  /** This worker's own counters. */
  readonly counters: WorkerStatistics;
  /** By worker. */
  readonly mailboxes: readonly Mailbox[];

  /** `wakeWorker` makes a worker look into its mailbox. */
  constructor(handle: ProcessStateHandle, worker: number, wakeWorker: (worker: number) => void) {
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
    this.counters = new WorkerStatistics(handle.statistics, worker);
    this.mailboxes = handle.mailboxes.map((mailbox, owner) => new Mailbox(mailbox, () => wakeWorker(owner)));
  }

  /** Sends the same message to every worker. Returns whether all had room for it. */
  broadcast(kind: number, id = 0, first = 0, payload?: Uint8Array): boolean {
    let areAllSent = true;
    for (const mailbox of this.mailboxes) {
      areAllSent = mailbox.send(kind, id, first, 0, 0, payload) && areAllSent;
    }
    return areAllSent;
  }
}
