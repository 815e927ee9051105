/** A flood of writes against a memory ceiling, under each policy; and keys that expire untouched. */

import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { Random } from '../tools/random.js';
import { infoNumber, TestServer } from '../tools/server.js';

const MEGABYTE = 1 << 20;
/** DAMSELFLY_TEST_LIMIT_MEGABYTES: another ceiling; 64 takes a minute. */
const LIMIT_MEGABYTES = Number(process.env.DAMSELFLY_TEST_LIMIT_MEGABYTES ?? 12);
const LIMIT = LIMIT_MEGABYTES * MEGABYTE;
const CONNECTIONS = 20;
const HOT_KEYS = 1000;

t.setTimeout(0);

const start = async (t: Test, policy: string) => {
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 4,
    directives: { maxmemory: LIMIT, 'maxmemory-policy': policy },
  });
  t.teardown(() => server.stop('SIGKILL'));
  return server;
};

const verify = async (t: Test, client: Redis): Promise<void> => {
  t.equal(await client.call('DEBUG', 'VERIFY').catch(String), 'OK', 'all shards are sound');
};

interface Flood {
  /** The most that keys took in any sample. */
  peak: number;
  errors: Set<string>;
}

/** Writes about `megabytes` from all connections; `expiry` gives seconds to live, 0 for none. */
async function flood(
  server: TestServer,
  megabytes: number,
  expiry: (count: number) => number,
  alongside: (client: Redis) => Promise<unknown> = async () => {},
  prefix = 'flood',
): Promise<Flood> {
  const result: Flood = { peak: 0, errors: new Set() };
  let isOver = false;
  const sampler = (async () => {
    const client = server.client();
    let samples = 0;
    while (!isOver || samples === 0) {
      samples++;
      result.peak = Math.max(result.peak, await infoNumber(client, 'memory', 'used_memory_dataset'));
      await alongside(client);
      await delay(10);
    }
  })();
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, index) => {
      const client = server.client();
      const random = new Random(index);
      let left = (megabytes * MEGABYTE) / CONNECTIONS;
      let count = 0;
      while (left > 0) {
        const pipeline = client.pipeline();
        for (let burst = 0; burst < 20; burst++) {
          const value = 'f'.repeat(random.below(random.pick([100, 3000, 20_000])));
          const seconds = expiry(count);
          const key = `${prefix}:${index}:${count++}`;
          if (seconds === 0) pipeline.set(key, value);
          else pipeline.set(key, value, 'EX', seconds);
          left -= value.length + 100;
        }
        for (const [error] of (await pipeline.exec())!) if (error !== null) result.errors.add(error.message);
      }
    }),
  );
  isOver = true;
  await sampler;
  return result;
}

const hotKeys = Array.from({ length: HOT_KEYS }, (_, index) => `hot:${index}`);

const setHotKeys = async (client: Redis, seconds: number): Promise<void> => {
  const pipeline = client.pipeline();
  for (const key of hotKeys) {
    if (seconds === 0) pipeline.set(key, 'h'.repeat(100));
    else pipeline.set(key, 'h'.repeat(100), 'EX', seconds);
  }
  await pipeline.exec();
};

const survivors = async (client: Redis): Promise<number> =>
  (await client.mget(hotKeys)).filter((value) => value !== null).length;

/** How many of the hot keys, which are read all the time, a flood leaves. */
async function hotKeysLeft(t: Test, policy: string): Promise<number> {
  const server = await start(t, policy);
  const client = server.client();
  const isVolatile = policy.startsWith('volatile');
  await setHotKeys(client, isVolatile ? 10_000 : 0);
  for (let reads = 0; reads < 20; reads++) await client.mget(hotKeys);
  if (isVolatile) {
    const pipeline = client.pipeline();
    for (let index = 0; index < 500; index++) pipeline.set(`lasting:${index}`, 'l'.repeat(2000));
    await pipeline.exec();
  }
  const expiry = () => (isVolatile ? 5000 : 0);
  const readHotKeys = (sampler: Redis) => sampler.mget(hotKeys);
  const { errors } = await flood(server, 0.8 * LIMIT_MEGABYTES, expiry, readHotKeys);
  // The access clock of LRU counts seconds.
  await delay(2000);
  await client.mget(hotKeys);
  const { peak } = await flood(server, 0.6 * LIMIT_MEGABYTES, expiry, readHotKeys, 'second');
  t.strictSame([...errors], []);
  t.ok(peak <= LIMIT * 1.02, `${policy}: ${(peak / LIMIT).toFixed(4)} of the ceiling at most`);
  // The ceiling holds for all memory; what connections take of it varies with how far they lag behind.
  t.ok(peak > LIMIT * 0.8, `no more than needed is evicted: ${(peak / LIMIT).toFixed(4)} of the ceiling`);
  t.ok((await infoNumber(client, 'stats', 'evicted_keys')) > 1000);
  if (isVolatile) {
    const lasting = Array.from({ length: 500 }, (_, index) => `lasting:${index}`);
    t.equal(await client.exists(lasting), 500, 'keys without expiry stay');
  }
  await verify(t, client);
  const left = await survivors(client);
  await server.stop('SIGKILL');
  return left;
}

for (const kind of ['allkeys', 'volatile']) {
  t.test(`${kind}: the policies that look keep more of what is used`, async (t) => {
    const byChance = await hotKeysLeft(t, `${kind}-random`);
    const leastRecent = await hotKeysLeft(t, `${kind}-lru`);
    const leastFrequent = await hotKeysLeft(t, `${kind}-lfu`);
    t.comment(`${kind}: random keeps ${byChance}, LRU ${leastRecent}, LFU ${leastFrequent} of ${HOT_KEYS}`);
    t.ok(leastRecent > byChance + HOT_KEYS / 10, `LRU keeps ${leastRecent}, random ${byChance}`);
    t.ok(leastFrequent > byChance + HOT_KEYS / 10, `LFU keeps ${leastFrequent}, random ${byChance}`);
  });
}

t.test('volatile-ttl: what would expire first goes first', async (t) => {
  const server = await start(t, 'volatile-ttl');
  const client = server.client();
  await setHotKeys(client, 100_000);
  await client.set('lasting', 'value');
  const { peak, errors } = await flood(server, 1.5 * LIMIT_MEGABYTES, (count) => 100 + (count % 1000));
  t.strictSame([...errors], []);
  t.ok(peak <= LIMIT * 1.02, `${(peak / LIMIT).toFixed(4)} of the ceiling at most`);
  const left = await survivors(client);
  t.ok(left > HOT_KEYS * 0.95, `${left} of those with the longest time are left`);
  t.equal(await client.get('lasting'), 'value');
  await verify(t, client);
});

t.test('out of memory without keys to evict', async (t) => {
  const server = await start(t, 'noeviction');
  const client = server.client();
  await client.set('known', 'value');
  for (const policy of ['noeviction', 'volatile-lru', 'volatile-lfu', 'volatile-random', 'volatile-ttl']) {
    await client.config('SET', 'maxmemory-policy', policy);
    const { peak, errors } = await flood(
      server,
      policy === 'noeviction' ? LIMIT_MEGABYTES + 6 : 8,
      () => 0,
      undefined,
      policy,
    );
    t.strictSame([...errors], ["OOM command not allowed when used memory > 'maxmemory'."], policy);
    t.ok(peak <= LIMIT * 1.02, `${policy}: ${(peak / LIMIT).toFixed(4)} of the ceiling at most`);
    t.equal(await client.get('known'), 'value', 'reads go on');
    await t.rejects(client.append('known', 'x'), /OOM command not allowed/);
    t.equal(await client.get('known'), 'value', 'nothing has changed');
    t.equal(await infoNumber(client, 'stats', 'evicted_keys'), 0);
    const [, names] = await client.scan(0, 'COUNT', 500);
    t.ok((await client.del(names.filter((name) => name !== 'known'))) > 0, 'deleting goes on');
    t.equal(await client.set('new', 'value'), 'OK', 'there is room again');
  }
  await verify(t, client);
});

t.test('a ceiling below what is in use already', async (t) => {
  const server = await start(t, 'allkeys-lru');
  const client = server.client();
  await flood(server, 8, () => 0);
  await client.config('SET', 'maxmemory', 5 * MEGABYTE);
  for (let tries = 0; tries < 1000 && (await client.set('key', 'value').catch(() => '')) !== 'OK'; tries++) {}
  for (let tries = 0; tries < 1000; tries++) await client.set('key', 'value');
  const used = await infoNumber(client, 'memory', 'used_memory');
  t.ok(used <= 5.1 * MEGABYTE, `${used} bytes in use`);
  await verify(t, client);
});

t.test('keys expire by themselves', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 4 });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  const random = new Random(1);
  const count = 100_000;
  for (let index = 0; index < 1000; index++) void client.set(`lasting:${index}`, 'value');
  let lastDueMs = 0;
  for (let written = 0; written < count; ) {
    const pipeline = client.pipeline();
    const now = Date.now();
    for (let burst = 0; burst < 2000; burst++) {
      const dueMs = now + 1000 + random.below(1000);
      lastDueMs = Math.max(lastDueMs, dueMs);
      pipeline.set(`brief:${written++}`, 'value', 'PXAT', dueMs);
    }
    await pipeline.exec();
  }
  while ((await client.dbsize()) > 1000) await delay(20);
  t.comment(`the last one was gone ${Date.now() - lastDueMs} ms after its time`);
  t.equal(await client.dbsize(), 1000, 'only those without expiry are left');
  t.equal(await infoNumber(client, 'stats', 'expired_keys'), count);
  t.equal(await infoNumber(client, 'stats', 'keyspace_misses'), 0, 'nobody has touched them');
  t.match(await client.info('keyspace'), /db0:keys=1000,expires=0,/);
  await verify(t, client);
});

t.test('a huge key that is evicted makes room for what comes, so others stay', async (t) => {
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 2,
    directives: { 'maxmemory-policy': 'volatile-ttl' },
  });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  const members = Array.from({ length: 100_000 }, (_, index) => `member ${index}`);
  for (let from = 0; from < members.length; from += 1000) {
    await client.sadd('huge', ...members.slice(from, from + 1000));
  }
  await client.expire('huge', 1000);
  for (let index = 0; index < 500; index++) await client.set(`small:${index}`, 'value', 'EX', 5000);
  const used = await infoNumber(client, 'memory', 'used_memory');
  await client.config('SET', 'maxmemory', String(used - MEGABYTE));
  for (let index = 0; index < 500; index++) await client.set(`new:${index}`, 'value');
  t.equal(await client.exists('huge'), 0);
  // A few may go before its shard is looked at.
  const evicted = await infoNumber(client, 'stats', 'evicted_keys');
  t.ok(evicted <= 100, `${evicted} keys are evicted`);
  while ((await infoNumber(client, 'memory', 'lazyfree_pending_objects')) > 0) await delay(10);
  t.ok((await infoNumber(client, 'memory', 'used_memory')) < used - 2 * MEGABYTE, 'its memory is free');
  await verify(t, client);
});
