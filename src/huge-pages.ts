/**
 * Large pages for the shards. Random access over gigabytes spends much of its time on address translation,
 * and a page of 2 MiB needs 512 times fewer translations.
 *
 * Asking for large pages up front would commit 2 MiB where a shard needs a few KiB. So each worker watches
 * the arenas of its own shards grow and, when half of a large page's 2 MiB are in use, has the kernel put them
 * on one (MADV_COLLAPSE, Linux 6.1); an older kernel refuses, and the shard stays on small pages. It also fails
 * now and then for no lasting reason: while the kernel holds one of the small pages, say.
 */

import { HeaderWord, type ShardMemory } from './memory/shard-memory.js';
import { Errno, type Libc } from './network/libc.js';

const HUGE_PAGE_BYTES = 2 << 20;
const MADV_COLLAPSE = 25;
const MADV_DONTNEED = 4;
/** What of a large page has to be in use. */
const USED_BYTES_MIN = HUGE_PAGE_BYTES / 2;
/** In so many steps a page is tried before it stays as it is. */
const TRIES_MAX = 5;

export class HugePages {
  private readonly libc: Libc;
  private readonly memories: readonly ShardMemory[];
  private readonly starts: number[];
  /** Addresses up to which each shard is on large pages. */
  private readonly collapsedTo: number[];
  /** Steps in a row that have failed, and whether that is for good. */
  private failures = 0;
  private isRefused = false;

  /** `memories`: the shards that the calling worker keeps house for. */
  constructor(libc: Libc, memories: readonly ShardMemory[]) {
    this.libc = libc;
    this.memories = memories;
    this.starts = memories.map((memory) => libc.addressOf(memory.bytes));
    this.collapsedTo = memories.map((memory, index) => {
      const arenaStart = this.starts[index] + memory.words[HeaderWord.ArenaStart];
      const isHalf = arenaStart % HUGE_PAGE_BYTES <= HUGE_PAGE_BYTES - USED_BYTES_MIN;
      return (Math.floor(arenaStart / HUGE_PAGE_BYTES) + (isHalf ? 0 : 1)) * HUGE_PAGE_BYTES;
    });
  }

  /**
   * Makes a large page, if there is one to be made. Returns whether there may be more. It takes 0.2 ms, mostly copying, in
   * virtual machines up to 5 ms, and clients wait.
   */
  step(): boolean {
    if (this.isRefused) return false;
    for (let index = 0; index < this.memories.length; index++) {
      const top = this.starts[index] + this.memories[index].words[HeaderWord.ArenaTop];
      const start = this.starts[index] + this.memories[index].words[HeaderWord.ArenaStart];
      if (top - Math.max(this.collapsedTo[index], start) < USED_BYTES_MIN) continue;
      if (this.libc.madvise(this.collapsedTo[index], HUGE_PAGE_BYTES, MADV_COLLAPSE) !== 0) {
        this.isRefused = this.libc.errno() === Errno.EINVAL;
        this.failures++;
        if (this.isRefused || this.failures < TRIES_MAX) return false;
      }
      this.failures = 0;
      this.collapsedTo[index] += HUGE_PAGE_BYTES;
      return true;
    }
    return false;
  }

  /** Gives pages of a shard that nothing uses back to the operating system. The shard's lock is held. */
  release(memory: ShardMemory, offset: number, lengthBytes: number): void {
    this.libc.madvise(this.libc.addressOf(memory.bytes) + offset, lengthBytes, MADV_DONTNEED);
    const index = this.memories.indexOf(memory);
    if (index < 0) return;
    const from = this.starts[index] + offset;
    const page = Math.floor(from / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES;
    this.collapsedTo[index] = Math.min(this.collapsedTo[index], page);
  }
}
