/** Random keyspaces written as RDB and read back; damaged files at every kind of place. */

import t from 'tap';
import { EvictionPolicy, type KeyspaceSettings } from '../../src/config/keyspace-settings.js';
import {
  entryType,
  expiresAtMs,
  keyLength,
  keyOffset,
  ValueType,
  valueLength,
  valueOffset,
} from '../../src/keyspace/entry.js';
import { createKeyspace, Keyspace } from '../../src/keyspace/keyspace.js';
import type { Shard } from '../../src/keyspace/shard.js';
import { Attention } from '../../src/memory/attention.js';
import { hashBytes, keySlot } from '../../src/memory/hash.js';
import { RdbError } from '../../src/persistence/rdb-format.js';
import { RdbInput } from '../../src/persistence/rdb-input.js';
import { RdbReader } from '../../src/persistence/rdb-reader.js';
import { RdbWriter } from '../../src/persistence/rdb-writer.js';
import { REFERENCE_BYTES } from '../../src/structures/collection-value.js';
import { SortedSetCursor } from '../../src/structures/sorted-set-value.js';
import type { ByteSource } from '../../src/system/files.js';
import { Random } from '../tools/random.js';
import { RDB_FORMS, rdbBody, rdbFile } from '../tools/rdb-builder.js';
import { valueLimits } from '../tools/value-limits.js';

const NOW_MS = 1_700_000_000_000;
const DATABASES = 4;

function settings(): KeyspaceSettings {
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
    values: valueLimits({
      hashPackedEntries: 20,
      hashPackedValueBytes: 30,
      listPackedSize: 10,
      listCompressDepth: 1,
      setIntegerEntries: 20,
      setPackedEntries: 20,
      setPackedValueBytes: 30,
      sortedSetPackedEntries: 20,
      sortedSetPackedValueBytes: 30,
    }),
  };
}

function newKeyspace(): Keyspace {
  return new Keyspace(
    createKeyspace(4, 64 << 20, DATABASES, Attention.create(1)),
    settings(),
    new Float64Array(16),
  );
}

function randomText(random: Random): Buffer {
  switch (random.below(5)) {
    case 0:
      return Buffer.from(String(random.below(300) - 150));
    case 1:
      return Buffer.from(String(random.pick([32767, -32769, 2 ** 31, -(2 ** 31), 2 ** 53, 12345678901])));
    case 2:
      return Buffer.from('ab'.repeat(random.below(40)));
    case 3:
      return Buffer.from(Array.from({ length: random.below(30) }, () => random.below(256)));
    default:
      return Buffer.from(`member ${random.below(100000)}`);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function own(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer);
}

/** Makes the shard's draft a random collection. */
function buildDraft(shard: Shard, type: ValueType, random: Random): void {
  shard.collection(type).create(shard.draft);
  const count = random.chance(0.1) ? 300 + random.below(3000) : 1 + random.below(40);
  const isOfIntegers = random.chance(0.4);
  for (let element = 0; element < count; element++) {
    const text = own(isOfIntegers ? Buffer.from(String(random.below(100000))) : randomText(random));
    const view = viewOf(text);
    if (type === ValueType.List) {
      shard.lists.prepare(shard.draft, text.length, 1);
      shard.lists.push(shard.draft, random.chance(0.5), text, view, 0, text.length);
    } else if (type === ValueType.Set) {
      shard.sets.add(shard.draft, text, view, 0, text.length);
    } else if (type === ValueType.Hash) {
      const value = own(randomText(random));
      shard.hashes.set(shard.draft, text, view, 0, text.length, value, viewOf(value), 0, value.length);
    } else if (!shard.sortedSets.find(shard.draft, text, view, 0, text.length)) {
      const score = random.pick([random.below(10), random.below(1e6) / 7, -0.5, Infinity, -Infinity, 1e300]);
      shard.sortedSets.add(shard.draft, score, text, view, 0, text.length);
    }
  }
}

function addKey(keyspace: Keyspace, random: Random, number: number, types: readonly ValueType[]): void {
  const key = own(
    random.chance(0.05)
      ? Buffer.from(`long key ${number} ${'k'.repeat(5000)}`)
      : Buffer.from(`key:${number}`),
  );
  const view = viewOf(key);
  const shard = keyspace.shards[keySlot(key, 0, key.length) & keyspace.shardMask]!;
  const hash = hashBytes(view, 0, key.length);
  const type = random.pick(types);
  const expiresAt = random.chance(0.3) ? NOW_MS + random.pick([1, 1e6, 1e12]) : -1;
  const text = own(random.chance(0.01) ? Buffer.alloc(3 << 20, 'large') : randomText(random));
  const valueBytes = type === ValueType.String ? text.length : REFERENCE_BYTES;
  if (type !== ValueType.String) buildDraft(shard, type, random);
  const entry = shard.create(
    random.below(DATABASES),
    hash,
    key,
    view,
    0,
    key.length,
    type,
    valueBytes,
    expiresAt,
    NOW_MS,
  );
  if (type === ValueType.String) shard.bytes.set(text, valueOffset(shard.words, entry));
  else shard.adoptDraft(entry);
}

function text(bytes: Uint8Array, offset: number, length: number): string {
  return Buffer.from(bytes.slice(offset, offset + length)).toString('latin1');
}

function valueText(shard: Shard, entry: number): string {
  const offset = valueOffset(shard.words, entry);
  const parts: string[] = [];
  switch (entryType(shard.words, entry)) {
    case ValueType.String:
      return text(shard.bytes, offset, valueLength(shard.words, entry));
    case ValueType.List:
      for (let at = shard.lists.seek(offset, 0); at !== 0; at = shard.lists.next(at)) {
        shard.lists.read(at);
        const { element } = shard.lists;
        parts.push(text(element.bytes, element.offset, element.lengthBytes));
      }
      return JSON.stringify(parts);
    case ValueType.Set:
      for (shard.sets.begin(offset); shard.sets.next(); ) {
        const { member } = shard.sets;
        parts.push(text(member.bytes, member.offset, member.lengthBytes));
      }
      return JSON.stringify(parts.sort());
    case ValueType.Hash: {
      const { field, value } = shard.hashes;
      for (shard.hashes.begin(offset); shard.hashes.next(); ) {
        parts.push(
          `${text(field.bytes, field.offset, field.lengthBytes)} ${text(value.bytes, value.offset, value.lengthBytes)}`,
        );
      }
      return JSON.stringify(parts.sort());
    }
    default: {
      const cursor = new SortedSetCursor();
      for (let more = shard.sortedSets.seek(cursor, offset, 0); more; more = shard.sortedSets.next(cursor)) {
        parts.push(`${cursor.score} ${text(cursor.bytes, cursor.offset, cursor.lengthBytes)}`);
      }
      return JSON.stringify(parts);
    }
  }
}

/** Everything in a keyspace, as text by key. */
function contents(keyspace: Keyspace): Map<string, string> {
  const all = new Map<string, string>();
  for (const shard of keyspace.shards) {
    for (let database = 0; database < DATABASES; database++) {
      let cursor = 0;
      do {
        cursor = shard.dictionary.scan(shard.root(database), cursor);
        for (let index = 0; index < shard.dictionary.scannedCount; index++) {
          const entry = shard.dictionary.scanned[index]!;
          const key = text(shard.bytes, keyOffset(shard.words, entry), keyLength(shard.words, entry));
          const type = entryType(shard.words, entry);
          all.set(
            `${database} ${key}`,
            `${type} ${expiresAtMs(shard.words, entry)} ${valueText(shard, entry)}`,
          );
        }
      } while (cursor !== 0);
    }
  }
  return all;
}

function write(keyspace: Keyspace, compresses: boolean, hasChecksum: boolean): Buffer {
  const parts: Buffer[] = [];
  const writer = new RdbWriter(keyspace.settings, {
    isAofBase: false,
    compresses,
    hasChecksum,
    flush: (bytes) => parts.push(Buffer.from(bytes)),
  });
  writer.begin(NOW_MS, 0, keyspace.hasExpiringHashes);
  for (let database = 0; database < DATABASES; database++) {
    writer.database(database, keyspace.keyCount(database), keyspace.volatileKeyCount(database));
    for (const shard of keyspace.shards) {
      let cursor = 0;
      do {
        cursor = shard.dictionary.scan(shard.root(database), cursor);
        for (let index = 0; index < shard.dictionary.scannedCount; index++) {
          writer.key(shard, shard.dictionary.scanned[index]!, NOW_MS);
          writer.flushIfLong();
        }
      } while (cursor !== 0);
    }
  }
  writer.end();
  return Buffer.concat(parts);
}

/** Hands out a file in pieces of random length. */
class Pieces implements ByteSource {
  readonly lengthBytes: number;

  constructor(
    private readonly file: Buffer,
    private readonly random: Random,
  ) {
    this.lengthBytes = file.length;
  }

  read(target: Uint8Array, offset: number, lengthBytes: number, position: number): number {
    const wanted = Math.min(lengthBytes, 1 + this.random.below(100000));
    const piece = this.file.subarray(position, position + wanted);
    target.set(piece, offset);
    return piece.length;
  }
}

function read(keyspace: Keyspace, file: Buffer, random: Random, part = 0, partCount = 1): RdbReader {
  const reader = new RdbReader(RdbInput.fromSource(new Pieces(file, random)), keyspace, {
    nowMs: NOW_MS,
    part,
    partCount,
    dropsExpired: true,
    replaces: false,
    warn: () => {},
    onProgress: null,
  });
  reader.load();
  return reader;
}

const TYPES = [ValueType.String, ValueType.List, ValueType.Set, ValueType.SortedSet, ValueType.Hash];

t.test('random keyspaces', async (t) => {
  for (let seed = 1; seed <= 4; seed++) {
    const random = new Random(seed);
    const source = newKeyspace();
    for (let number = 0; number < 400; number++) addKey(source, random, number, TYPES);
    const file = write(source, seed % 2 === 0, seed % 3 !== 0);
    const target = newKeyspace();
    const partCount = 1 + random.below(3);
    let loaded = 0;
    for (let part = 0; part < partCount; part++)
      loaded += read(target, file, random, part, partCount).keysLoaded;
    target.verify();
    t.equal(loaded, 400, `seed ${seed}: all keys`);
    t.same(contents(target), contents(source), `seed ${seed}`);
  }
});

t.test('keys past their expiry are left out', async (t) => {
  const source = newKeyspace();
  const random = new Random(11);
  for (let number = 0; number < 100; number++) addKey(source, random, number, TYPES);
  const file = write(source, true, true);
  const target = newKeyspace();
  const reader = new RdbReader(RdbInput.fromSource(new Pieces(file, random)), target, {
    nowMs: NOW_MS + 1e7,
    part: 0,
    partCount: 1,
    dropsExpired: true,
    replaces: false,
    warn: () => {},
    onProgress: null,
  });
  reader.load();
  t.ok(reader.keysExpired > 5, `${reader.keysExpired} had expired`);
  t.equal(reader.keysLoaded + reader.keysExpired, 100);
});

t.test('room for more keys than come is given back', async (t) => {
  const usedBytes = (keyspace: Keyspace): number =>
    keyspace.shards.reduce((sum, shard) => sum + shard.arena.usedBytes, 0);
  const file = (databaseSize: string): Buffer =>
    Buffer.concat([
      Buffer.from(`REDIS0009\xfe\x01${databaseSize}\x00\x01k\x80\x00\x10\x00\x00`, 'latin1'),
      Buffer.alloc(1 << 20, 'v'),
      Buffer.from('\xff\0\0\0\0\0\0\0\0', 'latin1'),
    ]);
  const plain = newKeyspace();
  read(plain, file(''), new Random(1));
  const target = newKeyspace();
  read(target, file('\xfb\x81\x00\x01\x00\x00\x00\x00\x00\x00\x00'), new Random(1));
  target.verify();
  t.same(contents(target), contents(plain));
  // The table of the one shard that has the key is for as many as might have been in the file.
  const tablesBytes = usedBytes(target) - usedBytes(plain);
  t.ok(tablesBytes > 0 && tablesBytes < 2 << 20, `${tablesBytes} bytes`);
});

t.test('damaged files', async (t) => {
  const seed = 21;
  const random = new Random(seed);
  const source = newKeyspace();
  for (let number = 0; number < 30; number++) addKey(source, random, number, TYPES);
  const withChecksum = write(source, true, true);
  const without = write(source, true, false);
  const failure = (file: Buffer): Error | null => {
    const keyspace = newKeyspace();
    try {
      read(keyspace, file, random);
      return null;
    } catch (error) {
      if (!(error instanceof RdbError)) throw error;
      return error;
    } finally {
      keyspace.verify();
    }
  };
  t.equal(failure(withChecksum), null);
  t.equal(failure(without), null);
  // Cut: everywhere near the beginning and the end, and at random places.
  const cuts = Array.from({ length: 150 }, () => random.below(without.length));
  for (let near = 0; near < 40; near++) cuts.push(near, without.length - 1 - near);
  for (const cut of cuts) {
    const error = failure(without.subarray(0, cut));
    if (error === null || !/at offset \d+/.test(error.message))
      t.fail(`seed ${seed}, cut at ${cut}: ${error}`);
  }
  // Damaged: with a checksum it is always noticed, without one nothing worse than an error happens.
  for (let round = 0; round < 250; round++) {
    const at = 9 + random.below(without.length - 9);
    const byte = random.chance(0.3) ? 0xff : random.below(256);
    const damaged = Buffer.from(withChecksum);
    if (damaged[at] === byte) continue;
    damaged[at] = byte;
    const isCovered = at < withChecksum.length - 8 || damaged.subarray(-8).some((end) => end !== 0);
    if (isCovered && failure(damaged) === null)
      t.fail(`seed ${seed}: byte ${at} changed to ${byte} unnoticed`);
    const unchecked = Buffer.from(without);
    unchecked[at] = byte;
    failure(unchecked);
  }
  t.pass('all were noticed');
});

t.test('damaged files of old versions', async (t) => {
  const keyspace = newKeyspace();
  let seed = 41;
  const noticed = (file: Buffer): boolean => {
    for (const shard of keyspace.shards) {
      for (let database = 0; database < DATABASES; database++) shard.flush(database, NOW_MS);
    }
    try {
      read(keyspace, file, new Random(seed));
      return false;
    } catch (error) {
      if (!(error instanceof RdbError)) throw error;
      if (!/at offset \d+$/.test(error.message)) t.fail(`seed ${seed}: no offset: ${error.message}`);
      return true;
    }
  };
  // Each form by itself, without a checksum: cut at every place, and bytes changed at random.
  for (const [type, version, name] of RDB_FORMS) {
    const random = new Random(++seed);
    const good = rdbFile(version, rdbBody(random, version, 1, [type]), false);
    t.notOk(noticed(good), name);
    const step = Math.max(1, Math.floor(good.length / 400));
    for (let length = 0; length < good.length - 8; length += step) {
      if (!noticed(good.subarray(0, length))) t.fail(`seed ${seed}: ${name} cut at ${length} unnoticed`);
    }
    for (let round = 0; round < 300; round++) {
      const damaged = Buffer.from(good);
      for (let changes = 1 + random.below(3); changes > 0; changes--) {
        damaged[random.below(Math.min(good.length, 200))] = random.pick([
          0,
          0x7f,
          0x80,
          0xff,
          random.below(256),
        ]);
      }
      noticed(damaged);
      if (round % 20 === 0) keyspace.verify();
    }
    keyspace.verify();
  }
});

t.test('what is not supported is named', async (t) => {
  const random = new Random(31);
  const cases: readonly [string, RegExp][] = [
    ['REDIS0000\xff', /RDB version 0000 is not supported at offset 0/],
    ['REDIS0080\xff', /RDB version 0080 is not supported at offset 0/],
    ['VALKEY079\xff', /RDB version 079 is not supported at offset 0/],
    ['VALKEYxyz\xff', /RDB version xyz is not supported at offset 0/],
    ['PNG', /unexpected end/],
    ['PNG and more', /no RDB file/],
    ['REDIS0009\x07\x01k\x00', /a value of a module \(type 7\) is not supported at offset/],
    ['REDIS0009\x0f\x01k\x01\x03abc\x01x', /an id of a stream is not as long as it should be at offset 13/],
    ['REDIS0014\x1c\x01k\x00', /an array \(type 28\) is not supported at offset/],
    ['VALKEY081\x17\x01k\x00', /a path hash \(type 23\) is not supported at offset/],
    ['VALKEY080\xf3\x01x\x01\x01\x02', /slots that are being imported \(opcode 243\) .* at offset 9/],
    ['VALKEY081\xf2\x01', /opcode 242 is not supported at offset 9/],
    ['REDIS0014\xf3\x01abcd\x07', /unknown part 7 of data of a module at offset 15/],
    ['REDIS0009\x63\x01k\x00', /unknown type 99/],
    ['REDIS0009\xf7\x00', /a module has no id at offset 10/],
    [
      'REDIS0009\xf7\x81\xb5\xeb\x2d\xff\xfa\xdd\x6c\x01\x02\x01\x05\x01x\x00\xff',
      /data of the module test__rdb is not supported at offset 9/,
    ],
    ['REDIS0009\xfe\x09', /has a database 9, but `databases` is 4 at offset 9/],
    ['REDIS0003\x00\x01k\x01v\x00\x01k\x01v\xff', /the same key twice at offset 14/],
    ['REDIS0003\x02\x01k\x02\x01v\x01v\xff', /a set has a member twice/],
    ['REDIS0003\x03\x01k\x01\x01v\xfd\xff', /a score is no number/],
    ['REDIS0003\x00\x01k\x80\xff\xff\xff\xff', /absurd length 4294967295/],
    ['REDIS0003\x02\x01k\x80\xff\xff\xff\xff', /absurd count 4294967295/],
    [
      'REDIS0003\x00\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff',
      /absurd length 1844674\d+ of a string at offset 12/,
    ],
    [
      'REDIS0003\x00\x01k\xc3\x05\x80\x7f\xff\xff\xff12345',
      /absurd length 5 or 2147483647 of a compressed string/,
    ],
    ['REDIS0003\x04\x01k\x02\x01f\x01v\x01f\x01v\xff', /a hash has a field twice/],
    ['REDIS0003\xfc\xff\xff\xff\xff\xff\xff\xff\x7f\x00\x01k\x01v\xff', /absurd expiry at offset 9/],
  ];
  for (const [file, expected] of cases) {
    t.throws(
      () => read(newKeyspace(), Buffer.from(file, 'latin1'), random),
      { message: expected },
      String(expected),
    );
  }
  const keyspace = newKeyspace();
  const warnings: string[] = [];
  const reader = new RdbReader(
    RdbInput.fromSource(
      new Pieces(Buffer.from('REDIS0003\xf5\x04code\xf4\x01\x02\x03\x00\x01k\x01v\xff', 'latin1'), random),
    ),
    keyspace,
    {
      nowMs: NOW_MS,
      part: 0,
      partCount: 1,
      dropsExpired: true,
      replaces: false,
      warn: (line) => warnings.push(line),
      onProgress: null,
    },
  );
  reader.load();
  t.equal(keyspace.keyCount(0), 1);
  t.same(warnings, [], 'functions are loaded');
});
