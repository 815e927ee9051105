/**
 * Memory for output that waits, of one thread. Small amounts are in blocks of 16 KiB, so that a client which is a
 * little late costs little. A queue grows by blocks of its own size, up to 2 MiB: those are mapped apart from the
 * heap, aligned so that each is one large page, because the first touch of a page can cost more than the
 * bytes that are written to it. When they are returned, their memory goes back to the system, except for a few that are
 * kept for reuse; the addresses stay reserved.
 */

import { type Libc, loadLibc } from '../system/libc.js';
import { releasePages } from '../system/page-release.js';

const SMALL_BYTES = 16 * 1024;
const LARGE_BYTES = 2 * 1024 * 1024;
/** Large blocks that are mapped together. */
const LARGE_PER_REGION = 16;
const SPARE_SMALL_MAX = 64;
const SPARE_LARGE_MAX = 2;

const READ_WRITE = 3;
/** MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE */
const ANONYMOUS = 0x4022;
const MADV_DONTNEED = 4;
const MADV_HUGEPAGE = 14;

/** A part of what waits: bytes[start, end). */
export class OutputBlock {
  readonly bytes: Uint8Array;
  start = 0;
  end = 0;
  /** Address of the first byte; 0 until it is needed. */
  private knownAddress: number;
  /** Whether it is a large block, mapped apart from the heap. */
  readonly isMapped: boolean;

  constructor(bytes: Uint8Array, address = 0) {
    this.bytes = bytes;
    this.knownAddress = address;
    this.isMapped = address !== 0;
  }

  /** The address of `bytes`. */
  address(libc: Libc): number {
    if (this.knownAddress === 0) this.knownAddress = libc.addressOf(this.bytes);
    return this.knownAddress;
  }

  get lengthBytes(): number {
    return this.end - this.start;
  }

  /** Bytes that fit behind its end. */
  get roomBytes(): number {
    return this.bytes.length - this.end;
  }
}

class BlockPool {
  private readonly small: OutputBlock[] = [];
  /** Large blocks that are free: `large` with memory, `cold` without. */
  private readonly large: OutputBlock[] = [];
  private readonly cold: OutputBlock[] = [];
  private wasUsed = false;

  /** An empty block for about `wantedBytes`. */
  take(wantedBytes: number): OutputBlock {
    this.wasUsed = true;
    if (wantedBytes <= SMALL_BYTES) return this.small.pop() ?? new OutputBlock(new Uint8Array(SMALL_BYTES));
    if (wantedBytes > LARGE_BYTES / 2) {
      const block = this.large.pop() ?? this.cold.pop() ?? this.map();
      if (block !== null) return block;
    }
    const sizeBytes = 2 ** Math.min(Math.log2(LARGE_BYTES), Math.ceil(Math.log2(wantedBytes)));
    return new OutputBlock(new Uint8Array(Buffer.allocUnsafeSlow(sizeBytes).buffer));
  }

  /** Takes back a block that is not used any more. */
  give(block: OutputBlock): void {
    block.start = 0;
    block.end = 0;
    if (!block.isMapped) {
      if (block.bytes.length === SMALL_BYTES && this.small.length < SPARE_SMALL_MAX) this.small.push(block);
      else releasePages(block.bytes);
    } else if (this.large.length < SPARE_LARGE_MAX) {
      this.large.push(block);
    } else {
      this.cool(block);
    }
  }

  private cool(block: OutputBlock): void {
    const libc = loadLibc() as Libc;
    libc.madvise(block.address(libc), LARGE_BYTES, MADV_DONTNEED);
    this.cold.push(block);
  }

  /** Gives spare memory back to the system, unless some of it was used since the last call or `isForced`. */
  trim(isForced: boolean): void {
    if (!this.wasUsed || isForced) {
      for (const block of this.large.splice(0)) this.cool(block);
      this.small.length = 0;
    }
    this.wasUsed = false;
  }

  /** Maps a region of large blocks; returns one of them, or null where that is not possible. */
  private map(): OutputBlock | null {
    const libc = loadLibc();
    if (libc === null) return null;
    const regionBytes = LARGE_PER_REGION * LARGE_BYTES;
    const region = libc.mmap(0, regionBytes + LARGE_BYTES, READ_WRITE, ANONYMOUS, -1, 0);
    if (region === -1) return null;
    const first = Math.ceil(region / LARGE_BYTES) * LARGE_BYTES;
    libc.madvise(first, regionBytes, MADV_HUGEPAGE);
    for (let index = 0; index < LARGE_PER_REGION; index++) {
      const address = first + index * LARGE_BYTES;
      this.cold.push(new OutputBlock(new Uint8Array(libc.memoryAt(address, LARGE_BYTES)), address));
    }
    return this.cold.pop() as OutputBlock;
  }
}

/** The blocks of this thread. */
export const outputBlocks = new BlockPool();
