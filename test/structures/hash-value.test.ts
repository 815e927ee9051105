import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { ownHashSecret } from '../../src/memory/hash.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import type { ByteRange } from '../../src/structures/byte-range.js';
import { Encoding } from '../../src/structures/collection-value.js';
import { HashSet, HashValue } from '../../src/structures/hash-value.js';
import { Random } from '../tools/random.js';
import { valueLimits } from '../tools/value-limits.js';

ownHashSecret();

const limits = valueLimits({ hashPackedEntries: 30, hashPackedValueBytes: 60 });

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

interface Expiring {
  value: string;
  /** -1: never. */
  expiresAt: number;
}

/** A hash and a model of it, both with fields that expire. */
class ExpiringSubject {
  readonly base: Subject;
  readonly hashes: HashValue;
  readonly reference: number;
  readonly model = new Map<string, Expiring>();
  /** Fields past their expiry that `removeDue` has named. */
  readonly named: string[] = [];

  constructor(arenaBytes?: number) {
    this.base = new Subject(arenaBytes);
    this.hashes = this.base.hashes;
    this.reference = this.base.reference;
    this.hashes.nowMs = 1_000_000;
  }

  isLive(field: string): boolean {
    const held = this.model.get(field);
    return held !== undefined && (held.expiresAt < 0 || held.expiresAt > this.hashes.nowMs);
  }

  live(): string[] {
    return [...this.model.keys()].filter((field) => this.isLive(field));
  }

  /** False if there is no memory. */
  set(field: string, value: string, keepsExpiry: boolean): boolean {
    const result = this.hashes.set(this.reference, ...bytesOf(field), ...bytesOf(value), keepsExpiry);
    if (result === HashSet.NoMemory) return false;
    const wasLive = this.isLive(field);
    if (result !== (wasLive ? HashSet.Updated : HashSet.Added)) throw new Error(`set ${field}: ${result}`);
    const expiresAt = keepsExpiry && wasLive ? this.model.get(field)!.expiresAt : -1;
    this.model.set(field, { value, expiresAt });
    return true;
  }

  setExpiry(field: string, expiresAt: number): boolean {
    const { hashes, reference } = this;
    if (!hashes.makeExpiring(reference)) return false;
    if (!hashes.setExpiry(reference, ...bytesOf(field), expiresAt)) return false;
    this.model.get(field)!.expiresAt = expiresAt;
    return true;
  }

  remove(field: string): void {
    const wasLive = this.isLive(field);
    if (this.hashes.remove(this.reference, ...bytesOf(field)) !== wasLive) throw new Error(`remove ${field}`);
    if (wasLive) this.model.delete(field);
  }

  removeDue(limit: number): void {
    this.named.length = 0;
    const { hashes, reference, named } = this;
    const removed = hashes.removeDue(reference, limit, () => named.push(textOf(hashes.dueField)));
    if (removed !== named.length) throw new Error('not all that is removed is named');
    for (const field of named) {
      if (this.isLive(field) || !this.model.delete(field)) throw new Error(`${field} is removed`);
    }
    const left = this.model.size - this.live().length;
    if (left > 0 && removed < limit) throw new Error(`${left} fields past their expiry are left`);
  }

  verify(): void {
    const { hashes, reference, model } = this;
    hashes.verify(reference);
    const live = this.live();
    if (hashes.heldCount(reference) !== model.size) throw new Error('another number is held');
    if (hashes.count(reference) !== live.length) throw new Error('count differs');
    if (hashes.dueCount(reference) !== model.size - live.length) throw new Error('dueCount differs');
    if (hashes.isAllDue(reference) !== (live.length === 0)) throw new Error('isAllDue');
    const times = [...model.values()].map(({ expiresAt }) => expiresAt).filter((time) => time >= 0);
    if (hashes.nextExpiry(reference) !== (times.length === 0 ? -1 : Math.min(...times))) {
      throw new Error('another field expires next');
    }
    const seen = new Set<string>();
    for (hashes.begin(reference); hashes.next(); ) {
      const field = textOf(hashes.field);
      seen.add(field);
      if (!this.isLive(field)) throw new Error(`the walk sees ${field}`);
      if (textOf(hashes.value) !== model.get(field)!.value) throw new Error(`${field} has another value`);
      if (hashes.expiresAt(reference, hashes.handle) !== model.get(field)!.expiresAt) {
        throw new Error(`${field} expires at another time`);
      }
    }
    if (seen.size !== live.length) throw new Error('the walk misses a field');
    for (const field of model.keys()) {
      const handle = hashes.find(reference, ...bytesOf(field));
      if ((handle !== 0) !== this.isLive(field)) throw new Error(`find ${field}`);
    }
    if (live.length > 0) {
      hashes.readHandle(reference, hashes.randomHandle(reference));
      if (!this.isLive(textOf(hashes.field))) throw new Error('drew what is not there');
    }
  }
}

for (const [seed, kinds, fields, steps] of [
  [11, 2, 25, 2000],
  [12, 4, 60, 2000],
  [13, 4, 2000, 1500],
] as const) {
  t.test(`a hash with fields that expire agrees with a model, seed ${seed}`, (t) => {
    const random = new Random(seed);
    const subject = new ExpiringSubject(32 << 20);
    const { hashes, reference, model } = subject;
    for (let index = 0; index < fields; index += 2) subject.set(`f${index}`, 'v', false);
    for (let step = 0; step < steps; step++) {
      const isAny = kinds > 2 && random.chance(0.2);
      const field = isAny ? randomText(random, kinds) : `f${random.below(fields)}`;
      const dice = random.below(10);
      if (dice < 3) {
        if (!subject.set(field, randomText(random, kinds), random.chance(0.5))) t.fail('no memory');
      } else if (dice < 4) {
        subject.remove(field);
      } else if (dice < 8) {
        const times = random.chance(0.3) ? fields : 2;
        for (let time = 0; time < times; time++) {
          const other = `f${random.below(fields)}`;
          if (!subject.isLive(other)) continue;
          const expiresAt = random.chance(0.2) ? -1 : hashes.nowMs + random.below(2000);
          if (!subject.setExpiry(other, expiresAt)) t.fail('no memory');
        }
      } else if (dice < 9) {
        hashes.nowMs += random.below(100);
      } else {
        subject.removeDue(random.below(50) + 1);
      }
      if (fields < 100 || step % 20 === 0) subject.verify();
    }
    t.equal(hashes.encoding(reference), kinds === 2 ? Encoding.PackedExpiring : Encoding.TableExpiring);
    subject.base.arena.verify();

    const copyReference = HeaderWord.DraftReference << 2;
    const other = new Subject(32 << 20);
    other.hashes.release(other.reference);
    other.hashes.nowMs = hashes.nowMs;
    t.ok(other.hashes.copy(copyReference, hashes, reference));
    other.hashes.verify(copyReference);
    const live = subject.live();
    t.ok(live.length > 0);
    t.equal(other.hashes.count(copyReference), live.length);
    for (const field of live) {
      const handle = other.hashes.find(copyReference, ...bytesOf(field));
      if (other.hashes.expiresAt(copyReference, handle) !== model.get(field)!.expiresAt) t.fail(field);
    }

    t.equal(hashes.usedBytes(reference, 0), subject.base.arena.usedBytes, 'every byte is counted');
    while (!hashes.releaseSome(reference, 100)) {}
    t.equal(subject.base.arena.usedBytes, 0);
    other.hashes.release(copyReference);
    t.equal(other.arena.usedBytes, 0);
    t.end();
  });
}

t.test('a hash with fields that expire and no memory stays as it was', (t) => {
  const random = new Random(21);
  for (const arenaBytes of [4 << 10, 24 << 10, 40 << 10]) {
    const subject = new ExpiringSubject(arenaBytes);
    let failures = 0;
    for (let step = 0; step < 4000 && failures < 200; step++) {
      const field = `field ${random.below(600)}`;
      const wasDone =
        subject.isLive(field) && random.chance(0.6)
          ? subject.setExpiry(field, subject.hashes.nowMs + 1 + random.below(100))
          : subject.set(field, 'v'.repeat(random.below(90)), random.chance(0.5));
      if (!wasDone) failures++;
      if (!wasDone || step % 50 === 0) subject.verify();
    }
    t.equal(failures, 200);
    subject.base.arena.verify();
  }
  t.end();
});

t.test('a packed hash becomes a table before long fields come, and only then', async (t) => {
  const subject = new Subject();
  const { hashes, reference } = subject;
  for (let index = 0; index < 10; index++) subject.set(`field ${index}`, `value ${index}`);
  hashes.expectLong(reference, limits.hashPackedValueBytes);
  t.equal(hashes.encoding(reference), Encoding.Packed);
  hashes.expectLong(reference, limits.hashPackedValueBytes + 1);
  t.equal(hashes.encoding(reference), Encoding.Table);
  hashes.expectLong(reference, limits.hashPackedValueBytes + 1);
  subject.verify();
  t.ok(subject.set('field 3', 'x'.repeat(200)));
  subject.verify();
});
