/** The dictionary against a Map: growing, shrinking, running out of memory, scanning, drawing at random. */

import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { DATABASES_START_BYTE, HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { Dictionary, TablePosition, VISIT_END } from '../../src/structures/dictionary.js';
import { Random } from '../tools/random.js';

const RECORD_BYTES = 16;
const ROOT = DATABASES_START_BYTE >> 2;

/** Records are a key of one word and a hash of the test's choice, so that keys can be made to collide. */
class TestDictionary extends Dictionary {
  mayHash = true;

  protected override recordMatches(record: number, _: Uint8Array, view: DataView, offset: number): boolean {
    return this.words[record >> 2] === view.getInt32(offset, true);
  }

  protected override recordHash(record: number): number {
    if (!this.mayHash) throw new Error('a hash is asked for');
    return this.words[(record >> 2) + 1]!;
  }
}

/** A dictionary and the Map that it should equal. */
class Model {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly dictionary: TestDictionary;
  /** Key to record. */
  readonly records = new Map<number, number>();
  /** All keys, for drawing one at random; removed ones are replaced by the last. */
  readonly keys: number[] = [];
  readonly key = new DataView(new ArrayBuffer(4));
  private readonly keyBytes = new Uint8Array(this.key.buffer);
  private readonly hashOf: (key: number) => number;

  constructor(arenaBytes: number, hashOf: (key: number) => number) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 1);
    const { words } = this.memory;
    words[HeaderWord.ArenaEnd] = words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.dictionary = new TestDictionary(this.memory, this.arena);
    this.hashOf = hashOf;
  }

  /** The slot of a key, checked against the Map. */
  find(key: number): number {
    this.key.setInt32(0, key, true);
    const hash = this.hashOf(key);
    const slot = this.dictionary.find(ROOT, hash, this.keyBytes, this.key, 0, 4);
    const record = slot === 0 ? undefined : this.memory.words[slot];
    if (record !== this.records.get(key)) throw new Error(`find ${key}: ${record}`);
    if (record !== undefined && this.dictionary.slotOf(ROOT, hash, record) !== slot)
      throw new Error(`slotOf ${key} differs`);
    if (record !== undefined && this.dictionary.hashOf(this.dictionary.findHash(ROOT, hash)) !== hash)
      throw new Error(`findHash ${key}`);
    return slot;
  }

  /** Adds a key that is not there; false if there was no memory, and then nothing has changed. */
  insert(key: number): boolean {
    const record = this.arena.allocate(RECORD_BYTES);
    if (record === 0) return false;
    this.memory.words[record >> 2] = key;
    this.memory.words[(record >> 2) + 1] = this.hashOf(key);
    if (!this.dictionary.insert(ROOT, this.hashOf(key), record)) {
      this.arena.free(record, RECORD_BYTES);
      return false;
    }
    this.records.set(key, record);
    this.keys.push(key);
    return true;
  }

  erase(index: number): void {
    const key = this.keys[index]!;
    const slot = this.find(key);
    this.dictionary.erase(ROOT, this.hashOf(key), slot);
    this.arena.free(this.records.get(key)!, RECORD_BYTES);
    this.records.delete(key);
    this.keys[index] = this.keys[this.keys.length - 1]!;
    this.keys.pop();
  }

  verify(): void {
    this.dictionary.verify(ROOT);
    if (this.dictionary.count(ROOT) !== this.records.size) throw new Error('wrong count');
    const used = this.records.size * RECORD_BYTES + this.dictionary.tableBytes(ROOT);
    if (this.arena.usedBytes !== used) throw new Error(`used ${this.arena.usedBytes}, expected ${used}`);
  }

  scanAll(): number[] {
    const found: number[] = [];
    let cursor = 0;
    do {
      cursor = this.dictionary.scan(ROOT, cursor);
      for (let index = 0; index < this.dictionary.scannedCount; index++)
        found.push(this.memory.words[this.dictionary.scanned[index]! >> 2]!);
    } while (cursor !== 0);
    return found;
  }
}

function scatter(key: number): number {
  let mixed = Math.imul(key ^ (key >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return mixed ^ (mixed >>> 15);
}

const hashes: [name: string, hashOf: (key: number) => number, keysMax: number][] = [
  ['scattered hashes', scatter, 6000],
  ['hashes that share a line', (key) => scatter(key) & ~63, 3000],
  ['hashes that share their top bits', (key) => scatter(key) >>> 12, 3000],
  ['few different hashes', (key) => scatter(key % 40), 1500],
];

for (const [name, hashOf, keysMax] of hashes) {
  for (const arenaBytes of [48 * 1024, 4 << 20]) {
    t.test(`random steps with ${name} in ${arenaBytes} bytes`, async (t) => {
      const seed = Date.now() % 1_000_000;
      const random = new Random(seed);
      const model = new Model(arenaBytes, hashOf);
      let refused = 0;
      let grows = true;
      try {
        for (let count = 0; count < 20_000; count++) {
          // The dictionary grows and shrinks in turns.
          if (model.keys.length >= keysMax) grows = false;
          else if (model.keys.length === 0) {
            grows = true;
            if (random.chance(0.5)) model.dictionary.reserve(ROOT, random.below(keysMax));
          }
          const key = random.below(keysMax * 2);
          if (random.chance(grows ? 0.75 : 0.25)) {
            if (model.find(key) === 0 && !model.insert(key)) {
              refused++;
              grows = false;
              model.find(key);
            }
          } else if (model.keys.length > 0) {
            model.erase(random.below(model.keys.length));
          }
          if (count < 2000 || count % 16 === 0) model.verify();
          if (count % 2000 === 0) {
            for (const known of model.keys) model.find(known);
            const scanned = model.scanAll().sort((one, two) => one - two);
            const expected = [...model.keys].sort((one, two) => one - two);
            if (scanned.join() !== expected.join()) throw new Error('a scan at rest differs');
          }
        }
        model.verify();
        if (arenaBytes > 1 << 20) t.equal(refused, 0);
        else t.ok(refused > 0, 'memory has run out');
        model.arena.verify();
        while (model.keys.length > 0) model.erase(random.below(model.keys.length));
        t.equal(model.arena.usedBytes, 0, 'an empty dictionary holds no memory');
      } catch (error) {
        t.fail(`seed ${seed}: ${(error as Error).message}`);
      }
    });
  }
}

/** One step of a way through a dictionary from 0 on; returns where to go on, or -1 at the end. */
type Step = (dictionary: Dictionary, position: number) => number;

const WAYS: readonly [string, Step][] = [
  ['a scan', (dictionary, cursor) => dictionary.scan(ROOT, cursor) || -1],
  [
    'a visit',
    (dictionary, prefix) => {
      const next = dictionary.visitLine(ROOT, prefix);
      return next === VISIT_END ? -1 : next;
    },
  ],
];

for (const [name, step] of WAYS) {
  t.test(`${name} sees whoever stays, while others come and go`, async (t) => {
    const seed = Date.now() % 1_000_000;
    const random = new Random(seed);
    for (let round = 0; round < 60; round++) {
      const model = new Model(4 << 20, scatter);
      const start = random.below(3000);
      for (let key = 0; key < start; key++) model.insert(key);
      const missing = new Set(model.keys);
      let nextKey = start;
      let position = 0;
      let stepsLeft = 5000;
      const inserts = random.chance(0.5) ? 0.8 : 0.2;
      do {
        position = step(model.dictionary, position);
        for (let index = 0; index < model.dictionary.scannedCount; index++)
          missing.delete(model.memory.words[model.dictionary.scanned[index]! >> 2]!);
        for (let changes = random.below(100); changes > 0; changes--) {
          if (nextKey < 20_000 && random.chance(inserts)) {
            model.insert(nextKey++);
          } else if (model.keys.length > 0) {
            const index = random.below(model.keys.length);
            missing.delete(model.keys[index]!);
            model.erase(index);
          }
        }
      } while (position !== -1 && --stepsLeft > 0);
      if (missing.size > 0 || stepsLeft === 0) {
        t.fail(`seed ${seed}, round ${round}: ${missing.size} keys were not seen, ${stepsLeft} steps left`);
        return;
      }
      model.verify();
    }
    t.pass(`seed ${seed}`);
  });
}

t.test('a visit of a table at rest sees everybody once', async (t) => {
  const model = new Model(16 << 20, scatter);
  for (let key = 0; key < 30_000; key++) model.insert(key);
  for (let round = 0; round < 2; round++) {
    const seen: number[] = [];
    for (let prefix = 0; prefix !== VISIT_END; ) {
      prefix = model.dictionary.visitLine(ROOT, prefix);
      const { scanned, scannedCount } = model.dictionary;
      for (let index = 0; index < scannedCount; index++) seen.push(model.memory.words[scanned[index]! >> 2]!);
    }
    t.equal(seen.length, 30_000);
    t.equal(new Set(seen).size, 30_000);
  }
});

t.test(
  'a visit of a table at rest sees all once and hashes nothing, whatever came and went before',
  async (t) => {
    const seed = Date.now() % 1_000_000;
    const random = new Random(seed);
    for (let round = 0; round < 20; round++) {
      const model = new Model(16 << 20, round % 2 === 0 ? scatter : (key) => scatter(key) & 0x3fff00ff);
      for (let key = random.below(20_000); key > 0; key--) model.insert(key);
      for (let erased = random.below(model.keys.length + 1); erased > 0; erased--) {
        model.erase(random.below(model.keys.length));
      }
      const { dictionary } = model;
      const seen: number[] = [];
      dictionary.mayHash = false;
      for (const position = new TablePosition(); dictionary.readLine(ROOT, position); ) {
        for (let index = 0; index < dictionary.scannedCount; index++) {
          seen.push(model.memory.words[dictionary.scanned[index]! >> 2]!);
        }
      }
      t.same(
        seen.sort((one, other) => one - other),
        [...model.keys].sort((one, other) => one - other),
        `seed ${seed}, round ${round}`,
      );
    }
  },
);

t.test('a table that was reserved takes what it was reserved for without growing', async (t) => {
  for (const count of [1000, 5000, 80_000]) {
    const reserved = new Model(16 << 20, scatter);
    reserved.dictionary.reserve(ROOT, count);
    reserved.verify();
    t.equal(reserved.dictionary.random(ROOT, 1), 0);
    t.same(reserved.scanAll(), []);
    const tableBytes = reserved.dictionary.tableBytes(ROOT);
    const grown = new Model(16 << 20, scatter);
    for (let key = 0; key < count; key++) {
      reserved.insert(key);
      grown.insert(key);
    }
    reserved.verify();
    t.equal(reserved.scanAll().length, count);
    const nowBytes = reserved.dictionary.tableBytes(ROOT);
    // Which segments are fuller than expected depends on the salt, which is drawn: of eight, seldom two split.
    t.ok(nowBytes <= tableBytes * 1.1 + 5 * 4500, `${count}: ${tableBytes} bytes, now ${nowBytes}`);
    const grownBytes = grown.dictionary.tableBytes(ROOT);
    t.ok(nowBytes <= grownBytes * 1.3 + 3 * 4500, `${nowBytes} bytes, ${grownBytes} of one that has grown`);
    while (reserved.keys.length > 0) reserved.erase(reserved.keys.length - 1);
    t.equal(reserved.arena.usedBytes, 0);
  }
  for (const count of [1, 8, 9, 100, 128, 400, 640]) {
    const reserved = new Model(1 << 20, scatter);
    reserved.dictionary.reserve(ROOT, count);
    reserved.verify();
    const grown = new Model(1 << 20, scatter);
    for (let key = 0; key < count; key++) {
      reserved.insert(key);
      grown.insert(key);
    }
    reserved.verify();
    const bytes = [reserved, grown].map((model) => model.dictionary.tableBytes(ROOT));
    t.ok(bytes[0]! <= 2.2 * bytes[1]!, `${count}: ${bytes[0]} bytes, ${bytes[1]} of one that has grown`);
  }
  const small = new Model(64 << 10, scatter);
  small.dictionary.reserve(ROOT, 1e9);
  t.equal(small.arena.usedBytes, 0, 'without memory for all of it nothing is reserved');
  small.arena.verify();
  small.verify();
});

t.test('any number is a cursor, and a scan from it ends', async (t) => {
  const random = new Random(3);
  const model = new Model(4 << 20, scatter);
  for (let key = 0; key < 5000; key++) model.insert(key);
  for (let count = 0; count < 2000; count++) {
    const start = random.uint32();
    let cursor = start;
    let steps = 0;
    do cursor = model.dictionary.scan(ROOT, cursor);
    while (cursor !== 0 && ++steps < 10_000);
    if (cursor !== 0) {
      t.fail(`the scan from ${start} does not end`);
      return;
    }
  }
  t.pass('all have ended');
});

t.test('random records are drawn about evenly', async (t) => {
  const random = new Random(4);
  const model = new Model(4 << 20, scatter);
  for (let key = 0; key < 500; key++) model.insert(key);
  const draws = new Int32Array(500);
  for (let count = 0; count < 100_000; count++) {
    const record = model.dictionary.random(ROOT, random.uint32());
    draws[model.memory.words[record >> 2]!]!++;
  }
  t.ok(
    Math.min(...draws) > 100 && Math.max(...draws) < 400,
    `${Math.min(...draws)} to ${Math.max(...draws)}`,
  );
  while (model.keys.length > 1) model.erase(0);
  t.equal(model.memory.words[model.dictionary.random(ROOT, 1) >> 2], model.keys[0]);
  model.erase(0);
  t.equal(model.dictionary.random(ROOT, 1), 0);
});
