import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { ShardMemory } from '../../src/memory/shard-memory.js';
import { PackedList } from '../../src/structures/packed-list.js';
import { Random } from '../tools/random.js';

const INTEGERS = [
  0, 1, 63, 64, 127, 128, -1, 4095, 4096, -4096, -4097, 32767, 32768, -32768, -32769, 8388607, 8388608,
  -8388608, -8388609, 2147483647, 2147483648, -2147483648, -2147483649, 9007199254740991, -9007199254740991,
];
const LENGTHS = [
  0, 1, 5, 62, 63, 64, 65, 125, 126, 127, 128, 129, 4094, 4095, 4096, 16379, 16380, 16381, 16382, 16383,
  16384,
];

function randomValue(random: Random): string {
  if (random.chance(0.3)) return String(INTEGERS[random.below(INTEGERS.length)]);
  if (random.chance(0.3)) return String(random.below(200_000) - 100_000);
  if (random.chance(0.05))
    return ['-0', '+1', '01', ' 1', '9007199254740993', '-9223372036854775808', '1.5'][random.below(7)]!;
  const length = random.chance(0.02) ? LENGTHS[random.below(LENGTHS.length)]! : random.below(40);
  return String.fromCharCode(97 + random.below(4)).repeat(length);
}

class Subject {
  readonly memory = ShardMemory.create(10 << 20, 1);
  readonly arena = new Arena(this.memory);
  readonly list = new PackedList(this.memory, this.arena);
  block = this.list.create();
  model: string[] = [];

  text(at: number): string {
    this.list.read(at);
    const { bytes, offset, lengthBytes } = this.list;
    return Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1');
  }

  argument(value: string): [Uint8Array, DataView, number, number] {
    const bytes = new Uint8Array(Buffer.from(`..${value}`, 'latin1'));
    return [bytes, new DataView(bytes.buffer), 2, value.length];
  }

  verify(): void {
    this.list.verify(this.block);
    this.arena.verify();
    const forwards: string[] = [];
    for (let at = this.list.first(this.block); at !== 0; at = this.list.next(at))
      forwards.push(this.text(at));
    const backwards: string[] = [];
    for (let at = this.list.last(this.block); at !== 0; at = this.list.previous(this.block, at)) {
      backwards.push(this.text(at));
    }
    if (JSON.stringify(forwards) !== JSON.stringify(this.model)) throw new Error('forwards differs');
    if (JSON.stringify(backwards.reverse()) !== JSON.stringify(this.model))
      throw new Error('backwards differs');
    if (this.list.count(this.block) !== this.model.length) throw new Error('count differs');
  }
}

function step(subject: Subject, random: Random): void {
  const { list, model } = subject;
  const index = random.below(model.length + 1);
  const value = randomValue(random);
  const at =
    index === model.length
      ? list.end(subject.block)
      : list.seek(subject.block, random.chance(0.5) ? index : index - model.length);
  switch (model.length > 60 ? 3 : random.below(5)) {
    case 0:
    case 1:
      subject.block = list.insert(subject.block, at, ...subject.argument(value));
      if (subject.text(list.position) !== value) throw new Error('position of the inserted element');
      model.splice(index, 0, value);
      break;
    case 2:
      if (index === model.length) break;
      subject.block = list.replace(subject.block, at, ...subject.argument(value));
      if (subject.text(list.position) !== value) throw new Error('position of the replaced element');
      model[index] = value;
      break;
    case 3: {
      if (index === model.length) break;
      const count = 1 + random.below(random.chance(0.1) ? 50 : 3);
      subject.block = list.remove(subject.block, at, count);
      model.splice(index, count);
      const following = list.position === 0 ? undefined : subject.text(list.position);
      if (following !== model[index]) throw new Error('position after removed elements');
      break;
    }
    default: {
      const skip = random.below(3);
      const wanted = random.chance(0.7) && model.length > 0 ? model[random.below(model.length)]! : value;
      const found = list.find(list.first(subject.block), skip, ...subject.argument(wanted));
      const expected = model.findIndex((text, position) => position % (skip + 1) === 0 && text === wanted);
      const actual = found === 0 ? -1 : model.indexOf(subject.text(found));
      if (expected < 0 !== (found === 0) || (expected >= 0 && model[actual] !== wanted))
        throw new Error(`find ${wanted}`);
      if (list.seek(subject.block, model.length) !== 0) throw new Error('seek past the end');
      if (list.seek(subject.block, -model.length - 1) !== 0) throw new Error('seek before the beginning');
    }
  }
}

for (const seed of [1, 2, 3]) {
  t.test(`a packed list agrees with an array, seed ${seed}`, (t) => {
    const random = new Random(seed);
    const subject = new Subject();
    for (let count = 0; count < 4000; count++) {
      step(subject, random);
      subject.verify();
    }
    subject.list.release(subject.block);
    t.equal(subject.arena.usedBytes, 0);
    t.end();
  });
}

t.test('lists beyond 65535 elements count and index', (t) => {
  const subject = new Subject();
  for (let index = 0; index < 70_000; index++) {
    subject.block = subject.list.append(subject.block, ...subject.argument(String(index)));
  }
  subject.list.verify(subject.block);
  t.equal(subject.list.count(subject.block), 70_000);
  t.equal(subject.text(subject.list.seek(subject.block, 69_999)), '69999');
  t.equal(subject.text(subject.list.seek(subject.block, -1)), '69999');
  subject.block = subject.list.remove(subject.block, subject.list.first(subject.block), 60_000);
  t.equal(subject.list.count(subject.block), 10_000);
  t.equal(subject.text(subject.list.first(subject.block)), '60000');
  t.end();
});

t.test('a full arena refuses and changes nothing', (t) => {
  const subject = new Subject();
  const huge = subject.argument('x'.repeat(6 << 20));
  subject.block = subject.list.append(subject.block, ...huge);
  subject.model.push('x'.repeat(6 << 20));
  t.equal(subject.list.append(subject.block, ...huge), 0);
  t.equal(subject.list.append(subject.block, ...huge), 0);
  t.doesNotThrow(() => subject.verify());
  t.end();
});
