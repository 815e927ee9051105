/**
 * Long streams in a snapshot: what is written of them, step by step, is what they were at its moment, while entries come and
 * go, groups read and acknowledge, and groups and whole streams vanish.
 */

import t from 'tap';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { ValueType, valueOffset } from '../../src/keyspace/entry.js';
import { createKeyspace, Keyspace } from '../../src/keyspace/keyspace.js';
import type { Shard } from '../../src/keyspace/shard.js';
import { type ImageWriter, type LongKeyTaker, SnapshotState } from '../../src/keyspace/shard-snapshot.js';
import { Attention } from '../../src/memory/attention.js';
import { hashBytes } from '../../src/memory/hash.js';
import {
  createKeyWriter,
  createSnapshotWriter,
  type SnapshotWriter,
} from '../../src/persistence/key-form.js';
import { RdbInput } from '../../src/persistence/rdb-input.js';
import { RdbReader } from '../../src/persistence/rdb-reader.js';
import { SnapshotForm } from '../../src/state/persistence-state.js';
import { StreamId } from '../../src/structures/stream-id.js';
import { Trim, TrimOptions } from '../../src/structures/stream-trim.js';
import { Random } from '../tools/random.js';
import { bytesOf, describeStream, idOf, takeEntry } from '../tools/stream-model.js';

const NOW_MS = 1_800_000_000_000;
const CONSUMERS = ['c1', 'c2', 'c3', 'c4'];

class Store {
  readonly keyspace: Keyspace;
  readonly shard: Shard;
  private parts: Uint8Array[] = [];
  private writer!: SnapshotWriter;
  private readonly taker: LongKeyTaker;

  constructor(megabytes = 64) {
    const settings = defaultSettings();
    settings.values.streamNodeBytes = 4096;
    settings.values.streamNodeEntries = 20;
    this.keyspace = new Keyspace(
      createKeyspace(1, megabytes << 20, 2, Attention.create(1)),
      settings,
      new Float64Array(16),
    );
    this.shard = this.keyspace.shards[0]!;
    const { shard } = this;
    const images = createKeyWriter(SnapshotForm.Rdb, settings, true);
    const image = (write: () => void) => {
      images.output.length = 0;
      write();
      return images.output;
    };
    const imageWriter: ImageWriter = {
      write: (of, entry) => image(() => images.write(of, entry, NOW_MS)),
      writeHead: (of, entry) => image(() => images.writeHead(of, entry, NOW_MS)),
      writeRecord: (of, key, record) => image(() => images.writeRecords(of, key, Int32Array.of(record), 1)),
      writeChunk: (of, key, chunk) => image(() => images.writeChunk(of, key, chunk)),
    };
    shard.snapshot.imageWriter = imageWriter;
    this.taker = {
      begin: () => {},
      image: (offset, length) => this.writer.output.raw(shard.bytes, shard.view, offset, length),
      records: (key, records, count) => this.writer.keys.writeRecords(shard, key, records, count),
      chunk: (key, chunk) => this.writer.keys.writeChunk(shard, key, chunk),
      streamHead: (key) => this.writer.keys.writeStreamHead(shard, key),
      groupHead: (key, group) => this.writer.keys.writeGroupHead(shard, key, group),
      pending: (key, group, pending, count) =>
        this.writer.keys.writePending(shard, key, group, pending, count),
      groupEnd: (key, group) => this.writer.keys.writeGroupEnd(shard, key, group),
      end: (key) => this.writer.keys.writeEnd(shard, key),
    };
  }

  slot(key: string): number {
    const [bytes, view, offset, length] = bytesOf(key);
    return this.shard.find(0, hashBytes(view, offset, length), bytes, view, offset, length, NOW_MS);
  }

  hash(key: string): number {
    const [, view, offset, length] = bytesOf(key);
    return hashBytes(view, offset, length);
  }

  create(key: string): void {
    const { shard } = this;
    shard.streams.create(shard.draft);
    shard.create(0, this.hash(key), ...bytesOf(key), ValueType.Stream, 5, -1, NOW_MS, 0);
    shard.adoptDraft(shard.words[this.slot(key)]!);
  }

  /** The reference to a value that is about to change. */
  reference(key: string): number {
    const entry = this.shard.words[this.slot(key)]!;
    this.shard.preserve(0, entry);
    return valueOffset(this.shard.words, entry);
  }

  describe(key: string): string[] {
    const { shard } = this;
    return describeStream(shard, valueOffset(shard.words, shard.words[this.slot(key)]!), false);
  }

  begin(): void {
    this.parts = [];
    this.writer = createSnapshotWriter(SnapshotForm.Rdb, this.keyspace.settings, {
      isAofBase: false,
      compresses: true,
      hasChecksum: true,
      flush: (bytes) => this.parts.push(bytes.slice()),
    });
    this.writer.begin(NOW_MS, 0, false);
    this.writer.database(0, this.shard.keyCount(0), 0);
    this.keyspace.beginSnapshot();
  }

  /** One more part of the snapshot; false when it is complete. */
  step(): boolean {
    const { snapshot } = this.shard;
    while (
      snapshot.takeImage((_database, offset, length) => {
        this.writer.output.raw(this.shard.bytes, this.shard.view, offset, length);
      })
    ) {}
    if (snapshot.hasLongKeys) {
      snapshot.stepLongKey(this.taker);
      return true;
    }
    if (snapshot.step((shard, _database, entry) => this.writer.key(shard, entry, NOW_MS))) return true;
    if (snapshot.hasLongKeys || snapshot.hasImages) return true;
    snapshot.end();
    return false;
  }

  /** What the file has, loaded into a store of its own. */
  load(): Store {
    this.writer.end();
    const file = Buffer.concat(this.parts);
    const store = new Store();
    const input = RdbInput.fromBytes(file, 0, file.length);
    new RdbReader(input, store.keyspace, {
      nowMs: NOW_MS,
      part: 0,
      partCount: 1,
      dropsExpired: false,
      replaces: false,
      warn: (text) => {
        throw new Error(text);
      },
      onProgress: null,
    }).load();
    store.shard.verify();
    return store;
  }
}

/** Adds an entry; the clock goes on. */
function add(store: Store, reference: number, random: Random): void {
  const { streams } = store.shard;
  const id = new StreamId();
  streams.lastId(reference, id);
  if (random.chance(0.3)) id.setMs(Number(id.toString().split('-')[0]) + 1);
  else id.increment();
  takeEntry(streams, ['f', String(random.below(1000)), 'g', 'v'.repeat(random.below(40))]);
  streams.append(reference, id);
}

function group(store: Store, reference: number, name: string): number {
  const { streams } = store.shard;
  const [bytes, view, offset, length] = bytesOf(name);
  const found = streams.findGroup(reference, bytes, offset, length);
  if (found !== 0) return found;
  return streams.groups.createGroup(
    streams.groupsOf(reference),
    bytes,
    view,
    offset,
    length,
    new StreamId(),
    -1,
    -1,
  );
}

function consumer(store: Store, of: number, name: string): number {
  const { groups } = store.shard.streams;
  const [bytes, view, offset, length] = bytesOf(name);
  return (
    groups.findConsumer(of, bytes, offset, length) ||
    groups.createConsumer(of, bytes, view, offset, length, NOW_MS)
  );
}

/** Some id that there is or was. */
function anyId(store: Store, reference: number, random: Random): StreamId {
  const id = new StreamId();
  store.shard.streams.lastId(reference, id);
  return idOf(`${random.below(Number(id.toString().split('-')[0]) + 1)}-${random.below(4)}`);
}

/** Delivers the next entries of a group. */
function deliver(store: Store, reference: number, random: Random, name: string, count: number): void {
  const { streams } = store.shard;
  const { groups } = streams;
  const from = group(store, reference, name);
  const to = consumer(store, from, random.pick(CONSUMERS));
  const id = new StreamId();
  const last = new StreamId();
  streams.lastDeliveredId(from, id);
  streams.lastId(reference, last);
  for (let left = count; left > 0 && id.compare(last) < 0; left--) {
    id.increment();
    if (!streams.find(reference, id)) {
      id.setMs(Number(id.toString().split('-')[0]) + 1);
      if (!streams.find(reference, id)) continue;
    }
    if (groups.find(from, id) === 0) groups.add(from, to, id, NOW_MS + random.below(1000));
    streams.advance(reference, from, id);
  }
}

function change(store: Store, key: string, random: Random): void {
  const { shard } = store;
  const { streams } = shard;
  const { groups } = streams;
  const reference = store.reference(key);
  const of = group(store, reference, random.pick(['g1', 'g2', 'g3']));
  const id = anyId(store, reference, random);
  const pending = groups.seek(of, id);
  switch (random.below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
      add(store, reference, random);
      break;
    case 4:
    case 5:
      deliver(store, reference, random, random.pick(['g1', 'g2']), random.below(8));
      break;
    case 6:
    case 7:
      if (pending !== 0) groups.remove(of, pending);
      break;
    case 8:
      if (pending !== 0) groups.giveBack(of, pending);
      break;
    case 9:
      if (pending !== 0) groups.deliver(of, pending, consumer(store, of, random.pick(CONSUMERS)), NOW_MS);
      break;
    case 10:
      if (pending !== 0 && groups.consumerOf(pending) !== 0) {
        groups.setDeliveredAt(of, pending, NOW_MS + random.below(100_000));
        groups.increaseCount(of, pending);
      }
      break;
    case 11:
    case 12:
      streams.delete(reference, id);
      break;
    case 13: {
      const options = new TrimOptions();
      options.by = Trim.Length;
      options.length = Math.max(0, streams.count(reference) - random.below(random.chance(0.1) ? 200 : 10));
      streams.trim(reference, options);
      break;
    }
    case 14:
      if (random.chance(0.1)) groups.deleteConsumer(of, consumer(store, of, random.pick(CONSUMERS)));
      break;
    default:
      if (random.chance(0.05) && streams.destroyGroup(reference, of, shard.draft)) {
        shard.lazyFree.freeCollection(ValueType.Stream, shard.draft, true);
      }
      shard.lazyFree.step(20);
  }
}

function fill(store: Store, key: string, random: Random, entries: number): void {
  store.create(key);
  const reference = store.reference(key);
  for (let count = 0; count < entries; count++) add(store, reference, random);
  deliver(store, reference, random, 'g1', entries);
  deliver(store, reference, random, 'g2', entries >> 1);
  group(store, reference, 'empty');
}

t.test('a stream that changes while it is written', async (t) => {
  for (let round = 0; round < 7; round++) {
    const seed = 9100 + round;
    const random = new Random(seed);
    const store = new Store();
    const { shard } = store;
    fill(store, 'key', random, 300 + random.below(2000));
    fill(store, 'other', random, 300 + random.below(2000));
    for (let snapshots = 0; snapshots < 2; snapshots++) {
      // With few changes between the parts, with many, and with most before the first.
      const pace = [1, 10, 60, 600][random.below(4)]!;
      const expected = ['key', 'other'].map((key) => store.describe(key));
      store.begin();
      let number = 0;
      do {
        for (let changes = random.below(pace); changes > 0; changes--) {
          change(store, random.chance(0.8) ? 'key' : 'other', random);
          if (++number % 97 === 0) shard.streams.verify(store.reference('key'));
        }
      } while (store.step());
      t.equal(shard.snapshot.state, SnapshotState.None);
      const loaded = store.load();
      ['key', 'other'].forEach((key, index) => {
        const found = loaded.describe(key);
        if (found.join('\n') === expected[index]!.join('\n')) return;
        t.same(found, expected[index], `seed ${seed}, ${key}, pace ${pace}, snapshot ${snapshots}`);
      });
      shard.verify();
    }
    t.notOk(shard.snapshot.hasLongKeys);
    for (const key of ['key', 'other']) shard.remove(0, store.hash(key), store.slot(key));
    while (!shard.lazyFree.step(1000)) {}
    t.equal(shard.arena.usedBytes, 0, `seed ${seed}: all memory is free again`);
    shard.arena.verify();
  }
});

t.test('streams that are deleted and replaced while they are written', async (t) => {
  for (let round = 0; round < 6; round++) {
    const seed = 9200 + round;
    const random = new Random(seed);
    const store = new Store();
    const { shard } = store;
    const keys = ['key 0', 'key 1', 'key 2', 'key 3'];
    for (const key of keys) fill(store, key, random, 300 + random.below(800));
    const expected = keys.map((key) => store.describe(key));
    store.begin();
    do {
      const key = random.pick(keys);
      const slot = store.slot(key);
      const dice = random.below(40);
      if (dice === 0 && slot !== 0) shard.remove(0, store.hash(key), slot);
      else if (dice === 1 && slot !== 0) shard.setExpiry(0, slot, NOW_MS + 5000, NOW_MS);
      else if (dice === 2 && random.chance(0.1)) shard.flush(0, NOW_MS);
      else if (dice === 3 && slot === 0) fill(store, key, random, 400);
      else if (dice === 4) shard.lazyFree.step(500);
      else if (slot !== 0) change(store, key, random);
    } while (store.step());
    const loaded = store.load();
    keys.forEach((key, index) => {
      const found = loaded.describe(key);
      if (found.join('\n') === expected[index]!.join('\n')) return;
      t.same(found, expected[index], `seed ${seed}, ${key}`);
    });
    shard.verify();
    for (const key of keys) if (store.slot(key) !== 0) shard.remove(0, store.hash(key), store.slot(key));
    while (!shard.lazyFree.step(1000)) {}
    t.equal(shard.arena.usedBytes, 0, `seed ${seed}: all memory is free again`);
  }
});

t.test('a snapshot that is given up leaves no traces in a stream', async (t) => {
  for (const reason of [SnapshotState.Failed, SnapshotState.Cancelled]) {
    const random = new Random(9300 + reason);
    const store = new Store();
    const { shard } = store;
    fill(store, 'key', random, 3000);
    store.begin();
    for (let parts = 0; parts < 30; parts++) {
      for (let changes = 0; changes < 30; changes++) change(store, 'key', random);
      store.step();
    }
    t.ok(shard.snapshot.hasLongKeys, 'in the midst of the key');
    shard.snapshot.stop(reason);
    do {
      for (let changes = 0; changes < 20; changes++) change(store, 'key', random);
    } while (store.step());
    shard.verify();
    const expected = store.describe('key');
    store.begin();
    do {
      change(store, 'key', random);
    } while (store.step());
    t.same(store.load().describe('key'), expected, 'the next one is complete');
    shard.remove(0, store.hash('key'), store.slot('key'));
    while (!shard.lazyFree.step(1000)) {}
    t.equal(shard.arena.usedBytes, 0);
  }
});

t.test('a snapshot for which there is no memory fails, and nothing else does', async (t) => {
  const random = new Random(9400);
  const store = new Store(4);
  const { shard } = store;
  fill(store, 'key', random, 6000);
  const fillers: number[] = [];
  for (let block = shard.arena.allocate(512); block !== 0; block = shard.arena.allocate(512))
    fillers.push(block);
  store.begin();
  do {
    for (let changes = 0; changes < 20; changes++) change(store, 'key', random);
  } while (store.step());
  shard.streams.verify(store.reference('key'));
  for (const block of fillers) shard.arena.free(block, 512);
  shard.verify();
  const expected = store.describe('key');
  store.begin();
  while (store.step()) {}
  t.same(store.load().describe('key'), expected, 'the next one is complete');
});
