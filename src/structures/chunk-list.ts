/**
 * A long list: chunks of packed elements, linked in both directions.
 *
 *   root, 20 bytes
 *   +------------+------------+----------+--------+------+
 *   | head chunk | tail chunk | elements | chunks | walk |
 *   +------------+------------+----------+--------+------+
 *
 *   chunk                     and one bit: left out
 *   +----------+------+----------+-------+-----+-------+---------+----------+-----+---------+
 *   | previous | next | capacity | first | end | count |  slack  | elements | 255 |  slack  |
 *   +----------+------+----------+-------+-----+-------+---------+----------+-----+---------+
 *   0          4      8          12      16    20      24        first      end             capacity
 *
 * `first` and `end` count from the chunk's start. Elements are those of a packed list, and so is the byte
 * that ends them. Thanks to the slack before and behind them, pushing and popping at either end changes only a few
 * bytes; elements are moved and memory is allocated only once per chunk. A chunk that is no longer at an
 * end of the list is cut to the size of its elements.
 *
 * An element is found by walking along the chunks from the nearer end. An element that is larger than the limit of a
 * chunk has a chunk of its own.
 *
 * Chunks that have at least `compressDepth` others on either side are compressed, if that saves something: all of them
 * if `list-compress-depth` is set. If not, only chunks that come to be so deep as the list grows, hold many elements
 * and become a quarter smaller, so that a push stays cheap; a chunk that is changed there later stays plain.
 *
 *   +----------+------+-----------+-------+-----+-------+-----------+----------+----------------+
 *   | previous | next | -capacity | first | end | count | raw bytes | packed   | packed         |
 *   |          |      |           |       |     |       |           | bytes    | elements (LZF) |
 *   +----------+------+-----------+-------+-----+-------+-----------+----------+----------------+
 *   0          4      8           12      16    20      24          28         32
 *
 * `first`, `end` and `count` are those of the unpacked chunk, so dropping elements from its ends needs no memory. To
 * be read, a chunk is unpacked into one of the shard's two reading rooms, which then looks like the chunk itself; the
 * other room still holds the chunk read before, whose last element may be in use. To be changed, it becomes a plain
 * chunk again, which `settle` or `compact` compresses anew.
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import { lzfCompress, lzfDecompress } from '../memory/lzf.js';
import { HeaderWord, READING_ROOM_BYTES, type ShardMemory } from '../memory/shard-memory.js';
import { copyBytes, moveBytes } from './copy.js';
import { type ElementKeeper, Walk } from './element-walk.js';
import { KeptChunks } from './kept-chunks.js';
import { PACKED_END, type PackedList } from './packed-list.js';

const ROOT_BYTES = 20;
const enum Root {
  Head = 0,
  Tail = 1,
  Elements = 2,
  Chunks = 3,
  /** The walk (element-walk.ts) that is under way, 0 for none. */
  Walk = 4,
}

const HEADER_BYTES = 24;
const enum Chunk {
  Previous = 0,
  Next = 1,
  Capacity = 2,
  First = 3,
  End = 4,
  Count = 5,
}

/** Flag in the word of the capacity, which is a multiple of 8: a walk skips the chunk, since it is new or changed. */
const LEFT_OUT_BIT = 1;

/** The first chunk of a list has this size at first and grows, since most lists never need a second one. */
const FIRST_CHUNK_BYTES = 1024;

/** Slack that is not worth cutting off. */
const SLACK_BYTES_MAX = 64;

const COMPRESSED_HEADER_BYTES = 32;
const enum Compressed {
  RawBytes = 6,
  PackedBytes = 7,
}
/** `compressDepth` if `list-compress-depth` is not set. */
const UNASKED_DEPTH = 8;
/** Minimum bytes of elements for compressing a chunk, and minimum bytes to be saved by it. */
const COMPRESS_BYTES_MIN = 48;
const COMPRESS_GAIN_MIN = 8;

/** Without `list-compress-depth`, chunks with fewer elements stay plain: compressing costs too much per element. */
const UNASKED_ELEMENTS_MIN = 128;

/** A chunk is compressed into this buffer, then copied to its block. */
const compressed = new Uint8Array(READING_ROOM_BYTES);

export class ChunkList {
  private readonly arena: Arena;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly words: Int32Array;
  private readonly packed: PackedList;
  /** Old states of chunks, kept for walks over lists. */
  readonly kept: KeptChunks;
  keeper: ElementKeeper | null = null;
  /** The chunk that a walk has just come to. */
  steppedChunk = 0;

  /** Most bytes and most elements of a chunk; a single element may be larger. */
  chunkBytesMax = 8192;
  chunkElementsMax = 0x7fffffff;
  /** How many chunks at either end are never compressed. */
  private compressDepth = UNASKED_DEPTH;
  /** Whether all deeper chunks shall be compressed. */
  private isCompressionAsked = false;

  /** The chunk of the position that was found last, or the reading room with it. */
  chunk = 0;

  /** Where compressed chunks are unpacked to be read; the room used last, and the chunk in it. */
  private readonly rooms: number;
  private room: number;
  private opened = 0;

  /** @param packed what reads and writes the elements */
  constructor(memory: ShardMemory, arena: Arena, packed: PackedList) {
    this.arena = arena;
    this.bytes = memory.bytes;
    this.view = memory.view;
    this.words = memory.words;
    this.packed = packed;
    this.kept = new KeptChunks(memory.words, arena);
    this.rooms = memory.words[HeaderWord.ArenaEnd];
    this.room = this.rooms;
  }

  /** A new empty list; 0 if there is no memory. */
  create(): number {
    const root = this.arena.allocate(ROOT_BYTES);
    if (root !== 0) this.words.fill(0, root >> 2, (root + ROOT_BYTES) >> 2);
    return root;
  }

  count(root: number): number {
    return this.words[(root >> 2) + Root.Elements];
  }

  chunkCount(root: number): number {
    return this.words[(root >> 2) + Root.Chunks];
  }

  /** First chunk of the list, 0 if it is empty. */
  head(root: number): number {
    return this.words[(root >> 2) + Root.Head];
  }

  nextChunk(chunk: number): number {
    return this.words[(chunk >> 2) + Chunk.Next];
  }

  /** Position of the first element of a chunk that is not compressed. */
  elements(chunk: number): number {
    return chunk + this.words[(chunk >> 2) + Chunk.First];
  }

  isCompressed(chunk: number): boolean {
    return this.words[(chunk >> 2) + Chunk.Capacity] < 0;
  }

  /** Size of a chunk's block in bytes. */
  private capacityOf(chunk: number): number {
    return Math.abs(this.words[(chunk >> 2) + Chunk.Capacity] & ~LEFT_OUT_BIT);
  }

  private setCapacity(chunk: number, capacity: number): void {
    const at = (chunk >> 2) + Chunk.Capacity;
    this.words[at] = capacity | (this.words[at] & LEFT_OUT_BIT);
  }

  private isLeftOut(chunk: number): boolean {
    return (this.words[(chunk >> 2) + Chunk.Capacity] & LEFT_OUT_BIT) !== 0;
  }

  walkOf(root: number): number {
    return this.words[(root >> 2) + Root.Walk];
  }

  beginWalk(root: number, walk: number): void {
    this.words[(root >> 2) + Root.Walk] = walk;
    this.words[walk + Walk.Position] = this.head(root);
    this.words[walk + Walk.Groups] = 0;
  }

  endWalk(root: number): void {
    this.words[(root >> 2) + Root.Walk] = 0;
  }

  /** Moves the walk on by a chunk: `steppedChunk` is that chunk, 0 if it is left out. False at the end of the list. */
  stepWalk(root: number): boolean {
    const { words } = this;
    const at = this.walkOf(root) + Walk.Position;
    const chunk = words[at];
    this.steppedChunk = 0;
    if (chunk === 0) return false;
    if (this.isLeftOut(chunk)) words[(chunk >> 2) + Chunk.Capacity] &= ~LEFT_OUT_BIT;
    else this.steppedChunk = chunk;
    words[at] = this.nextChunk(chunk);
    return true;
  }

  /** Must be called before the elements of a chunk change. */
  private keep(root: number, chunk: number): void {
    const walk = this.words[(root >> 2) + Root.Walk];
    if (walk === 0 || this.isLeftOut(chunk) || !this.isAhead(walk, chunk)) return;
    this.keeper?.keepChunk(walk, chunk);
    this.words[(chunk >> 2) + Chunk.Capacity] |= LEFT_OUT_BIT;
  }

  /** Whether the walk has yet to reach a chunk. Searches in both directions, so it is quick near the ends. */
  private isAhead(walk: number, chunk: number): boolean {
    const { words } = this;
    const next = words[walk + Walk.Position];
    if (next === 0) return false;
    let before = chunk;
    let behind = chunk;
    for (;;) {
      // Chunks that are left out are ahead of the walk, and so are all chunks behind them.
      if (before === next || this.isLeftOut(before)) return true;
      before = words[(before >> 2) + Chunk.Previous];
      if (before === 0) return false;
      behind = words[(behind >> 2) + Chunk.Next];
      if (behind === 0) return true;
      if (behind === next) return false;
    }
  }

  /** Copies the elements of a chunk, compressed or not, leaving the reading rooms as they are. */
  copyElements(chunk: number, target: Uint8Array, targetOffset: number): void {
    const { words, bytes } = this;
    const at = chunk >> 2;
    const first = words[at + Chunk.First];
    const end = words[at + Chunk.End];
    if (!this.isCompressed(chunk)) {
      target.set(bytes.subarray(chunk + first, chunk + end), targetOffset);
      return;
    }
    this.unpack(chunk, compressed, 0);
    target.set(compressed.subarray(first - HEADER_BYTES, end - HEADER_BYTES), targetOffset);
  }

  /** Bytes that the elements of a chunk take. */
  elementsBytes(chunk: number): number {
    return this.words[(chunk >> 2) + Chunk.End] - this.words[(chunk >> 2) + Chunk.First];
  }

  /** Bytes that the elements of all chunks take. For lists of few chunks. */
  allElementsBytes(root: number): number {
    let lengthBytes = 0;
    for (let chunk = this.head(root); chunk !== 0; chunk = this.nextChunk(chunk)) {
      lengthBytes += this.elementsBytes(chunk);
    }
    return lengthBytes;
  }

  elementsIn(chunk: number): number {
    return this.words[(chunk >> 2) + Chunk.Count];
  }

  /** Appends a chunk with a copy of encoded elements of this shard; false, with nothing changed, without memory. */
  appendElements(root: number, elements: number, elementsBytes: number, count: number): boolean {
    const chunk = this.allocate(HEADER_BYTES + elementsBytes + 1);
    if (chunk === 0) return false;
    this.bytes.copyWithin(chunk + HEADER_BYTES, elements, elements + elementsBytes);
    this.setElements(chunk, HEADER_BYTES, HEADER_BYTES + elementsBytes, count);
    this.link(root, chunk, this.words[(root >> 2) + Root.Tail], 0);
    this.words[(root >> 2) + Root.Elements] += count;
    this.settleEnd(root, true);
    return true;
  }

  /** Adds a value at an end; false, with nothing changed, if there is no memory. */
  push(
    root: number,
    atTail: boolean,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const { words } = this;
    const span = this.packed.addedBytes(bytes, offset, lengthBytes);
    let chunk = words[(root >> 2) + (atTail ? Root.Tail : Root.Head)];
    if (chunk !== 0 && this.isCompressed(chunk)) {
      chunk = this.inflate(root, chunk);
      if (chunk === 0) return false;
    }
    if (chunk === 0 || !this.mayTake(chunk, span)) {
      chunk = this.addEndChunk(root, atTail, chunk, span);
    } else {
      this.keep(root, chunk);
      chunk = this.makeRoomAtEnd(root, atTail, chunk, span);
    }
    if (chunk === 0) return false;
    const at = chunk >> 2;
    if (atTail) {
      const end = words[at + Chunk.End];
      this.packed.writeElement(chunk + end, bytes, view, offset, lengthBytes);
      words[at + Chunk.End] = end + span;
      this.bytes[chunk + end + span] = PACKED_END;
    } else {
      const first = words[at + Chunk.First] - span;
      this.packed.writeElement(chunk + first, bytes, view, offset, lengthBytes);
      words[at + Chunk.First] = first;
    }
    words[at + Chunk.Count]++;
    words[(root >> 2) + Root.Elements]++;
    return true;
  }

  /** Removes `count` elements, no more than there are, from an end. */
  drop(root: number, fromTail: boolean, count: number): void {
    const { words, packed } = this;
    words[(root >> 2) + Root.Elements] -= count;
    const chunks = words[(root >> 2) + Root.Chunks];
    while (count > 0) {
      let chunk = words[(root >> 2) + (fromTail ? Root.Tail : Root.Head)];
      const inChunk = words[(chunk >> 2) + Chunk.Count];
      if (inChunk <= count) {
        count -= inChunk;
        this.unlink(root, chunk);
        continue;
      }
      // Without memory to unpack it, the chunk stays compressed and only its bounds change.
      if (this.isCompressed(chunk)) chunk = this.inflate(root, chunk) || chunk;
      this.keep(root, chunk);
      const at = chunk >> 2;
      const readable = this.open(chunk);
      words[at + Chunk.Count] = inChunk - count;
      if (fromTail) {
        let end = readable + words[at + Chunk.End];
        for (; count > 0; count--) end = packed.before(end);
        words[at + Chunk.End] = end - readable;
        this.bytes[end] = PACKED_END;
      } else {
        let first = readable + words[at + Chunk.First];
        for (; count > 0; count--) first += packed.spanBytes(first);
        words[at + Chunk.First] = first - readable;
      }
    }
    if (words[(root >> 2) + Root.Chunks] !== chunks) this.settleEnd(root, fromTail);
  }

  /** Position of the element with an index from 0 up to the count; sets `chunk`. */
  seek(root: number, index: number): number {
    const { words, packed } = this;
    const count = words[(root >> 2) + Root.Elements];
    let chunk: number;
    if (index <= count >> 1) {
      chunk = words[(root >> 2) + Root.Head];
      for (; index >= words[(chunk >> 2) + Chunk.Count]; chunk = words[(chunk >> 2) + Chunk.Next]) {
        index -= words[(chunk >> 2) + Chunk.Count];
      }
    } else {
      chunk = words[(root >> 2) + Root.Tail];
      let behind = count - index;
      for (; behind > words[(chunk >> 2) + Chunk.Count]; chunk = words[(chunk >> 2) + Chunk.Previous]) {
        behind -= words[(chunk >> 2) + Chunk.Count];
      }
      index = words[(chunk >> 2) + Chunk.Count] - behind;
    }
    chunk = this.open(chunk);
    this.chunk = chunk;
    const inChunk = words[(chunk >> 2) + Chunk.Count];
    if (index <= inChunk >> 1) {
      let position = chunk + words[(chunk >> 2) + Chunk.First];
      for (; index > 0; index--) position += packed.spanBytes(position);
      return position;
    }
    let position = chunk + words[(chunk >> 2) + Chunk.End];
    for (; index < inChunk; index++) position = packed.before(position);
    return position;
  }

  /** Position of the element after the one at `position` of `chunk`, 0 at the end. Sets `chunk`. */
  next(position: number): number {
    const following = position + this.packed.spanBytes(position);
    return this.bytes[following] !== PACKED_END ? following : this.startNext();
  }

  /** Goes on to the chunk after `chunk`: position of its first element, 0 if there is none. */
  startNext(): number {
    const next = this.words[(this.chunk >> 2) + Chunk.Next];
    if (next === 0) return 0;
    const chunk = this.open(next);
    this.chunk = chunk;
    return chunk + this.words[(chunk >> 2) + Chunk.First];
  }

  /** Position of the element before the one at `position` of `chunk`, 0 at the beginning. Sets `chunk`. */
  previous(position: number): number {
    const { words } = this;
    if (position !== this.chunk + words[(this.chunk >> 2) + Chunk.First]) return this.packed.before(position);
    const previous = words[(this.chunk >> 2) + Chunk.Previous];
    if (previous === 0) return 0;
    const chunk = this.open(previous);
    this.chunk = chunk;
    return this.packed.before(chunk + words[(chunk >> 2) + Chunk.End]);
  }

  /**
   * Inserts a value before `position` of `chunk`, which may be the end of the chunk. Returns the position of the
   * new element and sets `chunk`; 0, with the elements unchanged, if there is no memory.
   */
  insert(
    root: number,
    position: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const { words } = this;
    const span = this.packed.addedBytes(bytes, offset, lengthBytes);
    const changeable = this.changeable(root, position);
    const target = changeable === 0 ? 0 : this.openGap(root, changeable, span);
    if (target === 0) return 0;
    this.packed.writeElement(target, bytes, view, offset, lengthBytes);
    words[(this.chunk >> 2) + Chunk.Count]++;
    words[(root >> 2) + Root.Elements]++;
    return target;
  }

  /** Makes a gap of `span` bytes before `position`, in `chunk` or another one, and sets `chunk`. 0: no memory. */
  private openGap(root: number, position: number, span: number): number {
    const { words, chunk } = this;
    const at = chunk >> 2;
    if (this.mayTake(chunk, span)) return this.resizeGap(root, position, 0, span);
    const end = chunk + words[at + Chunk.End];
    if (position === chunk + words[at + Chunk.First]) {
      let previous = words[at + Chunk.Previous];
      if (previous !== 0 && this.mayTake(previous, span)) {
        if (this.isCompressed(previous)) previous = this.inflate(root, previous);
        if (previous === 0) return 0;
        this.chunk = previous;
        return this.resizeGap(root, previous + words[(previous >> 2) + Chunk.End], 0, span);
      }
      return this.insertChunk(root, previous, chunk, span);
    }
    if (position === end) {
      let next = words[at + Chunk.Next];
      if (next !== 0 && this.mayTake(next, span)) {
        if (this.isCompressed(next)) next = this.inflate(root, next);
        if (next === 0) return 0;
        this.chunk = next;
        return this.resizeGap(root, next + words[(next >> 2) + Chunk.First], 0, span);
      }
      return this.insertChunk(root, chunk, next, span);
    }
    if (!this.split(root, position)) return 0;
    return this.openGap(root, chunk + words[at + Chunk.End], span);
  }

  /** A new chunk with nothing but a gap. */
  private insertChunk(root: number, previous: number, next: number, span: number): number {
    const chunk = this.allocate(HEADER_BYTES + span + 1);
    if (chunk === 0) return 0;
    this.setElements(chunk, HEADER_BYTES, HEADER_BYTES + span, 0);
    this.link(root, chunk, previous, next);
    this.chunk = chunk;
    return chunk + HEADER_BYTES;
  }

  /** Moves the elements of `chunk` from `position` on to a new chunk; false, with nothing changed, without memory. */
  private split(root: number, position: number): boolean {
    const { words, chunk } = this;
    this.keep(root, chunk);
    const at = chunk >> 2;
    const end = words[at + Chunk.End];
    const moved = chunk + end - position;
    const following = this.allocate(HEADER_BYTES + moved + 1);
    if (following === 0) return false;
    let count = 0;
    for (let element = position; element < chunk + end; element += this.packed.spanBytes(element)) count++;
    this.bytes.copyWithin(following + HEADER_BYTES, position, chunk + end);
    this.setElements(following, HEADER_BYTES, HEADER_BYTES + moved, count);
    this.setElements(chunk, words[at + Chunk.First], position - chunk, words[at + Chunk.Count] - count);
    this.link(root, following, chunk, words[at + Chunk.Next]);
    return true;
  }

  /**
   * Gives the element at `position` of `chunk` another value. Returns its position and sets `chunk`; 0, with the
   * elements unchanged, if there is no memory.
   */
  replace(
    root: number,
    position: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const { words } = this;
    position = this.changeable(root, position);
    if (position === 0) return 0;
    const span = this.packed.addedBytes(bytes, offset, lengthBytes);
    const oldSpan = this.packed.spanBytes(position);
    const inChunk = words[(this.chunk >> 2) + Chunk.Count];
    const newBytes = this.elementsBytes(this.chunk) + span - oldSpan + HEADER_BYTES + 1;
    if (span <= oldSpan || inChunk === 1 || newBytes <= this.chunkBytesMax) {
      const target = this.resizeGap(root, position, oldSpan, span);
      if (target !== 0) this.packed.writeElement(target, bytes, view, offset, lengthBytes);
      return target;
    }
    const inserted = this.insert(root, position, bytes, view, offset, lengthBytes);
    if (inserted === 0) return 0;
    // The position is computed from the end of the chunk: removing the old element may move the new one.
    const { chunk } = this;
    const fromEnd = chunk + words[(chunk >> 2) + Chunk.End] - inserted;
    const old = this.next(inserted);
    const isSameChunk = this.chunk === chunk;
    const removedBytes = isSameChunk ? oldSpan : 0;
    this.remove(root, old);
    this.chunk = chunk;
    return chunk + words[(chunk >> 2) + Chunk.End] - (fromEnd - removedBytes);
  }

  /**
   * Removes the element at `position` of `chunk`, which is not compressed. Returns the position of the one after it
   * (sets `chunk`), 0 if none.
   */
  remove(root: number, position: number): number {
    const { words, chunk } = this;
    const at = chunk >> 2;
    words[(root >> 2) + Root.Elements]--;
    if (words[at + Chunk.Count] === 1) {
      const next = words[at + Chunk.Next];
      this.unlink(root, chunk);
      return next === 0 ? 0 : this.start(next);
    }
    this.keep(root, chunk);
    words[at + Chunk.Count]--;
    const following = this.resizeGap(root, position, this.packed.spanBytes(position), 0);
    if (this.bytes[following] !== PACKED_END) return following;
    const next = words[at + Chunk.Next];
    return next === 0 ? 0 : this.start(next);
  }

  /** Sets `chunk`, opening it; returns the position of its first element. */
  private start(chunk: number): number {
    this.chunk = this.open(chunk);
    return this.elements(this.chunk);
  }

  /** Joins neighbours that fit into one chunk. Call it after removing many elements. */
  compact(root: number): void {
    this.join(root);
    this.settleEnd(root, false);
    this.settleEnd(root, true);
    if (this.isCompressionAsked) this.compressAll(root);
  }

  private join(root: number): void {
    const { words } = this;
    let chunk = words[(root >> 2) + Root.Head];
    while (chunk !== 0) {
      const next = words[(chunk >> 2) + Chunk.Next];
      if (next === 0) return;
      if (this.isCompressed(chunk) || this.isCompressed(next)) {
        chunk = next;
        continue;
      }
      const elementsBytes = this.elementsBytes(chunk) + this.elementsBytes(next);
      const count = words[(chunk >> 2) + Chunk.Count] + words[(next >> 2) + Chunk.Count];
      // Joined chunks are not filled up, or the next insertion would split them again.
      const isSmall = HEADER_BYTES + elementsBytes + 1 <= this.chunkBytesMax - (this.chunkBytesMax >> 3);
      if (!isSmall || count > this.chunkElementsMax) {
        this.cut(chunk);
        chunk = next;
        continue;
      }
      const joined = this.allocate(HEADER_BYTES + elementsBytes + 1);
      if (joined === 0) return;
      const first = this.elements(chunk);
      const firstBytes = this.elementsBytes(chunk);
      const second = this.elements(next);
      this.bytes.copyWithin(joined + HEADER_BYTES, first, first + firstBytes);
      this.bytes.copyWithin(joined + HEADER_BYTES + firstBytes, second, second + elementsBytes - firstBytes);
      this.setElements(joined, HEADER_BYTES, HEADER_BYTES + elementsBytes, count);
      this.link(root, joined, words[(chunk >> 2) + Chunk.Previous], chunk);
      this.unlink(root, chunk);
      this.unlink(root, next);
      chunk = joined;
    }
  }

  /** Frees at most `steps` chunks, from the head on; true when nothing, not even the root, is left. */
  releaseSome(root: number, steps: number): boolean {
    const { words } = this;
    let chunk = words[(root >> 2) + Root.Head];
    for (; chunk !== 0 && steps > 0; steps--) {
      const next = words[(chunk >> 2) + Chunk.Next];
      this.arena.free(chunk, this.capacityOf(chunk));
      words[(root >> 2) + Root.Chunks]--;
      chunk = next;
    }
    words[(root >> 2) + Root.Head] = chunk;
    if (chunk !== 0) return false;
    this.arena.free(root, ROOT_BYTES);
    return true;
  }

  /** A copy of a list of this shard or of another; 0, with nothing allocated, if there is no memory. */
  copy(source: ChunkList, sourceRoot: number): number {
    const { words } = this;
    const root = this.create();
    if (root === 0) return 0;
    let chunk = source.words[(sourceRoot >> 2) + Root.Head];
    for (; chunk !== 0; chunk = source.words[(chunk >> 2) + Chunk.Next]) {
      const isCompressed = source.isCompressed(chunk);
      const copiedBytes = isCompressed
        ? source.capacityOf(chunk)
        : HEADER_BYTES + source.elementsBytes(chunk) + 1;
      const copied = this.allocate(copiedBytes);
      if (copied === 0) {
        this.releaseSome(root, 0x7fffffff);
        return 0;
      }
      const from = isCompressed ? chunk : source.elements(chunk) - HEADER_BYTES;
      const header = HEADER_BYTES;
      copyBytes(
        this.bytes,
        this.view,
        copied + header,
        source.bytes,
        source.view,
        from + header,
        copiedBytes - header,
      );
      if (isCompressed) {
        const at = copied >> 2;
        const sourceAt = chunk >> 2;
        words[at + Chunk.Capacity] = -words[at + Chunk.Capacity];
        words[at + Chunk.First] = source.words[sourceAt + Chunk.First];
        words[at + Chunk.End] = source.words[sourceAt + Chunk.End];
        words[at + Chunk.Count] = source.words[sourceAt + Chunk.Count];
      } else {
        this.setElements(copied, header, copiedBytes - 1, source.elementsIn(chunk));
      }
      this.link(root, copied, words[(root >> 2) + Root.Tail], 0);
    }
    words[(root >> 2) + Root.Elements] = source.words[(sourceRoot >> 2) + Root.Elements];
    return root;
  }

  /** Bytes that the list takes of the arena, estimated from the first `samples` chunks; 0 for all. */
  usedBytes(root: number, samples: number): number {
    const { words } = this;
    const chunks = words[(root >> 2) + Root.Chunks];
    let seen = 0;
    let seenBytes = 0;
    let chunk = words[(root >> 2) + Root.Head];
    for (; chunk !== 0 && (samples === 0 || seen < samples); chunk = words[(chunk >> 2) + Chunk.Next]) {
      seenBytes += blockBytes(this.capacityOf(chunk));
      seen++;
    }
    return blockBytes(ROOT_BYTES) + (seen === 0 ? 0 : Math.round((seenBytes / seen) * chunks));
  }

  /** Whether `span` bytes more keep the chunk within the limits. */
  private mayTake(chunk: number, span: number): boolean {
    const { words } = this;
    const at = chunk >> 2;
    const lengthBytes = words[at + Chunk.End] - words[at + Chunk.First] + span + HEADER_BYTES + 1;
    return lengthBytes <= this.chunkBytesMax && words[at + Chunk.Count] < this.chunkElementsMax;
  }

  /** A new chunk at an end of the list, of the full size unless it is the first; 0 if there is no memory. */
  private addEndChunk(root: number, atTail: boolean, end: number, span: number): number {
    const wanted = Math.min(
      end === 0 ? FIRST_CHUNK_BYTES : this.chunkBytesMax,
      HEADER_BYTES + 1 + span * Math.min(this.chunkElementsMax, 8192),
    );
    const chunk = this.allocate(Math.max(wanted, HEADER_BYTES + span + 1));
    if (chunk === 0) return 0;
    const position = atTail ? HEADER_BYTES : this.capacityOf(chunk) - 1;
    this.setElements(chunk, position, position, 0);
    if (atTail) this.link(root, chunk, end, 0);
    else this.link(root, chunk, 0, end);
    if (end !== 0) this.cut(end);
    this.settleEnd(root, atTail);
    return chunk;
  }

  /** Makes room for `span` bytes at an end of an end chunk, which may move; 0 if there is no memory. */
  private makeRoomAtEnd(root: number, atTail: boolean, chunk: number, span: number): number {
    const { words } = this;
    const at = chunk >> 2;
    const first = words[at + Chunk.First];
    const end = words[at + Chunk.End];
    const capacity = this.capacityOf(chunk);
    if (atTail ? end + span < capacity : first - span >= HEADER_BYTES) return chunk;
    const lengthBytes = end - first;
    const slack = capacity - HEADER_BYTES - 1 - lengthBytes;
    // The elements of a queue drift through the chunk and are moved back now and then.
    if (slack >= span && slack >= lengthBytes >> 1) {
      this.slide(chunk, atTail ? HEADER_BYTES : capacity - 1 - lengthBytes);
      return chunk;
    }
    const needed = HEADER_BYTES + lengthBytes + span + 1;
    const wanted = Math.max(needed, Math.min(this.chunkBytesMax, capacity + (capacity >> 2)));
    if (atTail && first === HEADER_BYTES && this.arena.resizeInPlace(chunk, capacity, (wanted + 7) & ~7)) {
      this.setCapacity(chunk, (wanted + 7) & ~7);
      return chunk;
    }
    const moved = this.allocate(wanted);
    if (moved === 0) return 0;
    const target = atTail ? HEADER_BYTES : this.capacityOf(moved) - 1 - lengthBytes;
    this.bytes.copyWithin(moved + target, chunk + first, chunk + end);
    this.setElements(moved, target, target + lengthBytes, words[at + Chunk.Count]);
    this.takePlace(root, chunk, moved);
    return moved;
  }

  /**
   * Resizes the `oldSpan` bytes at `position` of `chunk` to `newSpan` bytes, moving the elements before or behind
   * them. Returns where they are now; the chunk may have moved. 0, with nothing changed, if there is no memory;
   * shrinking never fails.
   */
  private resizeGap(root: number, position: number, oldSpan: number, newSpan: number): number {
    const { words, bytes, view, chunk } = this;
    this.keep(root, chunk);
    const at = chunk >> 2;
    const first = chunk + words[at + Chunk.First];
    const end = chunk + words[at + Chunk.End];
    const added = newSpan - oldSpan;
    const capacity = this.capacityOf(chunk);
    const before = position - first;
    const behind = end - position - oldSpan;
    const fitsBehind = end + added < chunk + capacity;
    const fitsBefore = first - added >= chunk + HEADER_BYTES;
    if (fitsBefore && (before < behind || !fitsBehind)) {
      moveBytes(bytes, view, first - added, first, position);
      words[at + Chunk.First] -= added;
      return position - added;
    }
    if (fitsBehind) {
      moveBytes(bytes, view, position + newSpan, position + oldSpan, end);
      words[at + Chunk.End] += added;
      bytes[end + added] = PACKED_END;
      return position;
    }
    const lengthBytes = before + newSpan + behind;
    const moved = this.allocate(HEADER_BYTES + lengthBytes + 1);
    if (moved === 0) return 0;
    const target = moved + HEADER_BYTES;
    bytes.copyWithin(target, first, position);
    bytes.copyWithin(target + before + newSpan, position + oldSpan, end);
    this.setElements(moved, HEADER_BYTES, HEADER_BYTES + lengthBytes, words[at + Chunk.Count]);
    this.takePlace(root, chunk, moved);
    this.chunk = moved;
    return target + before;
  }

  /** Moves the elements of a chunk within it. */
  private slide(chunk: number, to: number): void {
    const { words } = this;
    const at = chunk >> 2;
    const first = words[at + Chunk.First];
    const end = words[at + Chunk.End];
    this.bytes.copyWithin(chunk + to, chunk + first, chunk + end);
    this.setElements(chunk, to, to + end - first, words[at + Chunk.Count]);
  }

  /** Gives back the slack of a chunk that is no longer at an end of the list. */
  private cut(chunk: number): void {
    const { words } = this;
    const at = chunk >> 2;
    const capacity = this.capacityOf(chunk);
    const needed = (HEADER_BYTES + this.elementsBytes(chunk) + 1 + 7) & ~7;
    if (capacity - needed < SLACK_BYTES_MAX) return;
    if (words[at + Chunk.First] !== HEADER_BYTES) this.slide(chunk, HEADER_BYTES);
    this.arena.resizeInPlace(chunk, capacity, needed);
    this.setCapacity(chunk, needed);
  }

  /** Follows `list-compress-depth`. */
  setCompressDepth(depth: number): void {
    this.isCompressionAsked = depth > 0;
    this.compressDepth = depth > 0 ? depth : UNASKED_DEPTH;
  }

  /**
   * Compresses the chunk of the last position, and its neighbours, where they are deep enough. Call it after a change
   * anywhere but at an end; positions are no longer valid then.
   */
  settle(root: number): void {
    if (!this.isCompressionAsked || this.chunk === 0 || this.chunk >= this.rooms) return;
    const { words, chunk } = this;
    const previous = words[(chunk >> 2) + Chunk.Previous];
    const next = words[(chunk >> 2) + Chunk.Next];
    if (previous !== 0 && this.isDeep(root, previous)) this.compress(root, previous);
    if (next !== 0 && this.isDeep(root, next)) this.compress(root, next);
    if (this.isDeep(root, chunk)) this.compress(root, chunk);
  }

  /** Unpacks chunks less than `compressDepth` from an end, as far as there is memory, and compresses the next one. */
  private settleEnd(root: number, atTail: boolean): void {
    const { words, compressDepth } = this;
    const onwards = atTail ? Chunk.Previous : Chunk.Next;
    let chunk = words[(root >> 2) + (atTail ? Root.Tail : Root.Head)];
    for (let depth = 0; chunk !== 0 && depth < compressDepth; depth++) {
      if (this.isCompressed(chunk)) chunk = this.inflate(root, chunk) || chunk;
      chunk = words[(chunk >> 2) + onwards];
    }
    if (chunk !== 0 && words[(root >> 2) + Root.Chunks] > 2 * compressDepth) this.compress(root, chunk);
  }

  /** Compresses all chunks that are deep enough. */
  private compressAll(root: number): void {
    const { words, compressDepth } = this;
    const chunks = words[(root >> 2) + Root.Chunks];
    let chunk = words[(root >> 2) + Root.Head];
    for (let index = 0; index < chunks - compressDepth; index++) {
      const next = words[(chunk >> 2) + Chunk.Next];
      if (index >= compressDepth) this.compress(root, chunk);
      chunk = next;
    }
  }

  /** Whether a chunk has `compressDepth` others on either side. */
  private isDeep(root: number, chunk: number): boolean {
    const { words, compressDepth } = this;
    if (words[(root >> 2) + Root.Chunks] <= 2 * compressDepth) return false;
    let fromHead = words[(root >> 2) + Root.Head];
    let fromTail = words[(root >> 2) + Root.Tail];
    for (let depth = 0; depth < compressDepth; depth++) {
      if (fromHead === chunk || fromTail === chunk) return false;
      fromHead = words[(fromHead >> 2) + Chunk.Next];
      fromTail = words[(fromTail >> 2) + Chunk.Previous];
    }
    return true;
  }

  /**
   * Compresses a chunk if that is worth it. It moves to a block of the right size, so that its old block can hold the
   * next plain chunk: cutting blocks would leave holes between them. Without memory, the block is cut.
   */
  private compress(root: number, chunk: number): void {
    const { words, bytes } = this;
    const rawBytes = this.elementsBytes(chunk);
    if (this.isCompressed(chunk) || rawBytes < COMPRESS_BYTES_MIN) return;
    if (HEADER_BYTES + rawBytes + 1 > READING_ROOM_BYTES) return;
    const count = words[(chunk >> 2) + Chunk.Count];
    if (!this.isCompressionAsked && count < UNASKED_ELEMENTS_MIN) return;
    const gainMin = this.isCompressionAsked ? COMPRESS_GAIN_MIN : rawBytes >> 2;
    const worthBytes = rawBytes - gainMin - (COMPRESSED_HEADER_BYTES - HEADER_BYTES);
    const packedBytes = lzfCompress(
      bytes,
      this.view,
      this.elements(chunk),
      rawBytes,
      compressed,
      0,
      worthBytes,
    );
    if (packedBytes === 0) return;
    const needed = (COMPRESSED_HEADER_BYTES + packedBytes + 7) & ~7;
    let target = this.allocate(needed);
    if (target !== 0) {
      this.takePlace(root, chunk, target);
    } else {
      this.arena.resizeInPlace(chunk, this.capacityOf(chunk), needed);
      target = chunk;
    }
    const at = target >> 2;
    bytes.set(compressed.subarray(0, packedBytes), target + COMPRESSED_HEADER_BYTES);
    this.setCapacity(target, -needed);
    words[at + Chunk.First] = HEADER_BYTES;
    words[at + Chunk.End] = HEADER_BYTES + rawBytes;
    words[at + Chunk.Count] = count;
    words[at + Compressed.RawBytes] = rawBytes;
    words[at + Compressed.PackedBytes] = packedBytes;
  }

  private unpack(chunk: number, target: Uint8Array, targetOffset: number): void {
    const at = chunk >> 2;
    const rawBytes = this.words[at + Compressed.RawBytes];
    const packedBytes = this.words[at + Compressed.PackedBytes];
    const from = chunk + COMPRESSED_HEADER_BYTES;
    if (!lzfDecompress(this.bytes, from, packedBytes, target, targetOffset, rawBytes)) {
      throw new Error('chunk list: a compressed chunk is damaged');
    }
  }

  /** Returns a chunk itself or, if it is compressed, a reading room into which it is unpacked. */
  private open(chunk: number): number {
    if (!this.isCompressed(chunk)) return chunk;
    const { words } = this;
    const room = this.room === this.rooms ? this.rooms + READING_ROOM_BYTES : this.rooms;
    this.room = room;
    words.copyWithin(room >> 2, chunk >> 2, (chunk + HEADER_BYTES) >> 2);
    words[(room >> 2) + Chunk.Capacity] = READING_ROOM_BYTES;
    this.unpack(chunk, this.bytes, room + HEADER_BYTES);
    this.bytes[room + words[(room >> 2) + Chunk.End]] = PACKED_END;
    this.opened = chunk;
    return room;
  }

  /** Replaces a compressed chunk by a plain one; 0, with nothing changed, if there is no memory. */
  private inflate(root: number, chunk: number): number {
    const { words } = this;
    const at = chunk >> 2;
    const plain = this.allocate(HEADER_BYTES + words[at + Compressed.RawBytes] + 1);
    if (plain === 0) return 0;
    this.unpack(chunk, this.bytes, plain + HEADER_BYTES);
    this.setElements(plain, words[at + Chunk.First], words[at + Chunk.End], words[at + Chunk.Count]);
    this.takePlace(root, chunk, plain);
    return plain;
  }

  /** Unpacks the chunk of a position for a change, if need be. Returns the new position; 0 if there is no memory. */
  private changeable(root: number, position: number): number {
    if (this.chunk < this.rooms) return position;
    const chunk = this.inflate(root, this.opened);
    if (chunk === 0) return 0;
    this.chunk = chunk;
    return chunk + position - this.room;
  }

  /**
   * Unpacks all chunks that hold a value, so that it can be removed; false, with the elements unchanged, if there is
   * no memory.
   */
  inflateHolding(
    root: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const { words, packed } = this;
    let chunk = words[(root >> 2) + Root.Head];
    for (; chunk !== 0; chunk = words[(chunk >> 2) + Chunk.Next]) {
      if (!this.isCompressed(chunk)) continue;
      const readable = this.open(chunk);
      const end = readable + words[(chunk >> 2) + Chunk.End];
      let position = this.elements(readable);
      while (position < end && !packed.equals(position, bytes, view, offset, lengthBytes)) {
        position += packed.spanBytes(position);
      }
      if (position === end) continue;
      chunk = this.inflate(root, chunk);
      if (chunk !== 0) continue;
      if (this.isCompressionAsked) this.compressAll(root);
      return false;
    }
    return true;
  }

  /** A chunk of at least so many bytes, not linked; 0 if there is no memory. */
  private allocate(lengthBytes: number): number {
    const capacity = (lengthBytes + 7) & ~7;
    const chunk = this.arena.allocate(capacity);
    if (chunk !== 0) this.words[(chunk >> 2) + Chunk.Capacity] = capacity;
    return chunk;
  }

  private setElements(chunk: number, first: number, end: number, count: number): void {
    const { words } = this;
    const at = chunk >> 2;
    words[at + Chunk.First] = first;
    words[at + Chunk.End] = end;
    words[at + Chunk.Count] = count;
    this.bytes[chunk + end] = PACKED_END;
  }

  private link(root: number, chunk: number, previous: number, next: number): void {
    const { words } = this;
    words[(chunk >> 2) + Chunk.Previous] = previous;
    words[(chunk >> 2) + Chunk.Next] = next;
    this.setNeighbours(root, chunk, previous, next);
    words[(root >> 2) + Root.Chunks]++;
    const walk = words[(root >> 2) + Root.Walk];
    if (walk !== 0 && this.isAhead(walk, chunk)) words[(chunk >> 2) + Chunk.Capacity] |= LEFT_OUT_BIT;
  }

  private setNeighbours(root: number, chunk: number, previous: number, next: number): void {
    const { words } = this;
    if (previous === 0) words[(root >> 2) + Root.Head] = chunk;
    else words[(previous >> 2) + Chunk.Next] = chunk;
    if (next === 0) words[(root >> 2) + Root.Tail] = chunk;
    else words[(next >> 2) + Chunk.Previous] = chunk;
  }

  /** Takes a chunk out of the list and frees it. */
  private unlink(root: number, chunk: number): void {
    const { words } = this;
    const previous = words[(chunk >> 2) + Chunk.Previous];
    const next = words[(chunk >> 2) + Chunk.Next];
    const walk = words[(root >> 2) + Root.Walk];
    if (walk !== 0) {
      this.keep(root, chunk);
      this.kept.pass(walk, chunk, next);
      if (words[walk + Walk.Position] === chunk) words[walk + Walk.Position] = next;
    }
    if (previous === 0) words[(root >> 2) + Root.Head] = next;
    else words[(previous >> 2) + Chunk.Next] = next;
    if (next === 0) words[(root >> 2) + Root.Tail] = previous;
    else words[(next >> 2) + Chunk.Previous] = previous;
    words[(root >> 2) + Root.Chunks]--;
    this.arena.free(chunk, this.capacityOf(chunk));
  }

  /** Replaces a chunk by `moved`, which has its elements, and frees the old one. */
  private takePlace(root: number, chunk: number, moved: number): void {
    const { words } = this;
    const previous = words[(chunk >> 2) + Chunk.Previous];
    const next = words[(chunk >> 2) + Chunk.Next];
    words[(moved >> 2) + Chunk.Previous] = previous;
    words[(moved >> 2) + Chunk.Next] = next;
    this.setNeighbours(root, moved, previous, next);
    const walk = words[(root >> 2) + Root.Walk];
    if (walk !== 0) {
      if (this.isLeftOut(chunk)) words[(moved >> 2) + Chunk.Capacity] |= LEFT_OUT_BIT;
      this.kept.pass(walk, chunk, moved);
      if (words[walk + Walk.Position] === chunk) words[walk + Walk.Position] = moved;
    }
    this.arena.free(chunk, this.capacityOf(chunk));
  }

  /** Throws if an invariant is broken. For tests. */
  verify(root: number): void {
    const { words, packed } = this;
    let previous = 0;
    let elements = 0;
    let chunks = 0;
    let chunk = words[(root >> 2) + Root.Head];
    for (; chunk !== 0; chunk = words[(chunk >> 2) + Chunk.Next]) {
      if (words[(chunk >> 2) + Chunk.Previous] !== previous) throw new Error('chunk list: wrong back link');
      const readable = this.open(chunk);
      const at = readable >> 2;
      const end = readable + words[at + Chunk.End];
      let position = readable + words[at + Chunk.First];
      let before = 0;
      let count = 0;
      if (words[at + Chunk.First] < HEADER_BYTES || words[at + Chunk.End] >= this.capacityOf(readable)) {
        throw new Error('chunk list: elements out of their chunk');
      }
      for (; position < end; position += packed.spanBytes(position)) {
        if (before !== 0 && packed.before(position) !== before)
          throw new Error('chunk list: wrong back length');
        before = position;
        count++;
      }
      if (position !== end || this.bytes[end] !== PACKED_END)
        throw new Error('chunk list: wrong end of a chunk');
      if (count !== words[at + Chunk.Count] || count === 0)
        throw new Error('chunk list: wrong count of a chunk');
      previous = chunk;
      elements += count;
      chunks++;
    }
    if (words[(root >> 2) + Root.Tail] !== previous) throw new Error('chunk list: wrong tail');
    if (words[(root >> 2) + Root.Elements] !== elements) throw new Error('chunk list: wrong count');
    if (words[(root >> 2) + Root.Chunks] !== chunks) throw new Error('chunk list: wrong count of chunks');
  }
}
