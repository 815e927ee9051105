/**
 * The value of a list, in one of three forms:
 *
 *   Packed        a packed list of a few hundred bytes
 *   ShortChunks   chunks that would still fit into one packed list, as which they are reported
 *   Chunks        chunks
 *
 * Chunks begin long before a packed list has to end, since in shared memory moving bytes is slow (some 1 GB/s when the
 * distance is no multiple of 8), and a queue would move all of them with each element. A list that shrinks is reported
 * as packed again only at half of a packed list's limit, so that a list whose size hovers at the limit does not change
 * all the time. `list-max-listpack-size` says how large a packed list and a chunk may be.
 *
 * Positions: `seek` finds an element; `next` and `previous` go on from there, until they return 0. A change of the list
 * makes all positions invalid except the one that it returns.
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { ChunkList } from './chunk-list.js';
import { CollectionValue, Encoding } from './collection-value.js';
import type { ElementKeeper } from './element-walk.js';
import { EMPTY_LIST_BYTES, PackedList } from './packed-list.js';
import type { ValueLimits } from './value-limits.js';

/** Limit of a chunk with several elements if list-max-listpack-size counts elements. */
const SAFE_CHUNK_BYTES = 8192;
const CHUNK_BYTES_MIN = 4096;
/** Size classes: 4 KiB to 64 KiB. */
const SIZE_CLASSES = 5;
const UNLIMITED = 0x7fffffff;

/** A list with more chunks counts as long. */
const LONG_CHUNKS = 8;

/** Longer lists are kept as chunks. */
const PACKED_BYTES_MAX = 512;
/** The form of chunks that are reported as packed, beside Encoding.Packed and Encoding.Chunks. */
const SHORT_CHUNKS = 0x80 | Encoding.Chunks;

export class ListValue extends CollectionValue {
  private readonly packed: PackedList;
  /** Operations on lists in chunks. */
  readonly chunks: ChunkList;

  // The limits of a packed list, from `list-max-listpack-size` as it was when they were worked out.
  private knownSize = 0;
  private bytesMax = UNLIMITED;
  private elementsMax = UNLIMITED;

  constructor(memory: ShardMemory, arena: Arena, limits: ValueLimits) {
    super(memory, arena, limits);
    this.packed = new PackedList(memory, arena);
    this.chunks = new ChunkList(memory, arena, this.packed);
    this.setLimits(limits.listPackedSize);
  }

  /** What `read` has read: `bytes`, `view`, `offset` and `lengthBytes` of the element. */
  get element(): PackedList {
    return this.packed;
  }

  private setLimits(size: number): void {
    this.knownSize = size;
    if (size < 0) {
      this.bytesMax = CHUNK_BYTES_MIN << (Math.min(-size, SIZE_CLASSES) - 1);
      this.elementsMax = UNLIMITED;
      this.chunks.chunkBytesMax = this.bytesMax;
    } else {
      this.bytesMax = UNLIMITED;
      this.elementsMax = Math.max(size, 1);
      this.chunks.chunkBytesMax = SAFE_CHUNK_BYTES;
    }
    this.chunks.chunkElementsMax = this.elementsMax;
  }

  /** Takes over limits that have changed. */
  private readLimits(): void {
    if (this.knownSize !== this.limits.listPackedSize) this.setLimits(this.limits.listPackedSize);
    this.chunks.setCompressDepth(this.limits.listCompressDepth);
  }

  create(reference: number): boolean {
    const block = this.packed.create();
    if (block !== 0) this.setReference(reference, Encoding.Packed, block);
    return block !== 0;
  }

  count(reference: number): number {
    const block = this.blockOf(reference);
    return this.isPacked(reference) ? this.packed.count(block) : this.chunks.count(block);
  }

  override encoding(reference: number): Encoding {
    return this.bytes[reference] === Encoding.Chunks ? Encoding.Chunks : Encoding.Packed;
  }

  /** Whether the list is one packed block. */
  isPacked(reference: number): boolean {
    return this.bytes[reference] === Encoding.Packed;
  }

  /**
   * Prepares a list for `elements` more elements of `elementBytes` in all: a list that would become too large for a
   * packed one turns into chunks. False, with nothing changed, if there is no memory.
   */
  prepare(reference: number, elementBytes: number, elements: number): boolean {
    this.readLimits();
    const form = this.bytes[reference];
    if (form === Encoding.Chunks) return true;
    const { packed, chunks } = this;
    const block = this.blockOf(reference);
    const isPacked = form === Encoding.Packed;
    const oldBytes = isPacked ? packed.totalBytes(block) : EMPTY_LIST_BYTES + chunks.allElementsBytes(block);
    const lengthBytes = oldBytes + elementBytes;
    let isShort: boolean;
    if (this.bytesMax !== UNLIMITED) {
      isShort = lengthBytes <= this.bytesMax;
    } else {
      const count = (isPacked ? packed.count(block) : chunks.count(block)) + elements;
      isShort = lengthBytes <= SAFE_CHUNK_BYTES && count <= this.elementsMax;
    }
    if (!isShort) {
      if (isPacked) return this.toChunks(reference, block, Encoding.Chunks);
      this.bytes[reference] = Encoding.Chunks;
    } else if (isPacked && lengthBytes > PACKED_BYTES_MAX) {
      // Without memory the list stays packed.
      this.toChunks(reference, block, SHORT_CHUNKS);
    }
    return true;
  }

  private toChunks(reference: number, block: number, form: number): boolean {
    const { packed, chunks } = this;
    const root = chunks.create();
    if (root === 0) return false;
    const count = packed.count(block);
    if (
      count > 0 &&
      !chunks.appendElements(root, packed.first(block), packed.end(block) - packed.first(block), count)
    ) {
      chunks.releaseSome(root, UNLIMITED);
      return false;
    }
    packed.release(block);
    this.setReference(reference, form, root);
    return true;
  }

  /**
   * Reports a list that has shrunk to half of a packed list's limit as packed again; if it is short, it is also packed.
   */
  shrink(reference: number): void {
    if (this.isPacked(reference)) return;
    const { packed, chunks } = this;
    const root = this.blockOf(reference);
    if (chunks.chunkCount(root) !== 1) return;
    this.readLimits();
    const chunk = chunks.head(root);
    if (chunks.isCompressed(chunk)) return;
    const lengthBytes = chunks.elementsBytes(chunk) + EMPTY_LIST_BYTES;
    if (this.bytes[reference] === Encoding.Chunks) {
      const isShort =
        this.bytesMax !== UNLIMITED
          ? lengthBytes <= this.bytesMax >> 1
          : chunks.count(root) <= this.elementsMax >> 1;
      if (!isShort) return;
      this.bytes[reference] = SHORT_CHUNKS;
    }
    if (lengthBytes > PACKED_BYTES_MAX >> 1 || chunks.walkOf(root) !== 0) return;
    const block = packed.createFrom(chunks.elements(chunk), chunks.elementsBytes(chunk), chunks.count(root));
    if (block === 0) return;
    chunks.releaseSome(root, UNLIMITED);
    this.setReference(reference, Encoding.Packed, block);
  }

  /**
   * Adds an element at an end of a list that is prepared for it; false, with nothing changed, if there is no
   * memory. The value may lie in this shard, but not in this list.
   */
  push(
    reference: number,
    atTail: boolean,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const block = this.blockOf(reference);
    if (!this.isPacked(reference)) return this.chunks.push(block, atTail, bytes, view, offset, lengthBytes);
    const { packed } = this;
    const position = atTail ? packed.end(block) : packed.start(block);
    const moved = packed.insert(block, position, bytes, view, offset, lengthBytes);
    if (moved === 0) return false;
    if (moved !== block) this.setReference(reference, Encoding.Packed, moved);
    return true;
  }

  /** Removes `count` elements, no more than there are, from an end. The encoding stays. */
  drop(reference: number, fromTail: boolean, count: number): void {
    if (count === 0) return;
    const block = this.blockOf(reference);
    if (!this.isPacked(reference)) {
      this.readLimits();
      this.chunks.drop(block, fromTail, count);
      return;
    }
    const { packed } = this;
    const first = fromTail ? packed.seek(block, -count) : packed.first(block);
    this.setReference(reference, Encoding.Packed, packed.remove(block, first, count));
  }

  /** Position of the element with an index from 0 up to the count. */
  seek(reference: number, index: number): number {
    const block = this.blockOf(reference);
    if (!this.isPacked(reference)) return this.chunks.seek(block, index);
    this.chunks.chunk = 0;
    return this.packed.seek(block, index);
  }

  /** Position of the element after the one at `position`, 0 at the end. */
  next(position: number): number {
    return this.chunks.chunk === 0 ? this.packed.next(position) : this.chunks.next(position);
  }

  /** Position of the element before the one at `position`, 0 at the beginning. */
  previous(reference: number, position: number): number {
    if (this.chunks.chunk !== 0) return this.chunks.previous(position);
    return this.packed.previous(this.blockOf(reference), position);
  }

  /** Reads the element at a position into `element`. */
  read(position: number): void {
    this.packed.read(position);
  }

  /** Reads the element at a position into `element`; returns the position of the one after it, 0 at the end. */
  readOn(position: number): number {
    const following = this.packed.readOn(position);
    return following !== 0 || this.chunks.chunk === 0 ? following : this.chunks.startNext();
  }

  /** Whether the element at a position has this text. */
  equals(position: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): boolean {
    return this.packed.equals(position, bytes, view, offset, lengthBytes);
  }

  /**
   * Inserts an element before or behind the one at `position` of a list that is prepared for it; false, with the
   * elements unchanged, if there is no memory.
   */
  insert(
    reference: number,
    position: number,
    isBehind: boolean,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const { packed } = this;
    const block = this.blockOf(reference);
    const target = isBehind ? position + packed.spanBytes(position) : position;
    if (!this.isPacked(reference)) {
      const isDone = this.chunks.insert(block, target, bytes, view, offset, lengthBytes) !== 0;
      this.chunks.settle(block);
      return isDone;
    }
    const moved = packed.insert(block, target, bytes, view, offset, lengthBytes);
    if (moved !== 0) this.setReference(reference, Encoding.Packed, moved);
    return moved !== 0;
  }

  /**
   * Replaces the value of the element at `position` of a list that is prepared for it; false, with the elements
   * unchanged, if there is no memory.
   */
  replace(
    reference: number,
    position: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const block = this.blockOf(reference);
    if (!this.isPacked(reference)) {
      const isDone = this.chunks.replace(block, position, bytes, view, offset, lengthBytes) !== 0;
      this.chunks.settle(block);
      return isDone;
    }
    const moved = this.packed.replace(block, position, bytes, view, offset, lengthBytes);
    if (moved !== 0) this.setReference(reference, Encoding.Packed, moved);
    return moved !== 0;
  }

  /**
   * Prepares a list for removing all elements with a value; false, with the elements unchanged, if there is no memory.
   */
  prepareRemoval(
    reference: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    if (this.isPacked(reference)) return true;
    this.readLimits();
    return this.chunks.inflateHolding(this.blockOf(reference), bytes, view, offset, lengthBytes);
  }

  /**
   * Removes the element at `position` of a list that is prepared for it. Returns the position of the next element, or
   * of the previous one if `isBackwards`; 0 if there is none.
   */
  remove(reference: number, position: number, isBackwards: boolean): number {
    const block = this.blockOf(reference);
    if (this.isPacked(reference)) {
      const { packed } = this;
      const moved = packed.remove(block, position);
      this.setReference(reference, Encoding.Packed, moved);
      if (!isBackwards) return packed.position;
      return packed.previous(moved, packed.position === 0 ? packed.end(moved) : packed.position);
    }
    const { chunks } = this;
    const following = chunks.remove(block, position);
    if (!isBackwards) return following;
    if (following !== 0) return chunks.previous(following);
    const count = chunks.count(block);
    return count === 0 ? 0 : chunks.seek(block, count - 1);
  }

  /** Gives back memory after many elements were removed. */
  compact(reference: number): void {
    if (!this.isPacked(reference)) this.chunks.compact(this.blockOf(reference));
  }

  releaseSome(reference: number, steps: number): boolean {
    const block = this.blockOf(reference);
    if (!this.isPacked(reference)) return this.chunks.releaseSome(block, steps);
    this.packed.release(block);
    return true;
  }

  override setKeeper(keeper: ElementKeeper): void {
    super.setKeeper(keeper);
    this.chunks.keeper = keeper;
  }

  override walkSteps(reference: number): number {
    return this.isPacked(reference) ? 0 : this.chunks.chunkCount(this.blockOf(reference));
  }

  override walkOf(reference: number): number {
    return this.isPacked(reference) ? 0 : this.chunks.walkOf(this.blockOf(reference));
  }

  override isLong(reference: number): boolean {
    return this.walkSteps(reference) > LONG_CHUNKS;
  }

  override beginWalk(reference: number, walk: number): boolean {
    this.chunks.beginWalk(this.blockOf(reference), walk);
    return true;
  }

  override endWalk(reference: number): void {
    this.chunks.endWalk(this.blockOf(reference));
  }

  /** Walks over one chunk. The chunks kept in front of it, or at the end of the list, must have been taken before. */
  override stepWalk(reference: number): boolean {
    const { chunks, stepped } = this;
    if (!chunks.stepWalk(this.blockOf(reference))) return false;
    stepped[0] = chunks.steppedChunk;
    this.steppedCount = stepped[0] === 0 ? 0 : 1;
    return true;
  }

  releaseSteps(reference: number): number {
    return this.isPacked(reference) ? 1 : this.chunks.chunkCount(this.blockOf(reference));
  }

  copy(reference: number, source: this, sourceReference: number): boolean {
    const form = source.bytes[sourceReference];
    const sourceBlock = source.blockOf(sourceReference);
    const block =
      form === Encoding.Packed
        ? this.packed.copy(source.packed, sourceBlock)
        : this.chunks.copy(source.chunks, sourceBlock);
    if (block !== 0) this.setReference(reference, form, block);
    return block !== 0;
  }

  usedBytes(reference: number, samples: number): number {
    const block = this.blockOf(reference);
    if (this.isPacked(reference)) return blockBytes(this.packed.blockBytes(block));
    return this.chunks.usedBytes(block, samples);
  }

  verify(reference: number): void {
    const block = this.blockOf(reference);
    const form = this.bytes[reference];
    if (form === Encoding.Packed) this.packed.verify(block);
    else if (form === Encoding.Chunks || form === SHORT_CHUNKS) this.chunks.verify(block);
    else throw new Error(`list: no form ${form}`);
  }
}
