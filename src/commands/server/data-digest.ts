/**
 * Digests of values and of the whole data set, for DEBUG DIGEST and DEBUG DIGEST-VALUE: equal data gives equal
 * digests, whatever the encodings and the order in which it was written, and the same ones as Redis.
 *
 * What has an order is mixed in: xor with the SHA-1 of the bytes, then the SHA-1 of that. What has none is xored
 * in, so that the order makes no difference.
 */

import { hash as hashOf } from 'node:crypto';
import { entryType, hasExpiry, ValueType, valueLength, valueOffset } from '../../keyspace/entry.js';
import type { Shard } from '../../keyspace/shard.js';
import { formatDouble17 } from '../../memory/numbers.js';
import { ElementReader } from '../../structures/packed-element.js';
import { SortedSetCursor } from '../../structures/sorted-set-value.js';
import { StreamId } from '../../structures/stream-id.js';
import { StreamRange } from '../../structures/stream-value.js';

const DIGEST_BYTES = 20;
const EXPIRES_MARK = new TextEncoder().encode('!!expire!!');
const FIELD_EXPIRES_MARK = new TextEncoder().encode('!!hexpire!!');

export class Digest {
  private readonly bytes = new Uint8Array(DIGEST_BYTES);

  /** Adds something whose place among the others counts. */
  mix(data: Uint8Array): void {
    this.add(data);
    this.bytes.set(hashOf('sha1', this.bytes, 'buffer'));
  }

  mixText(text: string): void {
    this.mix(Buffer.from(text, 'latin1'));
  }

  /** A number, as four bytes in network order. */
  mixNumber(value: number): void {
    const data = Buffer.alloc(4);
    data.writeInt32BE(value);
    this.mix(data);
  }

  /** Adds something whose place among the others does not count. */
  add(data: Uint8Array): void {
    const hashed = hashOf('sha1', data, 'buffer');
    for (let index = 0; index < DIGEST_BYTES; index++) this.bytes[index] ^= hashed[index];
  }

  addDigest(other: Digest): void {
    this.add(other.bytes);
  }

  /** Adds type, value and whether it expires of an entry. The shard's lock is held. */
  mixEntry(shard: Shard, entry: number): void {
    const { words } = shard;
    const type = entryType(words, entry);
    this.mixNumber(type);
    const value = valueOffset(words, entry);
    if (type === ValueType.String) this.mix(shard.bytes.subarray(value, value + valueLength(words, entry)));
    else if (type === ValueType.List) this.mixList(shard, value);
    else if (type === ValueType.Set) this.addSet(shard, value);
    else if (type === ValueType.SortedSet) this.addSortedSet(shard, value);
    else if (type === ValueType.Hash) this.addHash(shard, value);
    else if (type === ValueType.Stream) this.mixStream(shard, value);
    else throw new Error(`no digest of type ${type}`);
    if (hasExpiry(words, entry)) this.add(EXPIRES_MARK);
  }

  private mixList({ lists }: Shard, reference: number): void {
    for (let position = lists.seek(reference, 0); position !== 0; position = lists.next(position)) {
      lists.read(position);
      const { bytes, offset, lengthBytes } = lists.element;
      this.mix(bytes.subarray(offset, offset + lengthBytes));
    }
  }

  private addSet({ sets }: Shard, reference: number): void {
    for (sets.begin(reference); sets.next(); ) {
      const { bytes, offset, lengthBytes } = sets.member;
      this.add(bytes.subarray(offset, offset + lengthBytes));
    }
  }

  private addSortedSet({ sortedSets }: Shard, reference: number): void {
    const cursor = new SortedSetCursor();
    for (let more = sortedSets.seek(cursor, reference, 0); more; more = sortedSets.next(cursor)) {
      const element = new Digest();
      element.mix(cursor.bytes.subarray(cursor.offset, cursor.offset + cursor.lengthBytes));
      element.mixText(formatDouble17(cursor.score));
      this.addDigest(element);
    }
  }

  private addHash({ hashes }: Shard, reference: number): void {
    for (hashes.begin(reference); hashes.next(); ) {
      const pair = new Digest();
      for (const { bytes, offset, lengthBytes } of [hashes.field, hashes.value]) {
        pair.mix(bytes.subarray(offset, offset + lengthBytes));
      }
      if (hashes.expiresAt(reference, hashes.handle) >= 0) pair.add(FIELD_EXPIRES_MARK);
      this.addDigest(pair);
    }
  }

  /** Entries only: groups are no part of the digest. */
  private mixStream(shard: Shard, reference: number): void {
    const { streams } = shard;
    const range = new StreamRange();
    const id = new StreamId();
    const reader = new ElementReader(shard.memory);
    range.end.setMax();
    for (streams.begin(range, reference, false); streams.next(range); ) {
      const { entry } = range;
      entry.copyIdTo(id);
      this.mixText(id.toString().replace('-', '.'));
      let field = entry.fieldsAt;
      let value = entry.valuesAt;
      for (let left = entry.fieldCount; left > 0; left--) {
        field = reader.read(entry.hasMasterFields ? field : value);
        this.mix(reader.bytes.subarray(reader.offset, reader.offset + reader.lengthBytes));
        value = reader.read(entry.hasMasterFields ? value : field);
        this.mix(reader.bytes.subarray(reader.offset, reader.offset + reader.lengthBytes));
      }
    }
  }

  /** 40 hexadecimal digits. */
  toString(): string {
    return Buffer.from(this.bytes).toString('hex');
  }
}
