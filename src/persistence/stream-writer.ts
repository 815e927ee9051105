/**
 * Writes streams in RDB's form of Redis 7.0 (type 19):
 *
 *   number of listpacks, for each: id of the first entry (a string of 16 bytes), listpack
 *   number of entries, last id, first id, largest id deleted, entries ever added
 *   number of groups, for each:
 *     name, last id, entries read
 *     number of pending entries, for each: id (16 bytes), time of delivery (8 bytes), deliveries
 *     number of consumers, for each: name, when it was seen (8 bytes), number of pending entries, their ids
 *
 * That form has no place for when a consumer was last active; Redis uses the time when it was seen. A stream with
 * producers takes at least the form of Redis 8.6 (type 26), and one with entries given back that of 8.8 (type 27):
 * there a consumer has the time when it was active, and what is known of producers comes behind all groups. In type 27
 * the number and the ids of entries given back come behind the consumers of a group.
 *
 *   seconds and number for which ids of producers are kept
 *   number of producers, for each: name, number of its ids, for each: name, id of the entry
 *   ids ever added, duplicates
 *
 * A stream is written at once, or in the steps of a walk. Then what is pending comes once, in any order, and the ids of
 * each consumer are gathered here until its group ends.
 */

import type { LongKey } from '../keyspace/long-key.js';
import type { Shard } from '../keyspace/shard.js';
import { Consumer, Group, Pending } from '../structures/stream-groups.js';
import { ID_WORDS, StreamId } from '../structures/stream-id.js';
import { StreamListpackWriter } from '../structures/stream-listpack.js';
import { PRODUCER_IDS_DEFAULT, PRODUCER_SECONDS_DEFAULT } from '../structures/stream-producers.js';
import { Stream } from '../structures/stream-root.js';
import { RdbType } from './rdb-format.js';
import type { RdbOutput } from './rdb-output.js';

const ID_BYTES = 16;
/** Ids in one part of what is gathered. */
const PART_IDS = 8192;
/** Gathered ids that are written under one hold of a lock. */
const IDS_PER_STEP = 1024;
const KEPT_BYTES_MAX = 1 << 20;
const lastId = new StreamId();

/** The form of a stream, by whether something of it was given back, and whether it has producers. */
export function streamType(hasGivenBack: boolean, hasProducers: boolean): RdbType {
  if (hasGivenBack) return RdbType.StreamListpacks5;
  return hasProducers ? RdbType.StreamListpacks4 : RdbType.StreamListpacks2;
}

/** From this many given-back entries on, their ids are not sorted. */
const SORTED_MAX = 2 ** 21;

/** Ids of given-back entries, in the order in which they were given back. */
class GivenBack {
  private places: number[] = [];
  private ids: number[] = [];
  private order = new Float64Array(0);

  get count(): number {
    return this.places.length;
  }

  reset(): void {
    this.places = [];
    this.ids = [];
  }

  /** Takes an entry; `at` is the word index of its record. */
  add(words: Int32Array, at: number): void {
    this.places.push(words[at + Pending.TimeLow] >>> 0);
    for (let word = 0; word < ID_WORDS; word++) this.ids.push(words[at + Pending.Id + word]);
  }

  sort(): void {
    this.order = new Float64Array(this.count);
    const areSorted = this.count < SORTED_MAX;
    for (let index = 0; index < this.count; index++) {
      this.order[index] = (areSorted ? this.places[index] * SORTED_MAX : 0) + index;
    }
    this.order.sort();
  }

  /** A word of the id at a place of the order. */
  word(place: number, word: number): number {
    return this.ids[(this.order[place] % SORTED_MAX) * ID_WORDS + word];
  }
}

/** Ids of pending entries, in a chain for each consumer. */
class GatheredIds {
  private parts: Int32Array[] = [];
  private nextOf: Int32Array[] = [];
  private count = 0;
  /** By the consumer's number: the indices of its first and its last id, -1 for none. */
  private first = new Int32Array(0);
  private last = new Int32Array(0);

  reset(consumers: number): void {
    this.count = 0;
    this.parts = [];
    this.nextOf = [];
    this.first = new Int32Array(consumers).fill(-1);
    this.last = new Int32Array(consumers).fill(-1);
  }

  add(consumer: number, words: Int32Array, at: number): void {
    const index = this.count++;
    const part = Math.floor(index / PART_IDS);
    const place = index % PART_IDS;
    if (place === 0) {
      this.parts.push(new Int32Array(PART_IDS * ID_WORDS));
      this.nextOf.push(new Int32Array(PART_IDS));
    }
    const ids = this.parts[part];
    for (let word = 0; word < ID_WORDS; word++) ids[place * ID_WORDS + word] = words[at + word];
    this.nextOf[part][place] = -1;
    const last = this.last[consumer];
    if (last < 0) this.first[consumer] = index;
    else this.nextOf[Math.floor(last / PART_IDS)][last % PART_IDS] = index;
    this.last[consumer] = index;
  }

  firstOf(consumer: number): number {
    return this.first[consumer];
  }

  next(index: number): number {
    return this.nextOf[Math.floor(index / PART_IDS)][index % PART_IDS];
  }

  part(index: number): Int32Array {
    return this.parts[Math.floor(index / PART_IDS)];
  }

  wordOf(index: number): number {
    return (index % PART_IDS) * ID_WORDS;
  }
}

export class StreamWriter {
  private readonly output: RdbOutput;
  private readonly listpacks = new StreamListpackWriter();
  private listpack = new Uint8Array(0);
  private listpackView = new DataView(this.listpack.buffer);

  private type = RdbType.StreamListpacks2;
  private readonly gathered = new GatheredIds();
  private readonly givenBack = new GivenBack();
  // Progress of stepGroupEnd: the next consumer, the next id of the one before, the next given-back id; -1: none.
  private nextConsumer = -1;
  private nextId = -1;
  private nextGivenBack = -1;

  constructor(output: RdbOutput) {
    this.output = output;
  }

  /** Writes a stream. The shard's lock is held. */
  write(shard: Shard, reference: number, type: RdbType): void {
    const { output, givenBack } = this;
    this.type = type;
    const { streams, words } = shard;
    const { groups } = streams;
    output.lengthField(streams.blockCount(reference));
    for (let block = streams.firstBlock(reference); block !== 0; block = streams.nextBlockOf()) {
      this.writeBlock(shard, block);
    }
    this.writeRoot(shard, streams.root(reference));
    for (let index = 0; index < streams.groupCount(reference); index++) {
      const group = streams.groupAt(reference, index);
      this.writeGroupHead(shard, group, groups.pendingCount(group));
      const tree = (group >> 2) + Group.ById;
      givenBack.reset();
      for (let pending = groups.byId.first(tree); pending !== 0; pending = groups.byId.next()) {
        this.writePending(shard, pending);
        if (groups.consumerOf(pending) === 0) givenBack.add(words, pending >> 2);
      }
      const vector = groups.consumersOf(group);
      const count = groups.consumers.count(vector);
      output.lengthField(count);
      for (let number = 0; number < count; number++) {
        const consumer = groups.consumers.recordAt(vector, number);
        this.writeConsumerHead(shard, consumer, groups.pendingOf(consumer));
        const own = (consumer >> 2) + Consumer.ById;
        for (let pending = groups.byId.first(own); pending !== 0; pending = groups.byId.next()) {
          this.writeId(words, (pending >> 2) + Pending.Id);
        }
      }
      if (type < RdbType.StreamListpacks5) continue;
      this.beginGivenBack();
      for (let place = 0; place < givenBack.count; place++) this.writeGivenBack(place);
    }
    this.writeProducers(shard, streams.root(reference));
  }

  private beginGivenBack(): void {
    this.givenBack.sort();
    this.output.lengthField(this.givenBack.count);
  }

  private writeGivenBack(place: number): void {
    const { output, givenBack } = this;
    output.reserve(ID_BYTES);
    for (let word = 0; word < ID_WORDS; word++) {
      output.view.setInt32(output.length, givenBack.word(place, word));
      output.length += 4;
    }
  }

  /**
   * Writes what is known of producers, if the form has it. `root` is that of the stream, or the one kept for a walk:
   * messages added since then are left out.
   */
  private writeProducers(shard: Shard, root: number): void {
    const { output } = this;
    if (this.type < RdbType.StreamListpacks4) return;
    const { words, bytes, view } = shard;
    const { producers } = shard.streams;
    const { messages } = producers;
    const known = words[root + Stream.Producers];
    if (known === 0) {
      for (const value of [PRODUCER_SECONDS_DEFAULT, PRODUCER_IDS_DEFAULT, 0, 0, 0])
        output.lengthField(value);
      return;
    }
    lastId.read(words, root + Stream.LastId);
    output.lengthField(producers.seconds(known));
    output.lengthField(producers.idsMax(known));
    const vector = producers.vector(known);
    const count = producers.producers.count(vector);
    output.lengthField(count);
    for (let index = 0; index < count; index++) {
      const producer = producers.producers.recordAt(vector, index);
      const nameAt = producers.producers.nameOffset(producer);
      output.string(bytes, view, nameAt, producers.producers.nameLength(producer));
      let ids = 0;
      let message = producers.oldest(producer);
      for (; message !== 0; message = producers.newer(message)) {
        if (lastId.compareTo(words, producers.entryIdOf(message)) >= 0) ids++;
      }
      output.lengthField(ids);
      message = producers.oldest(producer);
      for (; ids > 0; ids--) {
        output.string(bytes, view, messages.nameOffset(message), messages.nameLength(message));
        this.idFields(words, producers.entryIdOf(message));
        message = producers.newer(message);
      }
    }
    for (const total of [producers.added(known), producers.duplicates(known)]) {
      output.lengthField64(Number(BigInt.asIntN(32, total >> 32n)), Number(BigInt.asIntN(32, total)));
    }
  }

  /** Writes a block of entries. */
  writeBlock(shard: Shard, block: number): void {
    const { output } = this;
    const { blocks } = shard.streams;
    const lengthBytes = blocks.listpackBytes(block);
    const isTooLarge = this.listpack.length > KEPT_BYTES_MAX && lengthBytes <= KEPT_BYTES_MAX;
    if (lengthBytes > this.listpack.length || isTooLarge) {
      this.listpack = new Uint8Array(lengthBytes + (lengthBytes >> 1));
      this.listpackView = new DataView(this.listpack.buffer);
    }
    this.listpacks.write(shard.memory, blocks, block, this.listpack, this.listpackView);
    output.lengthField(ID_BYTES);
    this.writeId(shard.words, block >> 2);
    output.block(this.listpack, this.listpackView, 0, lengthBytes);
  }

  /** An id, most significant byte first. */
  private writeId(words: Int32Array, at: number): void {
    const { output } = this;
    output.reserve(ID_BYTES);
    for (let word = 0; word < ID_WORDS; word++) {
      output.view.setInt32(output.length, words[at + word]);
      output.length += 4;
    }
  }

  private idFields(words: Int32Array, at: number): void {
    this.output.lengthField64(words[at], words[at + 1]);
    this.output.lengthField64(words[at + 2], words[at + 3]);
  }

  /** Writes what comes between the entries and the groups. */
  private writeRoot(shard: Shard, root: number): void {
    const { output } = this;
    const { words, streams } = shard;
    output.lengthField(words[root + Stream.Length]);
    this.idFields(words, root + Stream.LastId);
    this.idFields(words, root + Stream.FirstId);
    this.idFields(words, root + Stream.MaxDeletedId);
    output.lengthField64(words[root + Stream.EntriesAdded + 1], words[root + Stream.EntriesAdded]);
    output.lengthField(streams.groups.groups.count(root + Stream.Groups));
  }

  private writeGroupHead(shard: Shard, group: number, pendingCount: number): void {
    const { output } = this;
    const { words, bytes, view } = shard;
    const { groups } = shard.streams.groups;
    output.string(bytes, view, groups.nameOffset(group), groups.nameLength(group));
    const at = group >> 2;
    this.idFields(words, at + Group.LastId);
    output.lengthField64(words[at + Group.EntriesRead + 1], words[at + Group.EntriesRead]);
    output.lengthField(pendingCount);
  }

  private writePending(shard: Shard, pending: number): void {
    const { output } = this;
    const { words } = shard;
    const at = pending >> 2;
    this.writeId(words, at + Pending.Id);
    output.integer64(shard.streams.groups.deliveredAt(pending));
    output.lengthField64(words[at + Pending.CountHigh], words[at + Pending.CountLow]);
  }

  private writeConsumerHead(shard: Shard, consumer: number, pendingCount: number): void {
    const { output } = this;
    const { groups } = shard.streams;
    const { consumers } = groups;
    output.string(shard.bytes, shard.view, consumers.nameOffset(consumer), consumers.nameLength(consumer));
    output.integer64(groups.seenAt(consumer));
    if (this.type >= RdbType.StreamListpacks3) output.integer64(groups.activeAt(consumer));
    output.lengthField(pendingCount);
  }

  // What follows writes a stream in steps.

  /** Writes what comes before the entries. */
  beginSteps(shard: Shard, reference: number): void {
    this.output.lengthField(shard.streams.blockCount(reference));
  }

  stepHead(shard: Shard, key: LongKey): void {
    const { streams } = shard;
    const root = streams.root(key.reference);
    const past = streams.walk.past(root);
    this.type = streamType(streams.walk.hadGivenBack(root), shard.words[past + Stream.Producers] !== 0);
    this.writeRoot(shard, past);
  }

  stepGroupHead(shard: Shard, group: number): void {
    const { groups } = shard.streams;
    this.writeGroupHead(shard, group, shard.words[(group >> 2) + Group.PendingThen]);
    this.gathered.reset(groups.consumers.count(groups.consumersOf(group)));
    this.givenBack.reset();
    this.nextConsumer = -1;
    this.nextId = -1;
    this.nextGivenBack = -1;
  }

  stepPending(shard: Shard, pending: Int32Array, count: number): void {
    const { words } = shard;
    const { walk } = shard.streams;
    for (let index = 0; index < count; index++) {
      this.writePending(shard, pending[index]);
      const consumer = walk.steppedConsumer(pending[index]);
      const at = pending[index] >> 2;
      if (consumer === 0) this.givenBack.add(words, at);
      else this.gathered.add(words[(consumer >> 2) + Consumer.Number], words, at + Pending.Id);
    }
  }

  /** Writes some of a group's consumers; returns whether there are more. */
  stepGroupEnd(shard: Shard, group: number): boolean {
    const { groups } = shard.streams;
    const vector = groups.consumersOf(group);
    const count = groups.consumers.count(vector);
    if (this.nextConsumer < 0) {
      this.output.lengthField(count);
      this.nextConsumer = 0;
    }
    for (let left = IDS_PER_STEP; left > 0; left--) {
      if (this.nextId >= 0) {
        const { gathered, nextId } = this;
        this.writeId(gathered.part(nextId), gathered.wordOf(nextId));
        this.nextId = gathered.next(nextId);
      } else if (this.nextConsumer < count) {
        const consumer = groups.consumers.recordAt(vector, this.nextConsumer);
        this.writeConsumerHead(shard, consumer, shard.words[(consumer >> 2) + Consumer.PendingThen]);
        this.nextId = this.gathered.firstOf(this.nextConsumer++);
      } else if (this.type < RdbType.StreamListpacks5 || this.nextGivenBack === this.givenBack.count) {
        this.gathered.reset(0);
        this.givenBack.reset();
        return false;
      } else if (this.nextGivenBack < 0) {
        this.beginGivenBack();
        this.nextGivenBack = 0;
      } else {
        this.writeGivenBack(this.nextGivenBack++);
      }
    }
    return true;
  }

  /** Ends a stream that was written in steps. */
  stepEnd(shard: Shard, key: LongKey): void {
    const { walk } = shard.streams;
    this.writeProducers(shard, walk.past(shard.streams.root(key.reference)));
  }
}
