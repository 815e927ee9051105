/**
 * What the replication thread keeps of the journal for replicas: the last `repl-backlog-size` bytes, for those that
 * reconnect, and what has not been sent yet to a connected replica. Positions are those of the journal.
 */

const CHUNK_BYTES = 256 * 1024;

interface Chunk {
  readonly start: number;
  readonly bytes: Buffer;
  length: number;
}

export class Backlog {
  private chunks: Chunk[] = [];
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
        last = { start: this.end, bytes: Buffer.allocUnsafeSlow(CHUNK_BYTES), length: 0 };
        this.chunks.push(last);
      }
      const length = Math.min(bytes.length - done, last.bytes.length - last.length);
      last.bytes.set(bytes.subarray(done, done + length), last.length);
      last.length += length;
      this.end += length;
      done += length;
    }
  }

  /** Drops the bytes that are before `needed` and not within the last `keptBytes`. */
  trim(needed: number, keptBytes: number): void {
    const until = Math.min(needed, this.end - keptBytes);
    let count = 0;
    while (count < this.chunks.length && this.chunks[count].start + this.chunks[count].bytes.length <= until)
      count++;
    if (count > 0) this.chunks.splice(0, count);
  }

  has(position: number): boolean {
    return position >= this.start && position <= this.end;
  }

  /** The bytes from a position that is there, as one piece; empty at the end. They are never changed. */
  read(position: number): Buffer {
    let index = this.chunks.length - 1;
    while (index > 0 && this.chunks[index].start > position) index--;
    const chunk = this.chunks[index];
    if (chunk === undefined || position >= this.end) return Buffer.alloc(0);
    return chunk.bytes.subarray(position - chunk.start, chunk.length);
  }
}
