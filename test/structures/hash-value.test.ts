import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import type { ByteRange } from '../../src/structures/byte-range.js';
import { Encoding } from '../../src/structures/collection-value.js';
import { HashSet, HashValue } from '../../src/structures/hash-value.js';
import type { ValueLimits } from '../../src/structures/value-limits.js';
import { Random } from '../tools/random.js';

const limits: ValueLimits = {
  hashPackedEntries: 30,
  hashPackedValueBytes: 60,
  listPackedSize: 0,
  listCompressDepth: 0,
  setIntegerEntries: 0,
  setPackedEntries: 0,
  setPackedValueBytes: 0,
  sortedSetPackedEntries: 0,
  sortedSetPackedValueBytes: 0,
};

type Bytes = [Uint8Array, DataView, number, number];

function bytesOf(text: string): Bytes {
  const bytes = new Uint8Array(Buffer.from(`x${text}`, 'latin1'));
  return [bytes, new DataView(bytes.buffer), 1, text.length];
}

function textOf({ bytes, offset, lengthBytes }: ByteRange): string {
  return Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1');
}

class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly hashes: HashValue;
  readonly reference: number;
  readonly model = new Map<string, string>();

  constructor(arenaBytes = 8 << 20) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 1);
    this.memory.words[HeaderWord.ArenaEnd] = this.memory.words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.hashes = new HashValue(this.memory, this.arena, limits);
    // An odd address, as an entry's value may have.
    this.reference = (HeaderWord.DraftReference << 2) + 1;
    if (!this.hashes.create(this.reference)) throw new Error('no memory');
  }

  /** Sets a field; false if there is no memory. */
  set(field: string, value: string): boolean {
    const result = this.hashes.set(this.reference, ...bytesOf(field), ...bytesOf(value));
    if (result === HashSet.NoMemory) return false;
    if (result !== (this.model.has(field) ? HashSet.Updated : HashSet.Added)) {
      throw new Error(`set ${field}: ${result}`);
    }
    this.model.set(field, value);
    return true;
  }

  get(field: string): string | undefined {
    const handle = this.hashes.find(this.reference, ...bytesOf(field));
    if (handle === 0) return undefined;
    this.hashes.readValue(this.reference, handle);
    const value = textOf(this.hashes.value);
    this.hashes.readHandle(this.reference, handle);
    if (textOf(this.hashes.field) !== field) throw new Error(`the handle of ${field} names another field`);
    return value;
  }

  pairs(): Map<string, string> {
    const pairs = new Map<string, string>();
    const { hashes } = this;
    for (hashes.begin(this.reference); hashes.next(); ) pairs.set(textOf(hashes.field), textOf(hashes.value));
    return pairs;
  }

  verify(): void {
    this.hashes.verify(this.reference);
    if (this.hashes.count(this.reference) !== this.model.size) throw new Error('count differs');
    const pairs = this.pairs();
    if (pairs.size !== this.model.size) throw new Error('a walk has another number of fields');
    for (const [field, value] of this.model) {
      if (pairs.get(field) !== value) throw new Error(`${field} has another value`);
    }
  }
}

function randomText(random: Random, kinds: number): string {
  const kind = random.below(kinds);
  if (kind === 0) return String(random.below(40) - 20);
  if (kind === 1) return `f${random.below(40)}`;
  if (kind === 2) return random.pick(['', '9007199254740993', '-9223372036854775808', '007', 'x'.repeat(60)]);
  return 'long'.repeat(random.below(100));
}

for (const [seed, kinds, steps] of [
  [1, 1, 300],
  [2, 3, 1500],
  [3, 4, 1500],
] as const) {
  t.test(`a hash agrees with a Map, seed ${seed}`, (t) => {
    const random = new Random(seed);
    const subject = new Subject();
    const { hashes, reference, model } = subject;
    for (let step = 0; step < steps; step++) {
      const field = randomText(random, kinds);
      if (random.chance(0.6)) {
        if (!subject.set(field, randomText(random, kinds))) t.fail('no memory');
      } else {
        t.equal(hashes.remove(reference, ...bytesOf(field)), model.delete(field));
      }
      if (subject.get(field) !== model.get(field)) t.fail(`${field} has another value`);
      if (model.size > 0) {
        hashes.readHandle(reference, hashes.randomHandle(reference));
        if (model.get(textOf(hashes.field)) !== textOf(hashes.value)) t.fail('drew what is not there');
      }
      subject.verify();
    }
    t.equal(hashes.encoding(reference), kinds < 3 ? Encoding.Packed : Encoding.Table);
    subject.arena.verify();
    hashes.release(reference);
    t.equal(subject.arena.usedBytes, 0);
    t.end();
  });
}

t.test('a hash leaves the packed form at its limits', (t) => {
  for (const [field, value] of [
    ['f'.repeat(61), 'v'],
    ['f', 'v'.repeat(61)],
  ] as const) {
    const subject = new Subject();
    for (let index = 0; index < limits.hashPackedEntries; index++) subject.set(`f${index}`, 'v');
    subject.set('f0', 'v'.repeat(60));
    t.equal(subject.hashes.encoding(subject.reference), Encoding.Packed);
    subject.hashes.remove(subject.reference, ...bytesOf('f1'));
    subject.model.delete('f1');
    subject.set(field, value);
    t.equal(subject.hashes.encoding(subject.reference), Encoding.Table);
    t.doesNotThrow(() => subject.verify());
  }
  const subject = new Subject();
  for (let index = 0; index <= limits.hashPackedEntries; index++) subject.set(`f${index}`, 'v');
  t.equal(subject.hashes.encoding(subject.reference), Encoding.Table, 'one field too many');
  t.end();
});

t.test('a hash of fifty thousand fields is copied, measured, scanned and released in steps', (t) => {
  const subject = new Subject();
  const { hashes, reference } = subject;
  for (let index = 0; index < 50_000; index++) subject.set(`field:${index}`, `value ${index}`);
  subject.verify();
  const measured = hashes.usedBytes(reference, 0);
  t.equal(measured, subject.arena.usedBytes, 'every byte is counted');

  const copyReference = HeaderWord.DraftReference << 2;
  const other = new Subject();
  other.hashes.release(other.reference);
  t.ok(other.hashes.copy(copyReference, hashes, reference));
  t.equal(other.hashes.count(copyReference), 50_000);
  t.doesNotThrow(() => other.hashes.verify(copyReference));
  const handle = other.hashes.find(copyReference, ...bytesOf('field:77'));
  other.hashes.readValue(copyReference, handle);
  t.equal(textOf(other.hashes.value), 'value 77');

  const seen = new Set<string>();
  let cursor = 0;
  let removed = 0;
  do {
    cursor = hashes.scanStep(reference, cursor);
    while (hashes.next()) seen.add(textOf(hashes.field));
    // Removing others while the scan runs must not hide those that stay.
    for (let count = 0; count < 60 && removed < 45_000; count++) {
      hashes.remove(reference, ...bytesOf(`field:${removed++}`));
    }
  } while (cursor !== 0);
  for (let index = removed; index < 50_000; index++)
    if (!seen.has(`field:${index}`)) t.fail(`missed ${index}`);
  t.doesNotThrow(() => hashes.verify(reference));

  let steps = 0;
  while (!hashes.releaseSome(reference, 100)) steps++;
  t.ok(steps > 10);
  t.equal(subject.arena.usedBytes, 0);
  t.doesNotThrow(() => subject.arena.verify());
  t.end();
});

t.test('a hash that finds no memory stays as it was', (t) => {
  const subject = new Subject(64 << 10);
  let index = 0;
  while (subject.set(`field ${index}`, 'v'.repeat(index % 90))) index++;
  t.ok(index > 300);
  t.doesNotThrow(() => subject.verify());
  t.notOk(subject.set('field 3', 'v'.repeat(60_000)), 'nor is there room for a longer value');
  t.doesNotThrow(() => subject.verify());
  t.doesNotThrow(() => subject.arena.verify());
  t.end();
});
