/**
 * Writes keys as the commands that make them, as Redis 7.0 reads them from the base file of an append-only file
 * (`aof-use-rdb-preamble no`): SET, RPUSH, SADD, ZADD and HMSET, with some elements each, then PEXPIREAT; for streams
 * see stream-command-writer.ts. Each field that expires takes a HPEXPIREAT, which Redis knows since 7.4.
 */

import {
  entryType,
  expiresAtMs,
  keyLength,
  keyOffset,
  ValueType,
  valueLength,
  valueOffset,
} from '../keyspace/entry.js';
import type { LongKey } from '../keyspace/long-key.js';
import type { Shard } from '../keyspace/shard.js';
import { readDouble } from '../memory/scores.js';
import { READING_ROOM_BYTES, ShardMemory } from '../memory/shard-memory.js';
import { Encoding } from '../structures/collection-value.js';
import { ElementView } from '../structures/element-view.js';
import { PACKED_END, PackedList } from '../structures/packed-list.js';
import { SortedSetCursor } from '../structures/sorted-set-value.js';
import { FLUSH_BYTES } from './byte-output.js';
import { CommandOutput } from './command-output.js';
import type { KeyWriter, SnapshotWriter, SnapshotWriterOptions } from './key-form.js';
import { checkElements } from './key-tally.js';
import { StreamCommandWriter } from './stream-command-writer.js';

/** Elements (fields with their values, members with their scores) in one command. */
const ELEMENTS_PER_COMMAND = 64;

/** Not 0, which means none. */
const ROOM_OFFSET = 8;

export class CommandKeyWriter implements KeyWriter {
  readonly output: CommandOutput;
  private readonly cursor = new SortedSetCursor();
  private readonly element = new ElementView();
  /**
   * Own readers of packed lists, one per shard: a worker may write a key in the middle of a command that still uses
   * the readers of the shard's own values.
   */
  private readonly readers: PackedList[] = [];
  /** Own buffer for unpacking compressed chunks of lists, for the same reason, and the reader of that buffer. */
  private readonly room = new ShardMemory(new SharedArrayBuffer(ROOM_OFFSET + READING_ROOM_BYTES));
  private roomReader: PackedList | null = null;

  // The key that is being written.
  private shard!: Shard;
  private keyAt = 0;
  private keyBytes = 0;
  private command = '';
  /** Arguments that make one element. */
  private argsPerElement = 1;
  private elementsAnnounced = 0;
  /** Elements not covered by the commands begun so far, and elements that the last command still expects. */
  private elementsLeft = 0;
  private elementsAwaited = 0;

  private readonly streams: StreamCommandWriter;

  constructor(output = new CommandOutput()) {
    this.output = output;
    this.streams = new StreamCommandWriter(output);
  }

  write(shard: Shard, entry: number): void {
    this.shard = shard;
    const { words, bytes, view } = shard;
    const reference = valueOffset(words, entry);
    this.keyAt = keyOffset(words, entry);
    this.keyBytes = keyLength(words, entry);
    switch (entryType(words, entry)) {
      case ValueType.String:
        this.begin('SET', 1, 0);
        this.output.command('SET', 2);
        this.key();
        this.output.argument(bytes, view, reference, valueLength(words, entry));
        break;
      case ValueType.List:
        this.list(reference);
        break;
      case ValueType.Set:
        this.set(reference);
        break;
      case ValueType.SortedSet:
        this.sortedSet(reference);
        break;
      case ValueType.Hash:
        this.hash(reference);
        break;
      case ValueType.Stream:
        this.streams.select(shard, this.keyAt, this.keyBytes);
        this.streams.write(reference);
        break;
      default:
        throw new Error(`no command for type ${entryType(words, entry)}`);
    }
    this.end();
    this.expiry(expiresAtMs(words, entry));
  }

  writeHead(): void {}

  writeRecords(shard: Shard, key: LongKey, records: Int32Array, count: number): void {
    const { output, element } = this;
    const { bytes, view } = shard;
    const { type, reference } = key;
    this.selectLongKey(shard, key);
    if (type === ValueType.Hash) this.begin('HMSET', 2, count);
    else if (type === ValueType.Set) this.begin('SADD', 1, count);
    else this.begin('ZADD', 2, count);
    for (let index = 0; index < count; index++) {
      this.beginElement();
      if (type === ValueType.SortedSet) {
        shard.sortedSets.viewRecord(records[index], element);
        output.double(element.score);
      } else if (type === ValueType.Set) {
        shard.sets.viewRecord(records[index], element);
      } else {
        shard.hashes.viewRecord(reference, records[index], element);
      }
      output.argument(bytes, view, element.offset, element.lengthBytes);
      if (type === ValueType.Hash) output.argument(bytes, view, element.valueOffset, element.valueLength);
    }
    if (key.fieldsExpireFrom < 0) return;
    for (let index = 0; index < count; index++) {
      shard.hashes.viewRecord(reference, records[index], element);
      if (element.expiresAt >= 0) this.fieldExpiry(element.expiresAt, element.offset, element.lengthBytes);
    }
  }

  writeChunk(shard: Shard, key: LongKey, chunk: number): void {
    this.selectLongKey(shard, key);
    if (key.type === ValueType.Stream) {
      this.streams.writeBlock(chunk);
      return;
    }
    this.begin('RPUSH', 1, shard.lists.chunks.elementsIn(chunk));
    this.chunk(chunk);
  }

  writeStreamHead(shard: Shard, key: LongKey): void {
    this.selectLongKey(shard, key);
    this.streams.stepHead(key);
  }

  writeGroupHead(shard: Shard, key: LongKey, group: number): void {
    this.selectLongKey(shard, key);
    this.streams.stepGroupHead(group);
  }

  writePending(shard: Shard, key: LongKey, group: number, pending: Int32Array, count: number): void {
    this.selectLongKey(shard, key);
    this.streams.stepPending(group, pending, count);
  }

  writeGroupEnd(): boolean {
    return false;
  }

  writeEnd(shard: Shard, key: LongKey): void {
    this.selectLongKey(shard, key);
    if (key.type === ValueType.Stream) this.streams.stepEnd(key);
    this.expiry(key.expiresAt);
  }

  private selectLongKey(shard: Shard, key: LongKey): void {
    this.shard = shard;
    this.keyAt = key.keyOffset;
    this.keyBytes = key.keyLength;
    this.streams.select(shard, this.keyAt, this.keyBytes);
  }

  private key(): void {
    this.output.argument(this.shard.bytes, this.shard.view, this.keyAt, this.keyBytes);
  }

  private expiry(expiresAt: number): void {
    if (expiresAt < 0) return;
    this.output.command('PEXPIREAT', 2);
    this.key();
    this.output.integer(expiresAt);
  }

  /** Begins the commands for `count` elements. */
  private begin(command: string, argsPerElement: number, count: number): void {
    this.command = command;
    this.argsPerElement = argsPerElement;
    this.elementsAnnounced = count;
    this.elementsLeft = count;
    this.elementsAwaited = 0;
  }

  /** Throws if fewer elements were written than `begin` announced. */
  private end(): void {
    checkElements(this.elementsAnnounced - this.elementsLeft - this.elementsAwaited, this.elementsAnnounced);
  }

  /** Must be called before the arguments of each element: begins the next command if the last one is full. */
  private beginElement(): void {
    if (this.elementsAwaited === 0) {
      if (this.elementsLeft === 0) checkElements(this.elementsAnnounced + 1, this.elementsAnnounced);
      const elements = Math.min(this.elementsLeft, ELEMENTS_PER_COMMAND);
      this.elementsAwaited = elements;
      this.elementsLeft -= elements;
      this.output.command(this.command, 1 + elements * this.argsPerElement);
      this.key();
    }
    this.elementsAwaited--;
  }

  private reader(): PackedList {
    const { readers, shard } = this;
    readers[shard.index] ??= new PackedList(shard.memory, shard.arena);
    return readers[shard.index];
  }

  /** The elements of a packed list, or of a chunk, from a position on. */
  private packed(position: number, reader = this.reader()): void {
    const { output } = this;
    while (position !== 0) {
      this.beginElement();
      for (let left = this.argsPerElement; left > 0; left--) {
        position = reader.readOn(position);
        output.argument(reader.bytes, reader.view, reader.offset, reader.lengthBytes);
      }
    }
  }

  private list(reference: number): void {
    const { lists } = this.shard;
    const block = lists.blockOf(reference);
    this.begin('RPUSH', 1, lists.count(reference));
    if (lists.isPacked(reference)) {
      this.packed(this.reader().first(block));
      return;
    }
    const { chunks } = lists;
    for (let chunk = chunks.head(block); chunk !== 0; chunk = chunks.nextChunk(chunk)) this.chunk(chunk);
  }

  private chunk(chunk: number): void {
    const { chunks } = this.shard.lists;
    if (chunks.isCompressed(chunk)) this.compressedChunk(chunk);
    else this.packed(chunks.elements(chunk));
  }

  private compressedChunk(chunk: number): void {
    const { room, shard } = this;
    const { chunks } = shard.lists;
    chunks.copyElements(chunk, room.bytes, ROOM_OFFSET);
    room.bytes[ROOM_OFFSET + chunks.elementsBytes(chunk)] = PACKED_END;
    this.roomReader ??= new PackedList(room, shard.arena);
    this.packed(ROOM_OFFSET, this.roomReader);
  }

  private set(reference: number): void {
    const { output } = this;
    const { sets } = this.shard;
    this.begin('SADD', 1, sets.count(reference));
    if (sets.encoding(reference) === Encoding.Packed) {
      this.packed(this.reader().first(sets.blockOf(reference)));
      return;
    }
    const { member } = sets;
    for (sets.begin(reference); sets.next(); ) {
      this.beginElement();
      output.argument(member.bytes, member.view, member.offset, member.lengthBytes);
    }
  }

  private hash(reference: number): void {
    const { output } = this;
    const { hashes } = this.shard;
    this.begin('HMSET', 2, hashes.count(reference));
    if (hashes.encoding(reference) === Encoding.Packed) {
      this.packed(this.reader().first(hashes.blockOf(reference)));
      return;
    }
    const { field, value } = hashes;
    for (hashes.begin(reference); hashes.next(); ) {
      this.beginElement();
      output.argument(field.bytes, field.view, field.offset, field.lengthBytes);
      output.argument(value.bytes, value.view, value.offset, value.lengthBytes);
    }
    if (hashes.nextExpiry(reference) >= 0) this.fieldExpiries(reference);
  }

  private fieldExpiries(reference: number): void {
    const { hashes } = this.shard;
    const { field } = hashes;
    for (hashes.begin(reference); hashes.next(); ) {
      const expiresAt = hashes.expiresAt(reference, hashes.handle);
      if (expiresAt < 0) continue;
      this.beginFieldExpiry(expiresAt);
      this.output.argument(field.bytes, field.view, field.offset, field.lengthBytes);
    }
  }

  private fieldExpiry(expiresAt: number, offset: number, lengthBytes: number): void {
    this.beginFieldExpiry(expiresAt);
    this.output.argument(this.shard.bytes, this.shard.view, offset, lengthBytes);
  }

  private beginFieldExpiry(expiresAt: number): void {
    const { output } = this;
    output.command('HPEXPIREAT', 5);
    this.key();
    output.integer(expiresAt);
    output.text('FIELDS');
    output.integer(1);
  }

  private sortedSet(reference: number): void {
    const { output, cursor } = this;
    const { sortedSets } = this.shard;
    this.begin('ZADD', 2, sortedSets.count(reference));
    if (sortedSets.encoding(reference) === Encoding.Packed) {
      this.packedSortedSet(sortedSets.blockOf(reference));
      return;
    }
    // From the greatest on: then the loader always inserts at the front.
    sortedSets.seekLast(cursor, reference);
    do {
      this.beginElement();
      output.double(cursor.score);
      output.argument(cursor.bytes, cursor.view, cursor.offset, cursor.lengthBytes);
    } while (sortedSets.previous(cursor));
  }

  private packedSortedSet(block: number): void {
    const { output } = this;
    const reader = this.reader();
    for (let member = reader.first(block); member !== 0; ) {
      this.beginElement();
      const score = reader.next(member);
      const following = reader.readOn(score);
      output.double(
        reader.isInteger ? reader.integer : readDouble(reader.bytes, reader.offset, reader.lengthBytes),
      );
      reader.read(member);
      output.argument(reader.bytes, reader.view, reader.offset, reader.lengthBytes);
      member = following;
    }
  }
}

export class CommandWriter implements SnapshotWriter {
  readonly output = new CommandOutput(2 * FLUSH_BYTES);
  private readonly options: SnapshotWriterOptions;
  readonly keys = new CommandKeyWriter(this.output);

  constructor(options: SnapshotWriterOptions) {
    this.options = options;
  }

  begin(nowMs: number): void {
    if (this.options.hasTimestamp) this.output.rawText(`#TS:${Math.floor(nowMs / 1000)}\r\n`);
  }

  functions(sources: readonly Uint8Array[]): void {
    const { output } = this;
    for (const source of sources) {
      output.command('FUNCTION', 2);
      output.text('LOAD');
      output.argument(source, new DataView(source.buffer, source.byteOffset), 0, source.length);
    }
  }

  database(database: number): void {
    this.select(database);
  }

  select(database: number): void {
    this.output.command('SELECT', 1);
    this.output.integer(database);
  }

  key(shard: Shard, entry: number): void {
    this.keys.write(shard, entry);
  }

  flushIfLong(): void {
    if (this.output.length >= FLUSH_BYTES) this.end();
  }

  end(): void {
    const { output, options } = this;
    options.flush(output.bytes.subarray(0, output.length));
    output.length = 0;
  }
}
