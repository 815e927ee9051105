import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { KeyTree, KeyTreeRoot } from '../../src/structures/key-tree.js';
import { Random } from '../tools/random.js';

const RECORD_BYTES = 16;
/** Records have a word of something else before the two words of their key. */
const KEY_START = 1;

/** Keys as numbers of up to 53 bits. */
class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly tree: KeyTree;
  readonly root: number;
  readonly keys: number[] = [];
  readonly records = new Map<number, number>();

  constructor(arenaBytes = 8 << 20) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 1);
    this.memory.words[HeaderWord.ArenaEnd] = this.memory.words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.tree = new KeyTree(this.memory, this.arena, KEY_START, 2);
    this.root = this.arena.allocate(KeyTreeRoot.WORDS * 4) >> 2;
    this.memory.words.fill(0, this.root, this.root + KeyTreeRoot.WORDS);
  }

  place(key: number): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.keys[middle]! < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  setKey(key: number): void {
    this.tree.setKey(0, Math.floor(key / 2 ** 32));
    this.tree.setKey(1, key | 0);
    if (key >= 2 ** 32) this.tree.setKey(1, (key % 2 ** 32) | 0);
  }

  insert(key: number): boolean {
    const record = this.arena.allocate(RECORD_BYTES);
    if (record === 0) return false;
    this.memory.words[(record >> 2) + KEY_START] = Math.floor(key / 2 ** 32);
    this.memory.words[(record >> 2) + KEY_START + 1] = (key % 2 ** 32) | 0;
    if (!this.tree.insert(this.root, record)) {
      this.arena.free(record, RECORD_BYTES);
      return false;
    }
    this.keys.splice(this.place(key), 0, key);
    this.records.set(key, record);
    return true;
  }

  remove(key: number, isFirst = false): void {
    const record = this.records.get(key)!;
    if (isFirst) this.tree.removeFirst(this.root);
    else this.tree.remove(this.root, record);
    this.arena.free(record, RECORD_BYTES);
    this.keys.splice(this.place(key), 1);
    this.records.delete(key);
  }

  replace(key: number): void {
    const old = this.records.get(key)!;
    const record = this.arena.allocate(RECORD_BYTES);
    this.memory.words.copyWithin(record >> 2, old >> 2, (old + RECORD_BYTES) >> 2);
    this.tree.replace(this.root, old, record);
    this.arena.free(old, RECORD_BYTES);
    this.records.set(key, record);
  }

  /** Compares searches for a key, and walks from there on. */
  probe(key: number): void {
    const { tree, root, keys, records } = this;
    const place = this.place(key);
    const recordAt = (index: number) => records.get(keys[index]!) ?? 0;
    this.setKey(key);
    if (tree.seek(root) !== recordAt(place)) throw new Error(`seek ${key}`);
    for (let index = place + 1; index <= Math.min(place + 70, keys.length) && index > 0; index++) {
      if (place < keys.length && tree.next() !== recordAt(index)) throw new Error(`next after ${key}`);
    }
    this.setKey(key);
    const isThere = keys[place] === key;
    if (tree.find(root) !== (isThere ? recordAt(place) : 0)) throw new Error(`find ${key}`);
    const before = isThere ? place : place - 1;
    if (tree.seekBefore(root) !== recordAt(before)) throw new Error(`seekBefore ${key}`);
    for (let index = before - 1; index >= Math.max(-1, before - 70) && before >= 0; index--) {
      if (tree.previous() !== recordAt(index)) throw new Error(`previous of ${key}`);
    }
  }

  verify(): void {
    const { tree, root, keys, records } = this;
    tree.verify(root);
    if (tree.count(root) !== keys.length) throw new Error('count differs');
    if (tree.first(root) !== (records.get(keys[0]!) ?? 0)) throw new Error('first differs');
    if (tree.last(root) !== (records.get(keys.at(-1)!) ?? 0)) throw new Error('last differs');
  }
}

for (const [seed, space] of [
  [1, 2 ** 45],
  [2, 6000],
  [3, 2 ** 33],
] as const) {
  t.test(`a key tree agrees with a sorted array, seed ${seed}`, async (t) => {
    const random = new Random(seed);
    const subject = new Subject();
    for (let step = 0; step < 8000; step++) {
      const { keys } = subject;
      // It grows to some thousand records and shrinks again, several times.
      const isGrowing = step % 4000 < 2600;
      const dice = random.below(20);
      if (keys.length === 0 || dice < (isGrowing ? 14 : 4)) {
        const next = (keys.at(-1) ?? 0) + random.between(1, 3);
        const key = random.chance(0.6) ? next : random.below(space);
        if (!subject.records.has(key)) subject.insert(key);
      } else if (dice < 16) {
        subject.remove(random.pick(keys));
      } else if (dice < 18) {
        for (let count = random.below(isGrowing ? 3 : 120); count > 0 && keys.length > 0; count--) {
          subject.remove(keys[0]!, random.chance(0.5));
        }
      } else {
        subject.replace(random.chance(0.5) ? keys.at(-1)! : random.pick(keys));
      }
      if (step % 7 === 0) {
        subject.probe(random.chance(0.5) && keys.length > 0 ? random.pick(keys) : random.below(space));
      }
      if (step % 31 === 0) subject.verify();
    }
    subject.verify();
    while (subject.keys.length > 0) subject.remove(random.pick(subject.keys));
    subject.verify();
    subject.arena.verify();
    t.equal(subject.arena.usedBytes, KeyTreeRoot.WORDS * 4, 'every node is freed');
  });
}

t.test('records that come in order fill their leaves', async (t) => {
  const subject = new Subject();
  for (let key = 0; key < 50_000; key++) subject.insert(key);
  t.ok(subject.tree.nodeBytes(subject.root) < 50_000 * 4.6);
  subject.verify();
});

t.test('a tree is released in steps, with or without its records', async (t) => {
  for (const isOwner of [true, false]) {
    const subject = new Subject();
    const random = new Random(4);
    for (let count = 0; count < 9000; count++) {
      const key = random.below(2 ** 40);
      if (!subject.records.has(key)) subject.insert(key);
    }
    let freed = 0;
    const free = (record: number) => {
      subject.arena.free(record, RECORD_BYTES);
      freed++;
    };
    let steps = 0;
    while (!subject.tree.releaseSome(subject.root, 50, isOwner ? free : null)) {
      steps++;
      t.ok(freed <= 51 * steps);
    }
    t.equal(freed, isOwner ? subject.keys.length : 0);
    t.ok(steps > 2);
    if (!isOwner) for (const record of subject.records.values()) subject.arena.free(record, RECORD_BYTES);
    t.equal(subject.arena.usedBytes, KeyTreeRoot.WORDS * 4);
  }
});

t.test('a full arena refuses and changes nothing', async (t) => {
  const random = new Random(5);
  let refused = 0;
  for (let round = 0; round < 6; round++) {
    const subject = new Subject(64 << 10);
    for (let step = 0; step < 6000; step++) {
      const key = random.chance(0.5) ? (subject.keys.at(-1) ?? 0) + 1 : random.below(2 ** 40);
      if (subject.records.has(key)) continue;
      const used = subject.arena.usedBytes;
      const hasRoom = subject.tree.hasRoomForInsert(subject.root) && subject.arena.hasRoom(8192);
      if (!subject.insert(key)) {
        refused++;
        if (hasRoom) t.fail('there was said to be room');
        if (subject.arena.usedBytes !== used) t.fail('memory is lost');
        if (refused % 50 === 0) subject.verify();
        for (let count = random.below(40); count > 0; count--) subject.remove(random.pick(subject.keys));
      }
    }
    subject.verify();
    subject.arena.verify();
  }
  t.ok(refused > 100, `${refused} times`);
});
