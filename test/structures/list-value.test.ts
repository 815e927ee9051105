import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { Encoding } from '../../src/structures/collection-value.js';
import { ListValue } from '../../src/structures/list-value.js';
import type { ValueLimits } from '../../src/structures/value-limits.js';
import { Random } from '../tools/random.js';
import { valueLimits } from '../tools/value-limits.js';

const REFERENCE = HeaderWord.DraftReference << 2;
const COPY_REFERENCE = 7800;

function limitsOf(listPackedSize: number, listCompressDepth: number): ValueLimits {
  return valueLimits({ listPackedSize, listCompressDepth });
}

type Argument = [Uint8Array, DataView, number, number];

function argument(value: string): Argument {
  const bytes = new Uint8Array(Buffer.from(`..${value}`, 'latin1'));
  return [bytes, new DataView(bytes.buffer), 2, value.length];
}

class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly limits: ValueLimits;
  readonly list: ListValue;
  model: string[] = [];
  private walks = 0;
  /** Which encodings occurred. */
  readonly seen = new Set<Encoding>();

  constructor(listPackedSize: number, shardBytes = 16 << 20, listCompressDepth = 0) {
    this.memory = ShardMemory.create(shardBytes, 1);
    this.arena = new Arena(this.memory);
    this.limits = limitsOf(listPackedSize, listCompressDepth);
    this.list = new ListValue(this.memory, this.arena, this.limits);
    this.list.create(REFERENCE);
  }

  text(position: number): string {
    this.list.read(position);
    return this.textRead();
  }

  private textRead(): string {
    const { bytes, offset, lengthBytes } = this.list.element;
    return Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1');
  }

  contents(reference = REFERENCE): string[] {
    const { list } = this;
    const texts: string[] = [];
    if (list.count(reference) === 0) return texts;
    const readsOn = this.walks++ % 2 === 0;
    for (let at = list.seek(reference, 0); at !== 0; ) {
      if (readsOn) {
        at = list.readOn(at);
        texts.push(this.textRead());
      } else {
        texts.push(this.text(at));
        at = list.next(at);
      }
    }
    return texts;
  }

  push(atTail: boolean, value: string): boolean {
    if (!this.list.prepare(REFERENCE, value.length, 1)) return false;
    if (!this.list.push(REFERENCE, atTail, ...argument(value))) return false;
    if (atTail) this.model.push(value);
    else this.model.unshift(value);
    return true;
  }

  verify(): void {
    const { list, model } = this;
    list.verify(REFERENCE);
    if (list.count(REFERENCE) !== model.length) throw new Error('count differs');
    const forwards = this.contents();
    if (forwards.some((text, index) => text !== model[index]) || forwards.length !== model.length) {
      throw new Error('forwards differs');
    }
    let index = model.length;
    let at = index === 0 ? 0 : list.seek(REFERENCE, index - 1);
    for (; at !== 0; at = list.previous(REFERENCE, at)) {
      if (this.text(at) !== model[--index]) throw new Error('backwards differs');
    }
    if (index !== 0) throw new Error('backwards ends early');
    this.seen.add(list.encoding(REFERENCE));
  }
}

function randomValue(random: Random): string {
  if (random.chance(0.25)) return String(random.below(300_000) - 100_000);
  const dice = random.below(100);
  const length = dice === 0 ? random.below(12_000) : dice < 5 ? random.below(1000) : random.below(24);
  return String.fromCharCode(97 + random.below(4)).repeat(length);
}

function step(subject: Subject, random: Random, growth: number): void {
  const { list, model } = subject;
  const value = randomValue(random);
  const index = random.below(model.length);
  const [bytes, view, offset, lengthBytes] = argument(value);
  const dice = random.below(100);
  if (dice < growth || model.length === 0) {
    for (let count = 1 + random.below(4); count > 0; count--) subject.push(random.chance(0.5), value);
  } else if (dice < growth + 12) {
    list.prepare(REFERENCE, lengthBytes, 1);
    const isBehind = random.chance(0.5);
    const at = list.seek(REFERENCE, index);
    if (!list.insert(REFERENCE, at, isBehind, bytes, view, offset, lengthBytes)) throw new Error('no memory');
    model.splice(index + (isBehind ? 1 : 0), 0, value);
  } else if (dice < growth + 24) {
    list.prepare(REFERENCE, lengthBytes, 0);
    const at = list.seek(REFERENCE, index);
    if (!list.replace(REFERENCE, at, bytes, view, offset, lengthBytes)) throw new Error('no memory');
    model[index] = value;
    list.shrink(REFERENCE);
  } else if (dice < growth + 36) {
    const isBackwards = random.chance(0.5);
    if (!list.prepareRemoval(REFERENCE, ...argument(model[index]!))) throw new Error('no memory');
    const following = list.remove(REFERENCE, list.seek(REFERENCE, index), isBackwards);
    model.splice(index, 1);
    const expected = model[isBackwards ? index - 1 : index];
    const actual = following === 0 ? undefined : subject.text(following);
    if (actual !== expected) throw new Error('position after a removed element');
    if (random.chance(0.2)) list.compact(REFERENCE);
    list.shrink(REFERENCE);
  } else {
    const fromTail = random.chance(0.5);
    const count = random.below(Math.min(model.length, random.chance(0.1) ? model.length : 4) + 1);
    list.drop(REFERENCE, fromTail, count);
    if (fromTail) model.splice(model.length - count, count);
    else model.splice(0, count);
    if (random.chance(0.7)) list.shrink(REFERENCE);
  }
}

for (const listPackedSize of [-1, -2, -9, 0, 3, 16, 128, 5000]) {
  for (const depth of [0, 1, 3]) {
    t.test(`a list agrees with an array, list-max-listpack-size ${listPackedSize}, depth ${depth}`, (t) => {
      const random = new Random(depth === 0 ? 1 : 2);
      const subject = new Subject(listPackedSize, 16 << 20, depth);
      for (let count = 0; count < 1800; count++) {
        // The depth may change while there are lists.
        if (count % 300 === 299) subject.limits.listCompressDepth = depth === 0 ? 0 : random.below(5);
        // Grows and shrinks in turn.
        step(subject, random, count % 900 < 500 ? 65 : 15);
        subject.verify();
      }
      subject.arena.verify();
      t.ok(subject.seen.has(Encoding.Chunks));
      // One that may hold a single element never goes back.
      if (listPackedSize !== 0) t.ok(subject.seen.has(Encoding.Packed));

      t.ok(subject.list.copy(COPY_REFERENCE, subject.list, REFERENCE));
      subject.list.verify(COPY_REFERENCE);
      t.strictSame(subject.contents(COPY_REFERENCE), subject.model);
      t.equal(
        subject.list.usedBytes(REFERENCE, 0) + subject.list.usedBytes(COPY_REFERENCE, 0),
        subject.arena.usedBytes,
        'used bytes are those of the arena',
      );
      subject.list.release(COPY_REFERENCE);
      while (!subject.list.releaseSome(REFERENCE, 2)) {}
      subject.arena.verify();
      t.equal(subject.arena.usedBytes, 0);
      t.end();
    });
  }
}

t.test('the middle of a long list of small elements is compressed unasked', (t) => {
  const random = new Random(3);
  const subject = new Subject(-1);
  const { list } = subject;
  const name = (index: number) => `element:${String(index).padStart(8, '0')}`;
  const bytesEach = () => list.usedBytes(REFERENCE, 0) / subject.model.length;
  for (let index = 0; index < 6000; index++) subject.push(index % 3 !== 0, name(index));
  subject.verify();
  t.ok(bytesEach() < 14, `${bytesEach()} bytes each`);
  for (let count = 0; count < 1200; count++) {
    step(subject, random, count < 600 ? 50 : 10);
    if (count % 40 === 39) subject.verify();
  }
  // A queue: in at one end, out at the other.
  for (let index = 0; index < 9000; index++) {
    subject.push(false, name(index));
    list.drop(REFERENCE, true, 1);
    subject.model.pop();
  }
  subject.verify();
  subject.arena.verify();
  list.drop(REFERENCE, false, subject.model.length - 10);
  subject.model = subject.model.slice(-10);
  subject.verify();
  t.end();
});

t.test('what can hardly be compressed stays as it is', (t) => {
  const random = new Random(4);
  const subject = new Subject(-1);
  const letters = () => String.fromCharCode(...Array.from({ length: 16 }, () => 33 + random.below(200)));
  for (let index = 0; index < 6000; index++) subject.push(true, letters());
  subject.verify();
  const { usedBytes } = subject.arena;
  t.ok(usedBytes > 6000 * 17);
  // Whoever asks for compression has what saves little compressed, too.
  subject.limits.listCompressDepth = 1;
  for (let index = 0; index < 6000; index++) subject.push(true, 'x'.repeat(200));
  subject.verify();
  t.ok(subject.arena.usedBytes - usedBytes < 6000 * 100);
  t.end();
});

t.test('encodings follow the size, and come back at half of it', (t) => {
  const subject = new Subject(8);
  for (let index = 0; index < 8; index++) subject.push(true, String(index));
  t.equal(subject.list.encoding(REFERENCE), Encoding.Packed);
  subject.push(true, '8');
  t.equal(subject.list.encoding(REFERENCE), Encoding.Chunks);
  subject.list.drop(REFERENCE, true, 4);
  subject.list.shrink(REFERENCE);
  t.equal(subject.list.encoding(REFERENCE), Encoding.Chunks);
  subject.list.drop(REFERENCE, true, 1);
  subject.list.shrink(REFERENCE);
  t.equal(subject.list.encoding(REFERENCE), Encoding.Packed);
  t.strictSame(subject.contents(), ['0', '1', '2', '3']);
  t.end();
});

t.test('a queue of constant length does not grow', (t) => {
  const subject = new Subject(-2);
  for (let index = 0; index < 700; index++) subject.push(true, `element ${index} of a queue`);
  const full = subject.arena.usedBytes;
  for (let index = 700; index < 20_000; index++) {
    subject.push(true, `element ${index} of a queue`);
    subject.list.drop(REFERENCE, false, 1);
    subject.model.shift();
  }
  subject.verify();
  t.ok(subject.arena.usedBytes <= full + 16_384, `${subject.arena.usedBytes} after, ${full} before`);
  t.end();
});

t.test('many elements take little more than their bytes', (t) => {
  const subject = new Subject(-2, 32 << 20);
  for (let index = 0; index < 300_000; index++) {
    subject.list.prepare(REFERENCE, 16, 1);
    subject.list.push(REFERENCE, true, ...argument(`element:${String(index).padStart(8, '0')}`));
  }
  const perElement = subject.arena.usedBytes / 300_000;
  t.ok(perElement < 18.4, `${perElement} bytes for elements of 16`);
  for (const index of [0, 1, 149_999, 150_000, 150_001, 299_999]) {
    t.equal(subject.text(subject.list.seek(REFERENCE, index)), `element:${String(index).padStart(8, '0')}`);
  }
  t.end();
});

t.test('chunks behind the depth are compressed, those before it are not', (t) => {
  const subject = new Subject(-2, 16 << 20, 2);
  const { list } = subject;
  const compressed = () => {
    const { chunks } = list;
    const flags: boolean[] = [];
    for (let chunk = chunks.head(list.blockOf(REFERENCE)); chunk !== 0; chunk = chunks.nextChunk(chunk)) {
      flags.push(chunks.isCompressed(chunk));
    }
    return flags;
  };
  const expected = (chunks: number) =>
    Array.from({ length: chunks }, (_, index) => index >= 2 && index < chunks - 2);
  const plain = new Subject(-2, 16 << 20);
  for (let index = 0; index < 4000; index++) {
    subject.push(index % 3 !== 0, `element ${index} of a list`);
    plain.push(index % 3 !== 0, `element ${index} of a list`);
  }
  subject.verify();
  t.ok(compressed().length > 8);
  t.strictSame(compressed(), expected(compressed().length));
  t.ok(subject.arena.usedBytes < plain.arena.usedBytes / 2);

  // Changes in the middle leave it compressed.
  const [bytes, view, offset, lengthBytes] = argument('new');
  for (const index of [1500, 2000, 2500]) {
    list.prepare(REFERENCE, lengthBytes, 1);
    list.insert(REFERENCE, list.seek(REFERENCE, index), false, bytes, view, offset, lengthBytes);
    subject.model.splice(index, 0, 'new');
    list.replace(REFERENCE, list.seek(REFERENCE, index + 9), bytes, view, offset, lengthBytes);
    subject.model[index + 9] = 'new';
  }
  subject.verify();
  t.strictSame(compressed(), expected(compressed().length));
  for (let index = 0; index < 2000; index += 50) {
    list.drop(REFERENCE, true, 50);
    subject.model.splice(-50);
    subject.verify();
    t.strictSame(compressed(), expected(compressed().length));
  }
  t.end();
});

t.test('what has no pattern is not compressed', (t) => {
  const subject = new Subject(-2, 16 << 20, 1);
  const random = new Random(3);
  for (let index = 0; index < 3000; index++) {
    subject.push(true, String.fromCharCode(...Array.from({ length: 20 }, () => random.below(256))));
  }
  subject.verify();
  const { chunks } = subject.list;
  let chunk = chunks.head(subject.list.blockOf(REFERENCE));
  for (; chunk !== 0; chunk = chunks.nextChunk(chunk)) t.notOk(chunks.isCompressed(chunk));
  t.end();
});

t.test('without memory compressed elements can still be read and dropped', (t) => {
  const subject = new Subject(-2, 3 << 20, 1);
  const { list, model, arena } = subject;
  for (let index = 0; index < 20_000; index++) subject.push(true, `element ${index} of a long list`);
  for (let size = 1 << 20; size >= 8; size >>= 1) while (arena.allocate(size) !== 0) {}
  subject.verify();
  t.notOk(list.prepareRemoval(REFERENCE, ...argument('element 10000 of a long list')));
  const at = list.seek(REFERENCE, 10_000);
  t.notOk(list.insert(REFERENCE, at, false, ...argument('x'.repeat(40))));
  t.notOk(list.replace(REFERENCE, list.seek(REFERENCE, 10_000), ...argument('x'.repeat(40))));
  subject.verify();
  const random = new Random(9);
  while (model.length > 0) {
    const count = 1 + random.below(Math.min(model.length, 700));
    const fromTail = random.chance(0.5);
    list.drop(REFERENCE, fromTail, count);
    model.splice(fromTail ? -count : 0, count);
    // Nothing of what becomes free is left for others.
    while (arena.allocate(64) !== 0) {}
    subject.verify();
  }
  t.end();
});

for (const depth of [0, 1]) {
  t.test(`a full arena refuses and changes nothing, depth ${depth}`, (t) => {
    const subject = new Subject(-2, 3 << 20, depth);
    const random = new Random(5);
    const text = () => Array.from({ length: random.below(3000) }, () => random.below(1000)).join();
    while (subject.push(random.chance(0.5), depth ? text() : 'x'.repeat(random.below(9000)))) {}
    subject.verify();
    const { list, model } = subject;
    for (let round = 0; round < 60; round++) {
      const index = random.below(model.length);
      const value = 'y'.repeat(random.below(20_000));
      const at = list.seek(REFERENCE, index);
      if (random.chance(0.5)) {
        if (list.insert(REFERENCE, at, false, ...argument(value))) model.splice(index, 0, value);
      } else if (list.replace(REFERENCE, at, ...argument(value))) {
        model[index] = value;
      }
      subject.push(random.chance(0.5), value);
      subject.verify();
    }
    const used = subject.arena.usedBytes;
    t.notOk(list.copy(COPY_REFERENCE, list, REFERENCE));
    t.equal(subject.arena.usedBytes, used);
    subject.arena.verify();
    t.end();
  });
}
