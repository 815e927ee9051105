/** DUMP and RESTORE, alone and together with redis-server. */

import type { Redis } from 'ioredis';
import t from 'tap';
import { DATA_TYPES, differences, fillRandomly, readDataset } from '../tools/dataset.js';
import { Random } from '../tools/random.js';
import { skipWithoutRedis, TestServer, withServers } from '../tools/server.js';

withServers(t, 'options and errors', {}, async (t, server) => {
  const client = server.client();
  const error = async (...args: (string | Buffer)[]) => {
    const [name, ...rest] = args;
    return client.call(String(name), ...rest).then(
      (reply) => `replied ${reply}`,
      (failure: Error) => failure.message,
    );
  };
  t.equal(await client.dump('none'), null);
  await client.set('k', 'value');
  const payload = await client.dumpBuffer('k');
  t.equal(await error('RESTORE', 'k', '0', payload), 'BUSYKEY Target key name already exists.');
  t.equal(
    await error('RESTORE', 'k', 'x', payload, 'REPLACE'),
    'ERR value is not an integer or out of range',
  );
  t.equal(await error('RESTORE', 'k', '-1', payload, 'REPLACE'), 'ERR Invalid TTL value, must be >= 0');
  t.equal(await error('RESTORE', 'n', '0', payload, 'WHAT'), 'ERR syntax error');
  t.equal(await error('RESTORE', 'n', '0', payload, 'IDLETIME'), 'ERR syntax error');
  t.equal(
    await error('RESTORE', 'n', '0', payload, 'IDLETIME', '-1'),
    'ERR Invalid IDLETIME value, must be >= 0',
  );
  t.equal(
    await error('RESTORE', 'n', '0', payload, 'FREQ', '256'),
    'ERR Invalid FREQ value, must be >= 0 and <= 255',
  );
  t.equal(await error('RESTORE', 'n', '0', payload, 'FREQ', '2', 'IDLETIME', '3'), 'ERR syntax error');
  t.equal(await error('RESTORE', 'n', '0', 'short'), 'ERR DUMP payload version or checksum are wrong');
  for (let at = 0; at < payload.length; at++) {
    const damaged = Buffer.from(payload);
    damaged[at]! ^= 1;
    t.equal(
      await error('RESTORE', 'n', '0', damaged),
      'ERR DUMP payload version or checksum are wrong',
      `byte ${at}`,
    );
  }
  t.equal(await client.exists('n'), 0);
  await client.restore('n', 0, payload);
  t.equal(await client.get('n'), 'value');
  await client.call('RESTORE', 'n', '100000', payload, 'REPLACE', 'IDLETIME', '1000');
  const ttl = await client.pttl('n');
  t.ok(ttl > 50_000 && ttl <= 100_000, `a ttl of ${ttl}`);
  t.ok(Number(await client.call('OBJECT', 'IDLETIME', 'n')) >= 999);
  await client.call('RESTORE', 'n', '4000000000000', payload, 'REPLACE', 'ABSTTL');
  t.equal(await client.call('PEXPIRETIME', 'n'), 4_000_000_000_000);
  t.equal(await client.call('RESTORE', 'n', '1', payload, 'REPLACE', 'ABSTTL'), 'OK');
  t.equal(await client.exists('n'), 0, 'an expiry in the past deletes');
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
});

/** Copies all keys by DUMP and RESTORE. */
async function copyAll(source: Redis, target: Redis): Promise<void> {
  for (const [, database] of (await source.info('keyspace')).matchAll(/^db(\d+):/gm)) {
    await source.select(Number(database));
    await target.select(Number(database));
    for (const key of await source.keysBuffer('*')) {
      const payload = await source.dumpBuffer(key);
      const expiresAt = Number(await source.call('PEXPIRETIME', key));
      await target.call('RESTORE', key, String(Math.max(expiresAt, 0)), payload, 'ABSTTL');
    }
  }
  await source.select(0);
  await target.select(0);
}

t.test('to redis-server and back', { skip: skipWithoutRedis() }, async (t) => {
  const seed = 4101;
  const random = new Random(seed);
  const damselfly = await TestServer.start({ kind: 'damselfly', threads: 2 });
  const redis = await TestServer.start({ kind: 'redis' });
  t.teardown(() => Promise.all([damselfly.stop('SIGKILL'), redis.stop('SIGKILL')]));
  const ours = damselfly.client();
  const theirs = redis.client();
  await fillRandomly(theirs, random, 200, DATA_TYPES);
  const expected = await readDataset(theirs);
  await copyAll(theirs, ours);
  t.same(differences(await readDataset(ours), expected), [], `seed ${seed}: Redis to Damselfly`);
  await theirs.flushall();
  await copyAll(ours, theirs);
  t.same(differences(await readDataset(theirs), expected), [], `seed ${seed}: Damselfly to Redis`);
  t.equal(await ours.call('DEBUG', 'VERIFY'), 'OK');
});

withServers(t, 'damaged payloads with a good checksum', {}, async (t, server) => {
  const { Crc64 } = await import('../../src/persistence/crc64.js');
  const seed = 4102;
  const random = new Random(seed);
  const client = server.client();
  await client.config('SET', 'rdbcompression', 'no');
  await client.rpush('l', 'a', 'b', '12', 'x'.repeat(100));
  await client.sadd('s', '1', '2', '3');
  await client.sadd('t', 'a', '2', '3');
  await client.zadd('z', '1', 'a', '2.5', 'b');
  const payloads = await Promise.all(['l', 's', 't', 'z'].map((key) => client.dumpBuffer(key)));
  for (let round = 0; round < 600; round++) {
    const damaged = Buffer.from(random.pick(payloads));
    const body = damaged.length - 10;
    for (let change = 1 + random.below(3); change > 0; change--)
      damaged[random.below(body)] = random.below(256);
    const payload = new Uint8Array(
      random.chance(0.2) ? damaged.subarray(0, random.below(body) + 10) : damaged,
    );
    payload.set(damaged.subarray(body, body + 2), payload.length - 10);
    const crc = new Crc64();
    const view = new DataView(payload.buffer);
    crc.update(payload, view, 0, payload.length - 8);
    view.setInt32(payload.length - 8, crc.low, true);
    view.setInt32(payload.length - 4, crc.high, true);
    await client
      .call('RESTORE', `key:${round % 10}`, '0', Buffer.from(payload), 'REPLACE')
      .catch((failure: Error) => {
        if (failure.message !== 'ERR Bad data format')
          t.fail(`seed ${seed}, round ${round}: ${failure.message}`);
      });
  }
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK', `seed ${seed}`);
});
