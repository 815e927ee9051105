/** The append-only file while clients write: turned on and off, other policies, rewrites, and an end in good order. */

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { DATA_TYPES, differences, fillRandomly, readDataset } from '../tools/dataset.js';
import { OrderedLoad, type Survival } from '../tools/ordered-load.js';
import { Random } from '../tools/random.js';
import type { RawClient } from '../tools/raw-client.js';
import {
  numberOf,
  type ServerOptions,
  skipWithoutRedis,
  TestServer,
  temporaryFolder,
} from '../tools/server.js';

const CLIENTS = 12;
const SEED = 31;

async function infoNumber(client: RawClient, field: string): Promise<number> {
  return numberOf(await client.text('INFO', 'persistence'), field);
}

async function untilInfo(client: RawClient, field: string, least: number, most = least): Promise<void> {
  for (;;) {
    const value = await infoNumber(client, field);
    if (value >= least && value <= most) return;
    await delay(10);
  }
}

/** Runs something on a redis-server that has loaded a copy of a directory. */
async function onRedis<T>(directory: string, action: (redis: TestServer) => Promise<T>): Promise<T> {
  const copy = mkdtempSync(path.join(tmpdir(), 'damselfly-aof-'));
  cpSync(directory, copy, { recursive: true });
  const redis = await TestServer.start({ kind: 'redis', directives: { dir: copy, appendonly: 'yes' } });
  try {
    return await action(redis);
  } finally {
    await redis.stop('SIGKILL');
    rmSync(copy, { recursive: true, force: true });
  }
}

interface Loaded {
  server: TestServer;
  control: RawClient;
  load: OrderedLoad;
  directory: string;
  /** Waits for the end of the server and says what redis-server finds. */
  examine(): Promise<Survival>;
}

/** Runs a test on a server that writes to a directory, under load, over both transports. */
async function underLoad(
  name: string,
  directives: ServerOptions['directives'],
  body: (t: Test, loaded: Loaded) => Promise<void>,
): Promise<void> {
  for (const transport of ['auto', 'node']) {
    await t.test(`${name}, transport ${transport}`, { skip: skipWithoutRedis() }, async (t) => {
      t.setTimeout(0);
      const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-aof-'));
      t.teardown(() => rmSync(directory, { recursive: true, force: true }));
      const server = await TestServer.start({
        kind: 'damselfly',
        threads: 3,
        directives: { dir: directory, transport, ...directives },
      });
      t.teardown(() => server.stop('SIGKILL'));
      const load = new OrderedLoad(new Random(SEED), CLIENTS);
      await load.start(server.address());
      const control = await server.rawClient();
      await load.progressed(10);
      const examine = async (): Promise<Survival> => {
        await server.exited;
        const endedAt = performance.now();
        await load.ended();
        return onRedis(directory, (redis) => load.examine(redis.client(), endedAt));
      };
      await body(t, { server, control, load, directory, examine });
      t.notMatch(server.stderr, /BUG REPORT/);
    });
  }
}

function allIsThere(t: Test, found: Survival): void {
  t.same(found.problems, [], `${found.acknowledged} acknowledged, ${found.unacknowledged} more there`);
  t.equal(found.lost, 0, 'all that was acknowledged is there');
}

t.setTimeout(0);
await underLoad('turned on, off and on', {}, async (t, { server, control, load, examine }) => {
  for (const value of ['yes', 'no', 'yes']) {
    t.equal(await control.text('CONFIG', 'SET', 'appendonly', value), '+OK\r\n');
    if (value === 'yes') await untilInfo(control, 'aof_rewrite_in_progress', 0);
    t.equal(await infoNumber(control, 'aof_enabled'), value === 'yes' ? 1 : 0);
    await load.progressed(10);
  }
  t.equal(await control.text('CONFIG', 'SET', 'appendfsync', 'always'), '+OK\r\n');
  await load.progressed(10);
  server.process.kill('SIGKILL');
  allIsThere(t, await examine());
});

await underLoad('other policies', { appendonly: 'yes' }, async (t, { server, control, load, examine }) => {
  const random = new Random(SEED);
  for (let change = 0; change < 60; change++) {
    const policy = random.pick(['always', 'everysec', 'no']);
    await control.command('CONFIG', 'SET', 'appendfsync', policy);
    if (random.chance(0.3)) await load.progressed(3);
    if (random.chance(0.1)) await control.command('BGREWRITEAOF');
  }
  await load.progressed(20);
  await control.command('CONFIG', 'SET', 'appendfsync', 'always');
  await load.progressed(5);
  server.process.kill('SIGKILL');
  allIsThere(t, await examine());
});

for (const [policy, way] of [
  ['everysec', 'SIGTERM'],
  ['no', 'SHUTDOWN'],
  ['always', 'SHUTDOWN NOSAVE'],
  ['everysec', 'SHUTDOWN SAVE'],
] as const) {
  const directives = { appendonly: 'yes', appendfsync: policy };
  await underLoad(
    `${way}, appendfsync ${policy}`,
    directives,
    async (t, { server, control, load, examine }) => {
      await control.command('BGREWRITEAOF');
      await load.progressed(10);
      if (way === 'SIGTERM') server.process.kill(way);
      else control.send(...way.split(' '));
      allIsThere(t, await examine());
      t.same(await server.exited, { code: 0, signal: null });
    },
  );
}

await t.test('rewrites by themselves', { skip: skipWithoutRedis() }, async (t) => {
  t.setTimeout(0);
  const server = await TestServer.start({
    kind: 'damselfly',
    directives: {
      appendonly: 'yes',
      'auto-aof-rewrite-percentage': 50,
      'auto-aof-rewrite-min-size': '200kb',
    },
  });
  t.teardown(() => server.stop('SIGKILL'));
  const client = await server.rawClient();
  for (let round = 0; (await infoNumber(client, 'aof_rewrites')) < 2; round++) {
    await client.pipeline(
      Array.from({ length: 100 }, (_, key) => ['SET', `key ${key}`, `${round}`.padStart(100)]),
    );
  }
  // One more without changes meanwhile, which count toward the base.
  await untilInfo(client, 'aof_rewrite_in_progress', 0);
  await client.command('BGREWRITEAOF');
  await untilInfo(client, 'aof_rewrite_in_progress', 0);
  t.ok((await infoNumber(client, 'aof_base_size')) < 50_000);
  await client.command('CONFIG', 'SET', 'auto-aof-rewrite-percentage', '0', 'appendfsync', 'always');
  const rewrites = await infoNumber(client, 'aof_rewrites');
  while ((await infoNumber(client, 'aof_current_size')) < 1_000_000) {
    await client.command('SET', 'key', 'v'.repeat(50_000));
  }
  await delay(500);
  t.equal(await infoNumber(client, 'aof_rewrites'), rewrites, '0 turns them off');
  const expected = await readDataset(server.client());
  const found = await onRedis(server.directory, (redis) => readDataset(redis.client()));
  t.same(differences(found, expected), []);
});

/** A client of a server that has just been started, as soon as commands are executed. */
async function firstClient(server: TestServer): Promise<RawClient> {
  for (;;) {
    const client = await server.rawClient().catch(() => null);
    if (client === null) await delay(1);
    else if (!(await client.text('PING')).startsWith('-')) return client;
  }
}

await t.test(
  'a rewrite, and an end, as soon as the server has started',
  { skip: skipWithoutRedis() },
  async (t) => {
    t.setTimeout(0);
    const dir = temporaryFolder(t);
    for (let start = 1; start <= 3; start++) {
      const server = await TestServer.launch({ kind: 'damselfly', directives: { dir, appendonly: 'yes' } });
      t.teardown(() => server.stop('SIGKILL'));
      const client = await firstClient(server);
      client.send('RPUSH', 'before', `${start}`);
      client.send('BGREWRITEAOF');
      client.send('RPUSH', 'after', `${start}`);
      client.send('SHUTDOWN');
      t.same(await server.exited, { code: 0, signal: null });
      const lists = await onRedis(dir, async (redis) => {
        const reader = redis.client();
        return [await reader.lrange('before', 0, -1), await reader.lrange('after', 0, -1)];
      });
      const all = Array.from({ length: start }, (_, index) => `${index + 1}`);
      t.same(lists, [all, all], `start ${start}`);
    }
  },
);

/** What is asked while background jobs run, and in transactions. */
const SCHEDULES: readonly (readonly string[])[] = [
  ['BGSAVE', 'BGREWRITEAOF', 'BGSAVE', 'BGSAVE SCHEDULE', 'BGREWRITEAOF'],
  ['BGREWRITEAOF', 'BGREWRITEAOF', 'BGSAVE', 'BGSAVE SCHEDULE', 'BGSAVE'],
  ['MULTI', 'SET a 1', 'BGREWRITEAOF', 'BGSAVE', 'EXEC'],
  ['MULTI', 'SET a 1', 'BGSAVE', 'BGREWRITEAOF', 'EXEC'],
];

await t.test('background jobs wait for each other', { skip: skipWithoutRedis() }, async (t) => {
  t.setTimeout(0);
  const directives = { appendonly: 'yes', 'auto-aof-rewrite-percentage': 0 };
  for (const commands of SCHEDULES) {
    const replies: Buffer[][] = [];
    for (const kind of ['redis', 'damselfly'] as const) {
      const server = await TestServer.start({ kind, directives });
      const client = await server.rawClient();
      // Long enough to write that the jobs do not end before the last command.
      await client.command('DEBUG', 'POPULATE', '200000', 'key', '100');
      replies.push(await client.pipeline(commands.map((command) => command.split(' '))));
      await untilInfo(client, 'aof_rewrite_scheduled', 0);
      await untilInfo(client, 'rdb_bgsave_in_progress', 0);
      await untilInfo(client, 'aof_rewrite_in_progress', 0);
      await untilInfo(client, 'aof_rewrites', 1, 9);
      await server.stop('SIGKILL');
    }
    t.equal(String(replies[1]), String(replies[0]), commands.join(', '));
  }
});

await t.test(
  'a read that could have recorded something leaves the next command to be recorded',
  {},
  async (t) => {
    const server = await TestServer.start({
      kind: 'damselfly',
      threads: 1,
      directives: { appendonly: 'yes' },
    });
    t.teardown(() => server.stop('SIGKILL'));
    const client = await server.rawClient();
    const read = ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', '{s}', '0'];
    await client.pipeline([
      ['XGROUP', 'CREATE', '{s}', 'g', '0', 'MKSTREAM'],
      read,
      ['SET', '{s}1', 'after a read'],
      ['MULTI'],
      read,
      ['SET', '{s}2', 'in a transaction'],
      ['EXEC'],
      [
        'EVAL',
        "redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', KEYS[1], '0') redis.call('SET', KEYS[2], 'in a script')",
        '2',
        '{s}',
        '{s}3',
      ],
    ]);
    t.equal(await client.text('DEBUG', 'LOADAOF'), '+OK\r\n');
    t.equal(await client.text('EXISTS', '{s}1', '{s}2', '{s}3'), ':3\r\n');
  },
);

await t.test('DEBUG LOADAOF', {}, async (t) => {
  t.setTimeout(0);
  const server = await TestServer.start({ kind: 'damselfly' });
  t.teardown(() => server.stop('SIGKILL'));
  const client = await server.rawClient();
  t.match(await client.text('DEBUG', 'LOADAOF'), /^-ERR DEBUG LOADAOF needs/);
  await fillRandomly(server.client(), new Random(SEED), 100, DATA_TYPES);
  await client.command('CONFIG', 'SET', 'list-compress-depth', '1');
  const elements = Array.from({ length: 5000 }, (_, number) => `${number % 9} is like all others`);
  await client.command('RPUSH', 'with chunks that are compressed', ...elements);
  for (const form of ['yes', 'no']) {
    await client.pipeline([
      ['CONFIG', 'SET', 'aof-use-rdb-preamble', form, 'appendonly', 'yes'],
      ['BGREWRITEAOF'],
    ]);
    await untilInfo(client, 'aof_rewrite_scheduled', 0);
    await untilInfo(client, 'aof_rewrite_in_progress', 0);
    await client.command('SET', 'form', form);
    const expected = await readDataset(server.client());
    t.equal(await client.text('DEBUG', 'LOADAOF'), '+OK\r\n');
    t.same(differences(await readDataset(server.client()), expected), [], `rdb preamble ${form}`);
    t.equal(await client.text('DEBUG', 'VERIFY'), '+OK\r\n');
  }
  // Turned off, the file is what the last rewrite has made.
  await client.command('CONFIG', 'SET', 'appendonly', 'no');
  await client.command('SET', 'form', 'rewritten while off');
  await client.command('BGREWRITEAOF');
  await untilInfo(client, 'aof_rewrite_scheduled', 0);
  await untilInfo(client, 'aof_rewrite_in_progress', 0);
  const expected = await readDataset(server.client());
  await client.command('SET', 'form', 'after that');
  t.equal(await client.text('DEBUG', 'LOADAOF'), '+OK\r\n');
  t.same(differences(await readDataset(server.client()), expected), []);
});

await t.test(
  'DEBUG LOADAOF of commands that lock shards by themselves, while large values are freed',
  {},
  async (t) => {
    t.setTimeout(0);
    const server = await TestServer.start({ kind: 'damselfly', directives: { appendonly: 'yes' } });
    t.teardown(() => server.stop('SIGKILL'));
    const client = await server.rawClient();
    const elements = Array.from({ length: 100_000 }, (_, number) => `element ${number}`);
    await client.pipeline([['SADD', 'large', ...elements]]);
    await client.pipeline([['FLUSHALL'], ['SET', 'k', 'v'], ['SELECT', '1'], ['SET', 'other', 'v']]);
    await client.pipeline([
      ['SWAPDB', '0', '1'],
      ['SELECT', '2'],
      ['SET', 'gone', 'v'],
      ['FLUSHDB'],
      ['SELECT', '0'],
    ]);
    await client.pipeline([['SADD', 'large', ...elements]]);
    const expected = await readDataset(server.client());
    // A snapshot of the moment before; and what it still needs is not freed all at once.
    const replies = await client.pipeline([
      ['BGSAVE'],
      ['SADD', 'another', ...elements],
      ['UNLINK', 'another'],
    ]);
    t.match(String(replies[0]), /started/);
    t.equal(await client.text('DEBUG', 'LOADAOF'), '+OK\r\n');
    t.same(differences(await readDataset(server.client()), expected), []);
    await untilInfo(client, 'rdb_bgsave_in_progress', 0);
    t.match(await client.text('INFO', 'persistence'), /rdb_last_bgsave_status:ok/);
    t.equal(await client.text('DEBUG', 'RELOAD', 'NOSAVE'), '+OK\r\n');
    t.same(differences(await readDataset(server.client()), expected), [], 'the snapshot has its moment');
    t.equal(await client.text('DEBUG', 'VERIFY'), '+OK\r\n');
  },
);

await t.test('turned off and on at once', {}, async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 1, directives: { appendonly: 'yes' } });
  t.teardown(() => server.stop('SIGKILL'));
  const client = await server.rawClient();
  const bases = await infoNumber(client, 'aof_rewrites');
  await client.pipeline([
    ['SET', 'key', 'value'],
    ['CONFIG', 'SET', 'appendonly', 'no'],
    ['CONFIG', 'SET', 'appendonly', 'yes'],
  ]);
  await server.untilLogged('The append only file is turned off');
  await server.untilLogged('Background AOF rewrite finished successfully');
  await untilInfo(client, 'aof_rewrites', bases + 1);
  t.equal(await client.text('DEBUG', 'LOADAOF'), '+OK\r\n');
  t.equal(await client.text('DBSIZE'), ':1\r\n');
});

await t.test('no end before the first base', {}, async (t) => {
  t.setTimeout(0);
  const server = await TestServer.start({ kind: 'damselfly' });
  t.teardown(() => server.stop('SIGKILL'));
  const client = await server.rawClient();
  await client.command('DEBUG', 'POPULATE', '300000', 'key', '100');
  const replies = await client.pipeline([
    ['CONFIG', 'SET', 'appendonly', 'yes'],
    ['SHUTDOWN', 'NOSAVE'],
  ]);
  t.equal(String(replies[1]), '-ERR Errors trying to SHUTDOWN. Check logs.\r\n');
  await untilInfo(client, 'aof_rewrite_in_progress', 0);
  client.send('SHUTDOWN', 'NOSAVE');
  t.same(await server.exited, { code: 0, signal: null });
});
