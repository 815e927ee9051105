/**
 * A snapshot of a shard's keys as they are at one moment, taken while they go on changing.
 *
 * `begin` marks the moment; whoever takes the snapshot holds the locks of all shards then, so it is the same moment
 * everywhere and no transaction is half done. From then on the persistence thread visits the tables step by step and
 * writes each key once. Whoever is about to change or delete a key that has not been visited yet leaves an image of
 * it (`preserve`, called by the gate): the key as the snapshot has it, in the form of the file, in a block of this
 * shard until the persistence thread comes for it. So the snapshot takes memory only for keys that change early, and
 * only until they are fetched.
 *
 *   image:  | next | length of the bytes | database | bytes of the file |
 *
 * One bit of an entry tells whether its key is done: it is when the bit is the same as the shard's. `begin` turns
 * the shard's bit, which makes all keys undone at once; new entries get it as it is. That is right as long as every
 * key has the same bit when a snapshot begins, so one that is given up still visits all keys, to mark them.
 *
 * Where the visit is in a database, and as which one its keys are written, is kept beside the database's root: SWAPDB
 * takes it along.
 */

import type { Arena } from '../memory/arena.js';
import { HeaderWord, type ShardMemory } from '../memory/shard-memory.js';
import type { Dictionary } from '../structures/dictionary.js';
import type { Shard } from './shard.js';

export const enum SnapshotState {
  None = 0,
  Running = 1,
  /** There was no memory for an image. */
  Failed = 2,
  /** Somebody has emptied the keyspace. */
  Cancelled = 3,
}

/** The bit of an entry's first word that tells whether the key is done. */
export const ENTRY_DONE_BIT = 0x80;

/** Words of a database's root, after those of the dictionary and the calendar. */
export const enum SnapshotRoot {
  /** The number under which the keys are written. */
  Database = 5,
  Cursor = 6,
  IsDone = 7,
}

const IMAGE_HEADER_BYTES = 12;
/** A value may be longer as commands than its shard is; lengths in the shard are int32. */
const IMAGE_BYTES_MAX = 0x7fff0000;

/** Bytes, as far as `length`; void when another key is written. */
export interface KeyImage {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** Writes keys in the form of the file. One per thread that changes keys. */
export interface ImageWriter {
  write(shard: Shard, entry: number): KeyImage;
}

export class ShardSnapshot {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly arena: Arena;
  private readonly dictionary: Dictionary;
  imageWriter: ImageWriter | null = null;

  constructor(memory: ShardMemory, arena: Arena, dictionary: Dictionary) {
    this.words = memory.words;
    this.bytes = memory.bytes;
    this.arena = arena;
    this.dictionary = dictionary;
  }

  get state(): SnapshotState {
    return this.words[HeaderWord.SnapshotState];
  }

  /** Takes the moment. The locks of all shards are held. */
  begin(shard: Shard): void {
    const { words } = this;
    words[HeaderWord.SnapshotDoneBit] ^= ENTRY_DONE_BIT;
    words[HeaderWord.SnapshotState] = SnapshotState.Running;
    for (let database = 0; database < shard.databaseCount; database++) {
      const root = shard.root(database);
      words[root + SnapshotRoot.Database] = database;
      words[root + SnapshotRoot.Cursor] = 0;
      words[root + SnapshotRoot.IsDone] = 0;
    }
  }

  /** Leaves an image of a key that is about to change, unless it is done. The snapshot is running. */
  preserve(shard: Shard, database: number, entry: number): void {
    if (!this.markDone(entry)) return;
    if (this.imageWriter === null) throw new Error('a thread without an image writer changes keys');
    const { words } = this;
    const { bytes, length } = this.imageWriter.write(shard, entry);
    const image = length > IMAGE_BYTES_MAX ? 0 : this.arena.allocate(IMAGE_HEADER_BYTES + length);
    if (image === 0) {
      this.stop(SnapshotState.Failed);
      return;
    }
    const at = image >> 2;
    words[at] = words[HeaderWord.SnapshotImages];
    words[at + 1] = length;
    words[at + 2] = words[shard.root(database) + SnapshotRoot.Database];
    this.bytes.set(bytes.subarray(0, length), image + IMAGE_HEADER_BYTES);
    words[HeaderWord.SnapshotImages] = image;
  }

  /** Leaves images of all keys of a database that is about to be emptied. */
  preserveAll(shard: Shard, database: number): void {
    const { dictionary } = this;
    const root = shard.root(database);
    let cursor = 0;
    do {
      cursor = dictionary.scan(root, cursor);
      for (let index = 0; index < dictionary.scannedCount && this.state === SnapshotState.Running; index++) {
        this.preserve(shard, database, dictionary.scanned[index]);
      }
    } while (cursor !== 0);
  }

  /** Marks a key as done; false if it was. */
  private markDone(entry: number): boolean {
    const { words } = this;
    if (((words[entry >> 2] ^ words[HeaderWord.SnapshotDoneBit]) & ENTRY_DONE_BIT) === 0) return false;
    words[entry >> 2] ^= ENTRY_DONE_BIT;
    return true;
  }

  /** Gives a running snapshot up: no more images are wanted. The keys are still visited, by `step`. */
  stop(reason: SnapshotState): void {
    const { words } = this;
    if (words[HeaderWord.SnapshotState] !== SnapshotState.Running) return;
    words[HeaderWord.SnapshotState] = reason;
    while (this.takeImage(null)) {}
  }

  get hasImages(): boolean {
    return this.words[HeaderWord.SnapshotImages] !== 0;
  }

  /** Hands out one image, and frees it; false if there is none. */
  takeImage(take: ((database: number, offset: number, lengthBytes: number) => void) | null): boolean {
    const { words } = this;
    const image = words[HeaderWord.SnapshotImages];
    if (image === 0) return false;
    const at = image >> 2;
    const lengthBytes = words[at + 1];
    words[HeaderWord.SnapshotImages] = words[at];
    if (take !== null) take(words[at + 2], image + IMAGE_HEADER_BYTES, lengthBytes);
    this.arena.free(image, IMAGE_HEADER_BYTES + lengthBytes);
    return true;
  }

  /**
   * Visits the keys of one more line of a table and hands out those that are not done. Returns false if all keys of
   * the shard are done.
   */
  step(shard: Shard, take: (shard: Shard, database: number, entry: number) => void): boolean {
    const { words, dictionary } = this;
    for (let database = 0; database < shard.databaseCount; database++) {
      const root = shard.root(database);
      if (words[root + SnapshotRoot.IsDone] !== 0) continue;
      const cursor = dictionary.scan(root, words[root + SnapshotRoot.Cursor]);
      words[root + SnapshotRoot.Cursor] = cursor;
      if (cursor === 0) words[root + SnapshotRoot.IsDone] = 1;
      for (let index = 0; index < dictionary.scannedCount; index++) {
        const entry = dictionary.scanned[index];
        if (this.markDone(entry)) take(shard, words[root + SnapshotRoot.Database], entry);
      }
      return true;
    }
    return false;
  }

  /** The snapshot is over for this shard: all keys are done and there are no images. */
  end(): void {
    this.words[HeaderWord.SnapshotState] = SnapshotState.None;
  }
}
