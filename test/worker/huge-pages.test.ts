/** What is asked of the kernel for large pages while an arena grows and shrinks: a recording C library. */

import t from 'tap';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { Errno, type Libc } from '../../src/system/libc.js';
import { HugePages } from '../../src/worker/huge-pages.js';
import { Random } from '../tools/random.js';

const PAGE_BYTES = 2 << 20;
const SMALL_PAGE_BYTES = 4096;
const MIB = 1 << 20;
const SHARD_BYTES = 192 * MIB;

const enum Advice {
  DontNeed = 4,
  HugePage = 14,
  NoHugePage = 15,
  Collapse = 25,
}

/** A kernel that remembers what it was told of each large page. */
class Kernel {
  readonly collapsed = new Set<number>();
  readonly advised = new Set<number>();
  readonly withdrawn = new Set<number>();
  refusal = 0;
  givenBackBytes = 0;

  constructor(private readonly start: number) {}

  madvise(address: number, lengthBytes: number, advice: Advice): number {
    if (advice === Advice.DontNeed) {
      if (address % SMALL_PAGE_BYTES !== 0) throw new Error('not the start of a page');
      if (address < this.start || address + lengthBytes > this.start + SHARD_BYTES)
        throw new Error('not ours');
      this.givenBackBytes += lengthBytes;
      return 0;
    }
    if (address % PAGE_BYTES !== 0 || lengthBytes % PAGE_BYTES !== 0) throw new Error('no whole pages');
    for (let page = address; page < address + lengthBytes; page += PAGE_BYTES) {
      if (page + PAGE_BYTES > this.start + SHARD_BYTES) throw new Error('behind the shard');
      if (advice === Advice.Collapse) {
        // As Linux has it.
        if (this.withdrawn.has(page)) this.refusal = Errno.EINVAL;
        if (this.refusal !== 0) return -1;
        this.collapsed.add(page);
      } else if (advice === Advice.HugePage) {
        this.advised.add(page);
        this.withdrawn.delete(page);
      } else if (advice === Advice.NoHugePage) {
        this.advised.delete(page);
        this.withdrawn.add(page);
      }
    }
    return 0;
  }

  libc(): Libc {
    const calls = {
      addressOf: () => this.start,
      madvise: (address: number, lengthBytes: number, advice: Advice) =>
        this.madvise(address, lengthBytes, advice),
      errno: () => this.refusal,
    };
    return calls as Partial<Libc> as Libc;
  }
}

/** A shard whose buffer begins at an address that is no page's. */
function newShard(startOffset: number, isAdviceTaken = true) {
  const memory = ShardMemory.create(SHARD_BYTES, 1);
  const start = 64 * PAGE_BYTES + startOffset;
  const kernel = new Kernel(start);
  const pages = new HugePages(kernel.libc(), [memory], isAdviceTaken);
  const arenaStart = start + memory.words[HeaderWord.ArenaStart]!;
  const setTop = (bytes: number): void => {
    memory.words[HeaderWord.ArenaTop] = memory.words[HeaderWord.ArenaStart]! + bytes;
  };
  return { memory, kernel, pages, arenaStart, setTop };
}

t.test(
  'a small shard is put on large pages that are half in use, a larger one gets them at once',
  async (t) => {
    const seed = Date.now() % 1_000_000;
    const random = new Random(seed);
    for (let round = 0; round < 20; round++) {
      const { kernel, pages, arenaStart, setTop } = newShard(random.below(PAGE_BYTES) & ~4095);
      const advisedFrom = Math.min(...kernel.advised);
      const pageOf = (address: number): number => address - (address % PAGE_BYTES);
      for (let step = 0; step < 50; step++) {
        const topBytes = random.below(random.chance(0.5) ? 70 * MIB : 160 * MIB);
        setTop(topBytes);
        kernel.collapsed.clear();
        while (pages.step());
        const top = arenaStart + topBytes;
        for (const page of kernel.collapsed) {
          if (page >= advisedFrom || top - Math.max(page, arenaStart) < PAGE_BYTES / 2)
            throw new Error(`seed ${seed}: collapsed too early`);
        }
        for (let page = advisedFrom; page < arenaStart + 160 * MIB; page += PAGE_BYTES) {
          if (kernel.advised.has(page) !== page >= pageOf(top))
            throw new Error(`seed ${seed}: the page at ${page}, with the top at ${top}`);
        }
      }
      t.ok(advisedFrom - arenaStart > 60 * MIB && advisedFrom - arenaStart <= 66 * MIB);
    }
  },
);

t.test('while a dataset is loaded, what it will need is advised, and no more', async (t) => {
  const { kernel, pages, arenaStart, setTop } = newShard(0);
  const advisedAtStart = kernel.advised.size;
  const end = 30 * MIB + PAGE_BYTES / 2;
  for (let share = 0; share <= 1; share += 0.01) {
    // A tenth is there before the first key.
    setTop(end * (0.1 + 0.9 * share));
    pages.followLoading(share);
    t.ok(share < 0.1 || kernel.advised.size > advisedAtStart + 10, `${share}`);
  }
  setTop(end);
  const last = Math.max(...[...kernel.advised].filter((page) => page < arenaStart + 60 * MIB)) + PAGE_BYTES;
  t.ok(last <= arenaStart + end && last > arenaStart + end - PAGE_BYTES);
  while (pages.step());
  t.equal(kernel.refusal, 0);
  t.ok(kernel.collapsed.size >= 15);
});

t.test('a shard that does not begin with a page gives back the pages within', async (t) => {
  const { memory, kernel, pages } = newShard(64);
  pages.release(memory, 0, MIB);
  t.equal(kernel.givenBackBytes, MIB - SMALL_PAGE_BYTES);
  pages.release(memory, 64, SMALL_PAGE_BYTES);
  t.equal(kernel.givenBackBytes, MIB - SMALL_PAGE_BYTES, 'no page is all within');
});

t.test('pages given back are put on large pages again', async (t) => {
  const { memory, kernel, pages, setTop } = newShard(4096);
  setTop(5 * MIB);
  while (pages.step());
  const made = [...kernel.collapsed];
  t.ok(made.length >= 2);
  kernel.collapsed.clear();
  t.notOk(pages.step());
  pages.release(memory, memory.words[HeaderWord.ArenaStart]!, 5 * MIB);
  while (pages.step());
  t.same([...kernel.collapsed], made);
});

t.test(
  'a kernel that does not know how is not asked again; one that can not now is, some times',
  async (t) => {
    const { kernel, pages, setTop } = newShard(0);
    setTop(7 * MIB);
    kernel.refusal = Errno.EAGAIN;
    t.same(
      [1, 2, 3, 4, 5].map(() => pages.step()),
      [false, false, false, false, true],
    );
    kernel.refusal = 0;
    t.ok(pages.step());
    kernel.refusal = Errno.EINVAL;
    t.notOk(pages.step());
    kernel.refusal = 0;
    t.notOk(pages.step());
    t.equal(kernel.collapsed.size, 1);
  },
);

t.test('without the kernel taking advice, all of a shard is put on large pages', async (t) => {
  const { kernel, pages, setTop } = newShard(0, false);
  setTop(160 * MIB);
  while (pages.step());
  t.equal(kernel.advised.size, 0);
  t.ok(kernel.collapsed.size >= 79, `${kernel.collapsed.size} pages`);
});
