/** A shard against Maps of what it should hold: random changes, expiry, eviction, little memory. */

import t from 'tap';
import { EvictionPolicy, type KeyspaceSettings } from '../../src/config/keyspace-settings.js';
import { Journal } from '../../src/journal/journal.js';
import { JournalRing } from '../../src/journal/journal-ring.js';
import { KeyspaceCounter } from '../../src/keyspace/counters.js';
import {
  entryType,
  expiresAtMs,
  keyLength,
  keyOffset,
  ValueType,
  valueCapacity,
  valueLength,
  valueOffset,
} from '../../src/keyspace/entry.js';
import { KeyEvent } from '../../src/keyspace/events.js';
import { Gate, NamedKey } from '../../src/keyspace/gate.js';
import { KeptLock } from '../../src/keyspace/kept-lock.js';
import { Shard } from '../../src/keyspace/shard.js';
import { Attention } from '../../src/memory/attention.js';
import { hashBytes, ownHashSecret } from '../../src/memory/hash.js';
import { LockOrder } from '../../src/memory/lock-order.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { Random } from '../tools/random.js';
import { valueLimits } from '../tools/value-limits.js';

ownHashSecret();

const DATABASES = 3;
const START_MS = Date.UTC(2026, 5, 1);

function newSettings(): KeyspaceSettings {
  return {
    maxMemoryBytes: 0,
    policy: EvictionPolicy.NoEviction,
    samples: 5,
    evictionMsMax: 0.5,
    lfu: { logFactor: 10, decayTimeMinutes: 1 },
    usesLfu: false,
    lazyUserDelete: false,
    lazyServerDelete: false,
    trackedKeysMax: 0,
    values: valueLimits(),
  };
}

interface Known {
  value: Buffer;
  expiresAt: number;
}

class Model {
  readonly shard: Shard;
  readonly settings = newSettings();
  readonly counters = new Float64Array(KeyspaceCounter.COUNT);
  readonly databases: Map<string, Known>[] = Array.from({ length: DATABASES }, () => new Map());
  readonly random: Random;
  nowMs = START_MS;
  refused = 0;
  expired = 0;
  evicted = 0;
  changes = 0;

  // The key looked at last.
  database = 0;
  key = Buffer.alloc(0);
  view = new DataView(new ArrayBuffer(0));
  hash = 0;

  constructor(arenaBytes: number, random: Random) {
    const memory = ShardMemory.create(arenaBytes + (4 << 20), DATABASES);
    memory.words[HeaderWord.ArenaEnd] = memory.words[HeaderWord.ArenaStart]! + arenaBytes;
    const journal = new Journal(JournalRing.create(1 << 16), 0);
    this.shard = new Shard(
      0,
      memory.buffer,
      this.settings,
      this.counters,
      journal,
      new KeptLock(),
      new Gate(),
      new LockOrder(LockOrder.create(Attention.create(1))),
    );
    this.random = random;
  }

  select(database: number, name: string): void {
    this.database = database;
    this.key = Buffer.from(name, 'latin1');
    this.view = new DataView(this.key.buffer, this.key.byteOffset, this.key.byteLength);
    this.hash = hashBytes(this.view, 0, this.key.length);
  }

  /** Forgets what has expired and says whether the selected key had. */
  known(): Known | undefined {
    const map = this.databases[this.database]!;
    const name = this.key.toString('latin1');
    const known = map.get(name);
    if (known === undefined || known.expiresAt < 0 || known.expiresAt > this.nowMs) return known;
    map.delete(name);
    this.expired++;
    return undefined;
  }

  find(): number {
    const slot = this.shard.find(
      this.database,
      this.hash,
      this.key,
      this.view,
      0,
      this.key.length,
      this.nowMs,
    );
    const known = this.known();
    if ((slot !== 0) !== (known !== undefined)) throw new Error(`find ${this.key}: ${slot}`);
    if (known !== undefined) this.compare(this.shard.words[slot]!, known);
    return slot;
  }

  compare(entry: number, known: Known): void {
    const { words, bytes } = this.shard;
    const offset = valueOffset(words, entry);
    const value = Buffer.from(bytes.slice(offset, offset + valueLength(words, entry)));
    if (!value.equals(known.value)) throw new Error(`another value than expected, ${value.length} bytes`);
    if (expiresAtMs(words, entry) !== known.expiresAt) throw new Error('another expiry than expected');
    if (entryType(words, entry) !== ValueType.String) throw new Error('another type than expected');
    if (keyLength(words, entry) !== this.key.length) throw new Error('another key than expected');
  }

  fill(entry: number, value: Buffer): void {
    this.shard.bytes.set(value, valueOffset(this.shard.words, entry));
  }

  changed(event: KeyEvent): void {
    const { key, view, database, hash } = this;
    this.shard.changed(new NamedKey(key, view, database, hash, 0, key.length), event);
    this.changes++;
  }

  randomValue(): Buffer {
    const { random } = this;
    const length = random.below(random.pick([4, 30, 100, 1000, 9000]));
    return Buffer.alloc(length, random.pick(['a', 'bc', 'def']));
  }

  randomExpiry(): number {
    const { random } = this;
    return random.chance(0.6) ? -1 : this.nowMs + 1 + random.below(random.pick([500, 5000, 600_000, 1e10]));
  }

  put(): void {
    const { shard } = this;
    const slot = this.find();
    const value = this.randomValue();
    const expiresAt = this.randomExpiry();
    const { length } = this.key;
    const entry =
      slot === 0
        ? shard.create(
            this.database,
            this.hash,
            this.key,
            this.view,
            0,
            length,
            ValueType.String,
            value.length,
            expiresAt,
            this.nowMs,
          )
        : shard.replace(this.database, slot, ValueType.String, value.length, expiresAt, this.nowMs);
    if (entry === 0) {
      this.refused++;
    } else {
      this.fill(entry, value);
      this.databases[this.database]!.set(this.key.toString('latin1'), { value, expiresAt });
      this.changed(KeyEvent.Set);
    }
    this.find();
  }

  resize(): void {
    const slot = this.find();
    if (slot === 0) return;
    const known = this.known()!;
    const length = this.random.below(this.random.pick([10, 100, 3000]));
    const entry = this.shard.resizeString(this.database, slot, length, this.nowMs);
    if (entry === 0) {
      this.refused++;
    } else {
      const value = Buffer.alloc(length);
      known.value.copy(value);
      known.value = value;
      if (valueCapacity(this.shard.words, entry) < length) throw new Error('too little room');
      this.changed(KeyEvent.Append);
    }
    this.find();
  }

  expireLater(): void {
    const slot = this.find();
    if (slot === 0) return;
    const expiresAt = this.randomExpiry();
    if (this.shard.setExpiry(this.database, slot, expiresAt, this.nowMs) === 0) {
      this.refused++;
    } else {
      this.known()!.expiresAt = expiresAt;
      this.changed(KeyEvent.Expire);
    }
    this.find();
  }

  remove(): void {
    const slot = this.find();
    if (slot === 0) return;
    const evicts = this.random.chance(0.3);
    if (evicts) {
      this.shard.evict(this.database, this.hash, slot);
      this.evicted++;
    } else {
      this.shard.remove(this.database, this.hash, slot);
      this.changed(KeyEvent.Delete);
    }
    this.databases[this.database]!.delete(this.key.toString('latin1'));
    this.find();
  }

  /** Everything that is due goes; what is left over may only be what has come due in this tick of the calendar. */
  expireDue(): void {
    for (let database = 0; database < DATABASES; database++) {
      while (this.shard.expireDue(database, this.nowMs, 10) === 10) {}
      const map = this.databases[database]!;
      for (const [name, known] of map) {
        this.select(database, name);
        if (known.expiresAt < 0 || known.expiresAt > this.nowMs) continue;
        if (this.shard.hasHash(database, this.hash, 0)) continue;
        map.delete(name);
        this.expired++;
      }
    }
  }

  flush(): void {
    const database = this.random.below(DATABASES);
    const map = this.databases[database]!;
    if (this.shard.flush(database, this.nowMs) !== map.size) throw new Error('flush counts otherwise');
    this.changes += map.size;
    map.clear();
  }

  swap(): void {
    const left = this.random.below(DATABASES);
    const right = this.random.below(DATABASES);
    this.shard.swapDatabases(left, right, this.nowMs);
    this.changes++;
    const kept = this.databases[left]!;
    this.databases[left] = this.databases[right]!;
    this.databases[right] = kept;
  }

  verify(): void {
    const { shard, counters } = this;
    shard.verify();
    if (counters[KeyspaceCounter.ExpiredKeys] !== this.expired) {
      throw new Error(`${counters[KeyspaceCounter.ExpiredKeys]} keys expired, not ${this.expired}`);
    }
    if (counters[KeyspaceCounter.EvictedKeys] !== this.evicted) throw new Error('wrong number of evictions');
    if (shard.dirtyCount !== this.changes)
      throw new Error(`${shard.dirtyCount}, not ${this.changes} changes`);
    for (let database = 0; database < DATABASES; database++) {
      const map = this.databases[database]!;
      if (shard.keyCount(database) !== map.size) {
        throw new Error(`database ${database} has ${shard.keyCount(database)} keys, not ${map.size}`);
      }
      const expiring = [...map.values()].filter((known) => known.expiresAt >= 0).length;
      if (shard.volatileKeyCount(database) !== expiring) throw new Error('wrong number of keys with expiry');
    }
  }

  keysOf(database: number): string[] {
    const { words, bytes, dictionary } = this.shard;
    const names: string[] = [];
    let cursor = 0;
    do {
      cursor = dictionary.scan(this.shard.root(database), cursor);
      for (let index = 0; index < dictionary.scannedCount; index++) {
        const at = keyOffset(words, dictionary.scanned[index]!);
        const length = keyLength(words, dictionary.scanned[index]!);
        names.push(Buffer.from(bytes.slice(at, at + length)).toString('latin1'));
      }
    } while (cursor !== 0);
    return names.sort();
  }
}

for (const [name, arenaBytes] of [
  ['with room', 8 << 20],
  ['with little memory', 64 * 1024],
] as const) {
  for (const usesLfu of [false, true]) {
    t.test(`random steps ${name}${usesLfu ? ', LFU' : ''}`, async (t) => {
      const seed = Date.now() % 1_000_000;
      const random = new Random(seed);
      const model = new Model(arenaBytes, random);
      model.settings.usesLfu = usesLfu;
      const names = Array.from({ length: 400 }, (_, index) =>
        `${index}:`.padEnd(random.pick([4, 8, 20, 5000]), 'k'),
      );
      try {
        for (let step = 0; step < 8000; step++) {
          model.select(random.below(DATABASES), random.pick(names));
          const choice = random.below(1000);
          if (choice < 400) model.put();
          else if (choice < 550) model.resize();
          else if (choice < 700) model.expireLater();
          else if (choice < 900) model.remove();
          else if (choice < 940) model.nowMs += random.below(random.pick([100, 2000, 100_000]));
          else if (choice < 980) model.expireDue();
          else if (choice < 983) model.flush();
          else if (choice < 990) model.swap();
          else model.shard.lazyFree.step(random.below(100));
          if (step < 500 || step % 8 === 0) model.verify();
        }
        model.expireDue();
        model.verify();
        for (let database = 0; database < DATABASES; database++) {
          const map = model.databases[database]!;
          t.strictSame(model.keysOf(database), [...map.keys()].sort());
          for (const known of [...map.keys()]) {
            model.select(database, known);
            model.remove();
          }
        }
        while (!model.shard.lazyFree.step(1000)) {}
        model.verify();
        t.equal(model.shard.arena.usedBytes, 0, 'an empty shard holds no memory');
        t.equal(model.refused > 0, arenaBytes < 1 << 20, `${model.refused} changes were refused`);
      } catch (error) {
        t.fail(`seed ${seed}: ${(error as Error).stack}`);
      }
    });
  }
}
