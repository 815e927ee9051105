import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { ShardMemory } from '../../src/memory/shard-memory.js';
import { SortedTree, TreeRoot } from '../../src/structures/sorted-tree.js';
import { Random } from '../tools/random.js';

const HEADER_BYTES = 12;

interface Element {
  score: number;
  member: string;
  record: number;
}

function byKey(a: Element, b: Element): number {
  if (a.score !== b.score) return a.score - b.score;
  return Buffer.compare(Buffer.from(a.member, 'latin1'), Buffer.from(b.member, 'latin1'));
}

class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly tree: SortedTree;
  readonly root: number;
  model: Element[] = [];

  constructor(sizeBytes = 16 << 20) {
    this.memory = ShardMemory.create(sizeBytes, 1);
    this.arena = new Arena(this.memory);
    this.tree = new SortedTree(this.memory, this.arena, HEADER_BYTES);
    const block = this.arena.allocate(TreeRoot.WORDS * 4);
    this.root = block >> 2;
    this.memory.words.fill(0, this.root, this.root + TreeRoot.WORDS);
  }

  record(member: string): number {
    const record = this.arena.allocate(HEADER_BYTES + member.length);
    this.memory.words[(record >> 2) + 2] = member.length;
    this.memory.bytes.set(Buffer.from(member, 'latin1'), record + HEADER_BYTES);
    return record;
  }

  insert(score: number, member: string): boolean {
    const element = { score, member, record: this.record(member) };
    if (!this.tree.insert(this.root, score, element.record)) {
      this.arena.free(element.record, HEADER_BYTES + member.length);
      return false;
    }
    let at = this.model.length;
    while (at > 0 && byKey(this.model[at - 1]!, element) > 0) at--;
    this.model.splice(at, 0, element);
    return true;
  }

  free(elements: readonly Element[]): void {
    for (const { record, member } of elements) this.arena.free(record, HEADER_BYTES + member.length);
  }

  remove(rank: number): void {
    const { score, record } = this.model[rank]!;
    this.tree.remove(this.root, score, record);
    this.free(this.model.splice(rank, 1));
  }

  removeRange(rank: number, count: number): void {
    this.free(this.model.splice(rank, count));
    while (count > 0) {
      this.tree.seek(this.root, rank);
      const run = this.tree.runLength(count);
      this.tree.removeHere(this.root, run);
      count -= run;
    }
  }

  move(rank: number, score: number): void {
    const [element] = this.model.splice(rank, 1);
    if (!this.tree.move(this.root, element!.score, element!.record, score)) throw new Error('no memory');
    element!.score = score;
    let at = this.model.length;
    while (at > 0 && byKey(this.model[at - 1]!, element!) > 0) at--;
    this.model.splice(at, 0, element!);
  }

  verify(random: Random): void {
    const { tree, root, model } = this;
    tree.verify(root);
    if (tree.count(root) !== model.length) throw new Error('count');
    if (model.length === 0) return;
    // A walk in order from a random place on.
    let rank = random.below(model.length);
    tree.seek(root, rank);
    let leaf = tree.seekLeaf;
    let index = tree.seekIndex;
    while (leaf !== 0) {
      for (; index < tree.leafCount(leaf); index++, rank++) {
        if (tree.recordAt(leaf, index) !== model[rank]!.record) throw new Error('order');
        if (tree.scoreAt(leaf, index) !== model[rank]!.score) throw new Error('score');
      }
      leaf = tree.nextLeaf(leaf);
      index = 0;
    }
    if (rank !== model.length) throw new Error('walk ended early');
    tree.seekLast(root);
    if (tree.recordAt(tree.seekLeaf, tree.seekIndex) !== model.at(-1)!.record) throw new Error('last');
    for (let probe = 0; probe < 3; probe++) {
      const chosen = random.below(model.length);
      const { score, record } = model[chosen]!;
      if (tree.rankOf(root, score, record) !== chosen) throw new Error('rank');
      const wanted = score + random.between(-1, 1);
      const below = model.filter((element) => element.score < wanted).length;
      const notAbove = model.filter((element) => element.score <= wanted).length;
      if (tree.countBelowScore(root, wanted, false) !== below) throw new Error('below score');
      if (tree.countBelowScore(root, wanted, true) !== notAbove) throw new Error('not above score');
    }
  }
}

function randomMember(random: Random, serial: number): string {
  const prefix = random.pick(['', 'a', 'aaaa', 'aaaaaaaa', '\xff\xff\xff\xff', 'm'.repeat(random.below(20))]);
  return `${prefix}${random.below(1000)}.${serial}`;
}

for (const [seed, scores] of [
  [1, 1_000_000],
  [2, 3],
  [3, 1],
  [4, 100],
] as const) {
  t.test(`a sorted tree agrees with a sorted array, seed ${seed}`, (t) => {
    const random = new Random(seed);
    const subject = new Subject();
    for (let step = 0; step < 6000; step++) {
      const { model } = subject;
      // It grows to some thousand elements and shrinks again, several times.
      const isGrowing = step % 3000 < 1900;
      const dice = random.below(10);
      if (model.length === 0 || (isGrowing ? dice < 8 : dice < 2)) {
        const burst = random.chance(0.02) ? 100 : 1;
        const kind = random.below(3);
        for (let count = 0; count < burst; count++) {
          const last = model.length > 0 ? model.at(-1)!.score : 0;
          const first = model.length > 0 ? model[0]!.score : 0;
          const score = kind === 0 ? random.below(scores) : kind === 1 ? last + count : first - count;
          subject.insert(
            burst > 1 ? score : random.below(scores) / 4,
            randomMember(random, step * 100 + count),
          );
        }
      } else if (dice < 9) {
        subject.remove(random.chance(0.3) ? 0 : random.below(model.length));
        if (!isGrowing && random.chance(0.02) && model.length > 0) {
          const rank = random.below(model.length);
          subject.removeRange(rank, random.below(model.length - rank) + 1);
        }
      } else {
        const rank = random.below(model.length);
        subject.move(rank, random.chance(0.5) ? model[rank]!.score + 1 : random.below(scores) / 4);
      }
      subject.verify(random);
    }
    while (subject.model.length > 0) {
      subject.remove(random.below(subject.model.length));
      if (random.chance(0.1)) subject.verify(random);
    }
    subject.verify(random);
    subject.arena.verify();
    t.equal(subject.arena.usedBytes, 16, 'every node and record is freed');
    t.end();
  });
}

t.test('members are looked up by bytes where all scores are the same', (t) => {
  const random = new Random(5);
  const subject = new Subject();
  for (let serial = 0; serial < 3000; serial++) subject.insert(1.5, randomMember(random, serial));
  for (let probe = 0; probe < 500; probe++) {
    const text = random.chance(0.5) ? random.pick(subject.model).member : randomMember(random, 9999);
    const wanted = Buffer.from(text, 'latin1');
    const bytes = new Uint8Array(wanted.length + 3);
    bytes.set(wanted, 3);
    const view = new DataView(bytes.buffer);
    for (const orEqual of [false, true]) {
      const expected = subject.model.filter(
        ({ member }) => Buffer.compare(Buffer.from(member, 'latin1'), wanted) < (orEqual ? 1 : 0),
      ).length;
      const { tree, root } = subject;
      if (tree.countBelowMember(root, bytes, view, 3, wanted.length, orEqual) !== expected) {
        t.fail(`count below ${text}`);
      }
    }
  }
  t.end();
});

t.test('elements that come in order fill their nodes', (t) => {
  for (const direction of [1, -1]) {
    const subject = new Subject(64 << 20);
    const elements = 20_000;
    for (let score = 0; score < elements; score++) subject.insert(direction * score, `m${score}`);
    subject.tree.verify(subject.root);
    t.ok(subject.tree.nodeBytes(subject.root) < elements * 13.5, `direction ${direction}`);
  }
  t.end();
});

t.test('a tree is released in steps', (t) => {
  const subject = new Subject();
  const random = new Random(6);
  for (let serial = 0; serial < 5000; serial++) subject.insert(random.below(1000), `m${serial}`);
  const bytes = subject.tree.nodeBytes(subject.root);
  const before = subject.arena.usedBytes;
  let steps = 0;
  while (!subject.tree.releaseSome(subject.root, 10)) steps++;
  t.ok(steps > 5);
  t.equal(subject.arena.usedBytes, before - bytes);
  t.equal(subject.tree.count(subject.root), 0);
  subject.arena.verify();
  t.end();
});

t.test('a full arena refuses and changes nothing', (t) => {
  const subject = new Subject(2 << 20);
  const random = new Random(7);
  for (let serial = 0; serial < 20_000; serial++) subject.insert(random.below(1000), `m${serial}`);
  const filler: number[] = [];
  for (const lengthBytes of [4096, 1024, 256, 64]) {
    for (;;) {
      const block = subject.arena.allocate(lengthBytes);
      if (block === 0) break;
      filler.push(block);
    }
  }
  const few = subject.model.slice(-200).map(({ record, member }) => ({ record, member, score: 0 }));
  let refused = 0;
  for (let attempt = 0; attempt < 200; attempt++) {
    const used = subject.arena.usedBytes;
    const spare = few.pop()!;
    const rank = subject.model.findIndex(({ record }) => record === spare.record);
    const { score, record, member } = subject.model[rank]!;
    // Room for a record, but none for nodes.
    subject.tree.remove(subject.root, score, record);
    const freed = used - subject.arena.usedBytes;
    const wanted = random.below(1000);
    const isIn = subject.tree.insert(subject.root, wanted, record);
    subject.model.splice(rank, 1);
    if (isIn) {
      subject.model.push({ score: wanted, record, member });
      subject.model.sort(byKey);
    } else {
      refused++;
      t.equal(subject.arena.usedBytes, used - freed);
    }
    subject.verify(random);
  }
  t.ok(refused > 0);
  t.end();
});
