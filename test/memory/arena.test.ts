import t from 'tap';
import { Arena, blockBytes } from '../../src/memory/arena.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { Random } from '../tools/random.js';

interface Block {
  offset: number;
  lengthBytes: number;
  stamp: number;
}

/** An arena of `arenaBytes`, and what must be in its blocks. */
class Model {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly blocks: Block[] = [];
  private stamps = 0;

  constructor(arenaBytes: number) {
    this.memory = ShardMemory.create(8 << 20, 1);
    const { words } = this.memory;
    words[HeaderWord.ArenaEnd] = words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
  }

  add(offset: number, lengthBytes: number): void {
    const block = { offset, lengthBytes, stamp: ++this.stamps & 0xff };
    this.memory.bytes.fill(block.stamp, offset, offset + lengthBytes);
    this.blocks.push(block);
  }

  remove(index: number): Block {
    const block = this.blocks[index]!;
    this.check(block);
    this.blocks[index] = this.blocks[this.blocks.length - 1]!;
    this.blocks.pop();
    return block;
  }

  check(block: Block): void {
    for (let at = block.offset; at < block.offset + block.lengthBytes; at++) {
      if (this.memory.bytes[at] !== block.stamp) throw new Error(`block ${block.offset} was overwritten`);
    }
  }

  /** The arena's own invariants, its accounting, and that no two blocks overlap. */
  verify(): void {
    this.arena.verify();
    let used = 0;
    for (const block of this.blocks) used += blockBytes(block.lengthBytes);
    if (used !== this.arena.usedBytes) throw new Error(`used ${this.arena.usedBytes}, expected ${used}`);
  }
}

function randomLength(random: Random): number {
  return random.chance(0.8) ? random.between(1, 200) : random.between(1, 9000);
}

function step(model: Model, random: Random): void {
  const { arena, blocks, memory } = model;
  const choice = random.below(100);
  if (choice < 45 || blocks.length === 0) {
    const lengthBytes = randomLength(random);
    const hasRoom = arena.hasRoom(lengthBytes);
    const offset = arena.allocate(lengthBytes);
    if (offset === 0 && hasRoom) throw new Error(`promised ${lengthBytes} bytes are not there`);
    if (offset === 0) return;
    if ((offset & 7) !== 0) throw new Error('not aligned');
    model.add(offset, lengthBytes);
  } else if (choice < 52) {
    const lengthBytes = random.pick([64, 128, 320, 4160]);
    const offset = arena.allocateLines(lengthBytes);
    if ((offset & 63) !== 0) throw new Error('not at a line');
    if (offset !== 0) model.add(offset, lengthBytes);
  } else if (choice < 90) {
    const block = model.remove(random.below(blocks.length));
    arena.free(block.offset, block.lengthBytes);
  } else {
    const block = blocks[random.below(blocks.length)]!;
    const wanted = randomLength(random);
    const shrinks = blockBytes(wanted) <= blockBytes(block.lengthBytes);
    const done = arena.resizeInPlace(block.offset, block.lengthBytes, wanted);
    if (shrinks && !done) throw new Error('a block could not shrink');
    if (!done) return;
    const kept = Math.min(wanted, block.lengthBytes);
    model.check({ ...block, lengthBytes: kept });
    memory.bytes.fill(block.stamp, block.offset, block.offset + wanted);
    block.lengthBytes = wanted;
  }
}

for (const arenaBytes of [16 * 1024, 256 * 1024]) {
  t.test(`random steps in ${arenaBytes} bytes`, async (t) => {
    const seed = Date.now() % 1_000_000;
    const random = new Random(seed);
    const model = new Model(arenaBytes);
    try {
      for (let count = 0; count < 20_000; count++) {
        step(model, random);
        model.verify();
        if (count % 5000 === 4999) {
          for (const block of model.blocks) model.check(block);
          if (random.chance(0.5)) {
            model.blocks.length = 0;
            model.arena.reset();
          }
        }
      }
      for (const block of model.blocks) model.check(block);
      while (model.blocks.length > 0) {
        const block = model.remove(random.below(model.blocks.length));
        model.arena.free(block.offset, block.lengthBytes);
        model.verify();
      }
      t.equal(model.arena.usedBytes, 0);
      t.equal(model.arena.freeBytes, 0, 'everything has coalesced');
      const all = model.arena.allocate(arenaBytes);
      t.not(all, 0);
      t.equal(model.arena.allocate(1), 0);
    } catch (error) {
      t.fail(`seed ${seed}: ${(error as Error).message}`);
    }
  });
}

t.test('promised room is there in pieces too', async (t) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const model = new Model(64 * 1024);
  let promises = 0;
  for (let round = 0; round < 5000; round++) {
    step(model, random);
    const wanted = random.between(64, 6000) & ~7;
    if (!model.arena.hasRoom(wanted)) continue;
    promises++;
    const pieces: Block[] = [];
    for (let left = wanted; left >= 16; ) {
      let lengthBytes = Math.min(left, random.between(16, 1500) & ~7);
      if (left - lengthBytes < 16) lengthBytes = left;
      const offset = model.arena.allocate(lengthBytes);
      if (offset === 0) {
        t.fail(`seed ${seed}: ${lengthBytes} of the last ${left} bytes of ${wanted} are missing`);
        return;
      }
      pieces.push({ offset, lengthBytes, stamp: 0 });
      left -= lengthBytes;
    }
    for (const { offset, lengthBytes } of pieces) model.arena.free(offset, lengthBytes);
    model.verify();
  }
  t.ok(promises > 500, `seed ${seed}`);
});

t.test('overwriting with other sizes does not fragment without bound', async (t) => {
  const random = new Random(5);
  const model = new Model(4 << 20);
  const { arena } = model;
  const lengths: number[] = [];
  const offsets: number[] = [];
  for (let index = 0; index < 2000; index++) {
    lengths.push(random.between(16, 1000));
    offsets.push(arena.allocate(lengths[index]!));
  }
  for (let round = 0; round < 200_000; round++) {
    const index = random.below(2000);
    arena.free(offsets[index]!, lengths[index]!);
    lengths[index] = random.between(16, 1000);
    offsets[index] = arena.allocate(lengths[index]!);
  }
  t.notOk(offsets.includes(0));
  t.ok(arena.freeBytes < arena.usedBytes / 4, `${arena.freeBytes} free, ${arena.usedBytes} used`);
});

t.test('unused pages do not overlap blocks', async (t) => {
  const random = new Random(6);
  const model = new Model(2 << 20);
  for (let index = 0; index < 300; index++) {
    const lengthBytes = random.between(1, 12_000);
    const offset = model.arena.allocate(lengthBytes);
    if (offset !== 0) model.add(offset, lengthBytes);
  }
  for (let index = 0; index < 200; index++) {
    const block = model.remove(random.below(model.blocks.length));
    model.arena.free(block.offset, block.lengthBytes);
  }
  let pages = 0;
  model.arena.forEachUnusedPageRun((offset, lengthBytes) => {
    t.equal(offset % 4096, 0);
    pages += lengthBytes / 4096;
    // As the operating system does it when a page is given back.
    model.memory.bytes.fill(0, offset, offset + lengthBytes);
  });
  t.ok(pages > 0);
  model.verify();
  for (const block of model.blocks) model.check(block);
  t.equal(model.blocks.length > 0, true);
});
