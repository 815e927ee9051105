/** Append-only files at start: those of redis-server load, cut ones up to a whole command, damaged ones not at all. */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { DATA_TYPES, differences, fillRandomly, readDataset } from '../tools/dataset.js';
import { Random } from '../tools/random.js';
import {
  type ServerOptions,
  skipWithoutRedis,
  TestServer,
  temporaryFolder,
  threadCounts,
} from '../tools/server.js';

const BASE = 'appendonly.aof.1.base.rdb';
const INCREMENT = 'appendonly.aof.1.incr.aof';
const MANIFEST = `file ${BASE} seq 1 type b\nfile ${INCREMENT} seq 1 type i\n`;

function command(...args: string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`;
}

type Directives = NonNullable<ServerOptions['directives']>;

function optionsFor(dir: string, threads: number, directives: Directives = {}): ServerOptions {
  return { kind: 'damselfly', threads, directives: { dir, appendonly: 'yes', ...directives } };
}

/** A Damselfly on a folder with an append-only file. */
async function startOn(t: Test, dir: string, threads: number, directives: Directives = {}) {
  const server = await TestServer.start(optionsFor(dir, threads, directives));
  t.teardown(() => server.stop('SIGKILL'));
  return server;
}

/** What a Damselfly says that does not start. */
async function refusal(dir: string, directives: Directives = {}): Promise<string> {
  const server = await TestServer.launch(optionsFor(dir, 1, directives));
  const { code, signal } = await server.exited;
  await server.stop('SIGKILL');
  const lines = server.stderr.split('\n').filter((line) => line !== '' && !line.includes(': warning: '));
  return `${code ?? signal}: ${lines.join('\n')}`;
}

/** A folder `appendonlydir` with these files, within a new one. */
function folderWith(t: Test, files: Readonly<Record<string, string | Buffer>>): string {
  const dir = temporaryFolder(t);
  mkdirSync(path.join(dir, 'appendonlydir'));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(path.join(dir, 'appendonlydir', name), content);
  }
  return dir;
}

const MANIFEST_NAME = 'appendonly.aof.manifest';
/** A manifest with one increment only. */
const LONE = `file ${INCREMENT} seq 1 type i\n`;

/** Redis 7.0 does not record how many entries a group has read, so its own log gives it another stream, too. */
const RECORDED_TYPES = DATA_TYPES.filter((type) => type !== 'stream');

/** Commands of all kinds, also such that Redis records as others. */
async function changeRandomly(server: TestServer, random: Random): Promise<void> {
  const client = server.client();
  const key = (type: string) => `${type}${random.below(30)}`;
  const word = () => `element ${random.below(50)}`;
  for (let round = 0; round < 400; round++) {
    const run = random.chance(0.2) ? client.multi() : client.pipeline();
    for (let left = random.below(6); left > 0; left--) {
      switch (random.below(14)) {
        case 0:
          run.set(key('string'), word(), 'EX', 100 + random.below(1000));
          break;
        case 1:
          run.incrby(key('count'), random.below(100));
          break;
        case 2:
          run.append(key('string'), word());
          break;
        case 3:
          run.rpush(key('list'), word(), word(), word());
          break;
        case 4:
          run.lpop(key('list'));
          break;
        case 5:
          run.sadd(key('set'), word(), word());
          break;
        case 6:
          run.spop(key('set'));
          break;
        case 7:
          run.zadd(key('zset'), random.below(100), word());
          break;
        case 8:
          run.zpopmin(key('zset'));
          break;
        case 9:
          run.hincrbyfloat(key('hash'), word(), 1.5);
          break;
        case 10:
          run.pexpire(
            key(random.pick(['list', 'set', 'zset', 'hash'])),
            random.pick([1, 100_000, 1_000_000]),
          );
          break;
        case 11:
          run.sunionstore(key('set'), key('set'), key('set'));
          break;
        case 12:
          run.getex(key('string'), 'PERSIST');
          break;
        default:
          run.select(random.pick([0, 0, 3]));
          break;
      }
    }
    await run.exec().catch(() => null);
  }
  // What is past its expiry is gone from both.
  await delay(20);
  await client.quit();
}

for (const threads of threadCounts()) {
  for (const [preamble, timestamps] of [
    ['yes', 'yes'],
    ['no', 'no'],
  ] as const) {
    const name = `what redis-server wrote, preamble ${preamble}, timestamps ${timestamps}, ${threads} threads`;
    t.test(name, { skip: skipWithoutRedis() }, async (t) => {
      const seed = 900 + threads;
      const random = new Random(seed);
      const redis = await TestServer.start({
        kind: 'redis',
        directives: {
          appendonly: 'yes',
          'aof-use-rdb-preamble': preamble,
          'aof-timestamp-enabled': timestamps,
          'auto-aof-rewrite-percentage': 0,
        },
      });
      t.teardown(() => redis.stop('SIGKILL'));
      const theirs = redis.client();
      await fillRandomly(theirs, random, 60, RECORDED_TYPES);
      await changeRandomly(redis, random);
      await theirs.call('BGREWRITEAOF');
      while (!/aof_rewrite_in_progress:0\r/.test(await theirs.info('persistence'))) await delay(20);
      await changeRandomly(redis, random);
      await fillRandomly(theirs, random, 20, RECORDED_TYPES);
      await theirs.set('{a}1', 'moved');
      await theirs.rename('{a}1', 'elsewhere');
      await theirs.call('COPY', 'elsewhere', 'copy', 'DB', '3');
      await theirs.call('SWAPDB', '3', '9');
      const expected = await readDataset(theirs);
      await redis.process.kill('SIGTERM');
      while (existsSync(`/proc/${redis.pid}`) && redis.process.exitCode === null) await delay(20);
      const dir = temporaryFolder(t);
      cpSync(path.join(redis.directory, 'appendonlydir'), path.join(dir, 'appendonlydir'), {
        recursive: true,
      });
      const ours = await startOn(t, dir, threads);
      t.same(differences(await readDataset(ours.client()), expected), [], `seed ${seed}`);
      t.equal(await ours.client().call('DEBUG', 'VERIFY'), 'OK');
      t.match(await ours.client().info('persistence'), /\nloading:0\r/);
      const old = (file: string) => readFileSync(path.join(redis.directory, 'appendonlydir', file));
      for (const file of readdirSync(path.join(redis.directory, 'appendonlydir'))) {
        if (!file.endsWith('.manifest')) continue;
        t.ok(readFileSync(path.join(dir, 'appendonlydir', file)).equals(old(file)), `${file} is as it was`);
      }
    });
  }

  t.test(`a file long enough for threads of a pool, ${threads} threads`, async (t) => {
    const values = Array.from({ length: 60_000 }, (_, index) =>
      command('SET', `key:${index}`, 'x'.repeat(90)),
    );
    const log = [
      command('SELECT', '2'),
      ...values,
      command('MULTI'),
      ...Array.from({ length: 5000 }, (_, index) => command('RPUSH', 'list', `${index}`)),
      command('EXEC'),
      command('FLUSHDB'),
      command('SELECT', '1'),
      ...values,
      command('SET', 'long', 'y'.repeat(9 << 20)),
    ].join('');
    const dir = folderWith(t, { [INCREMENT]: log, [MANIFEST_NAME]: LONE });
    const server = await startOn(t, dir, threads);
    const client = server.client({ db: 1 });
    t.equal(await client.dbsize(), 60_001);
    t.equal(await client.strlen('long'), 9 << 20);
    t.match(await client.info('keyspace'), /^# Keyspace\r\ndb1:keys=60001,expires=0,avg_ttl=0\r\n$/);
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  });
}

t.test('times that are over by now', async (t) => {
  const past = String(Date.now() - 1_000_000);
  const log = [
    command('SELECT', '0'),
    command('SET', 'counted', '5', 'PXAT', past),
    command('INCR', 'counted'),
    command('PERSIST', 'counted'),
    command('SET', 'moved', '1'),
    command('PEXPIREAT', 'moved', past),
    command('RENAME', 'moved', 'stays'),
    command('GETEX', 'stays', 'PXAT', String(Date.now() + 1_000_000)),
    command('SET', 'gone', '1', 'PXAT', past),
    command('RPUSH', 'list', 'a'),
    command('PEXPIREAT', 'list', past),
  ].join('');
  const server = await startOn(t, folderWith(t, { [INCREMENT]: log, [MANIFEST_NAME]: LONE }), 1);
  const client = server.client();
  t.equal(await client.get('counted'), '6');
  t.equal(await client.get('stays'), '1');
  t.ok((await client.pttl('stays')) > 0);
  t.equal(await client.exists('gone', 'list'), 0);
  t.match(await client.info('stats'), /total_commands_processed:\d\r/, 'what was loaded is not counted');
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
});

t.test('cut files', async (t) => {
  const first = command('SELECT', '0') + command('SET', 'a', '1');
  const transaction =
    command('MULTI') + command('SET', 'b', '1') + command('SET', 'c', '1') + command('EXEC');
  const log = first + transaction;
  for (const [length, kept, keys] of [
    [log.length, log.length, 3],
    [log.length - 1, first.length, 1],
    [first.length + 3, first.length, 1],
    [first.length - 4, command('SELECT', '0').length, 0],
    [1, 0, 0],
  ] as const) {
    const cut = Buffer.from(log.slice(0, length));
    const dir = folderWith(t, { [INCREMENT]: cut, [MANIFEST_NAME]: LONE });
    const file = path.join(dir, 'appendonlydir', INCREMENT);
    if (length < log.length) {
      const offset = new RegExp(
        `^1: damselfly: Unexpected end of file reading .*incr\\.aof at offset ${kept} `,
      );
      t.match(await refusal(dir, { 'aof-load-truncated': 'no' }), offset);
      t.ok(readFileSync(file).equals(cut), 'the file is untouched');
    }
    const server = await startOn(t, dir, 2);
    t.equal(await server.client().dbsize(), keys);
    t.equal(readFileSync(file, 'latin1'), log.slice(0, kept));
    t.equal(/Truncating the AOF \S+ at offset \d+ !!!/.test(server.stdout), length < log.length);
    await server.stop('SIGKILL');
  }
  const dir = folderWith(t, {
    [INCREMENT]: log.slice(0, -1),
    other: log,
    [MANIFEST_NAME]: `${LONE}file other seq 2 type i\n`,
  });
  t.match(await refusal(dir), /^1: damselfly: Unexpected end .* the truncated file is not the last file$/);
});

t.test('files that are refused', async (t) => {
  const good = command('SELECT', '0') + command('SET', 'a', '1');
  for (const [files, message] of [
    [
      { [INCREMENT]: `${good}rubbish` },
      /^1: damselfly: Bad file format reading .*incr\.aof: .* at offset 50 \(.*\)$/,
    ],
    [
      { [INCREMENT]: good + command('NOSUCH', 'x') },
      /^1: damselfly: Unknown command 'NOSUCH' reading .* at offset 50$/,
    ],
    [
      { [INCREMENT]: good + command('SET', 'x') },
      /^1: damselfly: Wrong number of arguments for command 'set' /,
    ],
    [{ [INCREMENT]: good + command('SHUTDOWN') }, /^1: damselfly: Command 'shutdown', which no log has, /],
    [
      {},
      /^1: damselfly: The append only file .*incr\.aof of the manifest doesn't exist: No such file or directory$/,
    ],
    [{ [MANIFEST_NAME]: LONE + LONE }, /^1: damselfly: the AOF manifest .* can't be used: line 2: /],
    [
      { [BASE]: 'REDIS0011', [INCREMENT]: good, [MANIFEST_NAME]: MANIFEST },
      /^1: damselfly: can't load .*base\.rdb: .* at offset \d+$/,
    ],
  ] as const) {
    const all: Record<string, string> = { [MANIFEST_NAME]: LONE, ...files };
    const dir = folderWith(t, all);
    t.match(await refusal(dir), message);
    for (const [name, content] of Object.entries(all)) {
      t.equal(readFileSync(path.join(dir, 'appendonlydir', name), 'latin1'), content, `${name} is untouched`);
    }
  }
});

t.test('a command that fails is told of, and the rest is loaded', async (t) => {
  const log = command('SET', 'a', '1') + command('RPUSH', 'a', '1') + command('SET', 'b', '1');
  const server = await startOn(t, folderWith(t, { [INCREMENT]: log, [MANIFEST_NAME]: LONE }), 1);
  t.equal(await server.client().dbsize(), 2);
  t.match(server.stdout, /failed with 'WRONGTYPE .*' that once had an effect, .* at offset 27\n/);
});

t.test('a FLUSHALL of the past writes no snapshot; renamed commands load', async (t) => {
  const log =
    command('SET', 'a', '1') + command('FLUSHALL') + command('put', 'b', '1') + command('SET', 'c', '1');
  const dir = folderWith(t, { [INCREMENT]: log, [MANIFEST_NAME]: LONE });
  writeFileSync(path.join(dir, 'dump.rdb'), 'another');
  const server = await startOn(t, dir, 1, { save: ['3600', '1'], 'rename-command': ['set', 'put'] });
  t.equal(await server.client().dbsize(), 2);
  t.equal(readFileSync(path.join(dir, 'dump.rdb'), 'latin1'), 'another');
});

t.test('without an append-only file appendonly yes starts empty, and says so', async (t) => {
  const first = await TestServer.start({ kind: 'damselfly' });
  t.teardown(() => first.stop('SIGKILL'));
  await first.client().set('a', '1');
  await first.client().save();
  const dir = temporaryFolder(t);
  cpSync(path.join(first.directory, 'dump.rdb'), path.join(dir, 'dump.rdb'));
  const empty = await startOn(t, dir, 1);
  t.equal(await empty.client().dbsize(), 0);
  t.match(empty.stdout, /dump\.rdb is not loaded: /);
  await empty.stop('SIGKILL');
});

t.test('one file, as before Redis 7', async (t) => {
  const root = temporaryFolder(t);
  const dir = path.join(root, 'plain');
  const old = path.join(root, 'mixed');
  mkdirSync(dir);
  mkdirSync(old);
  writeFileSync(path.join(dir, 'appendonly.aof'), command('SELECT', '0') + command('SET', 'a', '1'));
  const plain = await startOn(t, dir, 1);
  t.equal(await plain.client().get('a'), '1');
  await plain.stop('SIGKILL');
  t.notOk(existsSync(path.join(dir, 'appendonly.aof')));
  const manifest = readFileSync(path.join(dir, 'appendonlydir', MANIFEST_NAME), 'latin1');
  t.ok(manifest.startsWith('file appendonly.aof seq 1 type b\n'), manifest);
  const again = await startOn(t, dir, 1);
  t.equal(await again.client().get('a'), '1');
  // The same with a snapshot in front, a key in it past its expiry that the commands still use.
  const client = again.client();
  await client.set('b', '2');
  await client.set('late', '1', 'PX', 400);
  await client.save();
  await delay(500);
  const tail =
    command('SELECT', '0') + command('INCR', 'b') + command('INCR', 'late') + command('PERSIST', 'late');
  writeFileSync(
    path.join(old, 'appendonly.aof'),
    Buffer.concat([readFileSync(path.join(dir, 'dump.rdb')), Buffer.from(tail)]),
  );
  await again.stop('SIGKILL');
  const mixed = (await startOn(t, old, 1)).client();
  t.equal(await mixed.get('b'), '3');
  t.equal(await mixed.get('late'), '2');
});

t.test('up to a moment of the past', async (t) => {
  const log = [
    '#TS:1000\r\n',
    command('SELECT', '0') + command('SET', 'a', '1'),
    '#TS:1010\r\n',
    command('SET', 'b', '1'),
    '#TS:1020\r\n',
    command('FLUSHALL'),
  ].join('');
  const dir = folderWith(t, { [INCREMENT]: log, [MANIFEST_NAME]: LONE });
  t.match(
    await refusal(dir, { 'recover-until': 999 }),
    /^1: damselfly: can't recover: .* no timestamp before /,
  );
  t.match(
    await refusal(dir, { 'recover-until': 1010, appendonly: 'no' }),
    /^1: damselfly: can't recover: recover-until needs appendonly yes$/,
  );
  t.same(readdirSync(dir), ['appendonlydir'], 'a refused recovery leaves nothing');
  const server = await startOn(t, dir, 1, { 'recover-until': 1015 });
  t.same((await server.client().keys('*')).sort(), ['a', 'b']);
  const aside = readdirSync(dir).find((name) => /^appendonlydir\.before-recovery-\d+$/.test(name));
  t.ok(aside);
  t.equal(readFileSync(path.join(dir, aside!, INCREMENT), 'latin1'), log);
  t.match(server.stdout, /Recovered the data of 1970-01-01T00:16:50Z \(1010\)/);
  await server.client().set('c', '1');
  await server.stop('SIGTERM');
  t.match(
    await refusal(dir, { 'recover-until': 1015 }),
    /^1: damselfly: can't recover: the base file .* which is later than recover-until 1015$/,
  );
  const after = await startOn(t, dir, 1);
  t.same((await after.client().keys('*')).sort(), ['a', 'b', 'c']);
});

/** A folder with a file that loads until `key-load-delay` is changed. */
function slowFolder(t: Test): string {
  const log = command('SELECT', '0') + command('SET', 'a', '1') + command('SET', 'b', '1');
  return folderWith(t, { [INCREMENT]: log, [MANIFEST_NAME]: LONE });
}

async function launchSlowly(t: Test, dir: string, directives: Directives = {}) {
  const server = await TestServer.launch(
    optionsFor(dir, 2, { 'key-load-delay': 600_000_000, ...directives }),
  );
  t.teardown(() => server.stop('SIGKILL'));
  for (;;) {
    const client = await server.rawClient().catch(() => null);
    if (client !== null) return { server, client };
    await delay(20);
  }
}

t.test('while it loads', async (t) => {
  const dir = slowFolder(t);
  const { server, client } = await launchSlowly(t, dir, { maxmemory: '100mb' });
  const send = async (line: string) => String(await client.command(...line.split(' ')));
  const loading = '-LOADING Redis is loading the dataset in memory\r\n';
  for (const line of ['GET a', 'SET a 2', 'WATCH a', 'DEBUG DIGEST', 'PING', 'SAVE', 'KEYS *', 'FLUSHALL']) {
    t.equal(await send(line), loading, line);
  }
  t.equal(await send('ECHO x'), '$1\r\nx\r\n');
  t.equal(await send('MULTI'), '+OK\r\n');
  t.equal(await send('GET a'), loading);
  t.match(await send('EXEC'), /^-EXECABORT /);
  const info = await send('INFO');
  t.match(info, /\nloading:1\r\nasync_loading:0\r\n/);
  t.match(info, /\nloading_start_time:\d{10}\r\n/);
  t.match(info, new RegExp(`\nloading_total_bytes:${command('SELECT', '0').length + 54}\r\n`));
  t.match(info, /\nloading_loaded_bytes:0\r\nloading_loaded_perc:0.00\r\nloading_eta_seconds:\d+\r\n/);
  t.equal(await send('CONFIG SET key-load-delay 0'), '+OK\r\n');
  await server.ready();
  t.equal(await server.client().dbsize(), 2);
  t.notMatch(await send('INFO persistence'), /loading_start_time/);
});

for (const how of ['SIGTERM', 'SHUTDOWN SAVE', 'SHUTDOWN']) {
  t.test(`${how} while it loads`, async (t) => {
    const dir = slowFolder(t);
    const { server, client } = await launchSlowly(t, dir, { save: ['1', '1'] });
    t.match(String(await client.command('GET', 'a')), /^-LOADING/);
    if (how === 'SIGTERM') server.process.kill('SIGTERM');
    else void client.command(...how.split(' ')).catch(() => null);
    t.same(await server.exited, { code: 0, signal: null });
    t.same(readdirSync(dir), ['appendonlydir'], 'no snapshot of a part of the data');
    t.notMatch(server.stderr, /BUG REPORT/);
  });
}

t.test('a snapshot, while it loads', async (t) => {
  const first = await TestServer.start({ kind: 'damselfly' });
  t.teardown(() => first.stop('SIGKILL'));
  await first.client().mset('a', '1', 'b', '2');
  await first.client().save();
  const dir = temporaryFolder(t);
  cpSync(path.join(first.directory, 'dump.rdb'), path.join(dir, 'dump.rdb'));
  const { server, client } = await launchSlowly(t, dir, { appendonly: 'no' });
  t.match(String(await client.command('GET', 'a')), /^-LOADING/);
  await client.command('CONFIG', 'SET', 'key-load-delay', '0');
  await server.ready();
  t.equal(await server.client().dbsize(), 2);
});
