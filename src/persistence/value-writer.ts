/**
 * Writes values in the forms that Redis 7.0 reads, and hashes with fields that expire in those of Redis 7.4. Packed
 * lists and integer sets are copied as they are; larger values are written element by element.
 */

import { entryType, ValueType, valueLength, valueOffset } from '../keyspace/entry.js';
import type { LongKey } from '../keyspace/long-key.js';
import type { Shard } from '../keyspace/shard.js';
import type { ChunkList } from '../structures/chunk-list.js';
import { Encoding } from '../structures/collection-value.js';
import { ElementView } from '../structures/element-view.js';
import { PACKED_END } from '../structures/packed-list.js';
import { SortedSetCursor } from '../structures/sorted-set-value.js';
import { checkElements } from './key-tally.js';
import { QuicklistContainer, RdbType } from './rdb-format.js';
import type { RdbOutput } from './rdb-output.js';
import { StreamWriter, streamType } from './stream-writer.js';

const LISTPACK_HEADER_BYTES = 6;
const LISTPACK_COUNT_MAX = 0xffff;

export class ValueWriter {
  private readonly output: RdbOutput;
  /** A chunk of a list as a listpack. */
  private chunk = new Uint8Array(0);
  private chunkView = new DataView(this.chunk.buffer);
  private readonly cursor = new SortedSetCursor();
  private readonly element = new ElementView();
  readonly streams: StreamWriter;

  constructor(output: RdbOutput) {
    this.output = output;
    this.streams = new StreamWriter(output);
  }

  /** How an entry's value is written. */
  typeOf(shard: Shard, entry: number): RdbType {
    const type = entryType(shard.words, entry);
    if (type === ValueType.String) return RdbType.String;
    const encoding = shard.bytes[valueOffset(shard.words, entry)];
    switch (type) {
      case ValueType.List:
        return RdbType.ListQuicklist2;
      case ValueType.Set:
        return encoding === Encoding.Integers ? RdbType.SetIntset : RdbType.Set;
      case ValueType.SortedSet:
        return encoding === Encoding.Packed ? RdbType.SortedSetListpack : RdbType.SortedSet2;
      case ValueType.Hash:
        return this.hashType(shard, valueOffset(shard.words, entry), encoding);
      case ValueType.Stream:
        return this.streamType(shard, valueOffset(shard.words, entry));
      default:
        throw new Error(`no RDB type for type ${type}`);
    }
  }

  private streamType({ streams }: Shard, reference: number): RdbType {
    return streamType(streams.hasGivenBack(reference), streams.producersOf(reference) !== 0);
  }

  private hashType({ hashes }: Shard, reference: number, encoding: Encoding): RdbType {
    if (encoding === Encoding.Packed) return RdbType.HashListpack;
    if (hashes.nextExpiry(reference) < 0) return RdbType.Hash;
    return encoding === Encoding.PackedExpiring ? RdbType.HashListpackEx : RdbType.HashMetadata;
  }

  /** Writes an entry's value in the form that `typeOf` says. The shard's lock is held. */
  write(shard: Shard, entry: number): void {
    const { output } = this;
    const { words, bytes, view } = shard;
    const reference = valueOffset(words, entry);
    const type = this.typeOf(shard, entry);
    switch (type) {
      case RdbType.String:
        output.string(bytes, view, reference, valueLength(words, entry));
        break;
      case RdbType.ListQuicklist2:
        this.list(shard, reference);
        break;
      case RdbType.SetIntset: {
        const block = shard.sets.blockOf(reference);
        output.block(bytes, view, block, 8 + words[block >> 2] * words[(block >> 2) + 1]);
        break;
      }
      case RdbType.Set:
        this.set(shard, reference);
        break;
      case RdbType.SortedSetListpack:
        this.packed(shard, shard.sortedSets.blockOf(reference));
        break;
      case RdbType.HashListpack:
        this.packed(shard, shard.hashes.blockOf(reference));
        break;
      case RdbType.Hash:
        this.hash(shard, reference);
        break;
      case RdbType.HashListpackEx:
        output.integer64(shard.hashes.nextExpiry(reference));
        this.packed(shard, shard.hashes.listOf(shard.hashes.blockOf(reference)));
        break;
      case RdbType.HashMetadata:
        this.hashWithExpiries(shard, reference);
        break;
      case RdbType.StreamListpacks2:
      case RdbType.StreamListpacks4:
      case RdbType.StreamListpacks5:
        this.streams.write(shard, reference, type);
        break;
      default:
        this.sortedSet(shard, reference);
    }
  }

  /** Writes a packed list, which is a listpack. */
  private packed(shard: Shard, block: number): void {
    this.output.block(shard.bytes, shard.view, block, shard.words[block >> 2]);
  }

  private list(shard: Shard, reference: number): void {
    const { output } = this;
    const { lists } = shard;
    const block = lists.blockOf(reference);
    if (lists.isPacked(reference)) {
      output.lengthField(1);
      output.lengthField(QuicklistContainer.Packed);
      this.packed(shard, block);
      return;
    }
    const { chunks } = lists;
    const chunkCount = chunks.chunkCount(block);
    let chunksWritten = 0;
    let written = 0;
    output.lengthField(chunkCount);
    for (let chunk = chunks.head(block); chunk !== 0; chunk = chunks.nextChunk(chunk)) {
      this.writeChunk(chunks, chunk);
      chunksWritten++;
      written += chunks.elementsIn(chunk);
    }
    checkElements(chunksWritten, chunkCount);
    checkElements(written, chunks.count(block));
  }

  /** Writes a chunk of a list. */
  writeChunk(chunks: ChunkList, chunk: number): void {
    this.output.lengthField(QuicklistContainer.Packed);
    this.listpack(chunks, chunk);
  }

  /** Writes what comes before the elements of a collection that is written in steps. */
  writeHead(shard: Shard, entry: number): void {
    const { output } = this;
    const type = entryType(shard.words, entry);
    const reference = valueOffset(shard.words, entry);
    if (type === ValueType.Stream) {
      this.streams.beginSteps(shard, reference);
      return;
    }
    if (type === ValueType.Hash) {
      const expireFrom = shard.hashes.nextExpiry(reference);
      if (expireFrom >= 0) output.integer64(expireFrom);
    }
    output.lengthField(shard.collection(type).walkSteps(reference));
  }

  /** Writes elements of a set, a sorted set or a hash that is written in steps. */
  writeRecords(shard: Shard, key: LongKey, records: Int32Array, count: number): void {
    const { output, element } = this;
    const { bytes, view } = shard;
    const { type, reference, fieldsExpireFrom } = key;
    for (let index = 0; index < count; index++) {
      if (type === ValueType.Hash) {
        shard.hashes.viewRecord(reference, records[index], element);
        if (fieldsExpireFrom >= 0) {
          output.lengthField(element.expiresAt < 0 ? 0 : element.expiresAt - fieldsExpireFrom + 1);
        }
        output.string(bytes, view, element.offset, element.lengthBytes);
        output.string(bytes, view, element.valueOffset, element.valueLength);
      } else if (type === ValueType.Set) {
        shard.sets.viewRecord(records[index], element);
        output.string(bytes, view, element.offset, element.lengthBytes);
      } else {
        shard.sortedSets.viewRecord(records[index], element);
        output.string(bytes, view, element.offset, element.lengthBytes);
        output.double(element.score);
      }
    }
  }

  /** Writes the elements of a list's chunk as a listpack, with its head and end. */
  private listpack(list: ChunkList, source: number): void {
    const count = list.elementsIn(source);
    const total = LISTPACK_HEADER_BYTES + list.elementsBytes(source) + 1;
    if (this.chunk.length < total) {
      this.chunk = new Uint8Array(total + (total >> 1));
      this.chunkView = new DataView(this.chunk.buffer);
    }
    const { chunk, chunkView } = this;
    chunkView.setUint32(0, total, true);
    chunkView.setUint16(4, Math.min(count, LISTPACK_COUNT_MAX), true);
    list.copyElements(source, chunk, LISTPACK_HEADER_BYTES);
    chunk[total - 1] = PACKED_END;
    this.output.block(chunk, chunkView, 0, total);
  }

  private set(shard: Shard, reference: number): void {
    const { output } = this;
    const { sets } = shard;
    const count = sets.count(reference);
    let written = 0;
    output.lengthField(count);
    for (sets.begin(reference); sets.next(); written++) {
      const { bytes, view, offset, lengthBytes } = sets.member;
      output.string(bytes, view, offset, lengthBytes);
    }
    checkElements(written, count);
  }

  private hash(shard: Shard, reference: number): void {
    const { output } = this;
    const { hashes } = shard;
    const { field, value } = hashes;
    const count = hashes.count(reference);
    let written = 0;
    output.lengthField(count);
    for (hashes.begin(reference); hashes.next(); written++) {
      output.string(field.bytes, field.view, field.offset, field.lengthBytes);
      output.string(value.bytes, value.view, value.offset, value.lengthBytes);
    }
    checkElements(written, count);
  }

  /** Each expiry is written as its difference from the earliest one plus 1; 0 means none. */
  private hashWithExpiries(shard: Shard, reference: number): void {
    const { output } = this;
    const { hashes } = shard;
    const { field, value } = hashes;
    const firstExpiry = hashes.nextExpiry(reference);
    const count = hashes.count(reference);
    let written = 0;
    output.integer64(firstExpiry);
    output.lengthField(count);
    for (hashes.begin(reference); hashes.next(); written++) {
      const expiresAt = hashes.expiresAt(reference, hashes.handle);
      output.lengthField(expiresAt < 0 ? 0 : expiresAt - firstExpiry + 1);
      output.string(field.bytes, field.view, field.offset, field.lengthBytes);
      output.string(value.bytes, value.view, value.offset, value.lengthBytes);
    }
    checkElements(written, count);
  }

  private sortedSet(shard: Shard, reference: number): void {
    const { output, cursor } = this;
    const { sortedSets } = shard;
    const count = sortedSets.count(reference);
    let written = 0;
    output.lengthField(count);
    // From the greatest on, as Redis does: then the loader always inserts at the front.
    sortedSets.seekLast(cursor, reference);
    do {
      output.string(cursor.bytes, cursor.view, cursor.offset, cursor.lengthBytes);
      output.double(cursor.score);
      written++;
    } while (sortedSets.previous(cursor));
    checkElements(written, count);
  }
}
