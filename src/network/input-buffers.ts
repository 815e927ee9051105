/**
 * Buffers for commands that come in more than one piece, of one thread. A fresh buffer costs more than the bytes that
 * are put into it: the system clears each of its pages at the first touch. So used buffers are kept for reuse, until
 * they have not been needed for a while.
 */

import { releasePages } from '../system/page-release.js';

/** Limits of what is kept, in all and per buffer; a larger buffer is given back at once. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;
const BUFFER_KEPT_BYTES_MAX = 4 * 1024 * 1024;
/** How many kept buffers are searched for one of a fitting size. */
const LOOKS_MAX = 16;
/** A kept buffer fits if it is at most so many times as long as what is wanted. */
const FIT_FACTOR = 2;
const PAGE_BYTES = 4096;

/** Bytes, and a view of them. Their initial content is undefined. */
export class InputBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Where the bytes begin; 0 until it is needed. */
  address = 0;

  constructor(lengthBytes: number) {
    // Not cleared.
    const { buffer } = Buffer.allocUnsafeSlow(lengthBytes);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }
}

class InputBufferPool {
  private readonly kept: InputBuffer[] = [];
  private keptBytes = 0;
  /** The lowest `keptBytes` since the last `trim`: this much was not needed in all that time. */
  private unusedBytes = 0;

  /** A buffer of at least `lengthBytes`. */
  take(lengthBytes: number): InputBuffer {
    const { kept } = this;
    const end = Math.max(0, kept.length - LOOKS_MAX);
    for (let index = kept.length - 1; index >= end; index--) {
      const buffer = kept[index];
      const { length } = buffer.bytes;
      if (length < lengthBytes || length > lengthBytes * FIT_FACTOR) continue;
      kept[index] = kept[kept.length - 1];
      kept.pop();
      this.keptBytes -= length;
      if (this.keptBytes < this.unusedBytes) this.unusedBytes = this.keptBytes;
      return buffer;
    }
    return new InputBuffer(Math.ceil(lengthBytes / PAGE_BYTES) * PAGE_BYTES);
  }

  /** Takes back a buffer that is not used any more. */
  give(buffer: InputBuffer): void {
    const { length } = buffer.bytes;
    if (length > BUFFER_KEPT_BYTES_MAX || this.keptBytes + length > KEPT_BYTES_MAX) {
      releasePages(buffer.bytes);
      return;
    }
    this.kept.push(buffer);
    this.keptBytes += length;
  }

  /** Gives the buffers that were not needed since the last call, or with `isForced` all, back to the system. */
  trim(isForced: boolean): void {
    const { kept } = this;
    let leftBytes = isForced ? this.keptBytes : this.unusedBytes;
    // Beginning with those that were given back first.
    let count = 0;
    for (; count < kept.length && leftBytes > 0; count++) {
      const { bytes } = kept[count];
      leftBytes -= bytes.length;
      this.keptBytes -= bytes.length;
      releasePages(bytes);
    }
    kept.splice(0, count);
    this.unusedBytes = this.keptBytes;
  }
}

/** The buffers of this thread. */
export const inputBuffers = new InputBufferPool();
