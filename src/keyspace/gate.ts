/**
 * What one thread reports about the changes that it makes, besides what the shards store: the gate (`Shard.changed`)
 * passes every change to it while there are listeners.
 */

import type { KeyEvent } from './events.js';
import type { Shard } from './shard.js';
import { TrackingTotals } from './tracking-totals.js';

/** A key of a shard by its name, which can still be read although the key may be gone. */
export interface KeyName {
  readonly keyDatabase: number;
  readonly hash: number;
  readonly bytes: Uint8Array;
  /** Over the same bytes. */
  readonly view: DataView;
  readonly keyOffset: number;
  readonly keyLength: number;
}

/** The name of a key that does not come from a request. */
export class NamedKey implements KeyName {
  keyDatabase: number;
  hash: number;
  bytes: Uint8Array;
  view: DataView;
  keyOffset: number;
  keyLength: number;

  constructor(bytes: Uint8Array, view: DataView, database = 0, hash = 0, offset = 0, lengthBytes = 0) {
    this.bytes = bytes;
    this.view = view;
    this.keyDatabase = database;
    this.hash = hash;
    this.keyOffset = offset;
    this.keyLength = lengthBytes;
  }

  /** With a copy of the key, which is bytes[offset, offset + lengthBytes). */
  static copy(
    bytes: Uint8Array,
    database: number,
    hash: number,
    offset: number,
    lengthBytes: number,
  ): NamedKey {
    const own = bytes.slice(offset, offset + lengthBytes);
    return new NamedKey(own, new DataView(own.buffer), database, hash, 0, lengthBytes);
  }
}

/** Listens to the changes of one thread: events for clients that subscribe to them. */
export interface ChangeListener {
  /** A key has changed, or something has happened to it. Called under its shard's lock: notes it, no more. */
  note(key: KeyName, event: KeyEvent): void;
}

/** Is told of keys that clients may have cached (CLIENT TRACKING). Called under locks: notes it, no more. */
export interface CacheListener {
  /** A key that clients have read has changed; `clients` are rows of the client table, the first `count`. */
  noteTracked(key: KeyName, clients: Uint16Array, count: number): void;
  /** A key has changed, and clients want to know of all with some beginning. False if no client does any more. */
  noteBroadcast(key: KeyName): boolean;
  /** Whole databases have changed. */
  noteAllKeys(): void;
}

/** What has to be done at the end of a hold (a period with locks held) because of the changes made in it. */
export interface HoldEnd {
  /** Serves the clients that wait for the keys in `Gate.ready`, while the locks are held. */
  serve(): void;
  /** The locks are released: sends what has been noted. */
  afterRelease(): void;
}

/** A key for which clients wait, and which may have what they want. */
export interface ReadyKey {
  readonly shard: Shard;
  /** The queue of the waiting clients (waiters.ts). */
  readonly queue: number;
}

/** Shared by all shards of one thread. */
export class Gate {
  /** Null while `notify-keyspace-events` is off. */
  listener: ChangeListener | null = null;
  /** Null in threads that serve no clients. */
  cacheListener: CacheListener | null = null;
  readonly trackingTotals: TrackingTotals;
  /** Client table row of the client whose command runs; -1 for a change that no command has caused. */
  originClient = -1;
  /** Null in threads that serve no clients. */
  holdEnd: HoldEnd | null = null;
  /** Keys of the shards that are locked now. */
  readonly ready: ReadyKey[] = [];
  /** Something was noted that is to be sent once the locks are released. */
  hasNotices = false;

  constructor(trackingTotals = new TrackingTotals(TrackingTotals.create())) {
    this.trackingTotals = trackingTotals;
  }
}
