/**
 * A packed list whose elements are keys, each there once (a set), or by turns keys and values (a hash). From KEYS_MIN
 * keys on, one byte of each key's hash lies in front of the list, so that a lookup reads one or two cache lines instead
 * of the whole list. Most lookups of absent keys read no key at all.
 *
 *   the arena's block                      the list
 *   |                                      |
 *   | unused | ... | byte 2 | byte 1 | byte 0 | total bytes | count | elements | end |
 *   <-- multiple of 16 bytes, by the count -->
 *
 * Byte n is the fingerprint of key n. A list with fewer than KEYS_MIN keys has none, nor has a list that no longer
 * knows its count.
 */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { COUNT_UNKNOWN, PackedList } from './packed-list.js';

/** With fewer keys, comparing each one is as fast. */
const KEYS_MIN = 16;
/** There are so many different ones. */
export const FINGERPRINTS = 256;
/** The fingerprint of a key whose fingerprint is not known. */
export const NO_FINGERPRINT = -1;

/** A hash of the length, the first four bytes and the last eight. Its highest byte is the fingerprint. */
function textHash(view: DataView, offset: number, lengthBytes: number): number {
  let mixed = lengthBytes;
  if (lengthBytes >= 4) {
    const end = offset + lengthBytes;
    mixed ^= Math.imul(view.getInt32(offset, true), 0x9e3779b1);
    if (lengthBytes > 8) mixed = Math.imul(mixed ^ view.getInt32(end - 8, true), 0x85ebca6b);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed ^ view.getInt32(end - 4, true), 0xc2b2ae35);
  } else {
    for (let index = 0; index < lengthBytes; index++) {
      mixed = Math.imul(mixed ^ view.getUint8(offset + index), 0x9e3779b1);
    }
  }
  return mixed ^ (mixed >>> 13);
}

function integerHash(integer: number): number {
  return Math.imul(((integer % 0x100000000) | 0) ^ Math.floor(integer / 0x100000000), 0x9e3779b1);
}

export class KeyedList extends PackedList {
  private readonly stride: 1 | 2;

  /** @param stride 1 for keys alone, 2 for keys with values */
  constructor(memory: ShardMemory, arena: Arena, stride: 1 | 2) {
    super(memory, arena);
    this.stride = stride;
  }

  /** Number of keys in a list of `count` elements. */
  private keysOf(count: number): number {
    return this.stride === 2 ? count >> 1 : count;
  }

  protected override frontBytes(count: number): number {
    const keys = this.keysOf(count);
    if (keys < KEYS_MIN || count === COUNT_UNKNOWN) return 0;
    // Grows in steps of 1/8 to 1/4 of the keys.
    const step = Math.max(16, 1 << (29 - Math.clz32(keys)));
    return (keys + step - 1) & -step;
  }

  /** Number of keys that have a fingerprint: all or none. */
  fingerprintCount(list: number): number {
    const count = this.knownCount(list);
    return this.frontBytes(count) === 0 ? 0 : this.keysOf(count);
  }

  /** The fingerprint of the key with this number. It must have one. */
  fingerprint(list: number, key: number): number {
    return this.shardBytes[list - 1 - key];
  }

  /** The fingerprint that belongs to the key at `at`. */
  private fingerprintAt(at: number): number {
    const first = this.shardBytes[at];
    if (this.isIntegerAt(first)) return integerHash(this.integerAt(at, first)) >>> 24;
    if ((first & 0xc0) === 0x80) return textHash(this.shardView, at + 1, first & 63) >>> 24;
    this.read(at);
    return textHash(this.view, this.offset, this.lengthBytes) >>> 24;
  }

  /** The fingerprint that a key would have in a list. */
  fingerprintOf(bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    const { parser } = this;
    const isInteger = parser.parse(bytes, offset, lengthBytes) && parser.isSafe;
    return (isInteger ? integerHash(parser.value) : textHash(view, offset, lengthBytes)) >>> 24;
  }

  /** Position of the key behind the one at `at`. */
  nextKey(at: number): number {
    return this.forward(at, this.stride);
  }

  /** Position of a key, 0 if it is not there. */
  findKey(list: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    const { words, stride } = this;
    const keys = this.fingerprintCount(list);
    if (keys === 0) return this.find(this.first(list), stride - 1, bytes, view, offset, lengthBytes);
    const fingerprint = this.fingerprintOf(bytes, view, offset, lengthBytes);
    const pattern = Math.imul(fingerprint, 0x01010101);
    // The key that was compared last (-1: none yet), and its position.
    let key = -1;
    let at = 0;
    let word = list >> 2;
    for (let first = 0; first < keys; first += 4) {
      const differences = words[--word] ^ pattern;
      // Whether a byte is 0 (Mycroft's test).
      if (((differences - 0x01010101) & ~differences & 0x80808080) === 0) continue;
      for (let index = first; index < first + 4 && index < keys; index++) {
        if (((differences >>> (8 * (3 - index + first))) & 0xff) !== 0) continue;
        at = key < 0 ? this.seek(list, index * stride) : this.forward(at, (index - key) * stride);
        key = index;
        if (this.equals(at, bytes, view, offset, lengthBytes)) return at;
      }
    }
    return 0;
  }

  /** Stores the fingerprint of the key appended last, or of all keys if the list had no fingerprints before. */
  private indexAppended(list: number): void {
    const { shardBytes, stride } = this;
    const keys = this.fingerprintCount(list);
    if (keys === 0) return;
    if (this.frontBytes(this.knownCount(list) - stride) > 0) {
      shardBytes[list - keys] = this.fingerprintAt(this.position);
      return;
    }
    let at = this.first(list);
    for (let key = 0; key < keys; key++) {
      shardBytes[list - 1 - key] = this.fingerprintAt(at);
      at = this.forward(at, stride);
    }
  }

  /** Appends a key that is not there; the same rules as for `insert`. */
  override append(
    list: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const moved = super.append(list, bytes, view, offset, lengthBytes);
    if (moved !== 0) this.indexAppended(moved);
    return moved;
  }

  /** Appends a key that is not there, and its value; the same rules as for `insert`. */
  override appendPair(
    list: number,
    keyBytes: Uint8Array,
    keyView: DataView,
    keyOffset: number,
    keyLength: number,
    valueBytes: Uint8Array,
    valueView: DataView,
    valueOffset: number,
    valueLength: number,
  ): number {
    const moved = super.appendPair(
      list,
      keyBytes,
      keyView,
      keyOffset,
      keyLength,
      valueBytes,
      valueView,
      valueOffset,
      valueLength,
    );
    if (moved !== 0) this.indexAppended(moved);
    return moved;
  }

  /** Removes the key at `at`, and its value. Returns the list, which may have moved. */
  removeKey(list: number, at: number): number {
    const { shardBytes, stride } = this;
    const keys = this.fingerprintCount(list);
    if (keys > 0) {
      let key = 0;
      for (let before = this.first(list); before !== at; key++) before = this.forward(before, stride);
      // The fingerprints of later keys lie in front of this key's.
      shardBytes.copyWithin(list - keys + 1, list - keys, list - 1 - key);
    }
    return super.remove(list, at, stride);
  }

  override verify(list: number): void {
    super.verify(list);
    const keys = this.fingerprintCount(list);
    let at = this.first(list);
    for (let key = 0; key < keys; key++) {
      if (this.fingerprint(list, key) !== this.fingerprintAt(at))
        throw new Error('keyed list: wrong fingerprint');
      at = this.forward(at, this.stride);
    }
  }
}
