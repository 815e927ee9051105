/**
 * A key whose value is so large that a snapshot writes it in steps, as it was at the snapshot's moment, while it goes
 * on changing: a block that represents the key until it is written. The block begins with the walk over the value's
 * elements (structures/element-walk.ts), so the value's root names it. Meanwhile the key may be renamed, expire, be
 * deleted or get another value; a value that loses its key this way is freed by the snapshot in the end (`IsDropped`).
 *
 *   +------+------+--------+----------+------+------------+---------+-----------+------+---------+--------+-------+-----+
 *   | walk | next | images | database | left | is dropped | type, - | reference | head | expires | fields | length| key |
 *   | (2)  | long |        |          |      |            |         | (2)       |      | at, f64 | expire | of the|     |
 *   |      | key  |        |          |      |            |         |           |      |         | from   | key   |     |
 *   +------+------+--------+----------+------+------------+---------+-----------+------+---------+--------+-------+-----+
 *
 * `left` is how many elements (chunks of a list) the file still lacks. `head` is an image of what comes before them in
 * the file; it is 0 once it is written. `images` are elements that changed before the walk came to them:
 *
 *   image:  | next | length of the bytes | bytes of the file |
 */

import type { ShardMemory } from '../memory/shard-memory.js';
import type { ValueType } from './entry.js';

export const enum LongKeyWord {
  // The words of the walk come first.
  Next = 2,
  Images = 3,
  Database = 4,
  Left = 5,
  IsDropped = 6,
  Type = 7,
  Reference = 8,
  Head = 10,
  ExpiresAt = 12,
  FieldsExpireFrom = 14,
  KeyLength = 16,
  WORDS = 17,
}

export const LONG_KEY_HEADER_BYTES = LongKeyWord.WORDS * 4;
export const IMAGE_HEADER_BYTES = 8;

/** Reads the fields of a long key's block. */
export class LongKey {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  /** Word index of the block. */
  at = 0;

  constructor(memory: ShardMemory) {
    this.words = memory.words;
    this.doubles = memory.doubles;
  }

  get type(): ValueType {
    return this.words[this.at + LongKeyWord.Type];
  }

  /** Offset of the reference to the value. */
  get reference(): number {
    return (this.at + LongKeyWord.Reference) << 2;
  }

  get database(): number {
    return this.words[this.at + LongKeyWord.Database];
  }

  /** When the key expires, -1 for never. */
  get expiresAt(): number {
    return this.doubles[(this.at + LongKeyWord.ExpiresAt) >> 1];
  }

  /** When the next field of a hash expires, -1 if none does. */
  get fieldsExpireFrom(): number {
    return this.doubles[(this.at + LongKeyWord.FieldsExpireFrom) >> 1];
  }

  get keyOffset(): number {
    return (this.at + LongKeyWord.WORDS) << 2;
  }

  get keyLength(): number {
    return this.words[this.at + LongKeyWord.KeyLength];
  }
}
