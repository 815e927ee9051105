/** What the command layer keeps per connection: database, protocol, name, transaction, watched keys. */

import type { Selector } from '../access/selector.js';
import { DEFAULT_USER, type User } from '../access/user.js';
import { underLock } from '../keyspace/deferred-work.js';
import type { Shard } from '../keyspace/shard.js';
import type { ClientTracking } from '../pubsub/client-tracking.js';
import type { SubscribedNames } from '../pubsub/subscriptions.js';
import { ClientTable, ClientText } from '../state/client-table.js';
import { releasePages } from '../system/page-release.js';
import type { QueuedCommand } from './transactions.js';

export interface WatchedKey {
  readonly shard: Shard;
  /** Slot in the shard's watch table; -1 if that was full: then any change in the shard counts as one of the key. */
  readonly slot: number;
  readonly version: number;
  readonly database: number;
  readonly hash: number;
  readonly key: Uint8Array;
  /** Whether there was such a key at WATCH. */
  readonly existed: boolean;
}

export const enum ReplyMode {
  On = 0,
  Off = 1,
  /** No reply to the next command. */
  SkipNext = 2,
  /** No reply to this command. */
  Skip = 3,
}

/** The class whose limits apply to a client (`client-output-buffer-limit` and others). */
export const enum ClientClass {
  Normal = 0,
  Replica = 1,
  PubSub = 2,
  COUNT = 3,
}

/** What the command layer asks of the connection below it. */
export interface ClientConnection {
  /** Closes the connection once all replies are sent. */
  closeAfterReply(): void;
  peerAddress(): string;
  localAddress(): string;
  readonly fd: number;
  /** Output that the client has not taken yet, and the buffers that it is in. */
  readonly pendingOutputBytes: number;
  readonly pendingOutputChunks: number;
  /** Input that waits for the rest of its command, and the room that is left for that. */
  readonly queryBufferBytes: number;
  readonly queryBufferFreeBytes: number;
  /** TLS: its version (0x304 for TLS 1.3), the address of its session, what it takes; 0 without TLS. */
  readonly tlsVersion: number;
  readonly tlsSession: number;
  readonly tlsBytes: number;
}

/** What a replica has said of itself with REPLCONF. */
export interface ReplicaTraits {
  port: number;
  ip: string;
  /** It finds the end of a snapshot by itself (capability EOF), and knows histories with two ids (PSYNC2). */
  knowsEnd: boolean;
  knowsIds: boolean;
  /** It is a Damselfly, so it understands more than Redis 7.0. */
  isDamselfly: boolean;
  /** It wants a snapshot and nothing more; without keys. */
  wantsSnapshotOnly: boolean;
  wantsNoKeys: boolean;
  version: string;
}

/** A connection that becomes a replica's: it goes to the replication thread. */
export interface Handover {
  readonly traits: ReplicaTraits;
  /** Of PSYNC: which history it has, and the first offset that it lacks; SYNC has none. */
  readonly id: string;
  readonly offset: number;
  readonly isPartial: boolean;
}

/** Work of a postponed command that goes on elsewhere. */
export interface PostponedWork {
  /** The command may go on. */
  readonly isReady: boolean;
  /** When it is ready in any case, in ms of the monotonic clock. */
  readonly deadlineMs?: number;
  /** Another thread has replied to the client, and counts it as blocked no more. */
  readonly isRepliedTo?: boolean;
  /** The client has gone, and with it the command. */
  abandon(): void;
}

export class Session {
  readonly id: number;
  readonly connection: ClientConnection;
  /** Monotonic ms, as all times of a session. */
  readonly createdMs: number;
  database = 0;
  protocol: 2 | 3 = 2;
  /** The client may run commands: it has authenticated, or need not. */
  authenticated = true;
  /** The client has authenticated, or did not have to when it connected: it keeps its user. */
  isIdentified = true;
  /** null: the commands of this session are not checked. */
  user: User | null = null;
  /** The user has not all permissions: each command has to be checked. */
  isRestricted = false;
  /** The restricted user's only selector, if it allows all databases: quick to check; else null. */
  selector: Selector | null = null;
  name = '';
  libraryName = '';
  libraryVersion = '';
  replyMode: ReplyMode = ReplyMode.On;
  noEvict = false;
  noTouch = false;
  isMonitor = false;
  /** The client is a replica, which is sent the replication stream. */
  isReplica = false;
  /** The session is that of the link to the primary. */
  isPrimary = false;
  replicaTraits: ReplicaTraits | null = null;
  /** It is to be handed to the replication thread, which replies. */
  handover: Handover | null = null;
  /** Position in the journal after this client's last write: WAIT waits until replicas have reached it. */
  writtenUntil = 0;
  closing = false;
  lastCommandId = -1;
  lastInteractionMs: number;
  /** Row in the process-wide client table. */
  clientSlot = -1;
  /** What the client is subscribed to; null if it is not. */
  subscribed: SubscribedNames | null = null;
  /** CLIENT TRACKING is on. */
  tracking: ClientTracking | null = null;

  /**
   * A command that waits for the end of CLIENT PAUSE, or has begun and waits for `postponedWork`; the connection is not
   * read meanwhile.
   */
  postponed: QueuedCommand | null = null;
  postponedWork: PostponedWork | null = null;
  /** The postponed command waits for keys (wait-room.ts). */
  isWaiting = false;

  /** Commands queued since MULTI; null outside a transaction. */
  queue: QueuedCommand[] | null = null;
  queuedBytes = 0;
  /** A command could not be queued: EXEC will refuse. */
  transactionFailed = false;
  watched: WatchedKey[] = [];
  /** Memory that `watched` takes. */
  watchedBytes = 0;

  constructor(id: number, connection: ClientConnection, nowMs: number) {
    this.id = id;
    this.connection = connection;
    this.createdMs = nowMs;
    this.lastInteractionMs = nowMs;
  }

  get clientClass(): ClientClass {
    if (this.isReplica) return ClientClass.Replica;
    return this.subscribed !== null ? ClientClass.PubSub : ClientClass.Normal;
  }

  /** Whether its row in the client table holds all of the session, so that another worker can take it over. */
  get isMovable(): boolean {
    return (
      this.clientSlot >= 0 &&
      this.authenticated &&
      this.isIdentified &&
      this.replyMode === ReplyMode.On &&
      this.queue === null &&
      this.watched.length === 0 &&
      this.postponed === null &&
      !this.isMonitor &&
      this.clientClass === ClientClass.Normal &&
      this.tracking === null &&
      this.replicaTraits === null &&
      !this.closing &&
      ClientTable.holds(ClientText.Name, this.name) &&
      ClientTable.holds(ClientText.LibraryName, this.libraryName) &&
      ClientTable.holds(ClientText.LibraryVersion, this.libraryVersion)
    );
  }

  get userName(): string {
    return this.user?.name ?? DEFAULT_USER;
  }

  unwatchAll(): void {
    for (const { shard, slot } of this.watched) {
      if (slot < 0) continue;
      underLock(shard, () => shard.watchedKeys.unwatch(slot));
    }
    this.watched.length = 0;
    this.watchedBytes = 0;
  }

  discardTransaction(): void {
    for (const { request } of this.queue ?? []) releasePages(request.bytes);
    this.queue = null;
    this.queuedBytes = 0;
    this.transactionFailed = false;
    this.unwatchAll();
  }
}
