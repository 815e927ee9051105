/**
 * Snapshots of a keyspace that has other numbers of keys or elements than its counts tell: whatever is at fault, no file
 * takes the place of the old one. In the foreground and in the background, as RDB and as commands.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { Config } from '../../src/config/config.js';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { entryType, ValueType, valueOffset } from '../../src/keyspace/entry.js';
import { createKeyspace, Keyspace, type KeyspaceHandle } from '../../src/keyspace/keyspace.js';
import type { Shard } from '../../src/keyspace/shard.js';
import { Attention } from '../../src/memory/attention.js';
import { SnapshotImageWriter } from '../../src/persistence/image-writer.js';
import { checkElements, KeyTally } from '../../src/persistence/key-tally.js';
import { loadFile } from '../../src/persistence/load-file.js';
import { saveKeyspace } from '../../src/persistence/snapshot-file.js';
import { PersistenceState, SnapshotForm, SnapshotPurpose } from '../../src/state/persistence-state.js';
import { createProcessState, type ProcessStateHandle } from '../../src/state/process-state.js';
import { SharedConfig } from '../../src/state/shared-config.js';
import { Encoding } from '../../src/structures/collection-value.js';
import { DictionaryRoot, TablePosition } from '../../src/structures/dictionary.js';
import { ExpiringHashTable } from '../../src/structures/expiring-hash-table.js';
import { ELEMENT_FORMS, rdbCollection, rdbFile, rdbLength, rdbString } from '../tools/rdb-builder.js';

/** Fewer than a snapshot writes in one step, and so many that it takes several. */
const SIZES = [700, 8000];
const STRINGS = 300;
const OLD_FILE = 'what was saved before';
const FORMS = [SnapshotForm.Rdb, SnapshotForm.Commands];
/** Words of the root of a list in chunks. */
const LIST_ELEMENTS_WORD = 2;
const LIST_CHUNKS_WORD = 3;
/** Longer lists are written in steps in the background. */
const STEPPED_CHUNKS_MIN = 8;
const NOT_WHOLE = /^the snapshot is not whole: /;

class TestKeyspace {
  readonly handle: KeyspaceHandle;
  readonly keyspace: Keyspace;
  readonly directory: string;
  readonly fileName: string;
  readonly config = new Config();

  /** Strings in two databases, and each kind of collection in each of the sizes. */
  constructor(t: Test) {
    this.directory = mkdtempSync(path.join(tmpdir(), 'damselfly-test-'));
    t.teardown(() => rmSync(this.directory, { recursive: true }));
    this.fileName = path.join(this.directory, 'dump.rdb');
    this.config.loadText(`dir ${this.directory}\nlogfile /dev/null\n`, 'test');
    const settings = defaultSettings();
    this.config.copyTo(settings);
    this.handle = createKeyspace(4, 32 << 20, 16, Attention.create(1));
    this.keyspace = new Keyspace(this.handle, settings, new Float64Array(16));
    writeFileSync(this.fileName, this.builtFile());
    const options = { fileName: this.fileName, hasChecksum: true, nowMs: Date.now(), dropsExpired: false };
    const { failure } = loadFile(this.keyspace, options, () => {});
    if (failure !== '') throw new Error(failure);
    writeFileSync(this.fileName, OLD_FILE);
  }

  private builtFile(): Buffer {
    const parts: Buffer[] = [];
    for (const database of [0, 5]) {
      parts.push(Buffer.from([254]), rdbLength(database));
      for (let number = 0; number < STRINGS; number++) {
        parts.push(Buffer.from([0]), rdbString(`string:${number}`), rdbString('value'));
      }
    }
    for (const form of ELEMENT_FORMS) {
      for (const size of SIZES) {
        parts.push(Buffer.from([form.type]), rdbString(`${form.name}:${size}`), rdbCollection(form, size));
      }
    }
    return rdbFile(12, Buffer.concat(parts));
  }

  /** Calls `action` once for each collection, while its count is one too many, and while it is one too few. */
  async withWrongCounts(
    form: SnapshotForm,
    isInSteps: boolean,
    action: (what: string, shard: Shard, entry: number) => Promise<void> | void,
  ): Promise<void> {
    for (const { shard, entry } of this.collections()) {
      const word = countWord(shard, entry, form, isInSteps);
      for (const delta of [1, -1]) {
        shard.words[word] += delta;
        await action(`form ${form}, type ${entryType(shard.words, entry)}, ${delta}`, shard, entry);
        shard.words[word] -= delta;
      }
    }
  }

  private collections(): { shard: Shard; entry: number }[] {
    const found: { shard: Shard; entry: number }[] = [];
    for (const shard of this.keyspace.shards) {
      const { dictionary } = shard;
      for (const position = new TablePosition(); dictionary.readLine(shard.root(5), position); ) {
        for (const entry of dictionary.scanned.slice(0, dictionary.scannedCount)) {
          if (entryType(shard.words, entry) !== ValueType.String) found.push({ shard, entry });
        }
      }
    }
    if (found.length !== ELEMENT_FORMS.length * SIZES.length)
      throw new Error('not all collections are there');
    return found;
  }

  save(form: SnapshotForm): void {
    const options = { isAofBase: false, compresses: true, hasChecksum: true };
    this.keyspace.lockAll();
    try {
      saveKeyspace(this.keyspace, { ...options, fileName: this.fileName, form }, Date.now());
    } finally {
      this.keyspace.unlockAll();
    }
  }

  /** The old file is as it was, and nothing else is left. */
  expectOldFile(t: Test, what: string): void {
    t.ok(readFileSync(this.fileName, 'latin1') === OLD_FILE, what);
    t.same(readdirSync(this.directory), ['dump.rdb'], what);
  }
}

/**
 * The word that has how many parts of a large collection there are to be written: its elements, but the chunks of a list in
 * an RDB file, or where it is written in steps.
 */
function countWord(shard: Shard, entry: number, form: SnapshotForm, isInSteps: boolean): number {
  const { words } = shard;
  const reference = valueOffset(words, entry);
  const collection = shard.collection(entryType(words, entry));
  const block = collection.blockOf(reference);
  switch (collection.encoding(reference)) {
    case Encoding.Chunks: {
      const hasSteps = isInSteps && words[(block >> 2) + LIST_CHUNKS_WORD]! > STEPPED_CHUNKS_MIN;
      const isByChunks = form === SnapshotForm.Rdb || hasSteps;
      return (block >> 2) + (isByChunks ? LIST_CHUNKS_WORD : LIST_ELEMENTS_WORD);
    }
    case Encoding.TableExpiring:
      return (ExpiringHashTable.tableOf(block) >> 2) + DictionaryRoot.Count;
    case Encoding.Table:
    case Encoding.Tree:
      return (block >> 2) + DictionaryRoot.Count;
    default:
      throw new Error('a collection is not large enough');
  }
}

t.test('keys and elements are counted', async (t) => {
  const tally = new KeyTally();
  tally.begin(3);
  tally.expect(0, 2);
  tally.expect(2, 1);
  tally.add(0);
  tally.add(2);
  t.equal(tally.expectedIn(2), 1);
  t.throws(() => tally.check(), {
    message: 'the snapshot is not whole: database 0 has 2 keys, 1 were written',
  });
  tally.add(0);
  tally.check();
  tally.add(1);
  t.throws(() => tally.check(), { message: NOT_WHOLE });
  tally.begin(3);
  tally.check();
  checkElements(5, 5);
  t.throws(() => checkElements(4, 5), {
    message: 'the snapshot is not whole: a value has 5 elements, 4 were written',
  });
});

t.test('a save in the foreground', async (t) => {
  const test = new TestKeyspace(t);
  for (const form of FORMS) {
    for (const database of [0, 5, 7]) {
      for (const delta of database === 7 ? [1] : [1, -1]) {
        const [shard] = test.keyspace.shards as [Shard];
        shard.words[shard.root(database) + DictionaryRoot.Count] += delta;
        t.throws(() => test.save(form), { message: new RegExp(`database ${database} has`) });
        shard.words[shard.root(database) + DictionaryRoot.Count] -= delta;
        test.expectOldFile(t, `form ${form}, database ${database}, ${delta}`);
      }
    }
    await test.withWrongCounts(form, false, (what) => {
      t.throws(() => test.save(form), { message: NOT_WHOLE }, what);
      test.expectOldFile(t, what);
    });
  }
  test.keyspace.verify();
  test.save(SnapshotForm.Rdb);
  t.ok(readFileSync(test.fileName, 'latin1').startsWith('REDIS0012'), 'a keyspace in order is saved');
});

/** Takes snapshots with a persistence thread. */
class Background {
  private readonly keyspace: Keyspace;
  private readonly stateHandle: ProcessStateHandle;
  readonly state: PersistenceState;

  constructor(t: Test, { handle, keyspace, config }: TestKeyspace) {
    this.keyspace = keyspace;
    this.stateHandle = createProcessState(Attention.create(2), 1, 1);
    new SharedConfig(this.stateHandle.config).publish(JSON.stringify(config));
    this.state = new PersistenceState(this.stateHandle.persistence);
    const imageWriter = new SnapshotImageWriter(keyspace.settings, this.state);
    for (const { snapshot } of keyspace.shards) snapshot.imageWriter = imageWriter;
    const thread = new Worker(new URL('../../workers/persistence.js', import.meta.url), {
      workerData: { keyspace: handle, state: this.stateHandle },
    });
    t.teardown(() => thread.terminate());
  }

  /** Takes a snapshot; `meanwhile` happens right after its moment. Returns whether it went well. */
  async save(form: SnapshotForm, meanwhile = (): void => {}): Promise<boolean> {
    const { keyspace, state } = this;
    keyspace.lockAll();
    if (!state.reserve(SnapshotPurpose.Save)) throw new Error('a snapshot is being taken');
    state.start(keyspace.dirtyCount(), keyspace.beginSnapshot(), Date.now(), form);
    meanwhile();
    keyspace.unlockAll();
    while (state.isBusy) await delay(1);
    return !state.hasFailed;
  }
}

t.test('a save in the background', async (t) => {
  const test = new TestKeyspace(t);
  const background = new Background(t, test);
  for (const form of FORMS) {
    const [shard] = test.keyspace.shards as [Shard];
    for (const delta of [1, -1]) {
      shard.words[shard.root(5) + DictionaryRoot.Count] += delta;
      t.notOk(await background.save(form), `form ${form}: the keys of a database`);
      shard.words[shard.root(5) + DictionaryRoot.Count] -= delta;
      test.expectOldFile(t, `form ${form}, ${delta}`);
    }
    await test.withWrongCounts(form, true, async (what, shard, entry) => {
      t.notOk(await background.save(form), what);
      test.expectOldFile(t, what);
      const isGood = await background.save(form, () => shard.preserve(5, entry));
      t.notOk(isGood, `${what}: a client changes it first`);
      test.expectOldFile(t, what);
    });
  }
  test.keyspace.verify();
  t.ok(await background.save(SnapshotForm.Rdb), 'a keyspace in order is saved');
  t.ok(readFileSync(test.fileName, 'latin1').startsWith('REDIS0012'));
});
