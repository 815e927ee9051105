/** Packed lists of keys with fingerprints, against a Map. */

import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { ownHashSecret } from '../../src/memory/hash.js';
import { ShardMemory } from '../../src/memory/shard-memory.js';
import { INDEXED_KEYS_MAX, KeyIndex } from '../../src/structures/key-index.js';
import { KeyedList, NO_FINGERPRINT } from '../../src/structures/keyed-list.js';
import { Random } from '../tools/random.js';

ownHashSecret();

const KEYS = [
  ...[
    '',
    'a',
    'ab',
    'abc',
    'abcd',
    'abcdefgh',
    'abcdefghi',
    'x'.repeat(63),
    'x'.repeat(64),
    'y'.repeat(5000),
  ],
  ...['0', '-0', '127', '128', '-1', '-4096', '32768', '-8388609', '2147483648', '-2147483649', '01', '+1'],
  ...['9007199254740991', '-9007199254740991', '9007199254740993', '-9223372036854775808'],
];

class Subject {
  readonly memory = ShardMemory.create(10 << 20, 1);
  readonly arena = new Arena(this.memory);
  readonly keyed: KeyedList;
  readonly model = new Map<string, string>();
  readonly index = new KeyIndex();
  list: number;

  constructor(readonly stride: 1 | 2) {
    this.keyed = new KeyedList(this.memory, this.arena, stride);
    this.list = this.keyed.create();
  }

  argument(text: string): [Uint8Array, DataView, number, number] {
    const bytes = new Uint8Array(Buffer.from(`.${text}`, 'latin1'));
    return [bytes, new DataView(bytes.buffer), 1, text.length];
  }

  text(at: number): string {
    this.keyed.read(at);
    const { bytes, offset, lengthBytes } = this.keyed;
    return Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1');
  }

  find(key: string): number {
    return this.keyed.findKey(this.list, ...this.argument(key));
  }

  /** Sets a key; false if there is no memory. */
  set(key: string, value: string): boolean {
    const { keyed, stride } = this;
    const at = this.find(key);
    let changed = this.list;
    if (at === 0 && stride === 1) changed = keyed.append(this.list, ...this.argument(key));
    else if (at === 0) changed = keyed.appendPair(this.list, ...this.argument(key), ...this.argument(value));
    else if (stride === 2) changed = keyed.replace(this.list, keyed.next(at), ...this.argument(value));
    if (changed === 0) return false;
    this.list = changed;
    this.model.set(key, value);
    return true;
  }

  remove(key: string): void {
    const at = this.find(key);
    if ((at !== 0) !== this.model.delete(key)) throw new Error(`${key} was found or was not`);
    if (at !== 0) this.list = this.keyed.removeKey(this.list, at);
  }

  /** An index finds what the list itself finds. */
  verifyIndex(): void {
    const { keyed, index } = this;
    const count = keyed.fingerprintCount(this.list);
    if (count === 0 || count > INDEXED_KEYS_MAX) return;
    index.build(keyed, this.list);
    for (const key of [...this.model.keys(), ...KEYS, 'absent', '123456']) {
      for (const fingerprint of [NO_FINGERPRINT, keyed.fingerprintOf(...this.argument(key))]) {
        const at = index.find(fingerprint, ...this.argument(key));
        if (at !== this.find(key)) throw new Error(`${key} is at ${this.find(key)}, not at ${at}`);
      }
    }
  }

  verify(): void {
    const { keyed, stride } = this;
    keyed.verify(this.list);
    this.arena.verify();
    const elements: string[] = [];
    for (let at = keyed.first(this.list); at !== 0; at = keyed.next(at)) elements.push(this.text(at));
    const expected = [...this.model].flatMap(([key, value]) => (stride === 1 ? [key] : [key, value]));
    if (JSON.stringify(elements) !== JSON.stringify(expected)) throw new Error('the elements differ');
  }
}

const randomKey = (random: Random): string => {
  if (random.chance(0.2)) return KEYS[random.below(KEYS.length)]!;
  return random.chance(0.3) ? String(random.below(200) - 100) : `field:${random.below(200)}`;
};

for (const stride of [1, 2] as const) {
  for (const seed of [1, 2, 3]) {
    t.test(`keys ${stride === 1 ? 'alone' : 'with values'} agree with a Map, seed ${seed}`, async (t) => {
      const random = new Random(seed);
      const subject = new Subject(stride);
      let other = 0;
      let longest = 0;
      for (let count = 0; count < 6000; count++) {
        // Grows and shrinks by turns, over the borders at which fingerprints come, go and get more room.
        const growing = Math.floor(count / 400) % 2 === 0;
        const key = randomKey(random);
        if (random.chance(growing ? 0.8 : 0.1)) subject.set(key, 'v'.repeat(random.below(30)));
        else if (random.chance(0.8)) subject.remove(key);
        else if ((subject.find(key) !== 0) !== subject.model.has(key)) throw new Error(`find ${key}`);
        // Something behind the list, so that it can't always grow in place.
        if (random.chance(0.1)) {
          if (other !== 0) subject.arena.free(other, 64);
          other = other === 0 ? subject.arena.allocate(64) : 0;
        }
        subject.verify();
        if (count % 16 === 0) subject.verifyIndex();
        longest = Math.max(longest, subject.model.size);
      }
      for (const key of subject.model.keys()) {
        const at = subject.find(key);
        if (at === 0 || subject.text(at) !== key) throw new Error(`find ${key}`);
      }
      t.ok(longest > 130, `${longest} keys at most`);
      const copy = subject.keyed.copy(subject.keyed, subject.list);
      subject.keyed.release(subject.list);
      subject.list = copy;
      subject.verify();
      for (const key of [...subject.model.keys()]) subject.remove(key);
      subject.verify();
      subject.keyed.release(subject.list);
      if (other !== 0) subject.arena.free(other, 64);
      t.equal(subject.arena.usedBytes, 0);
    });
  }
}

t.test('keys with equal fingerprints', async (t) => {
  const subject = new Subject(2);
  // Alike in length, in the first four bytes and in the last eight.
  const keys = Array.from({ length: 100 }, (_, index) => `key:${String(index).padStart(3, '0')}:the same`);
  for (const key of keys) subject.set(key, `value of ${key}`);
  subject.verify();
  for (const key of keys) t.equal(subject.text(subject.keyed.next(subject.find(key))), `value of ${key}`);
  t.equal(subject.find('key:100:the same'), 0);
});

t.test('beyond 65534 elements there are no fingerprints, and never again', async (t) => {
  const subject = new Subject(2);
  const append = (index: number) => {
    const key = subject.argument(`k${index}`);
    subject.list = subject.keyed.appendPair(subject.list, ...key, ...subject.argument('v'));
  };
  for (let index = 0; index < 33_000; index++) append(index);
  subject.keyed.verify(subject.list);
  subject.arena.verify();
  t.equal(subject.keyed.count(subject.list), 66_000);
  t.not(subject.find('k32999'), 0);
  for (let index = 0; index < 32_970; index++) {
    subject.list = subject.keyed.removeKey(subject.list, subject.keyed.first(subject.list));
  }
  t.equal(subject.keyed.count(subject.list), 60);
  t.equal(subject.find('k32969'), 0);
  t.not(subject.find('k32970'), 0);
  append(33_000);
  t.not(subject.find('k33000'), 0);
  subject.keyed.verify(subject.list);
  subject.keyed.release(subject.list);
  t.equal(subject.arena.usedBytes, 0);
});

t.test('a full arena refuses and changes nothing', async (t) => {
  for (const keysBefore of [5, 15, 16, 31, 40]) {
    const subject = new Subject(2);
    for (let index = 0; index < keysBefore; index++) subject.set(`field:${index}`, 'value');
    for (let size = 1 << 20; size >= 8; size >>= 1) while (subject.arena.allocate(size) !== 0) {}
    let refused = 0;
    for (let index = 0; index < 20; index++) if (!subject.set(`more:${index}`, 'value')) refused++;
    t.ok(refused > 0);
    subject.verify();
    for (const key of [...subject.model.keys()]) {
      subject.remove(key);
      subject.verify();
    }
  }
});
