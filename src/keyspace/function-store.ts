/**
 * The sources of all libraries of functions, which every thread compiles by itself. They change rarely and all at once: each
 * change puts a new image in place of the old one, and a new number tells the threads to look.
 *
 *   memory: an arena (memory/arena.ts), whose lock guards all of this
 *   image: for each library a length, int32, and the source, padded to a multiple of 4 bytes
 *
 * A snapshot keeps the image of its moment (`pin`), until the next one.
 */

import { Arena } from '../memory/arena.js';
import { acquireLock, releaseLock } from '../memory/lock.js';
import { HeaderWord, ShardMemory } from '../memory/shard-memory.js';

/** Address space for sources, a bound of what clients can load; the operating system commits what is used. */
const MEMORY_BYTES = 256 << 20;

/** Words in the part of the header where a shard has its databases' numbers. */
const enum StoreWord {
  Generation = 128,
  Image = 129,
  ImageBytes = 130,
  Pinned = 131,
  PinnedBytes = 132,
  Libraries = 133,
  Functions = 134,
}

export class FunctionStore {
  private readonly memory: ShardMemory;
  private readonly words: Int32Array;
  private readonly arena: Arena;

  constructor(handle: SharedArrayBuffer) {
    this.memory = new ShardMemory(handle);
    this.words = this.memory.words;
    this.arena = new Arena(this.memory);
  }

  static create(memoryBytes = MEMORY_BYTES): SharedArrayBuffer {
    return ShardMemory.create(memoryBytes, 0).buffer;
  }

  /** Incremented with each change. */
  get generation(): number {
    return Atomics.load(this.words, StoreWord.Generation);
  }

  get libraryCount(): number {
    return this.words[StoreWord.Libraries];
  }

  get functionCount(): number {
    return this.words[StoreWord.Functions];
  }

  /** Bytes of sources, including those kept for a snapshot. */
  get usedBytes(): number {
    return this.arena.usedBytes;
  }

  /** Copies of the sources of all libraries. */
  sources(): Uint8Array[] {
    const { words } = this;
    this.lock();
    const sources = this.read(words[StoreWord.Image], words[StoreWord.ImageBytes]);
    this.unlock();
    return sources;
  }

  /** Copies of the sources as of the last snapshot. */
  pinnedSources(): Uint8Array[] {
    const { words } = this;
    this.lock();
    const sources = this.read(words[StoreWord.Pinned], words[StoreWord.PinnedBytes]);
    this.unlock();
    return sources;
  }

  private read(image: number, lengthBytes: number): Uint8Array[] {
    const { words, bytes } = this.memory;
    const sources: Uint8Array[] = [];
    for (let at = image; at < image + lengthBytes; ) {
      const length = words[at >> 2];
      sources.push(bytes.slice(at + 4, at + 4 + length));
      at += recordBytes(length);
    }
    return sources;
  }

  /**
   * Replaces all libraries. The caller holds the locks of all shards, or no other thread uses the keyspace. Returns
   * false, with nothing changed, if there is no memory.
   */
  replace(sources: readonly Uint8Array[], functionCount: number): boolean {
    const { words, memory } = this;
    const lengthBytes = sources.reduce((sum, { length }) => sum + recordBytes(length), 0);
    this.lock();
    let image = 0;
    if (lengthBytes > 0) {
      image = this.arena.allocate(lengthBytes);
      if (image === 0) {
        this.unlock();
        return false;
      }
    }
    let at = image;
    for (const source of sources) {
      words[at >> 2] = source.length;
      memory.bytes.set(source, at + 4);
      at += recordBytes(source.length);
    }
    const isPinned = words[StoreWord.Image] === words[StoreWord.Pinned];
    if (!isPinned) this.free(words[StoreWord.Image], words[StoreWord.ImageBytes]);
    words[StoreWord.Image] = image;
    words[StoreWord.ImageBytes] = lengthBytes;
    words[StoreWord.Libraries] = sources.length;
    words[StoreWord.Functions] = functionCount;
    Atomics.add(words, StoreWord.Generation, 1);
    this.unlock();
    return true;
  }

  /** Keeps the present sources for a snapshot. The locks of all shards are held. */
  pin(): void {
    const { words } = this;
    this.lock();
    const image = words[StoreWord.Image];
    if (words[StoreWord.Pinned] !== image) this.free(words[StoreWord.Pinned], words[StoreWord.PinnedBytes]);
    words[StoreWord.Pinned] = image;
    words[StoreWord.PinnedBytes] = words[StoreWord.ImageBytes];
    this.unlock();
  }

  private free(image: number, lengthBytes: number): void {
    if (image !== 0) this.arena.free(image, lengthBytes);
  }

  private lock(): void {
    acquireLock(this.words, HeaderWord.Lock);
  }

  private unlock(): void {
    releaseLock(this.words, HeaderWord.Lock);
  }
}

function recordBytes(sourceBytes: number): number {
  return 4 + ((sourceBytes + 3) & ~3);
}
