/** What commands need of the process around them, given by the worker that runs them. */

import type { Config, Permission } from '../config/config.js';
import type { Shard } from '../keyspace/shard.js';
import type { ReplyWriter } from '../protocol/reply-writer.js';
import type { Invalidations } from '../pubsub/invalidations.js';
import type { Publisher } from '../pubsub/publisher.js';
import type { Subscriptions } from '../pubsub/subscriptions.js';
import type { ProcessState } from '../state/process-state.js';
import type { Log } from '../system/log.js';
import type { AccessControl } from './access-control.js';
import type { ClientRows } from './client-rows.js';
import type { MonitorFeed } from './monitor-feed.js';
import type { Notices } from './notices.js';
import type { Session } from './session.js';
import type { Transfers } from './transfers.js';
import type { WaitRoom } from './wait-room.js';

/** TLS of the connections that clients open. */
export interface TlsControl {
  /** Whether there is a context that connections are made from. */
  readonly isReady: boolean;
  /** Makes a context of what is configured; false if that is not possible, and the log says why. */
  prepare(): boolean;
  /** Makes new connections use what was prepared, if anything was. */
  publish(): void;
  /** Forgets what was prepared. */
  discard(): void;
}

export interface ServerServices {
  /** What all threads of the process share. */
  readonly state: ProcessState;
  /** This thread's copy of the configuration; CONFIG SET changes it through `state.config.update`. */
  readonly config: Config;
  /** This worker's sessions in the client table. */
  readonly clientRows: ClientRows;
  /** What this worker's clients are subscribed to. */
  readonly subscriptions: Subscriptions<Session>;
  readonly publisher: Publisher<Session>;
  readonly notices: Notices;
  /** Which of this worker's clients track what they read, or are told of changes. */
  readonly invalidations: Invalidations<Session>;
  /** Where the lines for clients in MONITOR go. */
  readonly monitors: MonitorFeed;
  /** This worker's clients that wait for keys. */
  readonly waitRoom: WaitRoom;
  /** What MIGRATE sends to other servers. */
  readonly transfers: Transfers;
  /**
   * Sends what has been replied so far, before a long batch ends. Returns whether the batch may go on now: not if the
   * client is closed, or if other clients have their turn.
   */
  flush(session: Session): boolean;
  /** Makes a worker look at its mailbox and at requests in the client table. */
  wakeWorker(index: number): void;
  readonly workerCount: number;
  /** How connections are read, as INFO tells it. */
  multiplexingApi: string;
  /** Who the clients are, and what they may do. */
  readonly access: AccessControl;
  /** `proto-max-bulk-len`: the longest that a string may grow. */
  maxBulkLengthBytes: number;
  readonly workerIndex: number;
  /** The sessions of this worker's connections, by client id. */
  readonly sessions: Map<number, Session>;
  /** Whether an `enable-…` directive allows a client, which depends on its address. */
  isAllowed(permission: Permission, session: Session): boolean;
  /** Whether connections can be handed to the replication thread. */
  readonly hasReplication: boolean;
  /** Makes the server listen on other addresses; if it can't, it keeps the old ones: false. Blocks briefly. */
  listenOn(bind: readonly string[], port: number, tlsPort: number): boolean;
  readonly tls: TlsControl;
  /** Makes room for so many clients at a time; returns how many there is room for, which may be fewer. */
  roomForClients(wanted: number): number;
  /** Has the acceptor follow `maxclients` and `tcp-keepalive`. */
  limitClients(): void;
  /** Takes over the configuration in force; the worker does so by itself before each read. */
  followConfig(): void;
  /** Loads the append-only file again (loading.ts). */
  loadAppendOnlyAgain(): string;
  /** Whether `enable-debug-command` allows this client DEBUG. */
  isDebugAllowed(session: Session): boolean;
  readonly log: Log;
  /** Has all workers give back the buffers that they keep for later. */
  purgeBuffers(): void;
  /** Writes bytes [start, end) of a writer to a socket of any worker; returns how many it has taken. */
  writeDirectly(fd: number, writer: ReplyWriter, start: number, end: number): number;
  /** Has replicas tell how far they are. */
  askForAcks(): void;
  /** Gives pages of a shard that no key uses back to the operating system. Its lock is held. */
  releaseUnusedPages(shard: Shard): void;
  /** While this client's slow script runs: answers others with BUSY and runs commands that end it, if possible here. */
  serveWhileBusy(session: Session): void;
  /** Runs a session's queue as one transaction; false if a pause holds it back (executor.ts). */
  executeTransaction(session: Session, isStillValid: () => boolean): boolean;
}
