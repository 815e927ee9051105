/**
 * Looks at the next keys of a snapshot: to which shard each belongs, what its hash is and where it ends. A thread
 * that does not own the shard then skips the key without another look. For the keys that it owns, the table lines
 * they will go to are fetched together: fetched one by one, waiting for them would be a third of loading.
 *
 * It reads only what is in the input's buffer, and stops at whatever is not common: integers as keys, values of many
 * parts, damage. Keys that it has not seen are read without its help.
 */

import type { Keyspace } from '../keyspace/keyspace.js';
import { hashBytes, keySlot } from '../memory/hash.js';
import { RdbEncoding, RdbOpcode, RdbType } from './rdb-format.js';
import type { RdbInput } from './rdb-input.js';

/** Most keys in one look. */
const KEYS_MAX = 64;
/** The longest header of a string: an encoding and two lengths. */
const HEADER_BYTES_MAX = 19;

export class LoadLookAhead {
  private readonly input: RdbInput;
  private readonly keyspace: Keyspace;
  private readonly part: number;
  private readonly partCount: number;
  // What the last look has seen: offsets in the file of each key's type, and of what comes behind its value.
  private readonly starts = new Float64Array(KEYS_MAX);
  private readonly ends = new Float64Array(KEYS_MAX);
  private readonly shardIndexes = new Int32Array(KEYS_MAX);
  private readonly hashes = new Int32Array(KEYS_MAX);
  private count = 0;
  private current = 0;
  /** Where a look is. */
  private position = 0;
  /** Keeps the compiler from leaving out the reads. */
  private sink = 0;

  constructor(input: RdbInput, keyspace: Keyspace, part: number, partCount: number) {
    this.input = input;
    this.keyspace = keyspace;
    this.part = part;
    this.partCount = partCount;
  }

  /** Whether this thread loads the keys of a shard. */
  isOwn(shardIndex: number): boolean {
    return shardIndex % this.partCount === this.part;
  }

  /** Whether the look covers the key of `database` whose type, just read, is at `offset`. Looks further if need be. */
  knows(offset: number, database: number): boolean {
    const { starts } = this;
    while (this.current < this.count && starts[this.current] < offset) this.current++;
    if (this.current === this.count) this.look(offset, database);
    return this.current < this.count && starts[this.current] === offset;
  }

  // Of the key that `knows` was asked about last.

  get shardIndex(): number {
    return this.shardIndexes[this.current];
  }

  /** Valid only for keys of own shards. */
  get hash(): number {
    return this.hashes[this.current];
  }

  /** Offset of what comes behind the value. */
  get end(): number {
    return this.ends[this.current];
  }

  private look(offset: number, database: number): void {
    const { input, keyspace, starts, ends, shardIndexes, hashes } = this;
    const { bytes, view, bufferedEnd } = input;
    const bufferOffset = input.offset - input.position;
    this.position = offset - bufferOffset;
    this.count = 0;
    this.current = 0;
    while (this.count < KEYS_MAX && this.passOpcodes(bytes, view, bufferedEnd)) {
      const start = this.position++;
      const keyBytes = this.length(bytes, view);
      const key = this.position;
      this.position += keyBytes;
      if (keyBytes < 0 || this.position + HEADER_BYTES_MAX > bufferedEnd) break;
      if (!this.passString(bytes, view) || this.position > input.position + input.remaining) break;
      const shardIndex = keySlot(bytes, key, keyBytes) & keyspace.shardMask;
      starts[this.count] = bufferOffset + start;
      ends[this.count] = bufferOffset + this.position;
      shardIndexes[this.count] = shardIndex;
      hashes[this.count] = this.isOwn(shardIndex) ? hashBytes(view, key, keyBytes) : 0;
      this.count++;
    }
    this.fetch(database);
  }

  /** Reads the lines where the keys will go. */
  private fetch(database: number): void {
    const { keyspace, shardIndexes, hashes } = this;
    let { sink } = this;
    for (let index = 0; index < this.count; index++) {
      if (!this.isOwn(shardIndexes[index])) continue;
      const shard = keyspace.shards[shardIndexes[index]];
      sink ^= shard.words[shard.dictionary.hintedLine(shard.root(database), hashes[index])];
    }
    this.sink = sink;
  }

  /** Skips opcodes up to the type of a key whose value is one string; false if other data or the buffer's end comes. */
  private passOpcodes(bytes: Uint8Array, view: DataView, end: number): boolean {
    while (this.position + HEADER_BYTES_MAX < end) {
      switch (bytes[this.position] as RdbOpcode | RdbType) {
        case RdbOpcode.ExpiryMs:
          this.position += 9;
          break;
        case RdbOpcode.Frequency:
          this.position += 2;
          break;
        case RdbOpcode.Idle:
          this.position++;
          if (this.length(bytes, view) < 0) return false;
          break;
        case RdbType.String:
        case RdbType.ListZiplist:
        case RdbType.SetIntset:
        case RdbType.SetListpack:
        case RdbType.SortedSetZiplist:
        case RdbType.SortedSetListpack:
        case RdbType.HashZipmap:
        case RdbType.HashZiplist:
        case RdbType.HashListpack:
          return true;
        default:
          return false;
      }
    }
    return false;
  }

  /** A length of less than 2^32, or -1 if that's not what comes. */
  private length(bytes: Uint8Array, view: DataView): number {
    const first = bytes[this.position];
    if (first < 0x40) {
      this.position++;
      return first;
    }
    if (first < 0x80) {
      this.position += 2;
      return ((first & 63) << 8) | bytes[this.position - 1];
    }
    if (first !== 0x80) return -1;
    this.position += 5;
    return view.getUint32(this.position - 4);
  }

  /** Passes over a string whose header is in the buffer; false if it is none, or a very long one. */
  private passString(bytes: Uint8Array, view: DataView): boolean {
    let lengthBytes = 0;
    if (bytes[this.position] < 0xc0) {
      lengthBytes = this.length(bytes, view);
    } else {
      const encoding = bytes[this.position++] & 63;
      if (encoding > RdbEncoding.Lzf) return false;
      if (encoding === RdbEncoding.Lzf) {
        lengthBytes = this.length(bytes, view);
        if (this.length(bytes, view) < 0) return false;
      } else {
        lengthBytes = 1 << encoding;
      }
    }
    this.position += lengthBytes;
    return lengthBytes >= 0;
  }
}
