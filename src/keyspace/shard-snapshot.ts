/**
 * A snapshot of a shard's keys as they are at one moment, taken while they go on changing.
 *
 * `begin` marks the moment; its caller holds the locks of all shards, so it is the same moment everywhere and no
 * transaction is half done. From then on the persistence thread visits the tables step by step and writes each key
 * once. A thread that is about to change or delete a key that has not been visited yet first leaves an image of it
 * (`preserve`): the key as the snapshot has it, in the form of the file, in a block of this shard until the persistence
 * thread fetches it. So the snapshot takes memory only for keys that change early, and only until they are fetched.
 *
 *   image:  | next | length of the bytes | database | bytes of the file |
 *
 * A large collection is too much to write under one hold of a lock, or in a thread that only wants to change one
 * element of it. It becomes a long key (long-key.ts), which is written element by element, with the lock released in
 * between; a change meanwhile leaves an image of the single element.
 *
 * One bit of an entry tells whether its key is done: it is when the bit is the same as the shard's. `begin` turns
 * the shard's bit, which makes all keys undone at once; new entries get it as it is. That is right as long as every
 * key has the same bit when a snapshot begins, so a snapshot that is given up still visits all keys to mark them, and
 * all elements of its long keys for the same reason.
 *
 * How far the visit of a database is, and the database number with which its keys are written, are stored in the
 * database's root, so SWAPDB swaps them too.
 */

import { CACHE_LINE_WORDS, HeaderWord, type ShardMemory } from '../memory/shard-memory.js';
import { REFERENCE_BYTES } from '../structures/collection-value.js';
import { TablePosition, VISIT_END } from '../structures/dictionary.js';
import { type ElementKeeper, Walk } from '../structures/element-walk.js';
import { WalkPhase } from '../structures/stream-walk.js';
import { entryType, expiresAtMs, keyLength, keyOffset, ValueType, valueOffset } from './entry.js';
import { IMAGE_HEADER_BYTES, LONG_KEY_HEADER_BYTES, LongKey, LongKeyWord } from './long-key.js';
import type { Shard } from './shard.js';

export const enum SnapshotState {
  None = 0,
  Running = 1,
  /** There was no memory for an image. */
  Failed = 2,
  /** Given up, for example because the keyspace was emptied. */
  Cancelled = 3,
  /** A value has not as many elements as it should. */
  Incomplete = 4,
}

/** The bit of an entry's first word that tells whether the key is done. */
export const ENTRY_DONE_BIT = 0x80;

/** Words of a database's root, after those of the dictionary and the calendar. */
export const enum SnapshotRoot {
  /** The number under which the keys are written. */
  Database = 5,
  /** Where the visit is; VISIT_END once all keys are done. */
  Prefix = 6,
  /** Keys at the snapshot's moment, and how many of them expire. */
  Keys = 9,
  VolatileKeys = 10,
}

const KEY_IMAGE_HEADER_BYTES = 12;
/** A value may be longer as commands than its shard is; lengths in the shard are int32. */
const IMAGE_BYTES_MAX = 0x7fff0000;

/** Limits of one step of a long key: elements, or bytes of images. */
const ELEMENTS_PER_STEP = 200;
const IMAGE_BYTES_PER_STEP = 32 * 1024;

/** The first `length` bytes are valid, until another key is written. */
export interface KeyImage {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** Writes keys in the form of the file. One per thread that changes keys. Null: the value is damaged. */
export interface ImageWriter {
  write(shard: Shard, entry: number): KeyImage | null;
  /** The part of a long key in the file that comes before its elements. */
  writeHead(shard: Shard, entry: number): KeyImage;
  /** An element of a long key: a record of its dictionary, or a chunk. */
  writeRecord(shard: Shard, key: LongKey, record: number): KeyImage;
  writeChunk(shard: Shard, key: LongKey, chunk: number): KeyImage;
}

/** Takes the parts of long keys, those of one key after those of another. */
export interface LongKeyTaker {
  begin(key: LongKey): void;
  /** Bytes of the file, of the shard whose snapshot it is. */
  image(offset: number, lengthBytes: number): void;
  records(key: LongKey, records: Int32Array, count: number): void;
  /** A chunk of a list or a block of a stream. */
  chunk(key: LongKey, chunk: number): void;
  /** The entries of a stream are over; what there is to know of it is in its past (structures/stream-walk.ts). */
  streamHead(key: LongKey): void;
  /** A group begins, of which `group` is the past. */
  groupHead(key: LongKey, group: number): void;
  /** Pending entries of the group. */
  pending(key: LongKey, group: number, pending: Int32Array, count: number): void;
  /** They are over; called again as long as it returns true. */
  groupEnd(key: LongKey, group: number): boolean;
  end(key: LongKey): void;
}

export class ShardSnapshot implements ElementKeeper {
  private readonly shard: Shard;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly bytes: Uint8Array;
  private readonly key: LongKey;
  /** For `keepRecord` and `keepChunk`, which may run in the middle of a step that uses `key`. */
  private readonly keptKey: LongKey;
  imageWriter: ImageWriter | null = null;
  /** Takes the result of `bringNear`, so that its loads are not optimised away. */
  sink = 0;

  constructor(shard: Shard, memory: ShardMemory) {
    this.shard = shard;
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.bytes = memory.bytes;
    this.key = new LongKey(memory);
    this.keptKey = new LongKey(memory);
  }

  get state(): SnapshotState {
    return this.words[HeaderWord.SnapshotState];
  }

  /** Marks the snapshot's moment. The locks of all shards are held. */
  begin(): void {
    const { words, shard } = this;
    words[HeaderWord.SnapshotDoneBit] ^= ENTRY_DONE_BIT;
    words[HeaderWord.SnapshotState] = SnapshotState.Running;
    for (let database = 0; database < shard.databaseCount; database++) {
      const root = shard.root(database);
      words[root + SnapshotRoot.Database] = database;
      words[root + SnapshotRoot.Prefix] = 0;
      words[root + SnapshotRoot.Keys] = shard.keyCount(database);
      words[root + SnapshotRoot.VolatileKeys] = shard.volatileKeyCount(database);
    }
  }

  /** The number under which the keys of a database are written. */
  databaseOf(database: number): number {
    return this.words[this.shard.root(database) + SnapshotRoot.Database];
  }

  /** How many keys a database had at the snapshot's moment. */
  keyCount(database: number): number {
    return this.words[this.shard.root(database) + SnapshotRoot.Keys];
  }

  /** How many of them expire. */
  volatileKeyCount(database: number): number {
    return this.words[this.shard.root(database) + SnapshotRoot.VolatileKeys];
  }

  private get writer(): ImageWriter {
    if (this.imageWriter === null) throw new Error('a thread without an image writer changes or visits keys');
    return this.imageWriter;
  }

  /** Leaves an image of a key that is about to change, unless it is done. The snapshot is running. */
  preserve(database: number, entry: number): void {
    if (!this.markDone(entry)) return;
    const { words, shard } = this;
    const savedDatabase = words[shard.root(database) + SnapshotRoot.Database];
    if (this.isLong(entry)) {
      this.addLongKey(savedDatabase, entry);
      return;
    }
    const written = this.writer.write(shard, entry);
    if (written === null) {
      this.stop(SnapshotState.Incomplete);
      return;
    }
    const image = this.keepImage(written, KEY_IMAGE_HEADER_BYTES);
    if (image === 0) return;
    const at = image >> 2;
    words[at] = words[HeaderWord.SnapshotImages];
    words[at + 2] = savedDatabase;
    words[HeaderWord.SnapshotImages] = image;
  }

  /** Allocates an image: a header, whose second word is the length, then bytes of the file. 0 without memory. */
  private keepImage({ bytes, length }: KeyImage, headerBytes: number): number {
    const image = length > IMAGE_BYTES_MAX ? 0 : this.shard.arena.allocateSpare(headerBytes + length);
    if (image === 0) {
      this.stop(SnapshotState.Failed);
      return 0;
    }
    this.words[image >> 2] = 0;
    this.words[(image >> 2) + 1] = length;
    this.bytes.set(bytes.subarray(0, length), image + headerBytes);
    return image;
  }

  private freeImage(image: number, headerBytes = IMAGE_HEADER_BYTES): void {
    this.shard.arena.free(image, headerBytes + this.words[(image >> 2) + 1]);
  }

  /** Leaves images of all keys of a database that is about to be emptied. */
  preserveAll(database: number): void {
    const { dictionary } = this.shard;
    const root = this.shard.root(database);
    const position = new TablePosition();
    while (this.state === SnapshotState.Running && dictionary.readLine(root, position)) {
      for (let index = 0; index < dictionary.scannedCount && this.state === SnapshotState.Running; index++) {
        this.preserve(database, dictionary.scanned[index]);
      }
    }
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
    for (let key = words[HeaderWord.SnapshotLongKeys]; key !== 0; key = words[key + LongKeyWord.Next]) {
      this.freeImages(key);
    }
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
    words[HeaderWord.SnapshotImages] = words[at];
    if (take !== null) take(words[at + 2], image + KEY_IMAGE_HEADER_BYTES, words[at + 1]);
    this.freeImage(image, KEY_IMAGE_HEADER_BYTES);
    return true;
  }

  /**
   * Visits the keys of one more line of a table and hands out those that are not done and not long. Returns false if
   * all keys of the shard are done.
   */
  step(take: (shard: Shard, database: number, entry: number) => void): boolean {
    const { words, shard } = this;
    const { dictionary } = shard;
    for (let database = 0; database < shard.databaseCount; database++) {
      const root = shard.root(database);
      if (words[root + SnapshotRoot.Prefix] === VISIT_END) continue;
      words[root + SnapshotRoot.Prefix] = dictionary.visitLine(root, words[root + SnapshotRoot.Prefix]);
      this.bringNear();
      const { scanned, scannedCount } = dictionary;
      for (let index = 0; index < scannedCount; index++) {
        const entry = scanned[index];
        if (!this.markDone(entry)) continue;
        if (this.isLong(entry)) this.addLongKey(words[root + SnapshotRoot.Database], entry);
        else take(shard, words[root + SnapshotRoot.Database], entry);
      }
      return true;
    }
    return false;
  }

  /**
   * Reads a little of each key of a line: these loads do not depend on each other, so the processor fetches them side
   * by side from memory.
   */
  private bringNear(): void {
    const { words, shard } = this;
    const { scanned, scannedCount } = shard.dictionary;
    let sink = 0;
    for (let index = 0; index < scannedCount; index++) {
      const at = scanned[index] >> 2;
      sink ^= words[at] ^ words[Math.min(at + CACHE_LINE_WORDS, words.length - 1)];
    }
    this.sink = sink;
  }

  /** The snapshot is over for this shard: all keys are done and there are neither images nor long keys. */
  end(): void {
    this.words[HeaderWord.SnapshotState] = SnapshotState.None;
  }

  /** Whether a key becomes a long key of a snapshot that is running. */
  private isLong(entry: number): boolean {
    const { words, shard } = this;
    const type = entryType(words, entry);
    if (type === ValueType.String || words[HeaderWord.SnapshotState] !== SnapshotState.Running) return false;
    return shard.collection(type).isLong(valueOffset(words, entry));
  }

  private addLongKey(database: number, entry: number): void {
    const { words, doubles, bytes, shard } = this;
    const type = entryType(words, entry);
    const reference = valueOffset(words, entry);
    const lengthBytes = keyLength(words, entry);
    const collection = shard.collection(type);
    const head = this.keepImage(this.writer.writeHead(shard, entry), IMAGE_HEADER_BYTES);
    if (head === 0) return;
    const block = shard.arena.allocateSpare(LONG_KEY_HEADER_BYTES + lengthBytes);
    if (block === 0) {
      this.freeImage(head);
      this.stop(SnapshotState.Failed);
      return;
    }
    const at = block >> 2;
    words.fill(0, at, at + LongKeyWord.WORDS);
    words[at + LongKeyWord.Left] = collection.walkSteps(reference);
    if (!collection.beginWalk(reference, at)) {
      shard.arena.free(block, LONG_KEY_HEADER_BYTES + lengthBytes);
      this.freeImage(head);
      this.stop(SnapshotState.Failed);
      return;
    }
    // Insert it after the first one, which may be partly written.
    const first = words[HeaderWord.SnapshotLongKeys];
    const link = first === 0 ? HeaderWord.SnapshotLongKeys : first + LongKeyWord.Next;
    words[at + LongKeyWord.Next] = words[link];
    words[link] = at;
    words[at + LongKeyWord.Database] = database;
    words[at + LongKeyWord.Type] = type;
    words[at + LongKeyWord.Head] = head;
    words[at + LongKeyWord.KeyLength] = lengthBytes;
    doubles[(at + LongKeyWord.ExpiresAt) >> 1] = expiresAtMs(words, entry);
    doubles[(at + LongKeyWord.FieldsExpireFrom) >> 1] =
      type === ValueType.Hash ? shard.hashes.nextExpiry(reference) : -1;
    this.moved(at, reference);
    const key = keyOffset(words, entry);
    bytes.copyWithin((at + LongKeyWord.WORDS) << 2, key, key + lengthBytes);
  }

  get isKeeping(): boolean {
    return this.words[HeaderWord.SnapshotState] === SnapshotState.Running;
  }

  keepingFailed(): void {
    this.stop(SnapshotState.Failed);
  }

  moved(key: number, reference: number): void {
    this.bytes.copyWithin((key + LongKeyWord.Reference) << 2, reference, reference + REFERENCE_BYTES);
  }

  keepRecord(key: number, record: number): void {
    const { words, shard, keptKey } = this;
    if (words[HeaderWord.SnapshotState] !== SnapshotState.Running) return;
    keptKey.at = key;
    const image = this.keepImage(this.writer.writeRecord(shard, keptKey, record), IMAGE_HEADER_BYTES);
    if (image === 0) return;
    words[image >> 2] = words[key + LongKeyWord.Images];
    words[key + LongKeyWord.Images] = image;
  }

  keepChunk(key: number, chunk: number): void {
    const { words, shard, keptKey } = this;
    if (words[HeaderWord.SnapshotState] !== SnapshotState.Running) return;
    keptKey.at = key;
    const image = this.keepImage(this.writer.writeChunk(shard, keptKey, chunk), IMAGE_HEADER_BYTES);
    if (image === 0 || shard.lists.chunks.kept.append(key, chunk, image)) return;
    this.freeImage(image);
    this.stop(SnapshotState.Failed);
  }

  get hasLongKeys(): boolean {
    return this.words[HeaderWord.SnapshotLongKeys] !== 0;
  }

  /** Does one more part of the first long key; returns whether there is more of it. */
  stepLongKey(taker: LongKeyTaker): boolean {
    const { words, shard, key } = this;
    const at = words[HeaderWord.SnapshotLongKeys];
    key.at = at;
    const isRunning = words[HeaderWord.SnapshotState] === SnapshotState.Running;
    const head = words[at + LongKeyWord.Head];
    if (head !== 0) {
      taker.begin(key);
      taker.image(head + IMAGE_HEADER_BYTES, words[(head >> 2) + 1]);
      this.freeImage(head);
      words[at + LongKeyWord.Head] = 0;
    }
    if (this.takeKeptImages(at, taker)) return true;
    const { type, reference } = key;
    const collection = shard.collection(type);
    // The marks on a value that is about to be freed are not needed.
    const isOver = !isRunning && words[at + LongKeyWord.IsDropped] !== 0;
    if (type === ValueType.Stream) {
      if (!isOver && this.stepStream(at, taker, isRunning)) return true;
    } else if (!isOver && collection.stepWalk(reference, ELEMENTS_PER_STEP)) {
      const { stepped, steppedCount } = collection;
      words[at + LongKeyWord.Left] -= steppedCount;
      if (isRunning && steppedCount > 0) {
        if (type === ValueType.List) taker.chunk(key, stepped[0]);
        else taker.records(key, stepped, steppedCount);
      }
      return true;
    }
    if (isRunning) taker.end(key);
    if (words[at + LongKeyWord.Left] !== 0) this.stop(SnapshotState.Incomplete);
    this.removeLongKey(at);
    return false;
  }

  /** Does one more part of a stream; returns whether there is more of it. */
  private stepStream(at: number, taker: LongKeyTaker, isRunning: boolean): boolean {
    const { words, shard, key } = this;
    const { walk } = shard.streams;
    const root = shard.streams.root(key.reference);
    const phase = walk.step(root, ELEMENTS_PER_STEP);
    const { stepped, steppedCount, steppedGroup } = walk;
    words[at + LongKeyWord.Left] -= steppedCount;
    let hasMoreOfGroup = false;
    if (isRunning) {
      if (phase === WalkPhase.Blocks) {
        for (let index = 0; index < steppedCount; index++) taker.chunk(key, stepped[index]);
      } else if (phase === WalkPhase.Head) {
        taker.streamHead(key);
      } else if (phase === WalkPhase.GroupHead) {
        taker.groupHead(key, steppedGroup);
      } else if (phase === WalkPhase.Pending) {
        taker.pending(key, steppedGroup, stepped, steppedCount);
      } else if (phase === WalkPhase.GroupEnd) {
        hasMoreOfGroup = taker.groupEnd(key, steppedGroup);
      }
    }
    walk.endStep();
    if (phase === WalkPhase.GroupEnd && !hasMoreOfGroup) walk.endGroup(root);
    return phase !== WalkPhase.End;
  }

  /** Hands out images of a long key that come next; false if there are none. */
  private takeKeptImages(at: number, taker: LongKeyTaker): boolean {
    const { words, shard } = this;
    if (words[at + LongKeyWord.Images] === 0 && words[at + LongKeyWord.Type] === ValueType.List) {
      words[at + LongKeyWord.Images] = shard.lists.chunks.kept.take(at, words[at + Walk.Position]);
    }
    let bytesLeft = IMAGE_BYTES_PER_STEP;
    let image = words[at + LongKeyWord.Images];
    if (image === 0) return false;
    for (; image !== 0 && bytesLeft > 0; image = words[at + LongKeyWord.Images]) {
      const lengthBytes = words[(image >> 2) + 1];
      words[at + LongKeyWord.Images] = words[image >> 2];
      words[at + LongKeyWord.Left]--;
      taker.image(image + IMAGE_HEADER_BYTES, lengthBytes);
      this.freeImage(image);
      bytesLeft -= IMAGE_HEADER_BYTES + lengthBytes;
    }
    return true;
  }

  private freeImages(at: number): void {
    const { words, shard } = this;
    if (words[at + LongKeyWord.Head] !== 0) this.freeImage(words[at + LongKeyWord.Head]);
    words[at + LongKeyWord.Head] = 0;
    const isList = words[at + LongKeyWord.Type] === ValueType.List;
    if (words[at + LongKeyWord.Type] === ValueType.Stream) {
      const { streams } = shard;
      streams.walk.dropKept(streams.root((at + LongKeyWord.Reference) << 2));
    }
    let image = words[at + LongKeyWord.Images];
    words[at + LongKeyWord.Images] = 0;
    do {
      while (image !== 0) {
        const next = words[image >> 2];
        this.freeImage(image);
        image = next;
      }
      if (isList) image = shard.lists.chunks.kept.takeAny(at);
    } while (image !== 0);
  }

  /** Ends the first long key. */
  private removeLongKey(at: number): void {
    const { words, shard, key } = this;
    const { type, reference } = key;
    words[HeaderWord.SnapshotLongKeys] = words[at + LongKeyWord.Next];
    shard.collection(type).endWalk(reference);
    if (words[at + LongKeyWord.IsDropped] !== 0) shard.lazyFree.freeCollection(type, reference, true);
    shard.arena.free(at << 2, LONG_KEY_HEADER_BYTES + words[at + LongKeyWord.KeyLength]);
  }
}
