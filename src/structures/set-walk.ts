/** A walk over the members of a set: one position, and the member read there. */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { ByteRange } from './byte-range.js';
import { Encoding } from './collection-value.js';
import { TablePosition } from './dictionary.js';
import { IntegerSet } from './integer-set.js';
import type { KeyIndex } from './key-index.js';
import { KeyedList, NO_FINGERPRINT } from './keyed-list.js';
import type { MemberDictionary } from './member-dictionary.js';

export class SetWalk {
  private readonly memory: ShardMemory;
  // The walk has readers of its own, since each holds the text of the integer read last.
  private readonly integers: IntegerSet;
  private readonly packed: KeyedList;
  private readonly table: MemberDictionary;

  /** The member that was read last. */
  readonly member: ByteRange;
  /** The handle of the member that `next` has read. */
  handle = 0;
  /** Its fingerprint in its packed list, if it has one. */
  fingerprint = NO_FINGERPRINT;

  private encoding: Encoding = Encoding.Packed;
  private block = 0;
  /** What `next` reads: an index (integers), a position (packed list) or an index among the scanned records. */
  private at = 0;
  /** Of a packed list: how many members have been read, and how many have fingerprints. */
  private number = 0;
  private fingerprints = 0;
  /** Where a walk over all members is in the table. */
  private readonly position = new TablePosition();
  /** Whether the walk covers only one step of a scan. */
  private isStep = false;

  constructor(memory: ShardMemory, arena: Arena, table: MemberDictionary) {
    this.memory = memory;
    this.integers = new IntegerSet(memory, arena);
    this.packed = new KeyedList(memory, arena, 1);
    this.table = table;
    this.member = new ByteRange(memory.bytes, memory.view);
  }

  /**
   * Begins a walk over all members. The set may not change while the walk lasts, nor may another set in table form be
   * walked over: the records of a step are stored in the shared table object.
   */
  begin(encoding: Encoding, block: number): void {
    this.beginAt(encoding, block);
    this.isStep = false;
    if (encoding !== Encoding.Table) return;
    this.position.toStart();
    this.table.scannedCount = 0;
  }

  /** Begins a walk over the members at a scan's cursor; returns the next cursor, 0 at the end. */
  beginStep(encoding: Encoding, block: number, cursor: number): number {
    this.beginAt(encoding, block);
    this.isStep = true;
    return encoding === Encoding.Table ? this.table.scan(block >> 2, cursor) : 0;
  }

  private beginAt(encoding: Encoding, block: number): void {
    this.encoding = encoding;
    this.block = block;
    this.at = 0;
    this.fingerprint = NO_FINGERPRINT;
    this.number = 0;
    this.fingerprints = 0;
    if (encoding !== Encoding.Packed) return;
    this.at = this.packed.first(block);
    this.fingerprints = this.packed.fingerprintCount(block);
  }

  /** Reads the next member; false at the end. */
  next(): boolean {
    if (this.encoding === Encoding.Integers) {
      if (this.at >= this.integers.count(this.block)) return false;
      this.handle = this.at++;
    } else if (this.encoding === Encoding.Packed) {
      if (this.at === 0) return false;
      this.handle = this.at - this.block;
      if (this.number < this.fingerprints)
        this.fingerprint = this.packed.fingerprint(this.block, this.number++);
      this.at = this.packed.next(this.at);
    } else {
      const { table } = this;
      while (this.at === table.scannedCount) {
        if (this.isStep || !table.readLine(this.block >> 2, this.position)) return false;
        this.at = 0;
      }
      this.handle = table.scanned[this.at++];
    }
    this.read(this.encoding, this.block, this.handle);
    return true;
  }

  /** Like `next`, but skips members of a packed list that can't be in each of the first `count` indexed sets. */
  nextInAll(indexes: readonly KeyIndex[], count: number): boolean {
    const { packed, block, fingerprints } = this;
    while (this.number < fingerprints) {
      const fingerprint = packed.fingerprint(block, this.number);
      let mayBe = true;
      for (let index = 0; mayBe && index < count; index++) mayBe = indexes[index].mayHave(fingerprint);
      if (mayBe) break;
      this.number++;
      this.at = packed.next(this.at);
    }
    return this.next();
  }

  /** Reads the member that a handle names. */
  read(encoding: Encoding, block: number, handle: number): void {
    const { integers, packed, table, member, memory } = this;
    if (encoding === Encoding.Integers) {
      integers.read(block, handle);
      member.set(integers.text, integers.textView, 0, integers.textLength);
    } else if (encoding === Encoding.Packed) {
      packed.read(block + handle);
      member.set(packed.bytes, packed.view, packed.offset, packed.lengthBytes);
    } else {
      member.set(memory.bytes, memory.view, table.memberOffset(handle), table.memberLength(handle));
    }
  }
}
