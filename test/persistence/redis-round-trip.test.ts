/**
 * Redis → Damselfly → Redis: values of all types, and what random commands on streams, HyperLogLogs and places leave, go
 * by a snapshot, by the append-only file in both of its forms, and by DUMP and RESTORE; then all three have the same.
 *
 * DAMSELFLY_ROUND_TRIP_RUNS and DAMSELFLY_ROUND_TRIP_SEED change how many runs there are and where they start.
 */

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { familiesByName } from '../compat/compare.js';
import { makeScript } from '../compat/script.js';
import { DATA_TYPES, differences, fillRandomly, readDataset } from '../tools/dataset.js';
import { Random } from '../tools/random.js';
import { type ServerKind, skipWithoutRedis, TestServer } from '../tools/server.js';

const RUNS = Number(process.env.DAMSELFLY_ROUND_TRIP_RUNS ?? 1);
const SEED = Number(process.env.DAMSELFLY_ROUND_TRIP_SEED ?? 1);
const FAMILIES = ['streams', 'geo', 'hyperloglogs'];
const KEYS = 40;
const COMMANDS = 1500;

type Directives = Record<string, string>;

interface Way {
  readonly name: string;
  readonly directives: Directives;
  /** What brings the data into the file; without a file it goes by DUMP. */
  readonly file?: { readonly name: string; write(client: Redis): Promise<void> };
}

async function rewrite(client: Redis): Promise<void> {
  await client.call('BGREWRITEAOF');
  while (!/^aof_rewrite_in_progress:0\r/m.test(await client.info('persistence'))) await delay(20);
}

function byLog(preamble: string): Way {
  return {
    name: `append-only file, preamble ${preamble}`,
    directives: { appendonly: 'yes', 'aof-use-rdb-preamble': preamble },
    file: { name: 'appendonlydir', write: rewrite },
  };
}

const WAYS: readonly Way[] = [
  {
    name: 'snapshot',
    directives: {},
    file: {
      name: 'dump.rdb',
      async write(client) {
        await client.save();
      },
    },
  },
  byLog('yes'),
  byLog('no'),
  { name: 'DUMP and RESTORE', directives: {} },
];

/** Starts a server, on a copy of `file` if there is one. */
async function start(t: Test, kind: ServerKind, way: Way, file?: string): Promise<TestServer> {
  const dir = mkdtempSync(path.join(tmpdir(), 'damselfly-round-trip-'));
  if (file !== undefined) cpSync(file, path.join(dir, path.basename(file)), { recursive: true });
  const server = await TestServer.start({ kind, threads: 3, directives: { ...way.directives, dir } });
  t.teardown(async () => {
    await server.stop('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  });
  return server;
}

/** Starts a server that gets all that another one has. */
async function startWithDataOf(t: Test, from: TestServer, kind: ServerKind, way: Way): Promise<TestServer> {
  const client = from.client();
  if (way.file === undefined) {
    const to = await start(t, kind, way);
    await dumpAll(client, to.client());
    return to;
  }
  await way.file.write(client);
  const [, directory] = (await client.config('GET', 'dir')) as [string, string];
  return start(t, kind, way, path.join(directory, way.file.name));
}

async function dumpAll(from: Redis, to: Redis): Promise<void> {
  for (const [, database] of (await from.info('keyspace')).matchAll(/^db(\d+):/gm)) {
    await Promise.all([from.select(Number(database)), to.select(Number(database))]);
    for (const key of await from.keysBuffer('*')) {
      const expiresAt = Math.max(0, Number(await from.call('PEXPIRETIME', key)));
      const dump = (await from.dumpBuffer(key))!;
      await to.call('RESTORE', key, String(expiresAt), dump, 'ABSTTL');
    }
  }
  await Promise.all([from.select(0), to.select(0)]);
}

async function fill(server: TestServer, seed: number): Promise<void> {
  await fillRandomly(server.client(), new Random(seed), KEYS, DATA_TYPES);
  const client = await server.rawClient();
  for (const [index, name] of FAMILIES.entries()) {
    const { steps } = makeScript(seed * FAMILIES.length + index, familiesByName(name), COMMANDS);
    await client.pipeline(steps.flatMap((step) => (step.kind === 'command' ? [step.args] : [])));
  }
}

t.setTimeout(0);
for (let run = 0; run < RUNS; run++) {
  const seed = SEED + run;
  for (const way of WAYS) {
    t.test(`${way.name}, seed ${seed}`, { skip: skipWithoutRedis() }, async (t) => {
      t.setTimeout(0);
      const redis = await start(t, 'redis', way);
      await fill(redis, seed);
      const expected = await readDataset(redis.client());
      const ours = await startWithDataOf(t, redis, 'damselfly', way);
      t.same(differences(await readDataset(ours.client()), expected), [], `${expected.size} keys`);
      t.equal(await ours.client().call('DEBUG', 'VERIFY'), 'OK');
      const back = await startWithDataOf(t, ours, 'redis', way);
      t.same(differences(await readDataset(back.client()), expected), [], 'and back');
    });
  }
}
