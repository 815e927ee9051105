/** DUMP and RESTORE, alone and together with redis-server. */

import type { Redis } from 'ioredis';
import t from 'tap';
import { Crc64 } from '../../../src/persistence/crc64.js';
import { DATA_TYPES, differences, fillRandomly, readDataset } from '../../tools/dataset.js';
import { Random } from '../../tools/random.js';
import { listpack, RDB_FORMS, rdbValue, ziplist } from '../../tools/rdb-builder.js';
import { skipWithoutRedis, TestServer, withServers } from '../../tools/server.js';

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

withServers(t, 'DEBUG SET-SKIP-CHECKSUM-VALIDATION', {}, async (t, server) => {
  const client = server.client();
  await client.set('k', 'value');
  const payload = (await client.dumpBuffer('k'))!;
  payload[payload.length - 1]! ^= 1;
  const restore = () => client.restore('n', 0, payload, 'REPLACE');
  await t.rejects(restore(), /payload version or checksum are wrong/);
  await client.call('DEBUG', 'SET-SKIP-CHECKSUM-VALIDATION', '1');
  t.equal(await restore(), 'OK');
  t.equal(await client.get('n'), 'value');
  await client.call('DEBUG', 'SET-SKIP-CHECKSUM-VALIDATION', '0');
  await t.rejects(restore(), /payload version or checksum are wrong/);
});

/** A payload as DUMP makes it: type and value, then version and checksum. */
function payloadOf(body: Buffer, version = 10): Buffer {
  const bytes = new Uint8Array([...body, version, 0, ...new Array(8).fill(0)]);
  const view = new DataView(bytes.buffer);
  const crc = new Crc64();
  crc.update(bytes, view, 0, bytes.length - 8);
  view.setInt32(bytes.length - 8, crc.low, true);
  view.setInt32(bytes.length - 4, crc.high, true);
  return Buffer.from(bytes);
}

withServers(t, 'blocks whose header or back lengths are wrong are refused', {}, async (t, server) => {
  const client = server.client();
  const elements = ['a', 'b', 'c', 'd'].map((text) => Buffer.from(text));
  const [list, pack] = [ziplist(elements), listpack(elements)];
  const blocks = [
    ['list as ziplist', 10, list, { 'the count': 8, 'the last element': 4, 'a back length': 13 }],
    ['hash as ziplist', 13, list, { 'the count': 8, 'the last element': 4, 'a back length': 13 }],
    ['hash as listpack', 16, pack, { 'the count': 4, 'a back length': 8 }],
    [
      'sorted set as listpack',
      17,
      listpack(['a', '1', 'b', '2'].map((text) => Buffer.from(text))),
      { 'the count': 4 },
    ],
  ] as const;
  for (const [name, type, good, places] of blocks) {
    const restore = (block: Buffer) =>
      client.restore('k', 0, payloadOf(Buffer.concat([Buffer.from([type, block.length]), block])), 'REPLACE');
    t.equal(await restore(good), 'OK', name);
    if (server.kind === 'redis') await client.config('SET', 'sanitize-dump-payload', 'yes');
    for (const [place, at] of Object.entries(places)) {
      const damaged = Buffer.from(good);
      damaged[at]!++;
      await t.rejects(restore(damaged), /ERR Bad data format/, `${name}: ${place}`);
    }
  }
});

withServers(t, 'damaged payloads with a good checksum', {}, async (t, server) => {
  const seed = 4102;
  const random = new Random(seed);
  const client = server.client();
  const attempts = { refused: 0, taken: 0 };
  for (const [type, , name] of RDB_FORMS) {
    const good = Buffer.concat([Buffer.from([type]), rdbValue(random, type)]);
    t.equal(await client.call('RESTORE', 'key', '0', payloadOf(good, 11), 'REPLACE'), 'OK', name);
    let before = await client.dumpBuffer('key');
    for (let round = 0; round < 60; round++) {
      let damaged = Buffer.from(good);
      for (let change = 1 + random.below(3); change > 0; change--) {
        // Mostly near the beginning, where lengths are.
        const at = random.chance(0.7)
          ? random.below(Math.min(damaged.length, 30))
          : random.below(damaged.length);
        damaged[at] = random.pick([0, 1, 0x7f, 0x80, 0xfe, 0xff, random.below(256)]);
      }
      if (random.chance(0.2)) damaged = damaged.subarray(0, random.below(damaged.length));
      const answer = await client
        .call('RESTORE', 'key', '0', payloadOf(damaged, 11), 'REPLACE')
        .then(String, (failure: Error) => failure.message);
      const after = await client.dumpBuffer('key');
      if (answer === 'OK') {
        attempts.taken++;
        before = after;
      } else {
        attempts.refused++;
        if (answer !== 'ERR Bad data format') t.fail(`seed ${seed}, ${name}, round ${round}: ${answer}`);
        if (!after.equals(before)) t.fail(`seed ${seed}, ${name}, round ${round}: the key has changed`);
      }
    }
  }
  t.ok(attempts.refused > 100 && attempts.taken > 10, JSON.stringify(attempts));
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK', `seed ${seed}`);
});

withServers(
  t,
  'what was packed stays packed, whatever the limits of lengths are now',
  {},
  async (t, server) => {
    const redis = await server.client();
    const values = { hash: ['hset', 'one', 'two'], 'sorted set': ['zadd', '1', 'member'] } as const;
    for (const [key, [command, ...args]] of Object.entries(values)) {
      const directive = `${key === 'hash' ? 'hash' : 'zset'}-max-listpack-value`;
      await redis.call(command, key, ...args);
      const payload = (await redis.dumpBuffer(key))!;
      await redis.config('SET', directive, 1);
      await redis.restore(key, 0, payload, 'REPLACE');
      t.equal(await redis.object('ENCODING', key), 'listpack');
      await redis.call(command, key, command === 'hset' ? 'three' : '3', 'four');
      t.equal(await redis.object('ENCODING', key), key === 'hash' ? 'hashtable' : 'skiplist');
      await redis.config('SET', directive, 64);
    }
  },
);
