import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { ownHashSecret } from '../../src/memory/hash.js';
import { ShardMemory } from '../../src/memory/shard-memory.js';
import { Encoding } from '../../src/structures/collection-value.js';
import { SortedSetCursor, SortedSetValue } from '../../src/structures/sorted-set-value.js';
import type { ValueLimits } from '../../src/structures/value-limits.js';
import { Random } from '../tools/random.js';
import { valueLimits } from '../tools/value-limits.js';

ownHashSecret();

type Element = [score: number, member: string];

function limits(entries: number, valueBytes: number): ValueLimits {
  return valueLimits({ sortedSetPackedEntries: entries, sortedSetPackedValueBytes: valueBytes });
}

function compare(a: Element, b: Element): number {
  return a[0] - b[0] || Buffer.compare(Buffer.from(a[1], 'latin1'), Buffer.from(b[1], 'latin1'));
}

function bytesOf(member: string): [Uint8Array, DataView, number, number] {
  const bytes = new Uint8Array(Buffer.from(`.${member}`, 'latin1'));
  return [bytes, new DataView(bytes.buffer), 1, member.length];
}

class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly sets: SortedSetValue;
  readonly reference: number;
  readonly cursor = new SortedSetCursor();
  model: Element[] = [];

  constructor(limit: ValueLimits, sizeBytes = 16 << 20) {
    this.memory = ShardMemory.create(sizeBytes, 1);
    this.arena = new Arena(this.memory);
    this.sets = new SortedSetValue(this.memory, this.arena, limit);
    this.reference = this.arena.allocate(16) + 3;
    this.sets.create(this.reference);
  }

  /** The cursor's element. */
  element(): Element {
    const { bytes, offset, lengthBytes, score } = this.cursor;
    return [score, Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1')];
  }

  put(score: number, member: string): boolean {
    const { sets, reference, model } = this;
    const at = model.findIndex((element) => element[1] === member);
    if (sets.find(reference, ...bytesOf(member)) !== at >= 0) throw new Error(`find ${member}`);
    if (at >= 0 && sets.score !== model[at]![0]) throw new Error(`score of ${member}`);
    const isDone =
      at >= 0
        ? sets.setScore(reference, score, ...bytesOf(member))
        : sets.add(reference, score, ...bytesOf(member));
    if (!isDone) return false;
    if (at >= 0) model.splice(at, 1);
    model.push([score, member]);
    model.sort(compare);
    return true;
  }

  verify(random: Random): void {
    const { sets, reference, cursor, model } = this;
    sets.verify(reference);
    if (sets.count(reference) !== model.length) throw new Error('count');
    const forwards: Element[] = [];
    for (let more = sets.seek(cursor, reference, 0); more; more = sets.next(cursor))
      forwards.push(this.element());
    const backwards: Element[] = [];
    for (let more = sets.seek(cursor, reference, model.length - 1); more; more = sets.previous(cursor)) {
      backwards.push(this.element());
    }
    const expected = JSON.stringify(model);
    if (JSON.stringify(forwards) !== expected) throw new Error('forwards');
    if (JSON.stringify(backwards.reverse()) !== expected) throw new Error('backwards');
    if (sets.seek(cursor, reference, model.length)) throw new Error('a rank too high');
    if (model.length === 0) return;
    const rank = random.below(model.length);
    const [score, member] = model[rank]!;
    if (sets.rank(reference, ...bytesOf(member)) !== rank || sets.score !== score) throw new Error('rank');
    sets.seek(cursor, reference, rank);
    if (JSON.stringify(this.element()) !== JSON.stringify(model[rank])) throw new Error('seek');
    for (const orEqual of [false, true]) {
      const limit = score + random.between(-1, 1) * 0.5;
      const below = model.filter(([other]) => (orEqual ? other <= limit : other < limit)).length;
      if (sets.countBelowScore(reference, limit, orEqual) !== below) throw new Error('count below a score');
    }
  }
}

function randomMember(random: Random): string {
  const dice = random.below(10);
  if (dice < 3) return String(random.below(300) - 100);
  if (dice < 4) return 'x'.repeat(random.below(80));
  return `m${random.below(400)}`;
}

function randomScore(random: Random): number {
  const dice = random.below(10);
  if (dice < 5) return random.below(20) - 5;
  if (dice < 8) return (random.below(100_000) - 50_000) / 10 ** random.below(8);
  return random.pick([Infinity, -Infinity, 1e300, 5e-324, 2 ** 53, 1 / 3, 0.1, -1e17]);
}

for (const [seed, entries, valueBytes] of [
  [1, 0, 64],
  [2, 20, 20],
  [3, 128, 64],
  [4, 100_000, 1000],
] as const) {
  t.test(`a sorted set agrees with a sorted array, seed ${seed}`, (t) => {
    const random = new Random(seed);
    const subject = new Subject(limits(entries, valueBytes));
    const { sets, reference } = subject;
    for (let step = 0; step < 2500; step++) {
      const { model } = subject;
      const dice = random.below(20);
      if (dice < 12) {
        const known = model.length > 0 && random.chance(0.3);
        const member = known ? random.pick(model)[1] : randomMember(random);
        if (!subject.put(randomScore(random), member)) throw new Error('no memory');
      } else if (dice < 18) {
        const member = model.length > 0 && random.chance(0.8) ? random.pick(model)[1] : randomMember(random);
        const at = model.findIndex((element) => element[1] === member);
        if (sets.remove(reference, ...bytesOf(member)) !== at >= 0) throw new Error('remove');
        if (at >= 0) model.splice(at, 1);
      } else if (dice === 18 && model.length > 0) {
        const rank = random.below(model.length);
        const count = random.below(Math.min(random.chance(0.1) ? 300 : 10, model.length - rank) + 1);
        sets.removeRange(reference, rank, count);
        model.splice(rank, count);
      } else {
        sets.packIfSmall(reference);
      }
      subject.verify(random);
      if (step % 100 === 0) subject.arena.verify();
    }
    const other = new Subject(limits(entries, valueBytes));
    other.sets.release(other.reference);
    t.ok(other.sets.copy(other.reference, sets, reference));
    other.model = subject.model;
    other.verify(random);
    t.equal(other.sets.encoding(other.reference), sets.encoding(reference));
    const before = subject.arena.usedBytes - 16;
    t.equal(sets.usedBytes(reference, 0), before, 'every byte is counted');
    t.ok(Math.abs(sets.usedBytes(reference, 5) - before) < before / 2 + 100);
    sets.release(reference);
    t.equal(subject.arena.usedBytes, 16);
    subject.arena.verify();
    t.end();
  });
}

t.test('encodings change at the limits', (t) => {
  const subject = new Subject(limits(3, 5));
  const { sets, reference } = subject;
  for (const member of ['a', 'b', '12345']) subject.put(1, member);
  t.equal(sets.encoding(reference), Encoding.Packed);
  subject.put(2, '12345');
  t.equal(sets.encoding(reference), Encoding.Packed, 'another score is no other element');
  subject.put(1, 'c');
  t.equal(sets.encoding(reference), Encoding.Tree);
  const long = new Subject(limits(3, 5));
  long.put(1, '123456');
  t.equal(long.sets.encoding(long.reference), Encoding.Tree);
  t.end();
});

t.test('a large sorted set is released in steps', (t) => {
  const subject = new Subject(limits(128, 64), 64 << 20);
  const { sets, reference } = subject;
  for (let element = 0; element < 50_000; element++) {
    sets.find(reference, ...bytesOf(`m${element}`));
    sets.add(reference, (element * 7919) % 50_000, ...bytesOf(`m${element}`));
  }
  sets.verify(reference);
  t.ok(sets.releaseSteps(reference) >= 50_000);
  let calls = 1;
  while (!sets.releaseSome(reference, 1000)) calls++;
  t.ok(calls > 20);
  t.equal(subject.arena.usedBytes, 16);
  subject.arena.verify();
  t.end();
});

t.test('a scan sees every element, packed sets apart', (t) => {
  const subject = new Subject(limits(0, 0));
  const { sets, reference, cursor } = subject;
  for (let element = 0; element < 500; element++) subject.put(element, `m${element}`);
  const seen = new Set<string>();
  let position = 0;
  do {
    position = sets.scan(reference, position);
    for (let index = 0; index < sets.scannedCount; index++) {
      sets.readScanned(cursor, index);
      seen.add(JSON.stringify(subject.element()));
    }
  } while (position !== 0);
  t.same([...seen].sort(), subject.model.map((element) => JSON.stringify(element)).sort());
  t.end();
});

t.test('a full arena refuses and changes nothing', (t) => {
  const random = new Random(9);
  for (const entries of [0, 100_000]) {
    const subject = new Subject(limits(entries, 1000), 1 << 20);
    const blocks: number[] = [];
    const fill = (lengthBytes: number) => {
      for (;;) {
        const block = subject.arena.allocate(lengthBytes);
        if (block === 0) return;
        blocks.push(block);
      }
    };
    for (let element = 0; element < 300; element++) subject.put(random.below(100), `m${element}`);
    for (const lengthBytes of [4096, 512, 64, 16]) fill(lengthBytes);
    let refused = 0;
    for (let attempt = 0; attempt < 300; attempt++) {
      if (attempt % 10 === 0) subject.arena.free(blocks.pop()!, 16);
      const member = attempt % 3 === 0 ? random.pick(subject.model)[1] : `n${attempt}`;
      if (!subject.put(random.below(100_000_000) / 7, member)) refused++;
      subject.verify(random);
    }
    t.ok(refused > 0);
    subject.arena.verify();
  }
  t.end();
});
