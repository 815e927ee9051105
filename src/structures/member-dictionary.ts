/**
 * The dictionary of a large hash, set or sorted set. Its records are blocks that begin with a header defined by the
 * owner; the header's last word is the length of the member (of the field, in a hash), which follows.
 *
 *   record:  | ... | left out (1 bit), member length (31 bits) | member | ... |
 *            |<----- headerBytes ----------------------------->|
 *
 * The bit marks a record that the current walk (element-walk.ts) must leave out.
 *
 * The root is DictionaryRoot.WORDS words in a block that the owner has.
 */

import type { Arena } from '../memory/arena.js';
import { hashBytes } from '../memory/hash.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { equalBytes } from './copy.js';
import { Dictionary } from './dictionary.js';

export const MEMBER_LENGTH_MASK = 0x7fffffff;
const LEFT_OUT_BIT = ~MEMBER_LENGTH_MASK;

export class MemberDictionary extends Dictionary {
  readonly headerBytes: number;
  private readonly lengthWord: number;

  constructor(memory: ShardMemory, arena: Arena, headerBytes: number) {
    super(memory, arena);
    this.headerBytes = headerBytes;
    this.lengthWord = (headerBytes >> 2) - 1;
  }

  memberOffset(record: number): number {
    return record + this.headerBytes;
  }

  memberLength(record: number): number {
    return this.words[(record >> 2) + this.lengthWord] & MEMBER_LENGTH_MASK;
  }

  isLeftOut(record: number): boolean {
    return this.words[(record >> 2) + this.lengthWord] < 0;
  }

  setLeftOut(record: number, isLeftOut: boolean): void {
    if (isLeftOut) this.words[(record >> 2) + this.lengthWord] |= LEFT_OUT_BIT;
    else this.words[(record >> 2) + this.lengthWord] &= MEMBER_LENGTH_MASK;
  }

  protected override recordMatches(
    record: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    if ((this.words[(record >> 2) + this.lengthWord] & MEMBER_LENGTH_MASK) !== lengthBytes) return false;
    const { bytes: shardBytes, view: shardView } = this.memory;
    return equalBytes(shardBytes, shardView, record + this.headerBytes, bytes, view, offset, lengthBytes);
  }

  protected override recordHash(record: number): number {
    return hashBytes(
      this.memory.view,
      record + this.headerBytes,
      this.words[(record >> 2) + this.lengthWord] & MEMBER_LENGTH_MASK,
    );
  }
}
