/**
 * Builds streams from RDB's forms of them (stream-writer.ts). Those of Redis 5 have no first id, no largest id deleted and no
 * numbers of entries added and read; since Redis 7.2 consumers have the time when they were last active, since 8.6 streams
 * have what is known of producers, and since 8.8 groups have what was given back.
 */

import type { Shard } from '../keyspace/shard.js';
import { Pending } from '../structures/stream-groups.js';
import { StreamId } from '../structures/stream-id.js';
import { LoadedBlock, StreamListpackReader } from '../structures/stream-listpack.js';
import {
  PRODUCER_IDS_DEFAULT,
  PRODUCER_IDS_MAX,
  PRODUCER_SECONDS_DEFAULT,
  PRODUCER_SECONDS_MAX,
} from '../structures/stream-producers.js';
import { Stream } from '../structures/stream-root.js';
import { RdbMemoryError, RdbType } from './rdb-format.js';
import { type RdbInput, RdbString } from './rdb-input.js';

const ID_BYTES = 16;
/** An id, a time and a number of deliveries. */
const PENDING_BYTES_MIN = ID_BYTES + 9;

function noMemory(): never {
  throw new RdbMemoryError('out of memory');
}

export class StreamLoader {
  private readonly input: RdbInput;
  private readonly text = new RdbString();
  private readonly otherText = new RdbString();
  private readonly id = new StreamId();
  private readonly lastId = new StreamId();
  private readonly otherId = new StreamId();
  private readonly readers: StreamListpackReader[] = [];

  constructor(input: RdbInput) {
    this.input = input;
  }

  /** Reads a stream into the shard's draft, which is an empty one. Throws as ValueLoader.load does. */
  load(shard: Shard, type: RdbType): void {
    const { streams, draft } = shard;
    for (let blocks = this.input.count(2); blocks > 0; blocks--) this.block(shard);
    const at = this.input.offset;
    // Early versions of Redis 5 counted wrongly when they trimmed, and later ones still read their files: those entries
    // that are there count. (Redis keeps the wrong number.)
    if (this.input.length() > 0 && streams.count(draft) === 0) {
      this.input.fail('a stream has no entries, but says that it has', at);
    }
    this.ids(shard, type);
    for (let groups = this.input.count(4); groups > 0; groups--) this.group(shard, type);
    if (type >= RdbType.StreamListpacks4) this.producers(shard);
  }

  private block(shard: Shard): void {
    const { input, text, id } = this;
    const at = input.offset;
    input.string(text);
    if (text.lengthBytes !== ID_BYTES) input.fail('an id of a stream is not as long as it should be', at);
    const { view, offset } = text;
    id.set(
      view.getInt32(offset),
      view.getInt32(offset + 4),
      view.getInt32(offset + 8),
      view.getInt32(offset + 12),
    );
    input.string(text);
    this.readers[shard.index] ??= new StreamListpackReader(shard.memory, shard.arena);
    const reader = this.readers[shard.index];
    const block = reader.load(id, text.bytes, text.view, text.offset, text.lengthBytes);
    if (block === LoadedBlock.NoMemory) noMemory();
    if (block === LoadedBlock.Damaged) input.fail('a listpack of a stream makes no sense', at);
    const added = shard.streams.addBlock(shard.draft, block);
    if (added > 0) return;
    shard.streams.blocks.free(block);
    if (added === 0) noMemory();
    input.fail('ids of a stream are out of order', at);
  }

  /** Reads an id as two numbers. */
  private readId(id: StreamId): void {
    const { input } = this;
    const ms = input.length64();
    const seq = input.length64();
    id.set(
      Number(BigInt.asIntN(32, ms >> 32n)),
      Number(BigInt.asIntN(32, ms)),
      Number(BigInt.asIntN(32, seq >> 32n)),
      Number(BigInt.asIntN(32, seq)),
    );
  }

  /** Reads an id of 16 bytes, most significant byte first. */
  private readRawId(id: StreamId): void {
    const { input } = this;
    input.need(ID_BYTES);
    const { view, position } = input;
    id.set(
      view.getInt32(position),
      view.getInt32(position + 4),
      view.getInt32(position + 8),
      view.getInt32(position + 12),
    );
    input.position += ID_BYTES;
  }

  private ids(shard: Shard, type: RdbType): void {
    const { input, id, lastId, otherId } = this;
    const { streams, draft } = shard;
    const at = input.offset;
    this.readId(lastId);
    if (streams.lastEntryId(draft, id) && id.compare(lastId) > 0) {
      input.fail('the last id of a stream is not the largest one', at);
    }
    if (type === RdbType.StreamListpacks) {
      otherId.setMin();
      streams.setIds(draft, lastId, BigInt(streams.count(draft)), otherId);
      streams.updateFirstId(draft);
      return;
    }
    this.readId(id);
    streams.setFirstId(draft, id);
    this.readId(otherId);
    streams.setIds(draft, lastId, input.length64(), otherId);
  }

  private group(shard: Shard, type: RdbType): void {
    const { input, text, id } = this;
    const { streams, draft } = shard;
    const at = input.offset;
    input.string(text);
    text.keep();
    this.readId(id);
    const entriesRead =
      type === RdbType.StreamListpacks
        ? streams.estimateEntriesRead(draft, id)
        : BigInt.asIntN(64, input.length64());
    if (streams.findGroup(draft, text.bytes, text.offset, text.lengthBytes) !== 0) {
      input.fail('a stream has a group twice', at);
    }
    const group = streams.groups.createGroup(
      streams.groupsOf(draft),
      text.bytes,
      text.view,
      text.offset,
      text.lengthBytes,
      id,
      Number(BigInt.asIntN(32, entriesRead >> 32n)),
      Number(BigInt.asIntN(32, entriesRead)),
    );
    if (group === 0) noMemory();
    for (let pending = input.count(PENDING_BYTES_MIN); pending > 0; pending--) this.pending(shard, group);
    for (let consumers = input.count(10); consumers > 0; consumers--) this.consumer(shard, group, type);
    if (type >= RdbType.StreamListpacks5) this.givenBack(shard, group);
    if (streams.groups.hasUnowned(group)) input.fail('an entry is pending for nobody', at);
  }

  /** Reads what was given back of a group. */
  private givenBack(shard: Shard, group: number): void {
    const { input, id } = this;
    const { groups } = shard.streams;
    for (let left = input.count(ID_BYTES); left > 0; left--) {
      const at = input.offset;
      this.readRawId(id);
      const pending = groups.find(group, id);
      if (pending === 0) input.fail('an entry was given back but is not pending', at);
      if (groups.consumerOf(pending) !== 0)
        input.fail('an entry was given back but is pending for a consumer', at);
      if (!groups.giveBack(group, pending)) noMemory();
    }
  }

  /** Reads what is known of producers. Those of a stream that never had any are not kept. */
  private producers(shard: Shard): void {
    const { input, id, text: producer, otherText: message } = this;
    const { streams, draft, words } = shard;
    const { producers } = streams;
    const at = input.offset;
    const seconds = input.length();
    const ids = input.length();
    if (seconds < 1 || seconds > PRODUCER_SECONDS_MAX || ids < 1 || ids > PRODUCER_IDS_MAX) {
      input.fail('the limits for producers of a stream make no sense', at);
    }
    const count = input.count(2);
    const root = streams.root(draft);
    const known = producers.create(seconds, ids);
    if (known === 0) noMemory();
    words[root + Stream.Producers] = known;
    for (let left = count; left > 0; left--) {
      this.readName(producer);
      for (let messages = input.count(3); messages > 0; messages--) {
        const messageAt = input.offset;
        this.readName(message);
        this.readId(id);
        if (producers.find(known, producer, message) !== 0) {
          input.fail('a producer of a stream has an id twice', messageAt);
        }
        if (!producers.add(known, producer, message, id)) noMemory();
      }
    }
    const added = BigInt.asUintN(64, input.length64());
    const duplicates = BigInt.asUintN(64, input.length64());
    producers.setCounts(known, added, duplicates);
    const isUsed =
      count > 0 ||
      added > 0n ||
      duplicates > 0n ||
      seconds !== PRODUCER_SECONDS_DEFAULT ||
      ids !== PRODUCER_IDS_DEFAULT;
    if (isUsed) return;
    producers.releaseSome(known, 1);
    words[root + Stream.Producers] = 0;
  }

  /** Reads the name of a producer or a message, which is not empty. */
  private readName(text: RdbString): void {
    const { input } = this;
    const at = input.offset;
    input.string(text);
    if (text.lengthBytes === 0) input.fail('a producer of a stream has an empty id', at);
    text.keep();
  }

  /** Passes over what is known of producers. */
  private skipProducers(): void {
    const { input } = this;
    this.skipLengths(2);
    for (let producers = input.count(2); producers > 0; producers--) {
      input.skipString();
      for (let ids = input.count(3); ids > 0; ids--) {
        input.skipString();
        this.skipLengths(2);
      }
    }
    this.skipLengths(2);
  }

  private pending(shard: Shard, group: number): void {
    const { input, id } = this;
    const { groups } = shard.streams;
    const at = input.offset;
    this.readRawId(id);
    const deliveredAt = input.int64();
    const count = input.length64();
    if (groups.find(group, id) !== 0) input.fail('an entry is pending twice', at);
    const isTime = deliveredAt >= 0 && deliveredAt <= Number.MAX_SAFE_INTEGER;
    const pending = groups.add(group, 0, id, isTime ? deliveredAt : 0);
    if (pending === 0) noMemory();
    shard.words[(pending >> 2) + Pending.CountHigh] = Number(BigInt.asIntN(32, count >> 32n));
    shard.words[(pending >> 2) + Pending.CountLow] = Number(BigInt.asIntN(32, count));
  }

  private consumer(shard: Shard, group: number, type: RdbType): void {
    const { input, text, id } = this;
    const { groups } = shard.streams;
    const at = input.offset;
    input.string(text);
    const { bytes, view, offset, lengthBytes } = text;
    if (groups.findConsumer(group, bytes, offset, lengthBytes) !== 0) {
      input.fail('a group has a consumer twice', at);
    }
    const consumer = groups.createConsumer(group, bytes, view, offset, lengthBytes, 0);
    if (consumer === 0) noMemory();
    const seenAt = input.int64();
    groups.setSeenAt(consumer, seenAt);
    groups.setActiveAt(consumer, type >= RdbType.StreamListpacks3 ? input.int64() : seenAt);
    for (let left = input.count(ID_BYTES); left > 0; left--) {
      const idAt = input.offset;
      this.readRawId(id);
      const pending = groups.find(group, id);
      if (pending === 0) input.fail('an entry is pending for a consumer but not for its group', idAt);
      if (groups.consumerOf(pending) !== 0) input.fail('an entry is pending for two consumers', idAt);
      if (!groups.assign(pending, consumer)) noMemory();
    }
  }

  /** Passes over a stream. */
  skip(type: RdbType): void {
    const { input } = this;
    const isOld = type === RdbType.StreamListpacks;
    for (let blocks = input.count(2); blocks > 0; blocks--) {
      input.skipString();
      input.skipString();
    }
    // Number of entries, last id; first id, largest id deleted, entries added.
    this.skipLengths(isOld ? 3 : 8);
    for (let groups = input.count(4); groups > 0; groups--) {
      input.skipString();
      this.skipLengths(isOld ? 2 : 3);
      for (let pending = input.count(PENDING_BYTES_MIN); pending > 0; pending--) {
        input.skipBytes(ID_BYTES + 8);
        input.length();
      }
      for (let consumers = input.count(10); consumers > 0; consumers--) {
        input.skipString();
        input.skipBytes(type >= RdbType.StreamListpacks3 ? 16 : 8);
        input.skipBytes(input.count(ID_BYTES) * ID_BYTES);
      }
      if (type >= RdbType.StreamListpacks5) input.skipBytes(input.count(ID_BYTES) * ID_BYTES);
    }
    if (type >= RdbType.StreamListpacks4) this.skipProducers();
  }

  private skipLengths(count: number): void {
    for (let left = count; left > 0; left--) this.input.length();
  }
}
