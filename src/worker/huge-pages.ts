/**
 * Large pages for the shards. Random access over gigabytes spends much of its time on address translation,
 * and a page of 2 MiB needs 512 times fewer translations.
 *
 * A large page commits 2 MiB, too much for a shard that needs a few KiB, and on average 1 MiB of the last one is never
 * used. So there are two ways to them:
 *
 *   arena start       64 MiB behind it    the top, in whole pages
 *   +------------------+------------------+-----------------------------------------------+
 *   | put on large     | no advice:       | MADV_HUGEPAGE: the first touch makes a large  |
 *   | pages            | stays as it is   | page, with one fault instead of 512           |
 *   +------------------+------------------+-----------------------------------------------+
 *
 * While a shard is small, each worker watches the arenas of its own shards grow and, when half of a large page's 2 MiB are
 * in use, has the kernel put them on one (MADV_COLLAPSE, Linux 6.1): copying takes a while, but nothing is
 * committed that is not about to be used. An older kernel refuses, and the memory stays on small pages. It also
 * fails now and then for no lasting reason: while the kernel holds one of the small pages, say.
 * Where the system's setting is `never`, a first touch makes no large page, and all of a shard is put on them in this way.
 *
 * While the dataset is loaded, the final size of each shard can be estimated. The memory below it is advised as well:
 * copying would take a quarter of the time.
 *
 * The memory behind the beginning is advised from the start, and the advice is withdrawn as the arena grows over it:
 * otherwise the kernel would gradually fill up pages in it that were given back.
 */

import { readFileSync } from 'node:fs';
import { HeaderWord, type ShardMemory } from '../memory/shard-memory.js';
import { Errno, type Libc } from '../system/libc.js';

const SYSTEM_SETTING = '/sys/kernel/mm/transparent_hugepage/enabled';
const HUGE_PAGE_BYTES = 2 << 20;
const PAGE_BYTES = 4096;
const MADV_COLLAPSE = 25;
const MADV_HUGEPAGE = 14;
const MADV_NOHUGEPAGE = 15;
const MADV_DONTNEED = 4;
/** Size of an arena's beginning, which is put on large pages only after it was touched. */
const SMALL_SHARD_BYTES = 64 << 20;
/** Share of a dataset that has to be loaded before the rest can be estimated from it. */
const LOADED_SHARE_MIN = 0.03;
/** How much of a large page has to be in use before it is made. */
const USED_BYTES_MIN = HUGE_PAGE_BYTES / 2;
/** Attempts at a large page before its memory is left on small pages. */
const TRIES_MAX = 5;

export class HugePages {
  private readonly libc: Libc;
  private readonly memories: readonly ShardMemory[];
  private readonly starts: number[];
  /** Where each shard's first page begins that is to be a large one. */
  private readonly firstPages: number[];
  /** Addresses up to which each shard's beginning is on large pages, at most to `advisedFrom`. */
  private readonly collapsedTo: number[];
  /** Addresses from which on each shard was advised, and those up to which the advice is withdrawn. */
  private readonly advisedFrom: number[];
  private readonly withdrawnTo: number[];
  /** Up to where the beginning is advised while loading; the loaded share and the arenas' tops when that was begun. */
  private readonly expectedTo: number[];
  private loadedFrom = -1;
  private topsThen: number[] = [];
  /** Steps in a row that have failed, and whether that is for good. */
  private failures = 0;
  private isRefused = false;

  /** `memories`: the shards that the calling worker keeps house for. */
  constructor(libc: Libc, memories: readonly ShardMemory[], isAdviceTaken = isAdviceTakenHere()) {
    this.libc = libc;
    this.memories = memories;
    this.starts = memories.map((memory) => libc.addressOf(memory.bytes));
    this.firstPages = memories.map((memory, index) => {
      const arenaStart = this.starts[index] + memory.words[HeaderWord.ArenaStart];
      const isHalf = arenaStart % HUGE_PAGE_BYTES <= HUGE_PAGE_BYTES - USED_BYTES_MIN;
      return pageOf(arenaStart) + (isHalf ? 0 : HUGE_PAGE_BYTES);
    });
    this.collapsedTo = [...this.firstPages];
    this.expectedTo = [...this.firstPages];
    const ends = memories.map(({ words }, index) => pageOf(this.starts[index] + words[HeaderWord.ArenaEnd]));
    this.advisedFrom = ends.map((end, index) =>
      isAdviceTaken ? Math.min(this.firstPages[index] + SMALL_SHARD_BYTES, end) : end,
    );
    this.withdrawnTo = [...this.advisedFrom];
    for (const [index, end] of ends.entries()) this.advise(this.advisedFrom[index], end, MADV_HUGEPAGE);
  }

  /** Called when `share` of the dataset is loaded: advises the memory that the rest will need in the beginnings. */
  followLoading(share: number): void {
    if (share < LOADED_SHARE_MIN) return;
    // Tables for all keys are made before the first key is loaded, so growth is measured from here on.
    if (this.loadedFrom < 0) {
      this.loadedFrom = share;
      this.topsThen = this.memories.map((_, index) => this.topOf(index));
    }
    const loaded = share - this.loadedFrom;
    if (loaded < LOADED_SHARE_MIN) return;
    for (const [index, then] of this.topsThen.entries()) {
      const expected = then + ((this.topOf(index) - then) * (1 - this.loadedFrom)) / loaded;
      const end = Math.min(pageOf(expected), this.advisedFrom[index]);
      this.advise(this.expectedTo[index], end, MADV_HUGEPAGE);
      this.expectedTo[index] = Math.max(this.expectedTo[index], end);
    }
  }

  private topOf(index: number): number {
    return this.starts[index] + this.memories[index].words[HeaderWord.ArenaTop];
  }

  /**
   * Makes a large page of small ones, if there is one to be made. Returns whether there may be more. It takes 0.2 ms, mostly
   * copying, in virtual machines up to 5 ms, and clients wait.
   */
  step(): boolean {
    let isMade = false;
    for (let index = 0; index < this.memories.length; index++) {
      const top = this.topOf(index);
      this.withdrawAdvice(index, top);
      if (!isMade && !this.isRefused) isMade = this.collapse(index, top);
    }
    return isMade;
  }

  /** Withdraws the advice for memory that is below the top now, or repeats it for memory that no longer is. */
  private withdrawAdvice(index: number, top: number): void {
    const withdrawn = this.withdrawnTo[index];
    const page = Math.max(pageOf(top), this.advisedFrom[index]);
    if (page > withdrawn) this.advise(withdrawn, page, MADV_NOHUGEPAGE);
    else this.advise(page, withdrawn, MADV_HUGEPAGE);
    this.withdrawnTo[index] = page;
  }

  /** Returns whether a page has been made or given up. */
  private collapse(index: number, top: number): boolean {
    const page = this.collapsedTo[index];
    const start = this.starts[index] + this.memories[index].words[HeaderWord.ArenaStart];
    if (page >= this.advisedFrom[index] || top - Math.max(page, start) < USED_BYTES_MIN) return false;
    if (this.libc.madvise(page, HUGE_PAGE_BYTES, MADV_COLLAPSE) !== 0) {
      this.isRefused = this.libc.errno() === Errno.EINVAL;
      this.failures++;
      if (this.isRefused || this.failures < TRIES_MAX) return false;
    }
    this.failures = 0;
    this.collapsedTo[index] += HUGE_PAGE_BYTES;
    return true;
  }

  private advise(from: number, to: number, advice: number): void {
    if (to > from) this.libc.madvise(from, to - from, advice);
  }

  /** Gives pages of a shard that nothing uses back to the operating system. The shard's lock is held. */
  release(memory: ShardMemory, offset: number, lengthBytes: number): void {
    // A shard need not begin with a page.
    const start = this.libc.addressOf(memory.bytes) + offset;
    const first = Math.ceil(start / PAGE_BYTES) * PAGE_BYTES;
    const end = Math.floor((start + lengthBytes) / PAGE_BYTES) * PAGE_BYTES;
    if (end > first) this.libc.madvise(first, end - first, MADV_DONTNEED);
    const index = this.memories.indexOf(memory);
    if (index < 0) return;
    const page = Math.max(pageOf(this.starts[index] + offset), this.firstPages[index]);
    this.collapsedTo[index] = Math.min(this.collapsedTo[index], page);
  }
}

/** Whether the kernel makes large pages where it is advised to: `always [madvise] never`. */
function isAdviceTakenHere(): boolean {
  try {
    return !readFileSync(SYSTEM_SETTING, 'latin1').includes('[never]');
  } catch {
    return false;
  }
}

/** The address of the large page that an address lies in. */
function pageOf(address: number): number {
  return Math.floor(address / HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES;
}
