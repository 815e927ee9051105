/**
 * BGSAVE and BGREWRITEAOF of large collections that several clients change, delete, rename and flush meanwhile: what
 * redis-server finds in the file has the digest that the data had at its moment.
 */

import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t from 'tap';
import { Random } from '../tools/random.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';

const ELEMENTS = 30_000;
const PER_COMMAND = 500;
const KEYS = ['{long}hash', '{long}set', '{long}zset', '{long}list'] as const;

async function fill(client: Redis, suffix = ''): Promise<void> {
  const pipeline = client.pipeline();
  for (let from = 0; from < ELEMENTS; from += PER_COMMAND) {
    const names = Array.from({ length: PER_COMMAND }, (_, index) => `element ${from + index}`);
    pipeline.hset(`${KEYS[0]}${suffix}`, ...names.flatMap((name) => [name, `value of ${name}`]));
    pipeline.sadd(`${KEYS[1]}${suffix}`, ...names);
    pipeline.zadd(`${KEYS[2]}${suffix}`, ...names.flatMap((name, index) => [(index * 31) % 977, name]));
    pipeline.rpush(`${KEYS[3]}${suffix}`, ...names);
  }
  pipeline.pexpire(`${KEYS[0]}${suffix}`, 10_000_000);
  for (const [error] of (await pipeline.exec())!) if (error) throw error;
}

/** Changes that a client makes until told to stop, of elements and of whole keys. */
async function disturb(client: Redis, random: Random, isOver: () => boolean): Promise<void> {
  const [hash, set, zset, list] = KEYS;
  const name = () => `element ${random.below(2 * ELEMENTS)}`;
  while (!isOver()) {
    const pipeline = client.pipeline();
    for (let count = random.below(30); count >= 0; count--) {
      switch (random.below(14)) {
        case 0:
          pipeline.hset(hash, name(), 'x'.repeat(random.below(40)));
          break;
        case 1:
          pipeline.hdel(hash, name());
          break;
        case 2:
          pipeline.sadd(set, name());
          break;
        case 3:
          pipeline.spop(set, random.below(4));
          break;
        case 4:
          pipeline.zadd(zset, random.below(1000), name());
          break;
        case 5:
          pipeline.zpopmin(zset, random.below(10));
          break;
        case 6:
          pipeline.zremrangebyrank(zset, 100, 100 + random.below(20));
          break;
        case 7:
          pipeline.lpush(list, name());
          break;
        case 8:
          pipeline.rpush(list, name());
          break;
        case 9:
          pipeline.lpop(list, 1 + random.below(random.chance(0.05) ? 2000 : 4));
          break;
        case 10:
          pipeline.rpop(list, 1 + random.below(4));
          break;
        case 11:
          pipeline.lset(list, random.below(1000), name());
          break;
        case 12:
          pipeline.linsert(list, 'BEFORE', name(), name());
          break;
        default:
          pipeline.lmove(list, list, 'LEFT', 'RIGHT');
      }
    }
    await pipeline.exec();
    if (random.chance(0.05)) {
      const key = random.pick(KEYS);
      const changes = [
        () => client.unlink(key),
        () => client.del(key),
        () => client.set(key, 'overwritten'),
        () => client.rename(key, `${key}renamed`).catch(() => null),
        () => client.copy(key, 'elsewhere', 'REPLACE'),
        () => client.rename(key, `elsewhere ${random.below(5)}`).catch(() => null),
        () => client.pexpire(key, 1),
        () => client.flushdb(),
      ];
      await random.pick(changes)();
    }
  }
}

async function ended(client: Redis): Promise<void> {
  for (;;) {
    const info = await client.info('persistence');
    if (info.includes('bgsave_in_progress:0') && info.includes('aof_rewrite_in_progress:0')) break;
    await delay(5);
  }
}

async function digestInRedis(directives: Record<string, string>): Promise<unknown> {
  const redis = await TestServer.start({ kind: 'redis', directives });
  try {
    return await redis.client().call('DEBUG', 'DIGEST');
  } finally {
    await redis.stop('SIGKILL');
  }
}

const FORMS: readonly { name: string; command: string; directives: Record<string, string> }[] = [
  { name: 'BGSAVE', command: 'BGSAVE', directives: {} },
  { name: 'BGSAVE, compressed lists', command: 'BGSAVE', directives: { 'list-compress-depth': '1' } },
  {
    name: 'BGREWRITEAOF as commands',
    command: 'BGREWRITEAOF',
    directives: { appendonly: 'yes', 'aof-use-rdb-preamble': 'no', appendfsync: 'no' },
  },
];

for (const { name, command, directives } of FORMS) {
  t.test(name, { skip: skipWithoutRedis() }, async (t) => {
    const seed = 4410;
    const server = await TestServer.start({ kind: 'damselfly', threads: 2, directives });
    t.teardown(() => server.stop('SIGKILL'));
    const client = server.client();
    await ended(client);
    for (let round = 0; round < 4; round++) {
      await client.flushall();
      await fill(client);
      await fill(client, 'other');
      let isOver = false;
      // Some changes come in the same transaction, before anything is written.
      const transaction = client.multi().call(command).call('DEBUG', 'DIGEST');
      transaction.hset(KEYS[0], 'new', 'field').srem(KEYS[1], 'element 5').zincrby(KEYS[2], 5, 'element 7');
      transaction.lpop(KEYS[3]);
      if (round % 2 === 1) transaction.del(KEYS[round % 4]!);
      const replies = (await transaction.exec())!;
      t.match(replies[0]![1], /started/);
      const [, digest] = replies[1]!;
      const disturbing = [0, 1, 2].map((index) =>
        disturb(server.client(), new Random(seed + 10 * round + index), () => isOver),
      );
      await ended(client);
      isOver = true;
      await Promise.all(disturbing);
      t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
      t.match(await client.info('persistence'), /rdb_last_bgsave_status:ok/);
      if (command === 'BGSAVE') {
        const found = await digestInRedis({ dir: server.directory, dbfilename: 'dump.rdb' });
        t.equal(found, digest, `seed ${seed}, round ${round}`);
        await client.call('DEBUG', 'RELOAD', 'NOSAVE');
        t.equal(await client.call('DEBUG', 'DIGEST'), digest, 'and Damselfly finds the same');
        continue;
      }
      // The base file alone, as a file of its own.
      const folder = path.join(server.directory, 'appendonlydir');
      const base = readdirSync(folder).find((file) => file.includes('.base.'))!;
      const copied = path.join(server.directory, `copy-${round}`);
      mkdirSync(copied, { recursive: true });
      copyFileSync(path.join(folder, base), path.join(copied, 'appendonly.aof'));
      t.ok(existsSync(path.join(copied, 'appendonly.aof')));
      const found = await digestInRedis({ dir: copied, appendonly: 'yes', 'aof-load-truncated': 'no' });
      t.equal(found, digest, `seed ${seed}, round ${round}`);
    }
    await client.flushall();
    while (!(await client.info('memory')).includes('lazyfree_pending_objects:0')) await delay(10);
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  });
}
