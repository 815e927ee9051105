/**
 * Large collections in a snapshot: what is written of them, piece by piece, is what they were at its moment, however
 * they change, move, vanish and come back between the pieces.
 */

import t from 'tap';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { keyLength, keyOffset, ValueType, valueOffset } from '../../src/keyspace/entry.js';
import { createKeyspace, Keyspace } from '../../src/keyspace/keyspace.js';
import type { LongKey } from '../../src/keyspace/long-key.js';
import type { Shard } from '../../src/keyspace/shard.js';
import { type ImageWriter, type LongKeyTaker, SnapshotState } from '../../src/keyspace/shard-snapshot.js';
import { Attention } from '../../src/memory/attention.js';
import { hashBytes, ownHashSecret } from '../../src/memory/hash.js';
import { ElementView } from '../../src/structures/element-view.js';
import { PACKED_END, PackedList } from '../../src/structures/packed-list.js';
import { SortedSetCursor } from '../../src/structures/sorted-set-value.js';
import { Random } from '../tools/random.js';

ownHashSecret();

const NOW_MS = 1_800_000_000_000;

function bytesOf(text: string): [Uint8Array, DataView, number, number] {
  const bytes = new Uint8Array(Buffer.from(text, 'latin1'));
  return [bytes, new DataView(bytes.buffer), 0, bytes.length];
}

/** Elements as lines of text. */
class TextWriter implements ImageWriter {
  private readonly element = new ElementView();

  private image(text: string) {
    const bytes = new Uint8Array(Buffer.from(text, 'latin1'));
    return { bytes, length: bytes.length };
  }

  write(shard: Shard, entry: number) {
    return this.image(`${keyOf(shard, entry)}: small\n`);
  }

  writeHead(shard: Shard, entry: number) {
    return this.image(`${keyOf(shard, entry)}:\n`);
  }

  writeRecord(shard: Shard, key: LongKey, record: number) {
    return this.image(this.record(shard, key, record));
  }

  writeChunk(shard: Shard, _key: LongKey, chunk: number) {
    return this.image(this.chunk(shard, chunk));
  }

  record(shard: Shard, key: LongKey, record: number): string {
    const { element } = this;
    const text = (offset: number, length: number) =>
      Buffer.from(shard.bytes.slice(offset, offset + length)).toString('latin1');
    if (key.type === ValueType.Hash) {
      shard.hashes.viewRecord(key.reference, record, element);
      const value = text(element.valueOffset, element.valueLength);
      return `${text(element.offset, element.lengthBytes)}=${value}@${element.expiresAt}\n`;
    }
    if (key.type === ValueType.Set) {
      shard.sets.viewRecord(record, element);
      return `${text(element.offset, element.lengthBytes)}\n`;
    }
    shard.sortedSets.viewRecord(record, element);
    return `${text(element.offset, element.lengthBytes)}=${element.score}\n`;
  }

  chunk(shard: Shard, chunk: number): string {
    const { chunks } = shard.lists;
    const room = new Uint8Array(chunks.elementsBytes(chunk) + 16);
    chunks.copyElements(chunk, room, 8);
    room[8 + chunks.elementsBytes(chunk)] = PACKED_END;
    const words = new Int32Array(room.buffer, 0, room.length >> 2);
    const memory = { bytes: room, words, view: new DataView(room.buffer) };
    const list = new PackedList(memory as unknown as Shard['memory'], shard.arena);
    let text = '';
    for (let at = 8; at !== 0 && room[at] !== PACKED_END; ) {
      at = list.readOn(at);
      text += `${Buffer.from(list.bytes.slice(list.offset, list.offset + list.lengthBytes)).toString('latin1')}\n`;
    }
    return text;
  }
}

function keyOf(shard: Shard, entry: number): string {
  const start = keyOffset(shard.words, entry);
  return Buffer.from(shard.bytes.slice(start, start + keyLength(shard.words, entry))).toString('latin1');
}

class Store {
  readonly keyspace: Keyspace;
  readonly shard: Shard;
  readonly writer = new TextWriter();
  /** What the snapshot has written. */
  text = '';
  small: string[] = [];
  readonly taker: LongKeyTaker;

  constructor(megabytes = 64) {
    const settings = defaultSettings();
    settings.values.listPackedSize = -1;
    const handle = createKeyspace(1, megabytes << 20, 2, Attention.create(1));
    this.keyspace = new Keyspace(handle, settings, new Float64Array(16));
    this.shard = this.keyspace.shards[0]!;
    const { shard, writer } = this;
    shard.snapshot.imageWriter = writer;
    this.taker = {
      begin: () => {},
      image: (offset, length) => {
        this.text += Buffer.from(shard.bytes.slice(offset, offset + length)).toString('latin1');
      },
      records: (key, records, count) => {
        for (let index = 0; index < count; index++) this.text += writer.record(shard, key, records[index]!);
      },
      chunk: (_key, chunk) => {
        this.text += writer.chunk(shard, chunk);
      },
      streamHead: () => {},
      groupHead: () => {},
      pending: () => {},
      groupEnd: () => false,
      end: (key) => {
        this.text += `end ${key.expiresAt}\n`;
      },
    };
  }

  slot(key: string): number {
    const [bytes, view, offset, length] = bytesOf(key);
    return this.shard.find(0, hashBytes(view, 0, length), bytes, view, offset, length, NOW_MS);
  }

  /** A new key with an empty collection. */
  create(key: string, type: ValueType): void {
    const { shard } = this;
    const [bytes, view, offset, length] = bytesOf(key);
    shard.collection(type).create(shard.draft);
    shard.create(0, hashBytes(view, 0, length), bytes, view, offset, length, type, 5, -1, NOW_MS, 0);
    shard.adoptDraft(shard.words[this.slot(key)]!);
  }

  remove(key: string): void {
    this.shard.remove(0, this.hash(key), this.slot(key));
  }

  hash(key: string): number {
    const [, view, , length] = bytesOf(key);
    return hashBytes(view, 0, length);
  }

  /** The reference to a value that is about to change. */
  reference(key: string): number {
    const entry = this.shard.words[this.slot(key)]!;
    this.shard.preserve(0, entry);
    return valueOffset(this.shard.words, entry);
  }

  /** What a collection has now, in the writer's form; in order if it is a list. */
  elements(key: string, type: ValueType): string[] {
    const { shard } = this;
    const reference = valueOffset(shard.words, shard.words[this.slot(key)]!);
    const elements: string[] = [];
    const text = (bytes: Uint8Array, offset: number, length: number) =>
      Buffer.from(bytes.slice(offset, offset + length)).toString('latin1');
    if (type === ValueType.Hash) {
      const { hashes } = shard;
      const { field, value } = hashes;
      for (hashes.begin(reference); hashes.next(); ) {
        const expiry = hashes.expiresAt(reference, hashes.handle);
        elements.push(
          `${text(field.bytes, field.offset, field.lengthBytes)}=${text(value.bytes, value.offset, value.lengthBytes)}@${expiry}`,
        );
      }
    } else if (type === ValueType.Set) {
      const { sets } = shard;
      for (sets.begin(reference); sets.next(); ) {
        elements.push(text(sets.member.bytes, sets.member.offset, sets.member.lengthBytes));
      }
    } else if (type === ValueType.SortedSet) {
      const cursor = new SortedSetCursor();
      const { sortedSets } = shard;
      for (let more = sortedSets.seek(cursor, reference, 0); more; more = sortedSets.next(cursor)) {
        elements.push(`${text(cursor.bytes, cursor.offset, cursor.lengthBytes)}=${cursor.score}`);
      }
    } else {
      const { lists } = shard;
      for (let at = lists.seek(reference, 0); at !== 0; ) {
        const following = lists.readOn(at);
        const { element } = lists;
        elements.push(text(element.bytes, element.offset, element.lengthBytes));
        at = following;
      }
    }
    return type === ValueType.List ? elements : elements.sort();
  }

  /** One more part of the snapshot; false when it is complete. */
  step(): boolean {
    const { shard } = this;
    const { snapshot } = shard;
    while (snapshot.takeImage(() => {})) {}
    if (snapshot.hasLongKeys) {
      snapshot.stepLongKey(this.taker);
      return true;
    }
    if (snapshot.step((_, _database, entry) => this.small.push(keyOf(shard, entry)))) return true;
    if (snapshot.hasLongKeys) return true;
    snapshot.end();
    return false;
  }

  /** What the snapshot has of a key; null if it is no long one. */
  written(key: string, isList: boolean): string[] | null {
    const from = this.text.indexOf(`${key}:\n`);
    if (from < 0) return null;
    const lines = this.text.slice(from).split('\n');
    const elements = lines.slice(
      1,
      lines.findIndex((line) => line.startsWith('end ')),
    );
    return isList ? elements : elements.sort();
  }
}

const ROUNDS = 10;
const TYPES = [ValueType.Hash, ValueType.Set, ValueType.SortedSet, ValueType.List];
const NAMES: Record<number, string> = {
  [ValueType.Hash]: 'hash',
  [ValueType.Set]: 'set',
  [ValueType.SortedSet]: 'sorted set',
  [ValueType.List]: 'list',
};

/** Changes one element or a few, as commands do; `range` bounds how many members there can be. */
function change(store: Store, key: string, type: ValueType, random: Random, range: number): void {
  const { shard } = store;
  const reference = store.reference(key);
  const text = `element ${random.below(range)}`;
  const member = bytesOf(text);
  const value = bytesOf('v'.repeat(random.below(30)));
  if (type === ValueType.Hash) {
    const { hashes } = shard;
    switch (random.below(8)) {
      case 0:
        if (!hashes.isExpiring(reference) || hashes.count(reference) < 10) break;
        if (hashes.find(reference, ...member) !== 0) {
          hashes.setExpiry(
            reference,
            ...member,
            random.chance(0.3) ? -1 : NOW_MS + 1000 + random.below(100_000),
          );
          shard.fieldsChanged(0, shard.words[store.slot(key)]!, NOW_MS);
        }
        break;
      case 1:
        // The hash becomes one whose fields can expire, in the midst of it.
        if (random.chance(0.02)) shard.prepareFieldExpiry(0, store.slot(key), NOW_MS);
        break;
      case 2:
      case 3:
        if (hashes.count(reference) > 1) hashes.remove(reference, ...member);
        shard.fieldsChanged(0, shard.words[store.slot(key)]!, NOW_MS);
        break;
      default:
        hashes.set(reference, ...member, ...value, random.chance(0.5));
        shard.fieldsChanged(0, shard.words[store.slot(key)]!, NOW_MS);
    }
  } else if (type === ValueType.Set) {
    const { sets } = shard;
    if (random.chance(0.5)) sets.add(reference, ...member);
    else if (sets.count(reference) > 1) sets.remove(reference, ...member);
  } else if (type === ValueType.SortedSet) {
    const { sortedSets } = shard;
    const score = random.below(500);
    switch (random.below(5)) {
      case 0:
        if (sortedSets.count(reference) > 1) sortedSets.remove(reference, ...member);
        break;
      case 1: {
        const count = Math.min(random.below(random.chance(0.02) ? 300 : 4), sortedSets.count(reference) - 1);
        sortedSets.removeRange(
          reference,
          random.below(sortedSets.count(reference) - Math.max(count, 0) + 1),
          count,
        );
        break;
      }
      default:
        if (sortedSets.find(reference, ...member)) sortedSets.setScore(reference, score, ...member);
        else sortedSets.add(reference, score, ...member);
    }
  } else {
    changeList(store, reference, random, member, value);
  }
}

type Bytes = ReturnType<typeof bytesOf>;

function changeList(store: Store, reference: number, random: Random, member: Bytes, value: Bytes): void {
  const { lists } = store.shard;
  const count = lists.count(reference);
  lists.prepare(reference, 100, 1);
  switch (random.below(10)) {
    case 0:
    case 1:
      lists.push(reference, false, ...member);
      break;
    case 2:
    case 3:
      lists.push(reference, true, ...member);
      break;
    case 4:
    case 5: {
      const dropped = random.chance(0.2) ? random.below(400) : random.below(4);
      if (dropped < count) lists.drop(reference, random.chance(0.5), dropped);
      break;
    }
    case 6:
      lists.insert(reference, lists.seek(reference, random.below(count)), random.chance(0.5), ...member);
      break;
    case 7:
      lists.replace(reference, lists.seek(reference, random.below(count)), ...value);
      break;
    case 8: {
      let at = lists.seek(reference, random.below(count));
      lists.read(at);
      const { element } = lists;
      const chosen = bytesOf(
        Buffer.from(element.bytes.slice(element.offset, element.offset + element.lengthBytes)).toString(
          'latin1',
        ),
      );
      if (!lists.prepareRemoval(reference, ...chosen)) break;
      at = lists.seek(reference, random.below(count));
      for (let left = random.below(5); left > 0 && at !== 0 && lists.count(reference) > 1; left--) {
        if (lists.equals(at, ...chosen)) at = lists.remove(reference, at, false);
        else at = lists.next(at);
      }
      lists.compact(reference);
      break;
    }
    default:
      lists.shrink(reference);
  }
}

function fill(store: Store, key: string, type: ValueType, count: number): void {
  store.create(key, type);
  const reference = store.reference(key);
  const { shard } = store;
  for (let index = 0; index < count; index++) {
    const member = bytesOf(`element ${index}`);
    if (type === ValueType.Hash) shard.hashes.set(reference, ...member, ...member);
    else if (type === ValueType.Set) shard.sets.add(reference, ...member);
    else if (type === ValueType.SortedSet) {
      shard.sortedSets.find(reference, ...member);
      shard.sortedSets.add(reference, (index * 7919) % 500, ...member);
    } else {
      shard.lists.prepare(reference, 20, 1);
      shard.lists.push(reference, true, ...member);
    }
  }
}

for (const type of TYPES) {
  const isList = type === ValueType.List;
  t.test(`a ${NAMES[type]} that changes while it is written`, async (t) => {
    let longKeys = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const seed = 7100 + round;
      const random = new Random(seed);
      const store = new Store();
      const { shard, keyspace } = store;
      shard.hashes.nowMs = 0;
      keyspace.settings.values.listCompressDepth = isList && round % 3 === 0 ? 1 : 0;
      const count = 1100 + random.below(4000) + (isList ? 6000 : 0);
      fill(store, 'key', type, count);
      fill(store, 'other', type, count >> 1);
      if (type === ValueType.Hash && round % 2 === 0) {
        for (const key of ['key', 'other']) {
          shard.prepareFieldExpiry(0, store.slot(key), NOW_MS);
          const reference = store.reference(key);
          for (let index = 0; index < 50; index++) {
            shard.hashes.setExpiry(reference, ...bytesOf(`element ${index}`), NOW_MS + 5000 + index);
          }
          shard.fieldsChanged(0, shard.words[store.slot(key)]!, NOW_MS);
        }
      }
      for (let snapshots = 0; snapshots < 2; snapshots++) {
        // With few changes between the parts, with many, and with most before the first.
        const pace = [1, 10, 100, 1000][random.below(4)]!;
        const expected = store.elements('key', type);
        const expectedOther = store.elements('other', type);
        store.text = '';
        keyspace.beginSnapshot();
        let number = 0;
        let parts = 0;
        do {
          for (let changes = random.below(pace); changes > 0; changes--) {
            change(store, random.chance(0.8) ? 'key' : 'other', type, random, count * 2);
            if (++number % 97 === 0) shard.collection(type).verify(store.reference('key'));
          }
          parts++;
        } while (store.step());
        for (const [key, elements] of [
          ['key', expected],
          ['other', expectedOther],
        ] as const) {
          const written = store.written(key, isList);
          if (written === null) continue;
          longKeys++;
          if (written.join('\n') === elements.join('\n')) continue;
          t.same(
            written,
            elements,
            `seed ${seed}, ${key}, pace ${pace}, ${parts} parts, snapshot ${snapshots}`,
          );
          return;
        }
        shard.collection(type).verify(store.reference('key'));
        t.equal(shard.snapshot.state, SnapshotState.None);
      }
      shard.verify();
      t.notOk(shard.snapshot.hasLongKeys);
      for (const key of ['key', 'other']) store.remove(key);
      while (!shard.lazyFree.step(1000)) {}
      t.equal(shard.arena.usedBytes, 0, 'all memory is free again');
      shard.arena.verify();
    }
    t.ok(longKeys > 2 * ROUNDS, `${longKeys} of them were long keys`);
  });
}

t.test('long keys that are deleted, replaced and flushed while they are written', async (t) => {
  for (let round = 0; round < ROUNDS; round++) {
    const seed = 7200 + round;
    const random = new Random(seed);
    const store = new Store();
    const { shard, keyspace } = store;
    const types = new Map<string, ValueType>();
    for (let index = 0; index < 6; index++) {
      const type = random.pick(TYPES);
      types.set(`key ${index}`, type);
      fill(store, `key ${index}`, type, 1100 + random.below(1500) + (type === ValueType.List ? 4000 : 0));
    }
    for (let snapshots = 0; snapshots < 3; snapshots++) {
      const expected = new Map([...types].map(([key, type]) => [key, store.elements(key, type)]));
      store.text = '';
      keyspace.beginSnapshot();
      let isFlushed = false;
      do {
        const key = `key ${random.below(6)}`;
        const slot = store.slot(key);
        const type = types.get(key)!;
        switch (random.below(40)) {
          case 0:
            if (slot !== 0) store.remove(key);
            break;
          case 1:
            if (slot !== 0) shard.replace(0, slot, ValueType.String, 3, -1, NOW_MS);
            break;
          case 2:
            if (slot !== 0) shard.setExpiry(0, slot, NOW_MS + 5000, NOW_MS);
            break;
          case 3:
            if (!isFlushed && random.chance(0.3)) {
              isFlushed = true;
              shard.flush(0, NOW_MS);
            }
            break;
          case 4:
            if (slot === 0) fill(store, key, type, 1500);
            break;
          case 5:
            shard.lazyFree.step(500);
            break;
          default: {
            const isCollection = slot !== 0 && ((shard.words[shard.words[slot]! >> 2]! >> 4) & 7) === type;
            if (isCollection) change(store, key, type, random, 3000);
          }
        }
      } while (store.step());
      for (const [key, elements] of expected) {
        const isList = types.get(key) === ValueType.List;
        const written = store.written(key, isList);
        if (written !== null && written.join('\n') === elements.join('\n')) continue;
        if (written === null && elements.length < 1100) continue;
        t.same(written, elements, `seed ${seed}, ${key}, snapshot ${snapshots}`);
        return;
      }
      for (const [key, type] of types) {
        const slot = store.slot(key);
        if (slot !== 0) store.remove(key);
        fill(store, key, type, 1100 + random.below(1500) + (type === ValueType.List ? 4000 : 0));
      }
      shard.verify();
    }
    t.equal(shard.snapshot.state, SnapshotState.None);
    for (const key of types.keys()) store.remove(key);
    while (!shard.lazyFree.step(1000)) {}
    t.equal(shard.arena.usedBytes, 0, `seed ${seed}: all memory is free again`);
  }
});

t.test('a snapshot that is given up leaves no traces in its long keys', async (t) => {
  for (const type of TYPES) {
    for (const reason of [SnapshotState.Failed, SnapshotState.Cancelled]) {
      const random = new Random(7300 + type);
      const store = new Store();
      const { shard, keyspace } = store;
      fill(store, 'key', type, 8000);
      keyspace.beginSnapshot();
      for (let parts = 0; parts < 12; parts++) {
        for (let changes = 0; changes < 50; changes++) change(store, 'key', type, random, 9000);
        store.step();
      }
      t.ok(shard.snapshot.hasLongKeys, 'in the midst of the key');
      shard.snapshot.stop(reason);
      do {
        for (let changes = 0; changes < 20; changes++) change(store, 'key', type, random, 9000);
      } while (store.step());
      shard.verify();
      const expected = store.elements('key', type);
      store.text = '';
      keyspace.beginSnapshot();
      while (store.step()) change(store, 'key', type, random, 9000);
      t.same(
        store.written('key', type === ValueType.List),
        expected,
        `${NAMES[type]}: the next one is complete`,
      );
      store.remove('key');
      while (!shard.lazyFree.step(1000)) {}
      t.equal(shard.arena.usedBytes, 0);
    }
  }
});
