/** Keys as commands, read by redis-server: whole random datasets, and snapshots taken while keys change. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { Config } from '../../src/config/config.js';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { entryType, ValueType, valueOffset } from '../../src/keyspace/entry.js';
import { KeyEvent } from '../../src/keyspace/events.js';
import { NamedKey } from '../../src/keyspace/gate.js';
import { createKeyspace, Keyspace, type KeyspaceHandle } from '../../src/keyspace/keyspace.js';
import type { Shard } from '../../src/keyspace/shard.js';
import { SnapshotState } from '../../src/keyspace/shard-snapshot.js';
import { Attention } from '../../src/memory/attention.js';
import { hashBytes, setHashSecret } from '../../src/memory/hash.js';
import { CommandWriter } from '../../src/persistence/command-writer.js';
import { SnapshotImageWriter } from '../../src/persistence/image-writer.js';
import { loadFile } from '../../src/persistence/load-file.js';
import { PersistenceState, SnapshotForm, SnapshotPurpose } from '../../src/state/persistence-state.js';
import { createProcessState } from '../../src/state/process-state.js';
import { SharedConfig } from '../../src/state/shared-config.js';
import { createLog } from '../../src/system/log.js';
import { DATA_TYPES, differences, fillRandomly, readDataset } from '../tools/dataset.js';
import { Random } from '../tools/random.js';
import { hasProgram, run, skipWithoutRedis, TestServer } from '../tools/server.js';

// Without a declaration file.
const CommandParser = createRequire(import.meta.url)('redis-parser') as new (options: {
  returnBuffers: boolean;
  returnReply: (reply: Buffer[]) => void;
  returnError: (error: Error) => void;
}) => { execute: (bytes: Buffer) => void };

const ELEMENTS_PER_COMMAND = 64;
const HASH_SECRET = [71, 72] as const;
const NOW_MS = 1_700_000_000_999;
const FOREVER_MS = 4_000_000_000_000;

setHashSecret(HASH_SECRET);

/** A directory that vanishes with the test. */
function temporaryDirectory(t: Test): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-test-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

/** A keyspace that fills with what a redis-server has. */
async function keyspaceOf(server: TestServer, handle: KeyspaceHandle): Promise<Keyspace> {
  const client = server.client();
  await client.save();
  const settings = defaultSettings();
  const keyspace = new Keyspace(handle, settings, new Float64Array(16));
  const { failure } = loadFile(
    keyspace,
    {
      fileName: path.join(server.directory, 'dump.rdb'),
      hasChecksum: true,
      nowMs: Date.now(),
      dropsExpired: true,
    },
    createLog('/dev/null', () => 'notice'),
  );
  if (failure !== '') throw new Error(failure);
  return keyspace;
}

function forEachKey(
  keyspace: Keyspace,
  visit: (shard: Shard, database: number, entry: number) => void,
): void {
  for (let database = 0; database < keyspace.databaseCount; database++) {
    for (const shard of keyspace.shards) {
      let cursor = 0;
      do {
        cursor = shard.dictionary.scan(shard.root(database), cursor);
        const entries = [...shard.dictionary.scanned.slice(0, shard.dictionary.scannedCount)];
        for (const entry of entries) visit(shard, database, entry);
      } while (cursor !== 0);
    }
  }
}

/** All keys as commands, and how long the longest piece was that was handed out. */
function write(keyspace: Keyspace, hasTimestamp = false): { file: Buffer; longestBytes: number } {
  const parts: Buffer[] = [];
  const writer = new CommandWriter({
    isAofBase: true,
    compresses: true,
    hasChecksum: true,
    hasTimestamp,
    flush: (bytes) => parts.push(Buffer.from(bytes)),
  });
  let current = -1;
  writer.begin(NOW_MS);
  forEachKey(keyspace, (shard, database, entry) => {
    if (database !== current) writer.database(database);
    current = database;
    writer.key(shard, entry);
    writer.flushIfLong();
  });
  writer.end();
  return { file: Buffer.concat(parts), longestBytes: Math.max(...parts.map((part) => part.length)) };
}

/** What redis-server finds in a base file of commands. */
async function withRedis(t: Test, file: Buffer, action: (client: Redis) => Promise<void>): Promise<void> {
  const directory = temporaryDirectory(t);
  const folder = path.join(directory, 'appendonlydir');
  mkdirSync(folder);
  const name = 'appendonly.aof.1.base.aof';
  writeFileSync(path.join(folder, name), file);
  writeFileSync(path.join(folder, 'appendonly.aof.manifest'), `file ${name} seq 1 type b\n`);
  if (hasProgram('redis-check-aof')) {
    t.equal(
      run(['redis-check-aof', path.join(folder, 'appendonly.aof.manifest')]).code,
      0,
      'redis-check-aof',
    );
  }
  const redis = await TestServer.start({
    kind: 'redis',
    directives: { dir: directory, appendonly: 'yes', 'aof-use-rdb-preamble': 'no' },
  });
  try {
    await action(redis.client());
  } finally {
    await redis.stop('SIGKILL');
  }
}

function parseCommands(file: Buffer): string[][] {
  const commands: string[][] = [];
  const parser = new CommandParser({
    returnBuffers: true,
    returnReply: (reply) => commands.push(reply.map((part) => part.toString('latin1'))),
    returnError: (error) => {
      throw error;
    },
  });
  parser.execute(file);
  return commands;
}

/** What random data seldom has. */
async function addSpecialCases(client: Redis): Promise<void> {
  await client.set('', '');
  await client.set('\r\n$3\r\n', '*1\r\n$8\r\nFLUSHALL\r\n');
  await client.set('large', Buffer.alloc(3 << 20, 'large value '));
  await client.rpush('elements of all sizes', '', 'x'.repeat(70_000), ...Array.from({ length: 130 }, String));
  await client.hset('hash of all sizes', 'empty', '', '', 'without a name', 'long', 'y'.repeat(300_000));
  await client.pexpireat('hash of all sizes', FOREVER_MS);
  const scores = [
    '-0',
    '5e-324',
    '-2.2250738585072014e-308',
    '1.7976931348623157e308',
    '0.30000000000000004',
    '9007199254740991',
    '9007199254740993',
    '123456789012345680',
    '1e17',
    '-1e21',
    '0.000012345678901234567',
    'inf',
    '-inf',
  ];
  for (const [index, score] of scores.entries()) await client.zadd('scores', score, `member ${index}`);
  // Long enough to be no packed list, which keeps no -0.
  for (let member = 0; member < 1000; member++) {
    await client.zadd('many scores', scores[member % scores.length]!, `member ${member}`);
  }
  for (let first = 0; first < 20_000; first += 1000) {
    await client.sadd('many', ...Array.from({ length: 1000 }, (_, index) => `member ${first + index}`));
  }
}

t.test('random datasets', { skip: skipWithoutRedis() }, async (t) => {
  for (const seed of [5201, 5202]) {
    const source = await TestServer.start({ kind: 'redis' });
    t.teardown(() => source.stop('SIGKILL'));
    const client = source.client();
    await fillRandomly(client, new Random(seed), 250, DATA_TYPES);
    await addSpecialCases(client);
    const expected = await readDataset(client);
    const keyspace = await keyspaceOf(source, createKeyspace(4, 64 << 20, 16, Attention.create(1)));
    const { file, longestBytes } = write(keyspace);
    await withRedis(t, file, async (redis) => {
      t.same(differences(await readDataset(redis), expected), [], `seed ${seed}`);
    });
    t.ok(longestBytes < file.length, 'the file was handed out in pieces');
    const argsPerElement: Record<string, number> = { RPUSH: 1, SADD: 1, ZADD: 2, HMSET: 2 };
    const elements = parseCommands(file)
      .filter(([name]) => name! in argsPerElement)
      .map((command) => (command.length - 2) / argsPerElement[command[0]!]!);
    t.equal(Math.max(...elements), ELEMENTS_PER_COMMAND, 'elements of the longest command');
    t.ok(Math.min(...elements) > 0, 'no command without elements');
    const timed = write(keyspace, true).file;
    t.ok(timed.equals(Buffer.concat([Buffer.from('#TS:1700000000\r\n'), file])));
    if (seed === 5201) {
      await withRedis(t, timed, async (redis) => {
        t.equal(await redis.dbsize(), await client.dbsize(), 'a file with a time');
      });
    }
    keyspace.verify();
  }
});

t.test('an image that is longer than a shard', async (t) => {
  const keyspace = new Keyspace(
    createKeyspace(1, 16 << 20, 1, Attention.create(1)),
    defaultSettings(),
    new Float64Array(16),
  );
  const shard = keyspace.shards[0]!;
  const key = new Uint8Array([107]);
  const view = new DataView(key.buffer);
  const entry = shard.create(0, hashBytes(view, 0, 1), key, view, 0, 1, ValueType.String, 0, -1, 0);
  for (const length of [64 << 20, 0x7fffffff, 3 * 2 ** 30]) {
    const write = () => ({ bytes: new Uint8Array(0), length });
    shard.snapshot.imageWriter = { write, writeHead: write, writeRecord: write, writeChunk: write };
    keyspace.beginSnapshot();
    const { usedBytes } = shard.arena;
    shard.preserve(0, entry);
    t.equal(shard.snapshot.state, SnapshotState.Failed, `${length} bytes`);
    t.equal(shard.arena.usedBytes, usedBytes);
    keyspace.verify();
  }
});

/** Changes a random key in one of the ways that commands do; the lock of its shard is held. */
function change(shard: Shard, database: number, entry: number, random: Random): void {
  const nowMs = Date.now();
  const hash = shard.dictionary.hashOf(entry);
  const slot = shard.dictionary.slotOf(shard.root(database), hash, entry);
  const value = new Uint8Array(Buffer.from('changed'));
  const view = new DataView(value.buffer);
  switch (random.below(4)) {
    case 0:
      shard.remove(database, hash, slot);
      break;
    case 1:
      shard.setExpiry(database, slot, FOREVER_MS - 1, nowMs);
      break;
    case 2: {
      shard.preserve(database, entry);
      const reference = valueOffset(shard.words, entry);
      const type = entryType(shard.words, entry);
      if (type === ValueType.List) {
        shard.lists.prepare(reference, value.length, 1);
        shard.lists.push(reference, false, value, view, 0, value.length);
      } else if (type === ValueType.Set) {
        shard.sets.add(reference, value, view, 0, value.length);
      } else if (type === ValueType.SortedSet) {
        if (!shard.sortedSets.find(reference, value, view, 0, value.length))
          shard.sortedSets.add(reference, -17, value, view, 0, value.length);
      } else if (type === ValueType.Hash) {
        shard.hashes.set(reference, value, view, 0, value.length, value, view, 0, value.length);
      } else if (type === ValueType.String) {
        shard.resizeString(database, slot, 1000, nowMs);
      }
      break;
    }
    default: {
      const replaced = shard.replace(database, slot, ValueType.String, value.length, -1, nowMs);
      shard.bytes.set(value, valueOffset(shard.words, replaced));
    }
  }
  // Nobody listens who would want the name.
  shard.changed(new NamedKey(value, view, database, hash), KeyEvent.Set);
}

t.test('a snapshot while keys change', { skip: skipWithoutRedis() }, async (t) => {
  const seed = 5210;
  const random = new Random(seed);
  const source = await TestServer.start({ kind: 'redis' });
  t.teardown(() => source.stop('SIGKILL'));
  const client = source.client();
  await client.call('DEBUG', 'POPULATE', '20000', 'filling', '50');
  await fillRandomly(client, random, 400, DATA_TYPES);
  const expected = await readDataset(client);
  const handle = createKeyspace(4, 128 << 20, 16, Attention.create(1));
  const keyspace = await keyspaceOf(source, handle);

  const directory = temporaryDirectory(t);
  const config = new Config();
  config.loadText(`dir ${directory}\ndbfilename snapshot.aof\nlogfile /dev/null\n`, 'test');
  const stateHandle = createProcessState(Attention.create(2), 1, 1);
  new SharedConfig(stateHandle.config).publish(JSON.stringify(config));
  const state = new PersistenceState(stateHandle.persistence);
  let images = 0;
  const imageWriter = new SnapshotImageWriter(keyspace.settings, state);
  for (const { snapshot } of keyspace.shards) {
    snapshot.imageWriter = {
      write(shard, entry) {
        images++;
        return imageWriter.write(shard, entry);
      },
      writeHead: (shard, entry) => imageWriter.writeHead(shard, entry),
      writeRecord: (shard, key, record) => imageWriter.writeRecord(shard, key, record),
      writeChunk: (shard, key, chunk) => imageWriter.writeChunk(shard, key, chunk),
    };
  }
  const persistence = new Worker(new URL('../../workers/persistence.js', import.meta.url), {
    workerData: { keyspace: handle, state: stateHandle },
  });
  t.teardown(() => persistence.terminate());

  keyspace.lockAll();
  t.ok(state.reserve(SnapshotPurpose.Save));
  state.start(keyspace.dirtyCount(), keyspace.beginSnapshot(), Date.now(), SnapshotForm.Commands);
  forEachKey(keyspace, (shard, database, entry) => {
    if (random.chance(0.1)) change(shard, database, entry, random);
  });
  keyspace.unlockAll();
  const imagesAtOnce = images;
  t.ok(imagesAtOnce > 1000, `${imagesAtOnce} keys changed before any was visited`);
  const cursors = keyspace.shards.map(() => 0);
  while (state.isSaving) {
    for (const [index, shard] of keyspace.shards.entries()) {
      shard.lock();
      cursors[index] = shard.dictionary.scan(shard.root(0), cursors[index]!);
      const { scanned, scannedCount } = shard.dictionary;
      if (scannedCount > 0) change(shard, 0, scanned[random.below(scannedCount)]!, random);
      shard.unlock();
    }
    await delay(0);
  }
  t.notOk(state.hasFailed);
  t.equal(state.keysWritten, state.keysTotal);
  keyspace.verify();
  await withRedis(t, readFileSync(path.join(directory, 'snapshot.aof')), async (redis) => {
    t.same(differences(await readDataset(redis), expected), [], `seed ${seed}, ${images} keys changed early`);
  });

  // The next snapshot has the other form again.
  keyspace.lockAll();
  t.ok(state.reserve(SnapshotPurpose.Save));
  state.start(keyspace.dirtyCount(), keyspace.beginSnapshot(), Date.now());
  forEachKey(keyspace, (shard, database, entry) => {
    if (random.chance(0.1)) change(shard, database, entry, random);
  });
  keyspace.unlockAll();
  while (state.isSaving) await delay(5);
  t.notOk(state.hasFailed);
  const again = new Keyspace(
    createKeyspace(4, 128 << 20, 16, Attention.create(1)),
    keyspace.settings,
    new Float64Array(16),
  );
  const { failure, keysLoaded } = loadFile(
    again,
    {
      fileName: path.join(directory, 'snapshot.aof'),
      hasChecksum: true,
      nowMs: Date.now(),
      dropsExpired: true,
    },
    createLog('/dev/null', () => 'notice'),
  );
  t.equal(failure, '');
  t.equal(keysLoaded, state.keysTotal);
});
