/** All shared state of the process in one place: handles to pass to a thread, objects to use in it. */

import { ClientTable, type ClientTableHandle } from './client-table.js';
import { Statistics, type StatisticsHandle, WorkerStatistics } from './command-statistics.js';
import { ControlBlock } from './control-block.js';

export interface ProcessStateHandle {
  readonly control: SharedArrayBuffer;
  readonly clients: ClientTableHandle;
  readonly statistics: StatisticsHandle;
}

/** Makes the shared state of a new process. */
export function createProcessState(workers: number, commands: number): ProcessStateHandle {
  return {
    control: ControlBlock.create(),
    clients: ClientTable.create(),
    statistics: Statistics.create(workers, commands),
  };
}

export class ProcessState {
  readonly control: ControlBlock;
  readonly clients: ClientTable;
  readonly statistics: Statistics;
  /** This worker's own counters. */
  readonly counters: WorkerStatistics;

  constructor(handle: ProcessStateHandle, worker: number) {
    this.control = new ControlBlock(handle.control);
    this.clients = new ClientTable(handle.clients);
    this.statistics = new Statistics(handle.statistics);
    this.counters = new WorkerStatistics(handle.statistics, worker);
  }
}
