/**
 * What one thread has to tell of the changes it makes, besides what is in the shards: the gate (`Shard.changed`) hands
 * every change to it while somebody listens.
 */

import type { KeyEvent } from './events.js';
import type { Shard } from './shard.js';

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

/** The name of a key that no request has. */
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
}

/** Listens to the changes of one thread: events for clients that subscribe to them. */
export interface ChangeListener {
  /** A key has changed, or something has happened to it. Called under its shard's lock: notes it, no more. */
  note(key: KeyName, event: KeyEvent): void;
}

/** What has to happen at the end of a hold because of what was done in it. */
export interface HoldEnd {
  /** Serves the clients that wait for the keys in `Gate.ready`, while the locks are held. */
  serve(): void;
  /** The locks are released: sends what has been noted. */
  afterRelease(): void;
}

/** A key for which clients wait, and which may have what they want. */
export interface ReadyKey {
  readonly shard: Shard;
  /** The queue of those who wait (waiters.ts). */
  readonly queue: number;
}

/** Shared by all shards of one thread. */
export class Gate {
  /** Null while nobody wants to know. */
  listener: ChangeListener | null = null;
  /** Null in threads that serve no clients. */
  holdEnd: HoldEnd | null = null;
  /** Keys of the shards that are locked now. */
  readonly ready: ReadyKey[] = [];
  /** Something was noted that is to be sent once the locks are released. */
  hasNotices = false;
}
