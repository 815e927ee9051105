/** BGSAVE: the file is the state of one moment, whatever happens meanwhile; save points, shutdown, failures. */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t from 'tap';
import { DATA_TYPES, differences, fillRandomly, readDataset } from '../tools/dataset.js';
import { Random } from '../tools/random.js';
import { infoNumber, run, skipWithoutRedis, TestServer, withServers } from '../tools/server.js';

/** Waits for the background save that runs to end; returns how it ended. */
async function saved(client: Redis): Promise<string> {
  for (;;) {
    const info = await client.info('persistence');
    if (info.includes('rdb_bgsave_in_progress:0')) return /rdb_last_bgsave_status:(\w+)/.exec(info)![1]!;
    await delay(5);
  }
}

function temporaryFiles(server: TestServer): string[] {
  return readdirSync(server.directory).filter((name) => name.startsWith('temp-'));
}

/** What redis-server finds in a file. */
async function withRedis<T>(file: string, action: (client: Redis) => Promise<T>): Promise<T> {
  const redis = await TestServer.start({
    kind: 'redis',
    directives: { dir: path.dirname(file), dbfilename: path.basename(file) },
  });
  try {
    return await action(redis.client());
  } finally {
    await redis.stop('SIGKILL');
  }
}

withServers(t, 'changes in the same transaction', {}, async (t, server) => {
  const seed = 4301;
  const random = new Random(seed);
  const client = server.client();
  await fillRandomly(client, random, 250, DATA_TYPES);
  const before = await readDataset(client);
  const transaction = client.multi();
  transaction.call('BGSAVE');
  let database = -1;
  for (const [name, text] of before) {
    const [number, hex] = name.split(' ') as [string, string];
    if (Number(number) !== database) transaction.select(Number(number));
    database = Number(number);
    const key = Buffer.from(hex, 'hex');
    const type = text.split(' ')[0];
    switch (random.below(8)) {
      case 0:
        transaction.del(key);
        break;
      case 1:
        transaction.rename(key, `${hex} renamed`);
        break;
      case 2:
        transaction.set(key, 'another');
        break;
      case 3:
        transaction.pexpire(key, 1);
        break;
      case 4:
        transaction.copy(key, `${hex} copied`);
        transaction.persist(key);
        break;
      default:
        if (type === 'string') transaction.append(key, 'more').setbit(key, 3, 1).setrange(key, 1, 'x');
        else if (type === 'list') transaction.lpush(key, 'more').rpop(key).lset(key, 0, 'other');
        else if (type === 'set') transaction.sadd(key, 'more').spop(key);
        else if (type === 'zset') transaction.zadd(key, 1, 'more').zpopmin(key);
        else if (type === 'stream')
          transaction.xadd(key, '*', 'more', 'x'.repeat(200)).xtrim(key, 'MAXLEN', 1);
        else transaction.hset(key, 'more', 'x'.repeat(200)).hincrby(key, 'counter', 1).hdel(key, 'more');
    }
  }
  transaction
    .select(0)
    .swapdb(0, 3)
    .swapdb(15, 0)
    .flushdb()
    .set('new', 'key')
    .select(3)
    .flushdb()
    .set('new', 'key');
  for (const [error] of (await transaction.exec())!) if (error) t.fail(error.message);
  t.equal(await saved(client), 'ok');
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  const after = await readDataset(client);
  t.ok(differences(after, before).length > 0, 'the data is another now');
  await client.flushall();
  await client.call('DEBUG', 'RELOAD', 'NOSAVE');
  t.same(differences(await readDataset(client), before), [], `seed ${seed}`);
  // All keys are marked alike again: the next snapshot has all of them, too.
  await client.call('BGSAVE');
  t.equal(await saved(client), 'ok');
  await client.call('DEBUG', 'RELOAD', 'NOSAVE');
  t.same(differences(await readDataset(client), before), [], `seed ${seed}: once more`);
  t.same(temporaryFiles(server), []);
});

const ACCOUNTS = 60;
const TOTAL = 1000;
const SNAPSHOTS = 8;

/** Moves amounts and elements about, in transactions and by commands of several keys, until told to stop. */
async function shuffle(client: Redis, random: Random, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const from = random.below(ACCOUNTS);
    const to = random.below(ACCOUNTS);
    const amount = random.below(100);
    switch (random.below(9)) {
      case 0:
        await client.lmove(`list:${from}`, `list:${to}`, 'LEFT', 'RIGHT');
        break;
      case 1:
        await client.smove(`set:${from}`, `set:${to}`, `member ${random.below(TOTAL)}`);
        break;
      case 2:
        await client.rename(`moving:${from}`, `moving:${from}:`).catch(() => null);
        await client.rename(`moving:${from}:`, `moving:${from}`).catch(() => null);
        break;
      case 3:
        await client
          .multi()
          .zincrby('scores', amount, `m${from}`)
          .zincrby('scores', -amount, `m${to}`)
          .exec();
        break;
      case 5: {
        // All of it changes its database, and back, at once.
        await client.multi().swapdb(1, 2).incr('swaps').exec();
        break;
      }
      case 6: {
        // The one of the two that is the newer is never without the other: they are set in one transaction.
        const number = `${from} ${to} ${amount}`;
        await client.multi().mset(`left:${from}`, number, `right:${from}`, number).exec();
        break;
      }
      case 7: {
        // A database is emptied and filled again, all at once.
        await client.multi().select(3).flushdb().mset('a', amount, 'b', -amount).select(0).exec();
        break;
      }
      case 4: {
        // What is temporary comes and goes.
        await client.set(`temporary:${from}`, 'x'.repeat(amount), 'PX', 1 + random.below(20));
        break;
      }
      default:
        await client.multi().incrby(`account:${from}`, amount).decrby(`account:${to}`, amount).exec();
    }
  }
}

async function count(client: Redis, pattern: string, command: string): Promise<number> {
  let sum = 0;
  for (const key of await client.keys(pattern)) sum += Number(await client.call(command, key));
  return sum;
}

t.test('every snapshot keeps the invariants', { skip: skipWithoutRedis() }, async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 3 });
  t.teardown(() => server.stop('SIGKILL'));
  const seed = 4302;
  const client = server.client();
  for (let account = 0; account < ACCOUNTS; account++) {
    await client.set(`account:${account}`, String(TOTAL));
    await client.set(`moving:${account}`, account);
    await client.zadd('scores', TOTAL, `m${account}`);
  }
  for (let element = 0; element < TOTAL; element++) {
    await client.rpush(`list:${element % ACCOUNTS}`, `element ${element}`);
    await client.sadd(`set:${element % ACCOUNTS}`, `member ${element}`);
  }
  await client.call('DEBUG', 'POPULATE', '30000', 'filling', '50');
  await client.multi().select(1).set('database', '1').select(2).set('database', '2').select(0).exec();
  await client.multi().select(3).mset('a', 0, 'b', 0).select(0).exec();
  let isOver = false;
  const shufflers = Array.from({ length: 6 }, (_, index) =>
    shuffle(server.client(), new Random(seed + index), () => isOver),
  );
  const files: string[] = [];
  for (let number = 0; number < SNAPSHOTS; number++) {
    await client.call('BGSAVE');
    t.equal(await saved(client), 'ok');
    files.push(path.join(server.directory, `${number}.rdb`));
    renameSync(path.join(server.directory, 'dump.rdb'), files[number]!);
    await delay(20);
  }
  isOver = true;
  await Promise.all(shufflers);
  for (const file of files) {
    const sums = await withRedis(file, async (redis) => {
      const accounts = await redis.mget(await redis.keys('account:*'));
      const scores = (await redis.zrange('scores', '0', '-1', 'WITHSCORES')).filter(
        (_, index) => index % 2 === 1,
      );
      const pairs = (await redis.keys('left:*')).map(async (left) => {
        const [one, other] = await redis.mget(left, left.replace('left', 'right'));
        return one === other;
      });
      const isSwapped = Number(await redis.get('swaps')) % 2 === 1;
      await redis.select(1);
      const inOne = await redis.get('database');
      await redis.select(2);
      const inTwo = await redis.get('database');
      await redis.select(3);
      const [a, b] = await redis.mget('a', 'b');
      await redis.select(0);
      return {
        pairs: (await Promise.all(pairs)).every(Boolean),
        databases: isSwapped ? [inTwo, inOne] : [inOne, inTwo],
        refilled: Number(a) + Number(b),
        accounts: accounts.reduce((sum, value) => sum + Number(value), 0),
        scores: scores.reduce((sum, value) => sum + Number(value), 0),
        moving: (await redis.keys('moving:*')).length,
        elements: await count(redis, 'list:*', 'LLEN'),
        members: await count(redis, 'set:*', 'SCARD'),
        filling: (await redis.keys('filling:*')).length,
      };
    });
    t.same(
      sums,
      {
        pairs: true,
        databases: ['1', '2'],
        refilled: 0,
        accounts: ACCOUNTS * TOTAL,
        scores: ACCOUNTS * TOTAL,
        moving: ACCOUNTS,
        elements: TOTAL,
        members: TOTAL,
        filling: 30000,
      },
      `seed ${seed}: ${path.basename(file)}`,
    );
  }
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  t.same(temporaryFiles(server), []);
});

withServers(
  t,
  'with save points, FLUSHALL leaves an empty file and nothing to save',
  {},
  async (t, server) => {
    const client = server.client();
    const changes = async () => infoNumber(client, 'persistence', 'rdb_changes_since_last_save');
    await client.config('SET', 'save', '3600 100000');
    await client.flushall();
    await client.mset('a', '1', 'b', '2');
    t.equal(await changes(), 2);
    await client.flushall();
    t.equal(await changes(), 0);
    await client.multi().set('a', '1').flushall().set('b', '2').exec();
    t.equal(await changes(), 1);
    await client.config('SET', 'save', '');
  },
);

withServers(t, 'FLUSHALL gives a snapshot up', {}, async (t, server) => {
  const client = server.client();
  await client.call('DEBUG', 'POPULATE', '50000', 'key', '50');
  const [, [, reply]] = (await client.multi().call('BGSAVE').flushall().exec()) as [
    unknown,
    [unknown, unknown],
  ];
  t.equal(reply, 'OK');
  t.equal(await saved(client), 'ok', 'which is no failure');
  t.notOk(existsSync(path.join(server.directory, 'dump.rdb')));
  t.same(temporaryFiles(server), []);
  await client.set('k', 'v');
  t.equal(await client.call('BGSAVE', 'SCHEDULE'), 'Background saving started');
  t.equal(await saved(client), 'ok');
  await client.call('DEBUG', 'RELOAD', 'NOSAVE');
  t.equal(await client.get('k'), 'v');
  t.equal(await client.dbsize(), 1);
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  await t.rejects(client.call('BGSAVE', 'WHAT'), { message: 'ERR syntax error' });
});

withServers(t, 'save points', { directives: { save: '1 2' } }, async (t, server) => {
  const client = server.client();
  const file = path.join(server.directory, 'dump.rdb');
  const before = await client.lastsave();
  await client.mset('a', '1', 'b', '2');
  while (!existsSync(file)) await delay(20);
  t.equal(await saved(client), 'ok');
  t.ok((await client.lastsave()) > before);
  t.match(await client.info('persistence'), /rdb_changes_since_last_save:0\r/);
  // A directory in place of the file: it can't be replaced.
  renameSync(file, `${file}.good`);
  mkdirSync(file);
  await client.mset('a', '3', 'b', '4');
  while ((await saved(client)) !== 'err') await delay(20);
  await t.rejects(client.set('a', '5'), { message: /^MISCONF Redis is configured to save RDB snapshots/ });
  await t.rejects(client.multi().set('a', '5').exec(), { message: /^EXECABORT/ });
  t.equal(await client.get('a'), '3');
  await t.rejects(client.save(), { message: 'ERR' });
  await t.rejects(client.call('SHUTDOWN'), { message: 'ERR Errors trying to SHUTDOWN. Check logs.' });
  await client.config('SET', 'stop-writes-on-bgsave-error', 'no');
  t.equal(await client.set('a', '5'), 'OK');
  await client.config('SET', 'stop-writes-on-bgsave-error', 'yes');
  rmdirSync(file);
  t.equal(await client.save(), 'OK');
  t.equal(await client.set('a', '6'), 'OK', 'writes are welcome again');
  t.same(temporaryFiles(server), []);
});

/** A file system of 1 MiB; null if this process may not mount one. */
function mountSmall(): string | null {
  const folder = mkdtempSync(path.join(tmpdir(), 'damselfly-small-'));
  if (run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]).code === 0) return folder;
  rmdirSync(folder);
  return null;
}

/** For tap's `skip` option. */
function skipWithoutMount(): false | string {
  const folder = mountSmall();
  if (folder === null) return 'mounting a small tmpfs is not permitted';
  unmount(folder);
  return false;
}

function unmount(folder: string): void {
  run(['umount', folder]);
  rmdirSync(folder);
}

t.test('a disk that is full', { skip: skipWithoutMount() }, async (t) => {
  const folder = mountSmall()!;
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 2,
    directives: { dir: folder, save: '3600 1000', 'enable-debug-command': 'yes' },
  });
  t.teardown(async () => {
    await server.stop('SIGKILL');
    unmount(folder);
  });
  const client = server.client();
  const file = path.join(folder, 'dump.rdb');
  await client.set('k', 'first');
  await client.save();
  const good = readFileSync(file);
  // 600 KiB that can't be compressed fit if nothing else is there.
  const random = new Random(4303);
  for (let number = 0; number < 6; number++) {
    await client.set(
      `large:${number}`,
      Buffer.from(Array.from({ length: 100 << 10 }, () => random.below(256))),
    );
  }
  const filler = path.join(folder, 'filler');
  writeFileSync(filler, Buffer.alloc(600 << 10));
  await client.call('BGSAVE');
  t.equal(await saved(client), 'err');
  await server.untilLogged('Background saving error: ENOSPC');
  t.ok(readFileSync(file).equals(good), 'the last snapshot is as it was');
  t.same(readdirSync(folder).sort(), ['dump.rdb', 'filler'], 'nothing else is left');
  await t.rejects(client.set('k', 'second'), { message: /^MISCONF / });
  t.equal(await client.get('k'), 'first');
  await t.rejects(client.save(), { message: 'ERR' });
  await t.rejects(client.call('SHUTDOWN'), { message: 'ERR Errors trying to SHUTDOWN. Check logs.' });
  t.ok(readFileSync(file).equals(good));
  t.same(readdirSync(folder).sort(), ['dump.rdb', 'filler']);
  rmSync(filler);
  await client.call('BGSAVE');
  t.equal(await saved(client), 'ok', 'there is space again');
  await server.untilLogged(' # Background saving works again\n');
  t.equal(await client.set('k', 'second'), 'OK');
  await client.call('DEBUG', 'RELOAD', 'NOSAVE');
  t.equal(await client.dbsize(), 7);
});

for (const [how, expected] of [
  ['SIGTERM', true],
  ['SHUTDOWN', true],
  ['SHUTDOWN SAVE', true],
  ['SHUTDOWN NOSAVE', false],
] as const) {
  t.test(`${how} with save points`, {}, async (t) => {
    const server = await TestServer.start({ kind: 'damselfly', threads: 2, directives: { save: '3600 1' } });
    const client = server.client();
    await client.set('k', 'v');
    const file = path.join(server.directory, 'dump.rdb');
    if (how === 'SIGTERM') server.process.kill('SIGTERM');
    else client.call(...(how.split(' ') as [string, ...string[]])).catch(() => null);
    t.equal((await server.exited).code, 0);
    t.equal(existsSync(file) && statSync(file).size > 50, expected);
    t.same(temporaryFiles(server), []);
    await server.stop();
  });
}

for (const [signal, flags, savePoints, expected] of [
  ['SIGTERM', 'nosave', '3600 1', false],
  ['SIGINT', 'nosave force now', '3600 1', false],
  ['SIGTERM', 'save', '', true],
  ['SIGINT', 'save now', '', true],
  ['SIGINT', 'default', '', false],
] as const) {
  withServers(
    t,
    `${signal} ends as told: ${flags}`,
    { directives: { save: savePoints } },
    async (t, server) => {
      const client = server.client();
      await client.set('k', 'v');
      await client.config('SET', `shutdown-on-${signal.toLowerCase()}`, flags);
      server.process.kill(signal);
      t.equal((await server.exited).code, 0);
      const file = path.join(server.directory, 'dump.rdb');
      t.equal(existsSync(file) && statSync(file).size > 50, expected);
    },
  );
}

withServers(t, 'a signal that can not be obeyed', { directives: { save: '3600 1' } }, async (t, server) => {
  const client = server.client();
  await client.set('k', 'v');
  rmSync(server.directory, { recursive: true });
  server.process.kill('SIGTERM');
  while (!server.output().includes("can't exit")) await delay(10);
  t.equal(await client.get('k'), 'v', 'it goes on');
  await client.config('SET', 'shutdown-on-sigterm', 'force');
  server.process.kill('SIGTERM');
  t.equal((await server.exited).code, 0);
});
