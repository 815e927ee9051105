/** What the parts of replication share: the state of the process as the replication thread sees it. */

import type net from 'node:net';
import type { Config } from '../config/config.js';
import type { CommandContext } from '../execution/context.js';
import type { JournalRing } from '../journal/journal-ring.js';
import type { Keyspace } from '../keyspace/keyspace.js';
import type { AppendOnlyState } from '../state/append-only-state.js';
import type { ClientTable } from '../state/client-table.js';
import type { Confirmations } from '../state/confirmations.js';
import type { ControlBlock } from '../state/control-block.js';
import type { PersistenceState } from '../state/persistence-state.js';
import type { ReplicaFeed } from '../state/replica-feed.js';
import type { ReplicationState } from '../state/replication-state.js';
import type { Libc } from '../system/libc.js';
import type { Log } from '../system/log.js';

/** A pipe: what one thread writes to a descriptor, another reads. */
export interface Pipe {
  readonly writer: number;
  readonly reader: net.Socket;
}

export interface ReplicationCore {
  readonly config: Config;
  readonly log: Log;
  readonly libc: Libc;
  readonly state: ReplicationState;
  readonly feed: ReplicaFeed;
  readonly confirmations: Confirmations;
  readonly persistence: PersistenceState;
  readonly appendOnly: AppendOnlyState;
  readonly control: ControlBlock;
  readonly clients: ClientTable;
  readonly keyspace: Keyspace;
  readonly ring: JournalRing;
  readonly context: CommandContext;
  openPipe(): Pipe;
  /** A file in memory, which is gone when its descriptor is closed. */
  openMemoryFile(): number;
  wakeWorker(worker: number): void;
  /** Has all workers look at what has changed. */
  wakeWorkers(): void;
}
