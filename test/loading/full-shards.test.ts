/**
 * What fitted when it was written fits when it is loaded: random changes of shards that are full, some while a snapshot
 * takes memory for images, then their log is run again in shards of the same size, with and without a base file.
 *
 * DAMSELFLY_FULL_SHARD_RUNS and DAMSELFLY_FULL_SHARD_SEED change how many runs there are and where they start.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { createKeyspace } from '../../src/keyspace/keyspace.js';
import type { Shard } from '../../src/keyspace/shard.js';
import { compactShard } from '../../src/loading/compact-shard.js';
import { loadPart } from '../../src/loading/load-part.js';
import { replayFiles } from '../../src/loading/replay.js';
import { Attention } from '../../src/memory/attention.js';
import { saveKeyspace, snapshotOptions } from '../../src/persistence/snapshot-file.js';
import { PersistenceState } from '../../src/state/persistence-state.js';
import { SharedConfig } from '../../src/state/shared-config.js';
import { DATABASES, Engine } from '../tools/engine.js';
import { FILL_KINDS, fillCommand } from '../tools/fill-commands.js';
import { Random } from '../tools/random.js';

const RUNS = Number(process.env.DAMSELFLY_FULL_SHARD_RUNS ?? 4);
const SEED = Number(process.env.DAMSELFLY_FULL_SHARD_SEED ?? 1);
const SHARDS = 2;
const SHARD_BYTES = 1 << 20;
const COMMANDS = 6000;
const OUT_OF_MEMORY = /^-OOM /;

/** Ends a snapshot whose keys nobody wants. */
function endSnapshot({ keyspace }: Engine): void {
  const taker = {
    begin() {},
    image() {},
    records() {},
    chunk() {},
    end() {},
    streamHead() {},
    groupHead() {},
    pending() {},
    groupEnd: () => true,
  };
  for (const { snapshot } of keyspace.shards) {
    do {
      while (snapshot.takeImage(null)) {}
      while (snapshot.hasLongKeys) snapshot.stepLongKey(taker);
    } while (snapshot.step(() => {}));
    while (snapshot.takeImage(null)) {}
    while (snapshot.hasLongKeys) snapshot.stepLongKey(taker);
    snapshot.end();
  }
}

/** The data that comes of a base file, if there is one, and a log, in shards of the same size. */
function load(engine: Engine, directory: string, hasBase: boolean): { failure: string; engine: Engine } {
  const keyspace = createKeyspace(SHARDS, SHARD_BYTES, DATABASES, Attention.create(1));
  const progress = PersistenceState.create(Attention.create(1));
  const sharedConfig = SharedConfig.create(Attention.create(1));
  new SharedConfig(sharedConfig).publish(JSON.stringify(engine.config));
  const loaded = new Engine({ shards: SHARDS, shardBytes: SHARD_BYTES, keyspace });
  if (hasBase) {
    const { failure } = loadPart({
      request: {
        keyspace,
        settings: engine.keyspace.settings,
        fileName: path.join(directory, 'base'),
        hasChecksum: true,
        nowMs: Date.now(),
        dropsExpired: false,
        isReplica: false,
        logFile: '',
        logLevel: 'warning',
        progress,
        sharedConfig,
        loadedBytes: 0,
      },
      part: 0,
      partCount: 1,
    });
    if (failure !== '') return { failure, engine: loaded };
  }
  const { failure } = replayFiles({
    keyspace,
    configuration: engine.config.toJSON(),
    files: [{ path: path.join(directory, 'log'), offset: 0 }],
    untilSeconds: Number.POSITIVE_INFINITY,
    progress,
    sharedConfig,
    loadedBytes: 0,
  });
  return { failure, engine: loaded };
}

const DIRECTIVES: readonly Readonly<Record<string, string>>[] = [
  {},
  { 'list-compress-depth': '1', 'list-max-listpack-size': '-1' },
  {
    'hash-max-listpack-entries': '2000',
    'hash-max-listpack-value': '4000',
    'set-max-intset-entries': '5000',
  },
];

t.test('a shard whose free memory is in pieces has it in one', async (t) => {
  const engine = new Engine({ shards: 1, shardBytes: SHARD_BYTES });
  const random = new Random(SEED);
  for (let command = 0; command < 2000; command++) engine.run(fillCommand(random, 'mixed'));
  for (let key = 0; key < 60; key += 2)
    engine.run(['DEL', ...['', 'a', 's', 'h', 'z', 'l'].map((type) => `${type}${key}`)]);
  engine.run(['SELECT', '2']);
  engine.run(['SET', 'elsewhere', 'value', 'PX', '100000000']);
  const expected = engine.dataset();
  const [shard] = engine.keyspace.shards as readonly [Shard];
  const { freeBytes } = shard.arena;
  t.ok(freeBytes > 50_000);
  compactShard(engine.keyspace, shard, Date.now());
  engine.verify();
  t.same(engine.dataset(), expected);
  t.ok(
    shard.arena.freeBytes < freeBytes / 4,
    `${shard.arena.freeBytes} of ${freeBytes} bytes are in pieces now`,
  );
});

for (let number = 0; number < RUNS; number++) {
  const seed = SEED + number;
  const kind = FILL_KINDS[number % FILL_KINDS.length]!;
  t.test(`${kind}, seed ${seed}`, async (t) => {
    t.setTimeout(0);
    const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-full-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const random = new Random(seed);
    const live = new Engine({
      shards: SHARDS,
      shardBytes: SHARD_BYTES,
      directives: random.pick(DIRECTIVES),
    });
    const log: Uint8Array[] = [];
    let refused = 0;
    let hasBase = false;
    let snapshotSteps = 0;
    for (let command = 0; command < COMMANDS; command++) {
      if (snapshotSteps === 0 && random.chance(0.003)) {
        live.beginSnapshot();
        snapshotSteps = 1 + random.below(200);
      } else if (snapshotSteps > 0 && --snapshotSteps === 0) {
        endSnapshot(live);
      }
      if (OUT_OF_MEMORY.test(live.run(fillCommand(random, kind)))) refused++;
      // As workers do when they have time.
      if (random.chance(0.2)) live.keyspace.freeLazily(0, 1);
      const isToSave = !hasBase && number % 2 === 1 && command > COMMANDS / 2;
      log.push(live.takeRecorded());
      if (isToSave) {
        saveKeyspace(
          live.keyspace,
          { ...snapshotOptions(live.config), fileName: path.join(directory, 'base') },
          Date.now(),
        );
        log.length = 0;
        live.keyspace.journal.ring.switchFile();
        live.keyspace.journal.ring.switched();
        hasBase = true;
      }
    }
    live.verify();
    writeFileSync(path.join(directory, 'log'), Buffer.concat(log));
    const { failure, engine } = load(live, directory, hasBase);
    t.equal(failure, '');
    engine.verify();
    t.same(engine.dataset(), live.dataset());
    t.ok(refused > 10, `${refused} commands found no memory`);
    const used = ({ keyspace }: Engine): number => {
      while (keyspace.freeLazily(0, 1)) {}
      return keyspace.usedBytes();
    };
    t.comment(`${refused} refused, ${used(live)} bytes used, ${used(engine)} when loaded`);
  });
}
