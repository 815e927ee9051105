/** What a stream knows of its producers agrees with lists in JavaScript, also when memory runs out. */

import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { ByteRange } from '../../src/structures/byte-range.js';
import type { NamedRecords } from '../../src/structures/named-records.js';
import { StreamId } from '../../src/structures/stream-id.js';
import { StreamProducers } from '../../src/structures/stream-producers.js';
import { Random } from '../tools/random.js';

const SECONDS = 10;
const IDS = 5;
const START_MS = 1_700_000_000_000;

function nameFrom(text: string): ByteRange {
  const bytes = new Uint8Array(Buffer.from(text, 'latin1'));
  const name = new ByteRange(bytes, new DataView(bytes.buffer));
  name.lengthBytes = bytes.length;
  return name;
}

class Model {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly producers: StreamProducers;
  readonly known: number;
  readonly lists = new Map<string, { name: string; ms: number }[]>();
  nowMs = START_MS;
  refused = 0;

  constructor(arenaBytes: number) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 1);
    this.memory.words[HeaderWord.ArenaEnd] = this.memory.words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.producers = new StreamProducers(this.memory, this.arena);
    this.known = this.producers.create(SECONDS, IDS);
  }

  send(producer: string, message: string): boolean {
    const { producers, known, nowMs } = this;
    const id = new StreamId();
    producers.expire(known, nameFrom(producer), nowMs);
    this.expire();
    const found = producers.find(known, nameFrom(producer), nameFrom(message));
    const list = this.lists.get(producer) ?? [];
    const own = list.find(({ name }) => name === message);
    if (found !== 0) {
      id.read(this.memory.words, producers.entryIdOf(found));
      const expected = new StreamId();
      expected.setMs(own?.ms ?? -1);
      return own !== undefined && id.compare(expected) === 0;
    }
    if (own !== undefined) return false;
    id.setMs(nowMs);
    if (!producers.add(known, nameFrom(producer), nameFrom(message), id)) {
      this.refused++;
      return true;
    }
    list.push({ name: message, ms: nowMs });
    if (list.length > IDS) list.shift();
    this.lists.set(producer, list);
    return true;
  }

  /** What is too old may be there, as long as nobody has asked for it. */
  private expire(): void {
    for (const [producer, list] of this.lists) {
      const left = list.filter(({ ms }) => ms > this.nowMs - SECONDS * 1000);
      if (left.length > 0) this.lists.set(producer, left);
      else this.lists.delete(producer);
    }
  }

  contents(of = this.producers, known = this.known): string[] {
    const { bytes } = this.memory;
    const all: string[] = [];
    const vector = of.vector(known);
    for (let index = 0; index < of.producers.count(vector); index++) {
      const producer = of.producers.recordAt(vector, index);
      const name = (records: NamedRecords, record: number) => {
        const start = records.nameOffset(record);
        return Buffer.from(bytes.subarray(start, start + records.nameLength(record))).toString('latin1');
      };
      const own = name(of.producers, producer);
      for (let message = of.oldest(producer); message !== 0; message = of.newer(message)) {
        all.push(`${own} ${name(of.messages, message)}`);
      }
    }
    return all;
  }
}

for (const arenaBytes of [1 << 20, 6_000]) {
  t.test(`random messages with ${arenaBytes} bytes`, async (t) => {
    const seed = Number(process.env.DAMSELFLY_PRODUCERS_SEED ?? Date.now() % 1_000_000);
    const random = new Random(seed);
    const model = new Model(arenaBytes);
    const { producers, known, arena, memory } = model;
    for (let step = 0; step < 5000; step++) {
      const producer = `p${random.below(random.pick([3, 60]))}${'x'.repeat(random.below(20))}`;
      const message = `m${random.below(20)}`;
      if (!model.send(producer, message)) t.fail(`seed ${seed}, step ${step}: ${producer} ${message}`);
      if (random.chance(0.2)) model.nowMs += random.below(random.pick([10, 2000, 20_000]));
      producers.verify(known);
    }
    t.equal(model.refused > 0, arenaBytes < 100_000, 'memory runs out only where it is little');
    const held = new Set(model.contents());
    for (const [producer, list] of model.lists) {
      for (const { name } of list) t.ok(held.has(`${producer} ${name}`), 'what is not too old is known');
    }
    if (arenaBytes > 100_000) {
      const copy = producers.copy(producers, known, memory.bytes, memory.view, new StreamId());
      t.same(model.contents(producers, copy), model.contents());
      t.equal(producers.added(copy), producers.added(known));
      t.equal(producers.usedBytes(copy) > 0, true);
      while (!producers.releaseSome(copy, 7)) {}
    }
    producers.configure(known, 1, 2);
    t.same(model.contents(), []);
    while (!producers.releaseSome(known, 3)) {}
    t.equal(arena.usedBytes, 0);
    arena.verify();
  });
}
