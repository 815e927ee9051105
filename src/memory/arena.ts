/**
 * The allocator of a shard: size-classed best fit with immediate reuse and immediate coalescing.
 *
 * Callers know the size of what they free, so an allocated block has no header at all. A free block
 * describes itself:
 *
 *   word 0          size in bytes
 *   word 1, 2       next and previous free block of the same class (absent in an 8-byte block)
 *   last word       size in bytes again
 *
 * A bitmap has one bit per 8-byte granule; it is set for the first and for the last granule of every
 * free block and for nothing else. So when a block is freed, the bit of the granule before it tells
 * whether its left neighbour is free (and that granule's last word how long it is), the bit of the
 * granule after it the same for the right one. These are the boundary tags of Knuth (TAOCP 1, 2.5,
 * algorithm C) at 1.6 % of memory instead of 8 bytes a block.
 *
 * Free blocks hang in lists by size: exact classes up to 1016 bytes, then 32 classes per power of two,
 * found through a two-level bitmap (Masmano et al., "TLSF", 2004). A leftover of 8 bytes is too small for
 * the links; it waits in no list until a neighbour is freed and takes it in.
 *
 * A request that no free block can serve is taken from the top, the untouched rest of the buffer. The last part of
 * the buffer is a reserve that only a thread that loads saved data may use: while loading, blocks end up in other
 * places than when the data was saved, and the free memory in other pieces, but all that fitted then must fit again.
 */

import { BIN_HEADS_START_BYTE, bitmapStartByte, HeaderWord, type ShardMemory } from './shard-memory.js';

const BLOCK_BYTES_MIN = 16;
const EXACT_BINS = 128;
const SUBBINS_LOG2 = 5;
const BIN_COUNT = EXACT_BINS + 21 * (1 << SUBBINS_LOG2);
const BIN_BITMAP_WORDS = (BIN_COUNT + 31) >> 5;
const BIN_HEADS_START_WORD = BIN_HEADS_START_BYTE >> 2;

/** A class above the exact ones holds different sizes: try at most this many of its blocks before the next class. */
const FIRST_FIT_STEPS_MAX = 8;

/** More bytes than any shard has. */
const PROMISE_BYTES_MAX = 0x7fff0000;

/** The number of bytes that an allocation of `lengthBytes` takes. */
export function blockBytes(lengthBytes: number): number {
  return lengthBytes <= BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : (lengthBytes + 7) & ~7;
}

function binOf(sizeBytes: number): number {
  const granules = sizeBytes >> 3;
  if (granules < EXACT_BINS) return granules;
  const exponent = 31 - Math.clz32(granules);
  const subbin = (granules >> (exponent - SUBBINS_LOG2)) & ((1 << SUBBINS_LOG2) - 1);
  return EXACT_BINS + ((exponent - 7) << SUBBINS_LOG2) + subbin;
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

export class Arena {
  private readonly words: Int32Array;
  private readonly bitmapStartWord: number;
  private readonly start: number;
  /** Offset up to which this thread may raise the top. */
  private end: number;
  /** Bytes that `promise` keeps for the running command. */
  private promisedBytes = 0;

  constructor(memory: ShardMemory) {
    this.words = memory.words;
    this.bitmapStartWord = bitmapStartByte(memory.words[HeaderWord.DatabaseCount]) >> 2;
    this.start = memory.words[HeaderWord.ArenaStart];
    this.end = 0;
    this.useReserve(false);
  }

  /** Says whether this thread loads data and may therefore use the reserve. */
  useReserve(uses: boolean): void {
    const { words } = this;
    const end = words[HeaderWord.ArenaEnd];
    this.end = uses ? end : Math.min(end, words[HeaderWord.ArenaReserveStart] || end);
  }

  /** Bytes in allocated blocks. */
  get usedBytes(): number {
    return this.words[HeaderWord.ArenaUsedBytes];
  }

  /** Bytes in free blocks below the top. */
  get freeBytes(): number {
    return this.words[HeaderWord.ArenaTop] - this.start - this.words[HeaderWord.ArenaUsedBytes];
  }

  /** Returns the offset of a block of `lengthBytes`, 8-byte aligned, contents undefined; 0 if there is no room. */
  allocate(lengthBytes: number): number {
    const size = blockBytes(lengthBytes);
    const block = this.take(size);
    if (block !== 0) this.words[HeaderWord.ArenaUsedBytes] += size;
    return block;
  }

  /** Like `allocate`, but aligned to 64 bytes, for blocks that are laid out in cache lines. */
  allocateLines(lengthBytes: number): number {
    const size = blockBytes(lengthBytes);
    const raw = this.take(size + 56);
    if (raw === 0) return 0;
    const block = (raw + 63) & ~63;
    const tailBytes = raw + 56 - block;
    if (block !== raw) this.giveBack(raw, block - raw);
    if (tailBytes !== 0) this.giveBack(block + size, tailBytes);
    this.words[HeaderWord.ArenaUsedBytes] += size;
    return block;
  }

  /** Frees a block that was allocated with the same `lengthBytes`. */
  free(block: number, lengthBytes: number): void {
    const size = blockBytes(lengthBytes);
    this.words[HeaderWord.ArenaUsedBytes] -= size;
    this.giveBack(block, size);
  }

  /**
   * Resizes a block in place if it shrinks or if what follows it is free; false if it would have to move.
   * Contents up to the smaller length stay.
   */
  resizeInPlace(block: number, oldLengthBytes: number, newLengthBytes: number): boolean {
    const oldSize = blockBytes(oldLengthBytes);
    const newSize = blockBytes(newLengthBytes);
    if (newSize === oldSize) return true;
    const { words } = this;
    if (newSize < oldSize) {
      words[HeaderWord.ArenaUsedBytes] -= oldSize - newSize;
      this.giveBack(block + newSize, oldSize - newSize);
      return true;
    }
    const next = block + oldSize;
    const wanted = newSize - oldSize;
    const top = words[HeaderWord.ArenaTop];
    if (next === top) {
      if (wanted > this.end - top) return false;
      this.raiseTop(top + wanted);
    } else {
      if (!this.isBoundary(next)) return false;
      const freeSize = words[next >> 2];
      if (freeSize < wanted) return false;
      this.unlink(next, freeSize);
      if (freeSize > wanted) this.link(next + wanted, freeSize - wanted);
    }
    words[HeaderWord.ArenaUsedBytes] += wanted;
    return true;
  }

  /**
   * Whether allocations of `lengthBytes` in total, in blocks of any sizes, are sure to succeed.
   * Commands that need several blocks ask first, so that they fail before they change anything.
   */
  hasRoom(lengthBytes: number): boolean {
    const size = blockBytes(lengthBytes) + 64;
    return size <= this.end - this.words[HeaderWord.ArenaTop] || this.nonEmptyBinFrom(binOf(size) + 1) >= 0;
  }

  /**
   * Like `hasRoom`, but also keeps the room for the caller's allocations until `endPromise`: `allocateSpare` does not
   * take it. A command asks for all that it may need before it changes anything: it succeeds or fails as a whole.
   */
  promise(lengthBytes: number): boolean {
    if (lengthBytes > PROMISE_BYTES_MAX || !this.hasRoom(lengthBytes)) return false;
    this.promisedBytes = lengthBytes;
    return true;
  }

  endPromise(): void {
    this.promisedBytes = 0;
  }

  /** Like `allocate`, for blocks that are dispensable: also returns 0 if the block would take promised room. */
  allocateSpare(lengthBytes: number): number {
    const { promisedBytes } = this;
    if (promisedBytes !== 0 && !this.hasRoom(promisedBytes + blockBytes(lengthBytes))) return 0;
    return this.allocate(lengthBytes);
  }

  /** Forgets every block at once. */
  reset(): void {
    const { words } = this;
    const top = words[HeaderWord.ArenaTop];
    words.fill(0, this.bitmapStartWord + (this.start >> 8), this.bitmapStartWord + (top >> 8) + 1);
    words.fill(0, BIN_HEADS_START_WORD, BIN_HEADS_START_WORD + BIN_COUNT);
    words.fill(0, HeaderWord.BinBitmapStart, HeaderWord.BinBitmapStart + BIN_BITMAP_WORDS);
    words[HeaderWord.BinSummary] = 0;
    words[HeaderWord.ArenaTop] = this.start;
    words[HeaderWord.ArenaUsedBytes] = 0;
  }

  /**
   * Calls `visit(offset, lengthBytes)` for every run of whole 4 KiB pages that no block uses but that may
   * be committed: inside large free blocks, and between the top and its high-water mark. The caller
   * gives them back to the operating system.
   */
  forEachUnusedPageRun(visit: (offset: number, lengthBytes: number) => void): void {
    const { words } = this;
    for (let bin = binOf(8192); bin < BIN_COUNT; bin++) {
      for (let block = words[BIN_HEADS_START_WORD + bin]; block !== 0; block = words[(block >> 2) + 1]) {
        const from = (block + 12 + 4095) & ~4095;
        const to = (block + words[block >> 2] - 4) & ~4095;
        if (to > from) visit(from, to - from);
      }
    }
    const from = (words[HeaderWord.ArenaTop] + 4095) & ~4095;
    const to = words[HeaderWord.ArenaHighWater] & ~4095;
    if (to > from) visit(from, to - from);
    words[HeaderWord.ArenaHighWater] = words[HeaderWord.ArenaTop];
  }

  private take(size: number): number {
    const { words } = this;
    let bin = binOf(size);
    let block = words[BIN_HEADS_START_WORD + bin];
    if (bin >= EXACT_BINS) {
      let steps = FIRST_FIT_STEPS_MAX;
      while (block !== 0 && words[block >> 2] < size) {
        block = --steps === 0 ? 0 : words[(block >> 2) + 1];
      }
    }
    if (block === 0) {
      bin = this.nonEmptyBinFrom(bin + 1);
      if (bin < 0) {
        const top = words[HeaderWord.ArenaTop];
        if (size > this.end - top) return 0;
        this.raiseTop(top + size);
        return top;
      }
      block = words[BIN_HEADS_START_WORD + bin];
    }
    const blockSize = words[block >> 2];
    this.unlink(block, blockSize);
    if (blockSize !== size) this.link(block + size, blockSize - size);
    return block;
  }

  private raiseTop(top: number): void {
    const { words } = this;
    words[HeaderWord.ArenaTop] = top;
    if (top > words[HeaderWord.ArenaHighWater]) words[HeaderWord.ArenaHighWater] = top;
  }

  /** Makes [block, block + size) free and merges it with free neighbours or with the top. */
  private giveBack(block: number, size: number): void {
    const { words } = this;
    if (block > this.start && this.isBoundary(block - 8)) {
      const leftSize = words[(block - 4) >> 2];
      this.unlink(block - leftSize, leftSize);
      block -= leftSize;
      size += leftSize;
    }
    const next = block + size;
    if (next === words[HeaderWord.ArenaTop]) {
      words[HeaderWord.ArenaTop] = block;
      return;
    }
    if (this.isBoundary(next)) {
      const rightSize = words[next >> 2];
      this.unlink(next, rightSize);
      size += rightSize;
    }
    this.link(block, size);
  }

  private link(block: number, size: number): void {
    const { words } = this;
    const at = block >> 2;
    const last = block + size - 4;
    words[at] = size;
    words[last >> 2] = size;
    this.flipBoundary(block);
    if (size === 8) return;
    this.flipBoundary(last - 4);
    const bin = binOf(size);
    const head = words[BIN_HEADS_START_WORD + bin];
    words[at + 1] = head;
    words[at + 2] = 0;
    if (head !== 0) {
      words[(head >> 2) + 2] = block;
    } else {
      words[HeaderWord.BinBitmapStart + (bin >> 5)] |= 1 << (bin & 31);
      words[HeaderWord.BinSummary] |= 1 << (bin >> 5);
    }
    words[BIN_HEADS_START_WORD + bin] = block;
  }

  private unlink(block: number, size: number): void {
    const { words } = this;
    this.flipBoundary(block);
    if (size === 8) return;
    this.flipBoundary(block + size - 8);
    const next = words[(block >> 2) + 1];
    const previous = words[(block >> 2) + 2];
    if (next !== 0) words[(next >> 2) + 2] = previous;
    if (previous !== 0) {
      words[(previous >> 2) + 1] = next;
      return;
    }
    const bin = binOf(size);
    words[BIN_HEADS_START_WORD + bin] = next;
    if (next === 0) {
      const group = bin >> 5;
      words[HeaderWord.BinBitmapStart + group] &= ~(1 << (bin & 31));
      if (words[HeaderWord.BinBitmapStart + group] === 0) words[HeaderWord.BinSummary] &= ~(1 << group);
    }
  }

  private nonEmptyBinFrom(bin: number): number {
    if (bin >= BIN_COUNT) return -1;
    const { words } = this;
    let group = bin >> 5;
    const bits = words[HeaderWord.BinBitmapStart + group] & (-1 << (bin & 31));
    if (bits !== 0) return (group << 5) + lowestBit(bits);
    const groups = words[HeaderWord.BinSummary] & (-2 << group);
    if (groups === 0) return -1;
    group = lowestBit(groups);
    return (group << 5) + lowestBit(words[HeaderWord.BinBitmapStart + group]);
  }

  private isBoundary(offset: number): boolean {
    return (this.words[this.bitmapStartWord + (offset >> 8)] & (1 << ((offset >> 3) & 31))) !== 0;
  }

  private flipBoundary(offset: number): void {
    this.words[this.bitmapStartWord + (offset >> 8)] ^= 1 << ((offset >> 3) & 31);
  }

  /** Throws if an invariant of the free lists, the bitmaps or the accounting is broken. For tests. */
  verify(): void {
    const { words } = this;
    const top = words[HeaderWord.ArenaTop];
    let listedBytes = 0;
    let listedBoundaries = 0;
    for (let bin = 0; bin < BIN_COUNT; bin++) {
      const head = words[BIN_HEADS_START_WORD + bin];
      const flagged = (words[HeaderWord.BinBitmapStart + (bin >> 5)] & (1 << (bin & 31))) !== 0;
      if (flagged !== (head !== 0)) throw new Error(`arena: bitmap of bin ${bin} is wrong`);
      let previous = 0;
      for (let block = head; block !== 0; block = words[(block >> 2) + 1]) {
        const size = words[block >> 2];
        const fail = (what: string) => {
          throw new Error(`arena: free block ${block} of ${size} bytes: ${what}`);
        };
        if (binOf(size) !== bin || (block & 7) !== 0) fail('in the wrong class');
        if (block < this.start || block + size >= top) fail('out of range');
        if (words[(block + size - 4) >> 2] !== size) fail('sizes at its ends differ');
        if (words[(block >> 2) + 2] !== previous) fail('wrong back link');
        if (!this.isBoundary(block) || !this.isBoundary(block + size - 8)) fail('boundary bits missing');
        if (this.isBoundary(block + size)) fail('its right neighbour is free too');
        previous = block;
        listedBytes += size;
        listedBoundaries += 2;
      }
    }
    let boundaries = 0;
    for (let offset = this.start; offset < top; offset += 8) if (this.isBoundary(offset)) boundaries++;
    const unlistedBytes = (boundaries - listedBoundaries) * 8;
    if (listedBytes + unlistedBytes + this.usedBytes !== top - this.start) {
      throw new Error(
        `arena: free ${listedBytes} + ${unlistedBytes}, used ${this.usedBytes}, extent ${top - this.start}`,
      );
    }
  }
}
