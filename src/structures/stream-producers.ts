/**
 * What a stream knows of its producers (`XADD … IDMP`): the ids that each has given its latest messages, so that a
 * message that is sent again is not added again.
 *
 *   what is known (a block; a stream without producers has none)
 *   +---------+-----+---------------+------+-----------+----------------+
 *   | seconds | ids | producers (3) | next | added (2) | duplicates (2) |     counts are int64, low half first
 *   +---------+-----+---------------+------+-----------+----------------+
 *   producer (a named record)
 *   +--------+---------+--------+--------+------+
 *   | length | ids (3) | oldest | newest | name |
 *   +--------+---------+--------+--------+------+
 *   id of a message (a named record)
 *   +--------+-------+---------------------+------+
 *   | length | newer | id of the entry (4) | name |
 *   +--------+-------+---------------------+------+
 *
 * `producers` and `ids` are vectors in the order of the names (named-records.ts); the ids of a producer are also a
 * list, from the oldest to the newest. The id of an entry tells when it was added. An id is forgotten after `seconds`,
 * or when its producer has more than `ids` of them. Each `expire` for a producer also expires the ids of one other
 * (`next`), so that producers which have gone are forgotten in the end.
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { ByteRange } from './byte-range.js';
import { NamedRecords, Vector } from './named-records.js';
import { addInt64, type StreamId, setInt64, uint64ToBigInt } from './stream-id.js';

const enum Known {
  Seconds = 0,
  Ids = 1,
  Producers = 2,
  Next = 5,
  Added = 6,
  Duplicates = 8,
  WORDS = 10,
}

const enum Producer {
  Ids = 1,
  Oldest = 4,
  Newest = 5,
  WORDS = 6,
}

const enum Message {
  Newer = 1,
  Id = 2,
  WORDS = 6,
}

const KNOWN_BYTES = Known.WORDS * 4;

/** For how long, in seconds, and how many ids of a producer are kept: the limits and Redis's defaults. */
export const PRODUCER_SECONDS_MAX = 86_400;
export const PRODUCER_IDS_MAX = 10_000;
export const PRODUCER_SECONDS_DEFAULT = 100;
export const PRODUCER_IDS_DEFAULT = 100;

export class StreamProducers {
  private readonly arena: Arena;
  private readonly words: Int32Array;
  readonly producers: NamedRecords;
  readonly messages: NamedRecords;

  constructor(memory: ShardMemory, arena: Arena) {
    this.arena = arena;
    this.words = memory.words;
    this.producers = new NamedRecords(memory, arena, Producer.WORDS * 4);
    this.messages = new NamedRecords(memory, arena, Message.WORDS * 4);
  }

  /** Creates the block for a stream's producers; 0 if there is no memory. */
  create(seconds: number, ids: number): number {
    const known = this.arena.allocate(KNOWN_BYTES);
    if (known === 0) return 0;
    const at = known >> 2;
    this.words.fill(0, at, at + Known.WORDS);
    this.words[at + Known.Seconds] = seconds;
    this.words[at + Known.Ids] = ids;
    return known;
  }

  seconds(known: number): number {
    return this.words[(known >> 2) + Known.Seconds];
  }

  /** How many ids of each producer are kept. */
  idsMax(known: number): number {
    return this.words[(known >> 2) + Known.Ids];
  }

  /** Sets for how long, and how many, ids are kept, and forgets all of them. */
  configure(known: number, seconds: number, ids: number): void {
    while (!this.forgetSome(known, Number.MAX_SAFE_INTEGER)) {}
    const at = known >> 2;
    this.words[at + Known.Seconds] = seconds;
    this.words[at + Known.Ids] = ids;
  }

  /** Word index of the vector of producers. */
  vector(known: number): number {
    return (known >> 2) + Known.Producers;
  }

  /** Word index of the vector of a producer's ids. */
  idsOf(producer: number): number {
    return (producer >> 2) + Producer.Ids;
  }

  /** The oldest of a producer's ids, 0 if there is none; `newer` goes on. */
  oldest(producer: number): number {
    return this.words[(producer >> 2) + Producer.Oldest];
  }

  newer(message: number): number {
    return this.words[(message >> 2) + Message.Newer];
  }

  /** Word index of the id of the entry that a message has become. */
  entryIdOf(message: number): number {
    return (message >> 2) + Message.Id;
  }

  /** How many ids of all producers are kept. */
  idCount(known: number): number {
    const vector = this.vector(known);
    let count = 0;
    for (let index = 0; index < this.producers.count(vector); index++) {
      count += this.messages.count(this.idsOf(this.producers.recordAt(vector, index)));
    }
    return count;
  }

  added(known: number): bigint {
    return this.count(known, Known.Added);
  }

  duplicates(known: number): bigint {
    return this.count(known, Known.Duplicates);
  }

  private count(known: number, word: number): bigint {
    const at = (known >> 2) + word;
    return uint64ToBigInt(this.words[at + 1], this.words[at]);
  }

  setCounts(known: number, added: bigint, duplicates: bigint): void {
    const at = known >> 2;
    setInt64(this.words, at + Known.Added, added);
    setInt64(this.words, at + Known.Duplicates, duplicates);
  }

  noteDuplicate(known: number): void {
    addInt64(this.words, (known >> 2) + Known.Duplicates, 1);
  }

  /** The record of a message that a producer has sent before, 0 if it is new or was forgotten. */
  find(known: number, producer: ByteRange, message: ByteRange): number {
    const found = this.findProducer(known, producer);
    if (found === 0) return 0;
    return this.messages.find(this.idsOf(found), message.bytes, message.offset, message.lengthBytes);
  }

  private findProducer(known: number, { bytes, offset, lengthBytes }: ByteRange): number {
    return this.producers.find(this.vector(known), bytes, offset, lengthBytes);
  }

  /**
   * Notes that a producer's message, which `find` has not found, has become an entry; the oldest id is removed if there
   * are too many. False, with nothing changed, if there is no memory.
   */
  add(known: number, producer: ByteRange, message: ByteRange, id: StreamId): boolean {
    const { words } = this;
    let record = this.findProducer(known, producer);
    const isNew = record === 0;
    if (isNew) {
      const { bytes, view, offset, lengthBytes } = producer;
      record = this.producers.create(this.vector(known), bytes, view, offset, lengthBytes);
      if (record === 0) return false;
    }
    const { bytes, view, offset, lengthBytes } = message;
    const made = this.messages.create(this.idsOf(record), bytes, view, offset, lengthBytes);
    if (made === 0) {
      if (isNew) this.forgetProducer(known, record);
      return false;
    }
    id.write(words, (made >> 2) + Message.Id);
    const at = record >> 2;
    const newest = words[at + Producer.Newest];
    if (newest === 0) words[at + Producer.Oldest] = made;
    else words[(newest >> 2) + Message.Newer] = made;
    words[at + Producer.Newest] = made;
    if (this.messages.count(this.idsOf(record)) > this.idsMax(known)) this.forgetOldest(record);
    addInt64(words, (known >> 2) + Known.Added, 1);
    return true;
  }

  /** Forgets the ids that are too old of a producer, and of one other. */
  expire(known: number, producer: ByteRange, nowMs: number): void {
    const { words } = this;
    const vector = this.vector(known);
    const record = this.findProducer(known, producer);
    if (record !== 0) this.expireOf(known, record, nowMs);
    const count = this.producers.count(vector);
    if (count === 0) return;
    const next = words[(known >> 2) + Known.Next] % count;
    words[(known >> 2) + Known.Next] = next + 1;
    this.expireOf(known, this.producers.recordAt(vector, next), nowMs);
  }

  private expireOf(known: number, producer: number, nowMs: number): void {
    const { words } = this;
    const oldestMs = BigInt(nowMs - this.seconds(known) * 1000);
    for (let message = this.oldest(producer); message !== 0; message = this.oldest(producer)) {
      const at = (message >> 2) + Message.Id;
      if (uint64ToBigInt(words[at], words[at + 1]) > oldestMs) return;
      this.forgetOldest(producer);
    }
    this.forgetProducer(known, producer);
  }

  private forgetOldest(producer: number): void {
    const { words, messages } = this;
    const at = producer >> 2;
    const message = words[at + Producer.Oldest];
    words[at + Producer.Oldest] = this.newer(message);
    if (words[at + Producer.Oldest] === 0) words[at + Producer.Newest] = 0;
    messages.remove(this.idsOf(producer), message);
    messages.free(message);
  }

  /** Forgets a producer without ids. */
  private forgetProducer(known: number, producer: number): void {
    this.producers.remove(this.vector(known), producer);
    this.producers.free(producer);
  }

  /** Forgets about `steps` ids, the last producers first; returns whether all are forgotten. */
  forgetSome(known: number, steps: number): boolean {
    const { producers, messages } = this;
    const vector = this.vector(known);
    for (let left = steps; producers.count(vector) > 0; left--) {
      if (left <= 0) return false;
      const producer = producers.recordAt(vector, producers.count(vector) - 1);
      const message = messages.removeLast(this.idsOf(producer));
      if (message !== 0) messages.free(message);
      else producers.free(producers.removeLast(vector));
    }
    return true;
  }

  /** Frees all in steps; returns whether that is done. */
  releaseSome(known: number, steps: number): boolean {
    if (!this.forgetSome(known, steps)) return false;
    this.arena.free(known, KNOWN_BYTES);
    return true;
  }

  /** A copy of the block `known` of `source`, 0 if there is no memory. */
  copy(source: StreamProducers, known: number, bytes: Uint8Array, view: DataView, id: StreamId): number {
    const copy = this.create(source.seconds(known), source.idsMax(known));
    if (copy === 0) return 0;
    const vector = source.vector(known);
    const name = new ByteRange(bytes, view);
    const messageName = new ByteRange(bytes, view);
    for (let index = 0; index < source.producers.count(vector); index++) {
      const producer = source.producers.recordAt(vector, index);
      const { producers, messages } = source;
      name.set(bytes, view, producers.nameOffset(producer), producers.nameLength(producer));
      for (let message = source.oldest(producer); message !== 0; message = source.newer(message)) {
        id.read(source.words, source.entryIdOf(message));
        messageName.set(bytes, view, messages.nameOffset(message), messages.nameLength(message));
        if (this.add(copy, name, messageName, id)) continue;
        while (!this.releaseSome(copy, Number.MAX_SAFE_INTEGER)) {}
        return 0;
      }
    }
    this.setCounts(copy, source.added(known), source.duplicates(known));
    return copy;
  }

  usedBytes(known: number): number {
    const { producers, messages, words } = this;
    const vector = this.vector(known);
    let total = blockBytes(KNOWN_BYTES) + 4 * words[vector + Vector.Capacity];
    for (let index = 0; index < producers.count(vector); index++) {
      const producer = producers.recordAt(vector, index);
      total += blockBytes(producers.recordBytes(producer));
      total += 4 * words[this.idsOf(producer) + Vector.Capacity];
      for (let message = this.oldest(producer); message !== 0; message = this.newer(message)) {
        total += blockBytes(messages.recordBytes(message));
      }
    }
    return total;
  }

  /** Throws if an invariant is broken. For tests. */
  verify(known: number): void {
    const { producers, messages, words } = this;
    const vector = this.vector(known);
    producers.verify(vector);
    for (let index = 0; index < producers.count(vector); index++) {
      const producer = producers.recordAt(vector, index);
      const ids = this.idsOf(producer);
      messages.verify(ids);
      const count = messages.count(ids);
      if (count === 0 || count > this.idsMax(known)) throw new Error(`stream: a producer with ${count} ids`);
      let listed = 0;
      let last = 0;
      for (let message = this.oldest(producer); message !== 0; message = this.newer(message)) {
        listed++;
        last = message;
      }
      if (listed !== count) throw new Error('stream: not all ids of a producer are in its list');
      if (last !== words[(producer >> 2) + Producer.Newest]) throw new Error('stream: wrong newest id');
    }
  }
}
