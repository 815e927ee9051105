/**
 * Writes streams as the commands that make them, as Redis 7.0 does: XADD for each entry, XSETID, and for each group
 * XGROUP CREATE, XGROUP CREATECONSUMER for each consumer, and XCLAIM for what is pending. Entries given back take an
 * XNACK, which Redis knows since 8.8; producers take XCFGSET and XIDMPRECORD, of 8.6 and 8.8. These commands do not
 * restore entries that are pending but deleted from the stream.
 */

import type { LongKey } from '../keyspace/long-key.js';
import type { Shard } from '../keyspace/shard.js';
import { StreamEntry } from '../structures/stream-block.js';
import { Group, Pending } from '../structures/stream-groups.js';
import { IdText, StreamId, uint64ToBigInt } from '../structures/stream-id.js';
import { Stream } from '../structures/stream-root.js';
import type { CommandOutput } from './command-output.js';

export class StreamCommandWriter {
  private readonly output: CommandOutput;
  private readonly entry = new StreamEntry();
  private readonly id = new StreamId();
  private readonly text = new IdText();

  // The key that is being written.
  private shard!: Shard;
  private keyAt = 0;
  private keyBytes = 0;

  constructor(output: CommandOutput) {
    this.output = output;
  }

  /** Selects the key for the commands. */
  select(shard: Shard, keyAt: number, keyBytes: number): void {
    this.shard = shard;
    this.keyAt = keyAt;
    this.keyBytes = keyBytes;
  }

  private command(name: string, argCount: number): void {
    this.output.command(name, 1 + argCount);
    this.key();
  }

  private groupCommand(subcommand: string, argCount: number): void {
    this.output.command('XGROUP', 2 + argCount);
    this.output.text(subcommand);
    this.key();
  }

  private key(): void {
    this.output.argument(this.shard.bytes, this.shard.view, this.keyAt, this.keyBytes);
  }

  private idArgument(id: StreamId): void {
    const { text } = this;
    this.output.argument(text.bytes, text.view, 0, text.write(id));
  }

  private idAt(at: number): void {
    this.id.read(this.shard.words, at);
    this.idArgument(this.id);
  }

  /** An int64 whose halves are at these word indices. */
  private int64(high: number, low: number): void {
    const { words } = this.shard;
    this.output.text(BigInt.asIntN(64, uint64ToBigInt(words[high], words[low])).toString());
  }

  private groupName(group: number): void {
    const { groups } = this.shard.streams.groups;
    const { bytes, view } = this.shard;
    this.output.argument(bytes, view, groups.nameOffset(group), groups.nameLength(group));
  }

  private consumerName(consumer: number): void {
    const { consumers } = this.shard.streams.groups;
    const { bytes, view } = this.shard;
    this.output.argument(bytes, view, consumers.nameOffset(consumer), consumers.nameLength(consumer));
  }

  /** Writes a whole stream. */
  write(reference: number): void {
    const { streams } = this.shard;
    const { groups } = streams;
    for (let block = streams.firstBlock(reference); block !== 0; block = streams.nextBlockOf()) {
      this.writeBlock(block);
    }
    this.writeRoot(streams.root(reference));
    for (let index = 0; index < streams.groupCount(reference); index++) {
      const group = streams.groupAt(reference, index);
      this.writeGroup(group);
      const vector = groups.consumersOf(group);
      for (let number = 0; number < groups.consumers.count(vector); number++) {
        const consumer = groups.consumers.recordAt(vector, number);
        this.writeConsumer(group, consumer);
      }
      const tree = (group >> 2) + Group.ById;
      for (let pending = groups.byId.first(tree); pending !== 0; pending = groups.byId.next()) {
        this.writePending(group, pending, groups.consumerOf(pending));
      }
    }
    this.writeProducers(reference, streams.root(reference));
  }

  /**
   * Writes what is known of producers, for messages whose entry exists and is not newer than the last id in `root`: the
   * root of the stream, or the one kept for a walk.
   */
  private writeProducers(reference: number, root: number): void {
    const { output, shard, id } = this;
    const { words, bytes, view, streams } = shard;
    const { producers } = streams;
    const { messages } = producers;
    const known = words[root + Stream.Producers];
    if (known === 0) return;
    this.command('XCFGSET', 4);
    output.text('IDMP-DURATION');
    output.integer(producers.seconds(known));
    output.text('IDMP-MAXSIZE');
    output.integer(producers.idsMax(known));
    const vector = producers.vector(known);
    for (let index = 0; index < producers.producers.count(vector); index++) {
      const producer = producers.producers.recordAt(vector, index);
      const nameAt = producers.producers.nameOffset(producer);
      const nameBytes = producers.producers.nameLength(producer);
      for (let message = producers.oldest(producer); message !== 0; message = producers.newer(message)) {
        id.read(words, producers.entryIdOf(message));
        if (id.compareTo(words, root + Stream.LastId) > 0 || !streams.find(reference, id)) continue;
        this.command('XIDMPRECORD', 3);
        output.argument(bytes, view, nameAt, nameBytes);
        output.argument(bytes, view, messages.nameOffset(message), messages.nameLength(message));
        this.idArgument(id);
      }
    }
  }

  /** Writes the entries of a block. */
  writeBlock(block: number): void {
    const { entry, id, output, shard } = this;
    const { blocks } = shard.streams;
    const reader = shard.streams.elements;
    const end = blocks.end(block);
    for (let at = blocks.entries(block); at < end; at = entry.end) {
      blocks.read(entry, block, at);
      if (entry.isDeleted) continue;
      this.command('XADD', 1 + 2 * entry.fieldCount);
      entry.copyIdTo(id);
      this.idArgument(id);
      let field = entry.fieldsAt;
      let value = entry.valuesAt;
      for (let left = entry.fieldCount; left > 0; left--) {
        field = reader.read(entry.hasMasterFields ? field : value);
        output.argument(reader.bytes, reader.view, reader.offset, reader.lengthBytes);
        value = reader.read(entry.hasMasterFields ? value : field);
        output.argument(reader.bytes, reader.view, reader.offset, reader.lengthBytes);
      }
    }
  }

  /** Writes what is known of a stream beside its entries. `root` is a word index. */
  private writeRoot(root: number): void {
    const { output, shard } = this;
    if (shard.words[root + Stream.Length] === 0) {
      this.command('XADD', 5);
      output.text('MAXLEN');
      output.text('0');
      output.text('0-1');
      output.text('x');
      output.text('y');
    }
    this.command('XSETID', 5);
    this.idAt(root + Stream.LastId);
    output.text('ENTRIESADDED');
    this.int64(root + Stream.EntriesAdded + 1, root + Stream.EntriesAdded);
    output.text('MAXDELETEDID');
    this.idAt(root + Stream.MaxDeletedId);
  }

  private writeGroup(group: number): void {
    const at = group >> 2;
    this.groupCommand('CREATE', 4);
    this.groupName(group);
    this.idAt(at + Group.LastId);
    this.output.text('ENTRIESREAD');
    this.int64(at + Group.EntriesRead + 1, at + Group.EntriesRead);
  }

  private writeConsumer(group: number, consumer: number): void {
    this.groupCommand('CREATECONSUMER', 2);
    this.groupName(group);
    this.consumerName(consumer);
  }

  private writePending(group: number, pending: number, consumer: number): void {
    const { output, shard } = this;
    const at = pending >> 2;
    if (consumer === 0) {
      this.command('XNACK', 8);
      this.groupName(group);
      output.text('FAIL');
      output.text('IDS');
      output.text('1');
      this.idAt(at + Pending.Id);
      output.text('RETRYCOUNT');
      this.int64(at + Pending.CountHigh, at + Pending.CountLow);
      output.text('FORCE');
      return;
    }
    this.command('XCLAIM', 10);
    this.groupName(group);
    this.consumerName(consumer);
    output.text('0');
    this.idAt(at + Pending.Id);
    output.text('TIME');
    output.integer(shard.streams.groups.deliveredAt(pending));
    output.text('RETRYCOUNT');
    this.int64(at + Pending.CountHigh, at + Pending.CountLow);
    output.text('JUSTID');
    output.text('FORCE');
  }

  stepHead(key: LongKey): void {
    const { streams } = this.shard;
    this.writeRoot(streams.walk.past(streams.root(key.reference)));
  }

  stepGroupHead(group: number): void {
    const { groups } = this.shard.streams;
    this.writeGroup(group);
    const vector = groups.consumersOf(group);
    for (let number = 0; number < groups.consumers.count(vector); number++) {
      const consumer = groups.consumers.recordAt(vector, number);
      this.writeConsumer(group, consumer);
    }
  }

  stepEnd(key: LongKey): void {
    const { streams } = this.shard;
    this.writeProducers(key.reference, streams.walk.past(streams.root(key.reference)));
  }

  stepPending(group: number, pending: Int32Array, count: number): void {
    const { walk } = this.shard.streams;
    for (let index = 0; index < count; index++) {
      this.writePending(group, pending[index], walk.steppedConsumer(pending[index]));
    }
  }
}
