/**
 * All process-wide shared state in one bundle: the main thread creates it and passes the handle to every
 * thread, which makes its own views.
 */

import { ClientTable, type ClientTableHandle } from './client-table.js';
import { Statistics, type StatisticsHandle } from './command-statistics.js';
import { ControlBlock } from './control-block.js';
import { LatencyMonitor } from './latency-monitor.js';
import { Mailbox } from './mailbox.js';
import { SharedConfig } from './shared-config.js';
import { SlowLog } from './slow-log.js';

export interface ProcessStateHandle {
  readonly control: SharedArrayBuffer;
  readonly config: SharedArrayBuffer;
  readonly clients: ClientTableHandle;
  readonly statistics: StatisticsHandle;
  readonly slowLog: SharedArrayBuffer;
  readonly latency: SharedArrayBuffer;
  /** One per worker. */
  readonly mailboxes: readonly SharedArrayBuffer[];
}

export class ProcessState {
  readonly handle: ProcessStateHandle;
  readonly control: ControlBlock;
  readonly config: SharedConfig;
  readonly clients: ClientTable;
  readonly statistics: Statistics;
  readonly slowLog: SlowLog;
  readonly latency: LatencyMonitor;
  readonly mailboxes: readonly Mailbox[];

  /** `wakeWorker` makes a worker look into its mailbox. */
  constructor(handle: ProcessStateHandle, wakeWorker: (worker: number) => void) {
    this.handle = handle;
    this.control = new ControlBlock(handle.control);
    this.config = new SharedConfig(handle.config);
    this.clients = new ClientTable(handle.clients);
    this.statistics = new Statistics(handle.statistics);
    this.slowLog = new SlowLog(handle.slowLog);
    this.latency = new LatencyMonitor(handle.latency);
    this.mailboxes = handle.mailboxes.map(
      (mailbox, worker) => new Mailbox(mailbox, () => wakeWorker(worker)),
    );
  }

  /** `commands`: size of the command table. */
  static create(workers: number, commands: number): ProcessStateHandle {
    return {
      control: ControlBlock.create(),
      config: SharedConfig.create(),
      clients: ClientTable.create(),
      statistics: Statistics.create(workers, commands),
      slowLog: SlowLog.create(),
      latency: LatencyMonitor.create(),
      mailboxes: Array.from({ length: workers }, () => Mailbox.create()),
    };
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
