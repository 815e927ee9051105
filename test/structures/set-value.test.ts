import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { ownHashSecret } from '../../src/memory/hash.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { Encoding } from '../../src/structures/collection-value.js';
import { SetAdd, SetValue } from '../../src/structures/set-value.js';
import { Random } from '../tools/random.js';
import { valueLimits } from '../tools/value-limits.js';

ownHashSecret();

const limits = valueLimits({ setIntegerEntries: 40, setPackedEntries: 30, setPackedValueBytes: 20 });

const INTEGERS = [
  0n,
  1n,
  -1n,
  32767n,
  32768n,
  -32769n,
  2n ** 31n,
  -(2n ** 31n) - 1n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  -(2n ** 63n),
];

function bytesOf(text: string): [Uint8Array, DataView, number, number] {
  const bytes = new Uint8Array(Buffer.from(`x${text}`, 'latin1'));
  return [bytes, new DataView(bytes.buffer), 1, text.length];
}

class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly sets: SetValue;
  readonly reference: number;
  readonly model = new Set<string>();

  constructor(arenaBytes = 8 << 20) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 1);
    this.memory.words[HeaderWord.ArenaEnd] = this.memory.words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.sets = new SetValue(this.memory, this.arena, limits);
    // An odd address, as an entry's value may have.
    this.reference = (HeaderWord.DraftReference << 2) + 1;
    if (!this.sets.create(this.reference)) throw new Error('no memory');
  }

  member(): string {
    const { bytes, offset, lengthBytes } = this.sets.member;
    return Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1');
  }

  members(): string[] {
    const members: string[] = [];
    for (this.sets.begin(this.reference); this.sets.next(); ) members.push(this.member());
    return members;
  }

  add(text: string): void {
    const result = this.sets.add(this.reference, ...bytesOf(text));
    if (result !== (this.model.has(text) ? SetAdd.Present : SetAdd.Added))
      throw new Error(`add ${text}: ${result}`);
    this.model.add(text);
  }

  verify(): void {
    this.sets.verify(this.reference);
    if (this.sets.count(this.reference) !== this.model.size) throw new Error('count differs');
    const members = this.members();
    if (members.length !== this.model.size || !members.every((member) => this.model.has(member))) {
      throw new Error('members differ');
    }
  }
}

function randomMember(random: Random, kinds: number): string {
  const kind = random.below(kinds);
  if (kind === 0) return String(random.below(100) - 50);
  if (kind === 1) return String(INTEGERS[random.below(INTEGERS.length)]);
  if (kind === 2) return `m${random.below(60)}`;
  return 'long'.repeat(1 + random.below(12));
}

for (const [seed, kinds, steps] of [
  [1, 2, 200],
  [2, 3, 400],
  [3, 4, 1500],
] as const) {
  t.test(`a set agrees with a Set, seed ${seed}`, (t) => {
    const random = new Random(seed);
    const subject = new Subject();
    const { sets, reference, model } = subject;
    for (let step = 0; step < steps; step++) {
      const member = randomMember(random, kinds);
      if (random.chance(0.6)) {
        subject.add(member);
      } else if (random.chance(0.7)) {
        t.equal(sets.remove(reference, ...bytesOf(member)), model.delete(member));
      } else if (model.size > 0) {
        const handle = sets.randomHandle(reference);
        sets.readHandle(reference, handle);
        if (!model.delete(subject.member())) t.fail(`drew ${subject.member()}`);
        sets.removeHandle(reference, handle);
      }
      if (sets.contains(reference, ...bytesOf(member)) !== model.has(member)) t.fail(`contains ${member}`);
      subject.verify();
    }
    subject.arena.verify();
    sets.release(reference);
    t.equal(subject.arena.usedBytes, 0);
    t.end();
  });
}

t.test('a set of a hundred thousand members is copied, scanned and released in steps', (t) => {
  const subject = new Subject();
  const { sets, reference } = subject;
  for (let index = 0; index < 100_000; index++) subject.add(`member:${index}`);
  subject.verify();
  t.equal(sets.encoding(reference), Encoding.Table);

  const copyReference = HeaderWord.DraftReference << 2;
  const other = new Subject();
  other.sets.release(other.reference);
  t.ok(other.sets.copy(copyReference, sets, reference));
  t.equal(other.sets.count(copyReference), 100_000);
  t.doesNotThrow(() => other.sets.verify(copyReference));
  t.ok(other.sets.contains(copyReference, ...bytesOf('member:77')));

  const seen = new Set<string>();
  let cursor = 0;
  let removed = 0;
  do {
    cursor = sets.scanStep(reference, cursor);
    while (sets.next()) seen.add(subject.member());
    // Removing others while the scan runs must not hide those that stay.
    for (let count = 0; count < 60 && removed < 90_000; count++) {
      sets.remove(reference, ...bytesOf(`member:${removed++}`));
    }
  } while (cursor !== 0);
  for (let index = removed; index < 100_000; index++)
    if (!seen.has(`member:${index}`)) t.fail(`missed ${index}`);
  t.doesNotThrow(() => sets.verify(reference));

  let steps = 0;
  while (!sets.releaseSome(reference, 500)) steps++;
  t.ok(steps > 10);
  t.equal(subject.arena.usedBytes, 0);
  t.doesNotThrow(() => subject.arena.verify());
  t.end();
});

t.test('a set that finds no memory stays as it was', (t) => {
  const subject = new Subject(64 << 10);
  const { sets, reference, model } = subject;
  let result = SetAdd.Added;
  for (let index = 0; result === SetAdd.Added; index++) {
    result = sets.add(reference, ...bytesOf(`member ${index}`));
    if (result === SetAdd.Added) model.add(`member ${index}`);
  }
  t.equal(result, SetAdd.NoMemory);
  t.ok(model.size > 500);
  t.doesNotThrow(() => subject.verify());
  t.doesNotThrow(() => subject.arena.verify());
  t.end();
});

t.test('another set grows through all its forms while a large one is walked over', (t) => {
  const subject = new Subject();
  const { sets, reference } = subject;
  const other = (HeaderWord.DraftReference + 8) << 2;
  for (let member = 0; member < 3000; member++) sets.add(reference, ...bytesOf(String(member)));
  t.equal(sets.encoding(reference), Encoding.Table);
  for (const prefix of ['', 'text ']) {
    t.ok(sets.create(other));
    const forms = new Set<Encoding>();
    let walked = 0;
    for (sets.begin(reference); sets.next(); walked++) {
      if (walked > 3000) break;
      sets.add(other, ...bytesOf(`${prefix}${subject.member()}`));
      forms.add(sets.encoding(other));
    }
    t.equal(walked, 3000);
    t.equal(sets.count(other), 3000);
    t.ok(forms.has(Encoding.Table) && forms.size >= 2, `${[...forms]}`);
    sets.verify(other);
    sets.release(other);
  }
  t.end();
});

t.test('members are drawn evenly', (t) => {
  const subject = new Subject();
  const { sets, reference } = subject;
  const count = 3000;
  const index = new Map<string, number>();
  for (let number = 0; number < count; number++) {
    subject.add(`m${number}`);
    index.set(`m${number}`, number);
  }
  const drawn = new Array<number>(count).fill(0);
  for (let draws = 0; draws < count * 100; draws++) {
    sets.readHandle(reference, sets.randomHandle(reference));
    drawn[index.get(subject.member())!]!++;
  }
  // Chi-squared over 3000 cells: its mean is 2999 and its deviation 77.
  const chiSquared = drawn.reduce((sum, times) => sum + (times - 100) ** 2 / 100, 0);
  t.ok(chiSquared > 2500 && chiSquared < 3500, `chi-squared ${chiSquared}`);
  t.end();
});

t.test('several members are removed by handles that were taken before, in sets of all sizes', (t) => {
  const random = new Random(7);
  for (const kinds of [1, 2, 3]) {
    for (let size = 1; size <= 40; size++) {
      const subject = new Subject();
      const { sets, reference, model } = subject;
      while (model.size < size) subject.add(randomMember(random, kinds));
      const handles: number[] = [];
      for (sets.begin(reference); sets.next(); ) {
        if (random.chance(0.6)) handles.push(sets.handle);
      }
      for (const handle of handles) {
        sets.readHandle(reference, handle);
        if (!model.delete(subject.member())) t.fail(`${subject.member()} was no member`);
      }
      handles.sort((left, right) => right - left);
      for (const handle of handles) sets.removeHandle(reference, handle);
      subject.verify();
      subject.arena.verify();
    }
  }
  t.end();
});
