/** Which clients have read which keys, against a Map of Sets, with much and with little memory. */

import t from 'tap';
import { NamedKey } from '../../src/keyspace/gate.js';
import { TrackedKeys } from '../../src/keyspace/tracked-keys.js';
import { TrackingTotals } from '../../src/keyspace/tracking-totals.js';
import { Arena } from '../../src/memory/arena.js';
import { hashBytes, setHashSecret } from '../../src/memory/hash.js';
import { HeaderWord, ShardListener, ShardMemory } from '../../src/memory/shard-memory.js';
import { CLIENT_ROWS_MAX } from '../../src/state/client-table.js';
import { Random } from '../tools/random.js';

setHashSecret([1, 2]);

function keyOf(text: string): NamedKey {
  const bytes = new Uint8Array(Buffer.from(text));
  const view = new DataView(bytes.buffer);
  return new NamedKey(bytes, view, 0, hashBytes(view, 0, bytes.length), 0, bytes.length);
}

class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly totals = new TrackingTotals(TrackingTotals.create());
  readonly tracked: TrackedKeys;
  readonly model = new Map<string, Set<number>>();

  constructor(arenaBytes: number) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 1);
    this.memory.words[HeaderWord.ArenaEnd] = this.memory.words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.tracked = new TrackedKeys(this.memory, this.arena, this.totals);
  }

  add(name: string, client: number): boolean {
    if (!this.tracked.add(keyOf(name), client)) return false;
    const clients = this.model.get(name) ?? new Set();
    clients.add(client);
    this.model.set(name, clients);
    return true;
  }

  /** Compares the clients that were taken out with a key. */
  private checkTaken(name: string): void {
    const { taken, takenCount } = this.tracked;
    const clients = [...taken.subarray(0, takenCount)].sort((one, other) => one - other);
    const known = [...(this.model.get(name) ?? [])].sort((one, other) => one - other);
    if (clients.join() !== known.join()) throw new Error(`clients of ${name}: ${clients}, not ${known}`);
    this.model.delete(name);
  }

  take(name: string): void {
    const wasThere = this.model.has(name);
    if (this.tracked.take(keyOf(name)) !== wasThere) throw new Error(`${name} was there: ${wasThere}`);
    if (wasThere) this.checkTaken(name);
  }

  takeAny(random: number): void {
    let name = '';
    const isAny = this.tracked.takeAny(random, (offset, length) => {
      name = Buffer.from(this.memory.bytes.slice(offset, offset + length)).toString();
    });
    if (isAny !== this.model.size > 0) throw new Error('none is there, or some');
    if (isAny) this.checkTaken(name);
  }

  verify(): void {
    this.tracked.verify();
    if (this.tracked.count !== this.model.size) throw new Error('wrong number of keys');
    let items = 0;
    for (const clients of this.model.values()) items += clients.size;
    if (this.totals.keys !== this.model.size || this.totals.items !== items) throw new Error('wrong totals');
  }
}

for (const [name, arenaBytes] of [
  ['with room', 4 << 20],
  ['with little memory', 20 * 1024],
] as const) {
  t.test(`random steps ${name}`, async (t) => {
    const seed = Date.now() % 1_000_000;
    const random = new Random(seed);
    const subject = new Subject(arenaBytes);
    const names = Array.from({ length: 60 }, (_, index) => `key:${index}`.padEnd(random.below(60), '.'));
    let refused = 0;
    try {
      for (let step = 0; step < 20_000; step++) {
        const choice = random.below(1000);
        // Some keys are read by many clients, and become a bitmap.
        const isPopular = random.chance(0.5);
        const key = isPopular ? names[random.below(4)]! : random.pick(names);
        if (choice < 970) {
          const client = isPopular ? random.below(CLIENT_ROWS_MAX) : random.below(30);
          if (!subject.add(key, client)) refused++;
        } else if (choice < 990) subject.take(key);
        else if (choice < 999) subject.takeAny(random.uint32() | 0);
        else if (random.chance(0.2)) {
          subject.tracked.clear();
          subject.model.clear();
        }
        if (step % 20 === 0) subject.verify();
      }
      for (const key of [...subject.model.keys()]) subject.take(key);
      subject.verify();
      subject.arena.verify();
      t.equal(subject.arena.usedBytes, 0);
      t.equal(subject.memory.words[HeaderWord.Listeners]! & ShardListener.Tracked, 0);
      t.equal(refused > 0, arenaBytes < 100_000);
    } catch (error) {
      t.fail(`seed ${seed}: ${(error as Error).message}`);
    }
  });
}

t.test('a client that reads a key again is there once', async (t) => {
  const subject = new Subject(1 << 20);
  for (let round = 0; round < 3; round++) {
    for (let client = 0; client < 200; client++) subject.add('k', client);
    subject.verify();
  }
  t.same([subject.totals.keys, subject.totals.items], [1, 200]);
  subject.take('k');
  t.equal(subject.tracked.takenCount, 200);
  t.notOk(subject.tracked.take(keyOf('k')), 'what was taken is gone');
});
