/**
 * Builds values from RDB's forms of them: strings stay in the input, collections are built as the shard's draft
 * (Shard.draft), element by element, so that whatever a file says, the limits and the order of the structures hold.
 */

import { ValueType } from '../keyspace/entry.js';
import type { Shard } from '../keyspace/shard.js';
import { readDouble } from '../memory/scores.js';
import { HashSet } from '../structures/hash-value.js';
import { SetAdd } from '../structures/set-value.js';
import { BlockKind, BlockWalk } from './packed-forms.js';
import { QuicklistContainer, RdbError, RdbMemoryError, RdbType } from './rdb-format.js';
import { type RdbInput, RdbString } from './rdb-input.js';
import { StreamLoader } from './stream-loader.js';

/** Values of the first byte of a textual score that are not its length. */
const enum OldScore {
  NotANumber = 253,
  Infinite = 254,
  MinusInfinite = 255,
}

/** A field and a value of no bytes, and the expiry. */
const VALKEY_FIELD_BYTES_MIN = 10;
const UNLIMITED = 0x7fffffff;
/** Values of these types Redis converts to a table by their number of elements alone, not by the elements' lengths. */
const PACKED_TYPES: ReadonlySet<RdbType> = new Set([
  RdbType.SetListpack,
  RdbType.SortedSetZiplist,
  RdbType.SortedSetListpack,
  RdbType.HashZiplist,
  RdbType.HashListpack,
  RdbType.HashListpackEx,
  RdbType.HashListpackExPreRelease,
]);

const UNSUPPORTED: Readonly<Record<number, string>> = {
  [RdbType.ModulePreRelease]: 'a value of a module',
  [RdbType.Module2]: 'a value of a module',
  [RdbType.Array]: 'an array',
  [RdbType.ValkeyPathHash]: 'a path hash',
};

/** The type of the value that an RDB type stands for; -1 if it can't be loaded. */
export function valueTypeOf(type: RdbType): ValueType | -1 {
  switch (type) {
    case RdbType.String:
      return ValueType.String;
    case RdbType.List:
    case RdbType.ListZiplist:
    case RdbType.ListQuicklist:
    case RdbType.ListQuicklist2:
      return ValueType.List;
    case RdbType.Set:
    case RdbType.SetIntset:
    case RdbType.SetListpack:
      return ValueType.Set;
    case RdbType.SortedSet:
    case RdbType.SortedSet2:
    case RdbType.SortedSetZiplist:
    case RdbType.SortedSetListpack:
      return ValueType.SortedSet;
    case RdbType.Hash:
    case RdbType.HashZipmap:
    case RdbType.HashZiplist:
    case RdbType.HashListpack:
    case RdbType.HashMetadataPreRelease:
    case RdbType.HashListpackExPreRelease:
    case RdbType.HashMetadata:
    case RdbType.HashListpackEx:
    case RdbType.ValkeyHash:
      return ValueType.Hash;
    case RdbType.StreamListpacks:
    case RdbType.StreamListpacks2:
    case RdbType.StreamListpacks3:
    case RdbType.StreamListpacks4:
    case RdbType.StreamListpacks5:
      return ValueType.Stream;
    default:
      return -1;
  }
}

/** Why a type can't be loaded. */
export function unsupportedType(type: number): string {
  const name = UNSUPPORTED[type];
  // Valkey's own types are numbered from 256 on.
  const byte = type & 0xff;
  return name === undefined ? `unknown type ${byte} of a value` : `${name} (type ${byte}) is not supported`;
}

export class ValueLoader {
  private readonly input: RdbInput;
  /** The value of a string. */
  readonly string = new RdbString();
  private readonly block = new RdbString();
  private readonly first = new RdbString();
  private readonly second = new RdbString();
  private readonly third = new RdbString();
  private readonly walk = new BlockWalk();
  private readonly streams: StreamLoader;

  constructor(input: RdbInput) {
    this.input = input;
    this.streams = new StreamLoader(input);
  }

  /**
   * Reads a value: a string into `string`, a collection into the shard's draft. Returns false, with no draft
   * left, if the collection is empty. Throws an RdbError if the bytes are damaged and an RdbMemoryError if
   * there is no memory; there is no draft then either.
   */
  load(shard: Shard, type: RdbType): boolean {
    const valueType = valueTypeOf(type);
    if (valueType < 0) this.input.fail(unsupportedType(type));
    if (valueType === ValueType.String) {
      this.input.string(this.string);
      return true;
    }
    const at = this.input.offset;
    const collection = shard.collection(valueType as ValueType);
    // With time 0, fields past their expiry are loaded, too; they are deleted when the key is accessed.
    shard.hashes.nowMs = 0;
    if (!collection.create(shard.draft)) throw new RdbMemoryError('out of memory');
    try {
      if (PACKED_TYPES.has(type)) this.fillPacked(shard, type);
      else if (valueType === ValueType.Stream) this.streams.load(shard, type);
      else this.fill(shard, type);
    } catch (error) {
      collection.release(shard.draft);
      // Errors from inside a block have no offset, so the value's is added.
      if (!(error instanceof RdbError) || error instanceof RdbMemoryError) throw error;
      throw error.message.includes(' at offset ') ? error : new RdbError(`${error.message}, at offset ${at}`);
    }
    if (!collection.isEmpty(shard.draft)) return true;
    collection.release(shard.draft);
    return false;
  }

  private fill(shard: Shard, type: RdbType): void {
    switch (type) {
      case RdbType.List:
        this.list(shard);
        break;
      case RdbType.ListZiplist:
        this.listBlock(shard, BlockKind.Ziplist);
        break;
      case RdbType.ListQuicklist:
        for (let nodes = this.input.count(1); nodes > 0; nodes--) this.listBlock(shard, BlockKind.Ziplist);
        break;
      case RdbType.ListQuicklist2:
        this.quicklist(shard);
        break;
      case RdbType.Set:
        for (let members = this.input.count(1); members > 0; members--) {
          this.input.string(this.first);
          this.member(shard);
        }
        break;
      case RdbType.SetIntset:
        this.setBlock(shard, BlockKind.Intset);
        break;
      case RdbType.SetListpack:
        this.setBlock(shard, BlockKind.Listpack);
        break;
      case RdbType.SortedSet:
      case RdbType.SortedSet2:
        this.sortedSet(shard, type === RdbType.SortedSet2);
        break;
      case RdbType.SortedSetZiplist:
        this.sortedSetBlock(shard, BlockKind.Ziplist);
        break;
      case RdbType.SortedSetListpack:
        this.sortedSetBlock(shard, BlockKind.Listpack);
        break;
      case RdbType.Hash:
        for (let fields = this.input.count(2); fields > 0; fields--) {
          this.input.string(this.first);
          this.first.keep();
          this.input.string(this.second);
          this.field(shard);
        }
        break;
      case RdbType.HashZipmap:
        this.hashBlock(shard, BlockKind.Zipmap);
        break;
      case RdbType.HashZiplist:
        this.hashBlock(shard, BlockKind.Ziplist);
        break;
      case RdbType.HashListpack:
        this.hashBlock(shard, BlockKind.Listpack);
        break;
      case RdbType.HashMetadataPreRelease:
        this.hashWithExpiries(shard, 1);
        break;
      case RdbType.HashMetadata:
        this.hashWithExpiries(shard, this.input.int64());
        break;
      case RdbType.HashListpackEx:
        this.input.skipBytes(8);
        this.hashTriples(shard);
        break;
      case RdbType.HashListpackExPreRelease:
        this.hashTriples(shard);
        break;
      case RdbType.ValkeyHash:
        this.hashWithTimes(shard);
        break;
      default:
        this.input.fail(unsupportedType(type));
    }
  }

  /** Loads a packed value; the draft stays packed however long its elements are. */
  private fillPacked(shard: Shard, type: RdbType): void {
    const { limits } = shard;
    const { hashPackedValueBytes, setPackedValueBytes, sortedSetPackedValueBytes } = limits;
    limits.hashPackedValueBytes = limits.setPackedValueBytes = limits.sortedSetPackedValueBytes = UNLIMITED;
    try {
      this.fill(shard, type);
    } finally {
      limits.hashPackedValueBytes = hashPackedValueBytes;
      limits.setPackedValueBytes = setPackedValueBytes;
      limits.sortedSetPackedValueBytes = sortedSetPackedValueBytes;
    }
  }

  /** Begins a walk over the elements of the block that comes next in the input. */
  private beginBlock(kind: BlockKind): void {
    this.input.string(this.block);
    this.walk.begin(kind, this.block);
  }

  private list(shard: Shard): void {
    for (let elements = this.input.count(1); elements > 0; elements--) {
      this.input.string(this.first);
      this.element(shard, this.first);
    }
  }

  private listBlock(shard: Shard, kind: BlockKind): void {
    this.beginBlock(kind);
    while (this.walk.next(this.first)) this.element(shard, this.first);
  }

  private quicklist(shard: Shard): void {
    for (let nodes = this.input.count(2); nodes > 0; nodes--) {
      const at = this.input.offset;
      const container = this.input.length();
      if (container === QuicklistContainer.Plain) {
        this.input.string(this.first);
        if (this.first.lengthBytes === 0) this.input.fail('an empty node of a list', at);
        this.element(shard, this.first);
      } else if (container === QuicklistContainer.Packed) {
        this.listBlock(shard, BlockKind.Listpack);
      } else {
        this.input.fail(`unknown kind ${container} of a list's node`, at);
      }
    }
  }

  private element(shard: Shard, element: RdbString): void {
    const { lists, draft } = shard;
    const { bytes, view, offset, lengthBytes } = element;
    if (!lists.prepare(draft, lengthBytes, 1) || !lists.push(draft, true, bytes, view, offset, lengthBytes)) {
      throw new RdbMemoryError('out of memory');
    }
  }

  private setBlock(shard: Shard, kind: BlockKind): void {
    this.beginBlock(kind);
    while (this.walk.next(this.first)) this.member(shard);
  }

  private member(shard: Shard): void {
    const { bytes, view, offset, lengthBytes } = this.first;
    const added = shard.sets.add(shard.draft, bytes, view, offset, lengthBytes);
    if (added === SetAdd.NoMemory) throw new RdbMemoryError('out of memory');
    if (added === SetAdd.Present) throw new RdbError('a set has a member twice');
  }

  private sortedSet(shard: Shard, isBinary: boolean): void {
    for (let elements = this.input.count(2); elements > 0; elements--) {
      this.input.string(this.first);
      this.first.keep();
      this.scored(shard, isBinary ? this.input.double() : this.oldScore());
    }
  }

  /** A score as text behind its length in one byte. */
  private oldScore(): number {
    const length = this.input.byte();
    if (length === OldScore.NotANumber) return Number.NaN;
    if (length === OldScore.Infinite) return Infinity;
    if (length === OldScore.MinusInfinite) return -Infinity;
    this.input.need(length);
    const score = readDouble(this.input.bytes, this.input.position, length);
    this.input.position += length;
    return score;
  }

  private sortedSetBlock(shard: Shard, kind: BlockKind): void {
    this.beginBlock(kind);
    while (this.walk.next(this.first)) {
      this.walk.mustNext(this.second);
      const { bytes, offset, lengthBytes } = this.second;
      this.scored(shard, readDouble(bytes, offset, lengthBytes));
    }
  }

  private scored(shard: Shard, score: number): void {
    if (Number.isNaN(score)) throw new RdbError('a score is no number');
    const { sortedSets, draft } = shard;
    const { bytes, view, offset, lengthBytes } = this.first;
    if (sortedSets.find(draft, bytes, view, offset, lengthBytes)) {
      throw new RdbError('a sorted set has a member twice');
    }
    if (!sortedSets.add(draft, score, bytes, view, offset, lengthBytes)) {
      throw new RdbMemoryError('out of memory');
    }
  }

  private hashBlock(shard: Shard, kind: BlockKind): void {
    this.beginBlock(kind);
    while (this.walk.next(this.first)) {
      this.walk.mustNext(this.second);
      this.field(shard);
    }
  }

  /** Fields with a number each, which stands for the expiry `ms - 1 + number`, or if 0 for none. */
  private hashWithExpiries(shard: Shard, ms: number): void {
    const { input, first, second } = this;
    for (let fields = input.count(3); fields > 0; fields--) {
      const at = input.offset;
      const number = input.length();
      input.string(first);
      first.keep();
      input.string(second);
      this.field(shard);
      if (number !== 0) this.fieldExpiry(shard, ms - 1 + number, at);
    }
  }

  /** Fields, values and expiries of 8 bytes, -1 for none. */
  private hashWithTimes(shard: Shard): void {
    const { input, first, second } = this;
    for (let fields = input.count(VALKEY_FIELD_BYTES_MIN); fields > 0; fields--) {
      input.string(first);
      first.keep();
      input.string(second);
      second.keep();
      const at = input.offset;
      const expiresAt = input.int64();
      this.field(shard);
      if (expiresAt !== -1) this.fieldExpiry(shard, expiresAt, at);
    }
  }

  /** A listpack of fields, values and expiries. */
  private hashTriples(shard: Shard): void {
    const { walk, first, second, third } = this;
    const at = this.input.offset;
    this.beginBlock(BlockKind.Listpack);
    while (walk.next(first)) {
      walk.mustNext(second);
      walk.mustNext(third);
      this.field(shard);
      const expiresAt = Number(third.latin1());
      if (expiresAt !== 0) this.fieldExpiry(shard, expiresAt, at);
    }
  }

  /** Sets when the field that was read last expires. */
  private fieldExpiry({ hashes, draft }: Shard, expiresAt: number, at: number): void {
    const { bytes, view, offset, lengthBytes } = this.first;
    if (!Number.isSafeInteger(expiresAt) || expiresAt < 0) this.input.fail('absurd expiry of a field', at);
    // An expiry of 0 becomes 1 ms, which makes no difference: the packed form has another use for 0.
    const isSet =
      hashes.makeExpiring(draft) &&
      hashes.setExpiry(draft, bytes, view, offset, lengthBytes, Math.max(expiresAt, 1));
    if (!isSet) throw new RdbMemoryError('out of memory');
  }

  private field(shard: Shard): void {
    const { first, second } = this;
    const result = shard.hashes.set(
      shard.draft,
      first.bytes,
      first.view,
      first.offset,
      first.lengthBytes,
      second.bytes,
      second.view,
      second.offset,
      second.lengthBytes,
    );
    if (result === HashSet.NoMemory) throw new RdbMemoryError('out of memory');
    if (result === HashSet.Updated) throw new RdbError('a hash has a field twice');
  }

  /** Passes over a value. */
  skip(type: RdbType): void {
    const { input } = this;
    switch (type) {
      case RdbType.List:
      case RdbType.Set:
      case RdbType.ListQuicklist:
        this.skipStrings(input.count(1));
        break;
      case RdbType.ListQuicklist2:
        for (let nodes = input.count(2); nodes > 0; nodes--) {
          input.length();
          input.skipString();
        }
        break;
      case RdbType.SortedSet:
      case RdbType.SortedSet2:
        for (let elements = input.count(2); elements > 0; elements--) {
          input.skipString();
          if (type === RdbType.SortedSet2) input.skipBytes(8);
          else this.oldScore();
        }
        break;
      case RdbType.Hash:
        this.skipStrings(2 * input.count(2));
        break;
      case RdbType.HashMetadata:
      case RdbType.HashMetadataPreRelease:
        if (type === RdbType.HashMetadata) input.skipBytes(8);
        for (let fields = input.count(3); fields > 0; fields--) {
          input.length();
          this.skipStrings(2);
        }
        break;
      case RdbType.HashListpackEx:
        input.skipBytes(8);
        input.skipString();
        break;
      case RdbType.ValkeyHash:
        for (let fields = input.count(VALKEY_FIELD_BYTES_MIN); fields > 0; fields--) {
          this.skipStrings(2);
          input.skipBytes(8);
        }
        break;
      case RdbType.StreamListpacks:
      case RdbType.StreamListpacks2:
      case RdbType.StreamListpacks3:
      case RdbType.StreamListpacks4:
      case RdbType.StreamListpacks5:
        this.streams.skip(type);
        break;
      default:
        if (valueTypeOf(type) < 0) input.fail(unsupportedType(type));
        input.skipString();
    }
  }

  private skipStrings(count: number): void {
    for (let left = count; left > 0; left--) this.input.skipString();
  }
}
