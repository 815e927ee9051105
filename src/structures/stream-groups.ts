/**
 * The groups of a stream: what they have read, their consumers, and the entries that consumers have got and not yet
 * acknowledged, which are pending.
 *
 *   group
 *   +--------+------+---------+--------------+-----------+-------------+---------------+----------+------+
 *   | length | past | last id | entries read | by id (4) | by time (4) | consumers (3) | past (5) | name |
 *   +--------+------+---------+--------------+-----------+-------------+---------------+----------+------+
 *   consumer
 *   +--------+------+--------------+----------------+-----------+----------+------+
 *   | length | past | seen at, f64 | active at, f64 | by id (4) | past (2) | name |
 *   +--------+------+--------------+----------------+-----------+----------+------+
 *   pending entry
 *   +--------------------------+-----------------+-----------------------+----------+-------+
 *   | delivered at, high, low  | id of the entry | deliveries, high, low | consumer | flags |
 *   +--------------------------+-----------------+-----------------------+----------+-------+
 *
 * A pending entry is in three trees (key-tree.ts): that of its consumer and that of the group by the id, and that of
 * the group by the time of delivery, so the entry that has been idle longest is found without a search. The time's high
 * word is that of the milliseconds plus one. It is 0 for entries that were given back and have no consumer: they come
 * first, in the order in which they were given back, which the low word tells.
 *
 * A number of entries that were read is an int64, low half first; -1: not known. While a snapshot walks over a long
 * stream, `past` points to a copy of the group or the consumer as it was (stream-walk.ts).
 */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { KeyTree, KeyTreeRoot } from './key-tree.js';
import { NamedRecords, Vector } from './named-records.js';
import type { StreamId } from './stream-id.js';
import { ID_WORDS } from './stream-id.js';

export const enum Group {
  NameLength = 0,
  /** The past: a copy of the group as it was when a walk began. In a past: the group itself. 0: none. */
  Past = 1,
  LastId = 2,
  EntriesRead = 6,
  ById = 8,
  ByTime = 12,
  Consumers = 16,
  // Only in a past: how many entries were pending, the chain of kept entries, and the index among the groups.
  PendingThen = 19,
  Kept = 20,
  Number = 21,
  /** Only in a past: the group was removed from its stream, and is freed with the past. */
  IsDetached = 22,
  /** Only in a past: word index of the root of the stream's past. */
  PastRoot = 23,
  WORDS = 24,
}

export const enum Consumer {
  NameLength = 0,
  Past = 1,
  /** When it was last heard of. */
  SeenAt = 2,
  /** When it last got an entry; -1: never. */
  ActiveAt = 4,
  ById = 6,
  // Only in a past: how many entries were pending, and the index among the consumers of its group.
  PendingThen = 10,
  Number = 11,
  WORDS = 12,
}

export const enum Pending {
  TimeHigh = 0,
  TimeLow = 1,
  Id = 2,
  CountHigh = 6,
  CountLow = 7,
  Consumer = 8,
  /** PENDING_LEFT_OUT; in a kept copy, the next one in the chain. */
  Flags = 9,
  WORDS = 10,
}

export const PENDING_BYTES = Pending.WORDS * 4;
/** The current walk must leave the pending entry out. */
const PENDING_LEFT_OUT = 1;

const TWO_32 = 0x100000000;

/** Saves pending entries that a walk has not reached yet, before they change. */
export interface PendingKeeper {
  keepPending(group: number, pending: number): void;
  /** Whether the walk has not reached a pending entry yet. */
  isPendingAhead(group: number, pending: number): boolean;
}

export class StreamGroups {
  private readonly arena: Arena;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  readonly groups: NamedRecords;
  readonly consumers: NamedRecords;
  readonly byId: KeyTree;
  readonly byTime: KeyTree;
  keeper: PendingKeeper | null = null;

  constructor(memory: ShardMemory, arena: Arena) {
    this.arena = arena;
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.groups = new NamedRecords(memory, arena, Group.WORDS * 4);
    this.consumers = new NamedRecords(memory, arena, Consumer.WORDS * 4);
    this.byId = new KeyTree(memory, arena, Pending.Id, ID_WORDS);
    this.byTime = new KeyTree(memory, arena, Pending.TimeHigh, 2 + ID_WORDS);
  }

  /** A new group; 0, with nothing changed, if there is no memory. `vector` is that of the stream's groups. */
  createGroup(
    vector: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
    lastId: StreamId,
    entriesReadHigh: number,
    entriesReadLow: number,
  ): number {
    const group = this.groups.create(vector, bytes, view, offset, lengthBytes);
    if (group === 0) return 0;
    const at = group >> 2;
    lastId.write(this.words, at + Group.LastId);
    this.words[at + Group.EntriesRead] = entriesReadLow;
    this.words[at + Group.EntriesRead + 1] = entriesReadHigh;
    return group;
  }

  /** Word index of the vector of a group's consumers. */
  consumersOf(group: number): number {
    return (group >> 2) + Group.Consumers;
  }

  /** How many entries of a group are pending. */
  pendingCount(group: number): number {
    return this.words[(group >> 2) + Group.ById + KeyTreeRoot.Count];
  }

  /** How many entries are pending for a consumer. */
  pendingOf(consumer: number): number {
    return this.words[(consumer >> 2) + Consumer.ById + KeyTreeRoot.Count];
  }

  findConsumer(group: number, bytes: Uint8Array, offset: number, lengthBytes: number): number {
    return this.consumers.find(this.consumersOf(group), bytes, offset, lengthBytes);
  }

  /** A new consumer; 0, with nothing changed, if there is no memory. */
  createConsumer(
    group: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
    nowMs: number,
  ): number {
    const consumer = this.consumers.create(this.consumersOf(group), bytes, view, offset, lengthBytes);
    if (consumer === 0) return 0;
    this.setSeenAt(consumer, nowMs);
    this.setActiveAt(consumer, -1);
    return consumer;
  }

  seenAt(consumer: number): number {
    return this.doubles[((consumer >> 2) + Consumer.SeenAt) >> 1];
  }

  setSeenAt(consumer: number, ms: number): void {
    this.doubles[((consumer >> 2) + Consumer.SeenAt) >> 1] = ms;
  }

  activeAt(consumer: number): number {
    return this.doubles[((consumer >> 2) + Consumer.ActiveAt) >> 1];
  }

  setActiveAt(consumer: number, ms: number): void {
    this.doubles[((consumer >> 2) + Consumer.ActiveAt) >> 1] = ms;
  }

  /** Deletes a consumer with all that is pending for it. */
  deleteConsumer(group: number, consumer: number): void {
    const tree = (consumer >> 2) + Consumer.ById;
    for (let pending = this.byId.last(tree); pending !== 0; pending = this.byId.last(tree)) {
      this.remove(group, pending);
    }
    this.consumers.remove(this.consumersOf(group), consumer);
    this.consumers.free(consumer);
  }

  private setIdKey(id: StreamId): void {
    const { byId } = this;
    byId.setKey(0, id.msHigh);
    byId.setKey(1, id.msLow);
    byId.setKey(2, id.seqHigh);
    byId.setKey(3, id.seqLow);
  }

  /** The pending entry of a group with an id, 0 if there is none. */
  find(group: number, id: StreamId): number {
    const { byId, words } = this;
    const tree = (group >> 2) + Group.ById;
    const last = byId.last(tree);
    if (last === 0 || id.compareTo(words, (last >> 2) + Pending.Id) > 0) return 0;
    // Most entries are acknowledged in order, so try the first.
    const first = byId.first(tree);
    const order = id.compareTo(words, (first >> 2) + Pending.Id);
    if (order <= 0) return order === 0 ? first : 0;
    this.setIdKey(id);
    return byId.find(tree);
  }

  /** Whether all groups of a vector have read an entry and acknowledged it. */
  isAcknowledged(vector: number, id: StreamId): boolean {
    for (let index = 0; index < this.groups.count(vector); index++) {
      const group = this.groups.recordAt(vector, index);
      if (id.compareTo(this.words, (group >> 2) + Group.LastId) > 0 || this.find(group, id) !== 0)
        return false;
    }
    return true;
  }

  /** Removes the pending entry with an id from all groups of a vector; returns how many had one. */
  removeReferences(vector: number, id: StreamId): number {
    let removed = 0;
    for (let index = 0; index < this.groups.count(vector); index++) {
      const group = this.groups.recordAt(vector, index);
      const pending = this.find(group, id);
      if (pending === 0) continue;
      this.remove(group, pending);
      removed++;
    }
    return removed;
  }

  /** The pending entry of a group with the smallest id, 0 if there is none. */
  firstPending(group: number): number {
    return this.byId.first((group >> 2) + Group.ById);
  }

  lastPending(group: number): number {
    return this.byId.last((group >> 2) + Group.ById);
  }

  /** The first pending entry of a group whose id is not below `id`, 0 if there is none. `next` goes on from there. */
  seek(group: number, id: StreamId): number {
    this.setIdKey(id);
    return this.byId.seek((group >> 2) + Group.ById);
  }

  /** Like `seek`, among the pending entries of a consumer. */
  seekOf(consumer: number, id: StreamId): number {
    this.setIdKey(id);
    return this.byId.seek((consumer >> 2) + Consumer.ById);
  }

  /** The pending entry after the one that was sought last, 0 if there is none. Nothing may have changed since. */
  next(): number {
    return this.byId.next();
  }

  /** The pending entry of a group that has been idle longest, 0 if there is none. */
  idlest(group: number): number {
    return this.byTime.first((group >> 2) + Group.ByTime);
  }

  /** The pending entry after the one that `idlest` returned, 0 if there is none. Nothing may have changed since. */
  nextIdlest(): number {
    return this.byTime.next();
  }

  /** When an entry was delivered last, in ms since the epoch; 0 if it was given back. */
  deliveredAt(pending: number): number {
    const at = pending >> 2;
    const high = this.words[at + Pending.TimeHigh];
    return high === 0 ? 0 : (high - 1) * TWO_32 + (this.words[at + Pending.TimeLow] >>> 0);
  }

  consumerOf(pending: number): number {
    return this.words[(pending >> 2) + Pending.Consumer];
  }

  /** Sets how often an entry was delivered, as an int64. */
  setCount(group: number, pending: number, high: number, low: number): void {
    this.keep(group, pending);
    this.words[(pending >> 2) + Pending.CountHigh] = high;
    this.words[(pending >> 2) + Pending.CountLow] = low;
  }

  setCountTo(group: number, pending: number, count: bigint): void {
    this.setCount(group, pending, Number(BigInt.asIntN(32, count >> 32n)), Number(BigInt.asIntN(32, count)));
  }

  /** Counts one more delivery. */
  increaseCount(group: number, pending: number): void {
    const at = pending >> 2;
    const low = (this.words[at + Pending.CountLow] + 1) | 0;
    this.setCount(group, pending, (this.words[at + Pending.CountHigh] + (low === 0 ? 1 : 0)) | 0, low);
  }

  /** Counts one delivery less, but not below none. */
  decreaseCount(group: number, pending: number): void {
    const at = pending >> 2;
    const high = this.words[at + Pending.CountHigh];
    const low = this.words[at + Pending.CountLow];
    if (high < 0 || (high | low) === 0) return;
    this.setCount(group, pending, high - (low === 0 ? 1 : 0), (low - 1) | 0);
  }

  private setTime(pending: number, ms: number): void {
    const high = Math.floor(ms / TWO_32);
    this.words[(pending >> 2) + Pending.TimeHigh] = high + 1;
    this.words[(pending >> 2) + Pending.TimeLow] = (ms - high * TWO_32) | 0;
  }

  /** Sets when an entry was delivered; false, with nothing changed, if there is no memory. */
  setDeliveredAt(group: number, pending: number, ms: number): boolean {
    if (this.words[(pending >> 2) + Pending.TimeHigh] !== 0 && this.deliveredAt(pending) === ms) return true;
    const tree = (group >> 2) + Group.ByTime;
    if (!this.byTime.hasRoomForInsert(tree)) return false;
    this.keep(group, pending);
    this.byTime.remove(tree, pending);
    this.setTime(pending, ms);
    this.insertByTime(tree, pending);
    return true;
  }

  private insertByTime(tree: number, pending: number): void {
    if (!this.byTime.insert(tree, pending)) throw new Error('stream groups: promised room is missing');
  }

  /**
   * Gives an entry back: it stays pending without a consumer, behind those that were given back before. False, with
   * nothing changed, if there is no memory.
   */
  giveBack(group: number, pending: number): boolean {
    const { words, byTime } = this;
    const tree = (group >> 2) + Group.ByTime;
    if (!byTime.hasRoomForInsert(tree)) return false;
    this.keep(group, pending);
    const consumer = this.consumerOf(pending);
    if (consumer !== 0) this.byId.remove((consumer >> 2) + Consumer.ById, pending);
    words[(pending >> 2) + Pending.Consumer] = 0;
    byTime.remove(tree, pending);
    words[(pending >> 2) + Pending.TimeHigh] = 0;
    words[(pending >> 2) + Pending.TimeLow] = this.nextGivenBack(tree);
    this.insertByTime(tree, pending);
    return true;
  }

  /** The low word of the time for the next entry that is given back. */
  private nextGivenBack(tree: number): number {
    const { byTime, words } = this;
    byTime.setKey(0, 0);
    for (let word = 1; word < 2 + ID_WORDS; word++) byTime.setKey(word, -1);
    const last = byTime.seekBefore(tree);
    if (last === 0) return 0;
    const place = words[(last >> 2) + Pending.TimeLow];
    return place === -1 ? place : (place + 1) | 0;
  }

  /** How many entries of a group were given back and have no consumer. */
  givenBackCount(group: number): number {
    const vector = this.consumersOf(group);
    let count = this.pendingCount(group);
    for (let index = 0; index < this.consumers.count(vector); index++) {
      count -= this.pendingOf(this.consumers.recordAt(vector, index));
    }
    return count;
  }

  /** Whether a group has a pending entry that has no consumer but was not given back, which a file may contain. */
  hasUnowned(group: number): boolean {
    const { byId } = this;
    if (this.givenBackCount(group) === 0) return false;
    for (let pending = byId.first((group >> 2) + Group.ById); pending !== 0; pending = byId.next()) {
      if (this.consumerOf(pending) === 0 && this.words[(pending >> 2) + Pending.TimeHigh] !== 0) return true;
    }
    return false;
  }

  /**
   * Makes an entry pending that was not, as delivered once to a consumer (0: to none yet). Returns it, or 0 with
   * nothing changed if there is no memory.
   */
  add(group: number, consumer: number, id: StreamId, ms: number): number {
    const pending = this.arena.allocate(PENDING_BYTES);
    if (pending === 0) return 0;
    this.setTime(pending, ms);
    return this.insert(group, consumer, pending, id);
  }

  /** Adds a copy of another group's pending entry; `source` is its word index in `other`. */
  addCopy(group: number, consumer: number, id: StreamId, other: Int32Array, source: number): number {
    const { words } = this;
    const pending = this.arena.allocate(PENDING_BYTES);
    if (pending === 0) return 0;
    words[(pending >> 2) + Pending.TimeHigh] = other[source + Pending.TimeHigh];
    words[(pending >> 2) + Pending.TimeLow] = other[source + Pending.TimeLow];
    if (this.insert(group, consumer, pending, id) === 0) return 0;
    words[(pending >> 2) + Pending.CountHigh] = other[source + Pending.CountHigh];
    words[(pending >> 2) + Pending.CountLow] = other[source + Pending.CountLow];
    return pending;
  }

  /** Inserts a pending entry whose time is set; frees it and returns 0 if there is no memory. */
  private insert(group: number, consumer: number, pending: number, id: StreamId): number {
    const { words, arena, byId, byTime } = this;
    const at = pending >> 2;
    id.write(words, at + Pending.Id);
    words[at + Pending.CountHigh] = 0;
    words[at + Pending.CountLow] = 1;
    words[at + Pending.Consumer] = consumer;
    words[at + Pending.Flags] = 0;
    const groupTree = (group >> 2) + Group.ById;
    const timeTree = (group >> 2) + Group.ByTime;
    if (byId.insert(groupTree, pending)) {
      if (byTime.insert(timeTree, pending)) {
        if (consumer === 0 || byId.insert((consumer >> 2) + Consumer.ById, pending)) {
          this.markNew(group, pending);
          return pending;
        }
        byTime.remove(timeTree, pending);
      }
      byId.remove(groupTree, pending);
    }
    arena.free(pending, PENDING_BYTES);
    return 0;
  }

  /** Sets the consumer of a pending entry that was added without one; false if there is no memory. */
  assign(pending: number, consumer: number): boolean {
    if (!this.byId.insert((consumer >> 2) + Consumer.ById, pending)) return false;
    this.words[(pending >> 2) + Pending.Consumer] = consumer;
    return true;
  }

  /**
   * Notes that a pending entry was delivered at a time to a consumer, whichever consumer had it before; false, with
   * nothing changed, if there is no memory.
   */
  deliver(group: number, pending: number, consumer: number, ms: number): boolean {
    const { byId } = this;
    const old = this.consumerOf(pending);
    const tree = (consumer >> 2) + Consumer.ById;
    if (old !== consumer && !byId.insert(tree, pending)) return false;
    if (!this.setDeliveredAt(group, pending, ms)) {
      if (old !== consumer) byId.remove(tree, pending);
      return false;
    }
    if (old === consumer) return true;
    this.keep(group, pending);
    if (old !== 0) byId.remove((old >> 2) + Consumer.ById, pending);
    this.words[(pending >> 2) + Pending.Consumer] = consumer;
    return true;
  }

  /** Removes a pending entry. */
  remove(group: number, pending: number): void {
    this.keep(group, pending);
    const consumer = this.consumerOf(pending);
    this.byId.remove((group >> 2) + Group.ById, pending);
    this.byTime.remove((group >> 2) + Group.ByTime, pending);
    if (consumer !== 0) this.byId.remove((consumer >> 2) + Consumer.ById, pending);
    this.arena.free(pending, PENDING_BYTES);
  }

  isLeftOut(pending: number): boolean {
    return (this.words[(pending >> 2) + Pending.Flags] & PENDING_LEFT_OUT) !== 0;
  }

  setLeftOut(pending: number, isLeftOut: boolean): void {
    this.words[(pending >> 2) + Pending.Flags] = isLeftOut ? PENDING_LEFT_OUT : 0;
  }

  /** Must be called before a pending entry changes or is removed. */
  private keep(group: number, pending: number): void {
    if (this.words[(group >> 2) + Group.Past] !== 0 && !this.isLeftOut(pending)) {
      this.keeper?.keepPending(group, pending);
    }
  }

  private markNew(group: number, pending: number): void {
    if (this.words[(group >> 2) + Group.Past] === 0) return;
    this.setLeftOut(pending, this.keeper?.isPendingAhead(group, pending) ?? false);
  }

  private readonly freePending = (pending: number): void => this.arena.free(pending, PENDING_BYTES);

  /** Frees a group that is in no vector, about `steps` blocks of it; true when it is gone. */
  releaseSome(group: number, steps: number): boolean {
    const at = group >> 2;
    if (!this.byTime.releaseSome(at + Group.ByTime, steps, null)) return false;
    if (!this.byId.releaseSome(at + Group.ById, steps, this.freePending)) return false;
    const vector = this.consumersOf(group);
    for (let left = steps; this.consumers.count(vector) > 0; left--) {
      if (left <= 0) return false;
      const consumer = this.consumers.recordAt(vector, this.consumers.count(vector) - 1);
      if (!this.byId.releaseSome((consumer >> 2) + Consumer.ById, steps, null)) return false;
      this.consumers.removeLast(vector);
      this.consumers.free(consumer);
    }
    this.groups.free(group);
    return true;
  }

  /** About how many blocks a group has. */
  releaseSteps(group: number): number {
    return 1 + 2 * this.consumers.count(this.consumersOf(group)) + this.pendingCount(group);
  }

  /** Bytes that a group takes of the arena, without what rounding up adds. */
  usedBytes(group: number): number {
    const { byId, consumers } = this;
    const at = group >> 2;
    const vector = this.consumersOf(group);
    let total = this.groups.recordBytes(group) + this.words[vector + Vector.Capacity] * 4;
    total += byId.nodeBytes(at + Group.ById) + this.byTime.nodeBytes(at + Group.ByTime);
    total += this.pendingCount(group) * PENDING_BYTES;
    for (let index = 0; index < consumers.count(vector); index++) {
      const consumer = consumers.recordAt(vector, index);
      total += consumers.recordBytes(consumer) + byId.nodeBytes((consumer >> 2) + Consumer.ById);
    }
    return total;
  }

  /** Throws if an invariant is broken. For tests. */
  verify(group: number): void {
    const { byId, byTime, consumers } = this;
    const at = group >> 2;
    byId.verify(at + Group.ById);
    byTime.verify(at + Group.ByTime);
    if (byId.count(at + Group.ById) !== byTime.count(at + Group.ByTime)) {
      throw new Error('stream groups: not all that is pending is in the order of time');
    }
    const vector = this.consumersOf(group);
    consumers.verify(vector);
    const counts = new Map<number, number>();
    for (let pending = byId.first(at + Group.ById); pending !== 0; pending = byId.next()) {
      const consumer = this.consumerOf(pending);
      if ((consumer === 0) !== (this.words[(pending >> 2) + Pending.TimeHigh] === 0)) {
        throw new Error('stream groups: what has no consumer was not given back, or the other way round');
      }
      counts.set(consumer, (counts.get(consumer) ?? 0) + 1);
    }
    counts.delete(0);
    for (let index = 0; index < consumers.count(vector); index++) {
      const consumer = consumers.recordAt(vector, index);
      const tree = (consumer >> 2) + Consumer.ById;
      byId.verify(tree);
      if (byId.count(tree) !== (counts.get(consumer) ?? 0)) {
        throw new Error('stream groups: a consumer has another number of pending entries');
      }
      counts.delete(consumer);
      for (let pending = byId.first(tree); pending !== 0; pending = byId.next()) {
        if (this.consumerOf(pending) !== consumer) throw new Error('stream groups: a wrong consumer');
      }
    }
    if (counts.size > 0) throw new Error('stream groups: a consumer that is not there');
  }
}
