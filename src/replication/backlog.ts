/**
 * What the replication thread keeps of the journal for replicas: the last `repl-backlog-size` bytes, for those that
 * reconnect, and what has not been sent yet to a connected replica. Positions are those of the journal.
 */

import { moveMany } from '../structures/copy.js';

const CHUNK_BYTES = 256 * 1024;
/** Buffers of dropped chunks that are kept for new ones: fresh memory costs more than the copy into it. */
const SPARE_CHUNKS_MAX = 8;

interface Chunk {
  readonly start: number;
  readonly bytes: Buffer;
  length: number;
}

export class Backlog {
  private chunks: Chunk[] = [];
  private readonly spares: Buffer[] = [];
  /** Position behind the last byte. */
  end = 0;

  /** Forgets everything; what comes next is at `position`. */
  reset(position: number): void {
    this.chunks = [];
    this.end = position;
  }

  /** The first position that is there. */
  get start(): number {
    return this.chunks.length === 0 ? this.end : this.chunks[0].start;
  }

  get keptBytes(): number {
    return this.end - this.start;
  }

  append(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      let last = this.chunks.at(-1);
      if (last === undefined || last.length === last.bytes.length) {
        const buffer = this.spares.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
        last = { start: this.end, bytes: buffer, length: 0 };
        this.chunks.push(last);
      }
      const length = Math.min(bytes.length - done, last.bytes.length - last.length);
      moveMany(last.bytes, last.length, bytes, done, length);
      last.length += length;
      this.end += length;
      done += length;
    }
  }

  /**
   * Drops the bytes that are before `needed` and not within the last `keptBytes`. Their buffers are used again: whoever has
   * read bytes before `needed` must be done with them.
   */
  trim(needed: number, keptBytes: number): void {
    const until = Math.min(needed, this.end - keptBytes);
    let count = 0;
    while (count < this.chunks.length && this.chunks[count].start + this.chunks[count].bytes.length <= until)
      count++;
    if (count === 0) return;
    for (const { bytes } of this.chunks.splice(0, count)) {
      if (this.spares.length < SPARE_CHUNKS_MAX) this.spares.push(bytes);
    }
  }

  has(position: number): boolean {
    return position >= this.start && position <= this.end;
  }

  /** The bytes from a position that is there, as one piece; empty at the end. They stay until `trim` drops them. */
  read(position: number): Buffer {
    let index = this.chunks.length - 1;
    while (index > 0 && this.chunks[index].start > position) index--;
    const chunk = this.chunks[index];
    if (chunk === undefined || position >= this.end) return Buffer.alloc(0);
    return chunk.bytes.subarray(position - chunk.start, chunk.length);
  }
}
