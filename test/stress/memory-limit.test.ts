/**
 * `maxmemory` holds whatever the sizes of keys and values and however busy the machine is: large values come while memory is
 * full of small keys, and the limit is set below what is used.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { infoNumber, TestServer } from '../tools/server.js';

const MEGABYTE = 1 << 20;
const SMALL_KEYS = 40_000;
const LARGE_VALUES = 20;
const THREADS = 3;
const POLICIES = [
  'allkeys-lru',
  'allkeys-lfu',
  'allkeys-random',
  'volatile-lru',
  'volatile-lfu',
  'volatile-random',
  'volatile-ttl',
];

t.setTimeout(0);

async function fill(client: Redis): Promise<void> {
  for (let first = 0; first < SMALL_KEYS; first += 5000) {
    const pipeline = client.pipeline();
    for (let key = first; key < first + 5000; key++) pipeline.set(`k${key}`, 'x', 'EX', 100_000);
    await pipeline.exec();
  }
}

/** Has the processors do something else, at the latest until the test ends. */
function keepBusy(t: Test): ChildProcess[] {
  const others = Array.from({ length: 2 }, () => spawn(process.execPath, ['-e', 'for (;;);']));
  t.teardown(() => {
    for (const other of others) other.kill('SIGKILL');
  });
  return others;
}

t.test('large values while memory is full of small keys', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  const value = 'v'.repeat(MEGABYTE);
  for (const policy of POLICIES) {
    await client.flushall();
    await fill(client);
    const limit = (await infoNumber(client, 'memory', 'used_memory')) + 2 * MEGABYTE;
    await client.config('SET', 'maxmemory-policy', policy, 'maxmemory', String(limit));
    // One policy has to share its processors.
    const others = policy === 'allkeys-lru' ? keepBusy(t) : [];
    let peak = 0;
    let refused = 0;
    for (let key = 0; key < LARGE_VALUES; key++) {
      await client.set(`large${key}`, value, 'EX', 100_000).catch(() => refused++);
      peak = Math.max(peak, await infoNumber(client, 'memory', 'used_memory_dataset'));
    }
    for (const other of others) other.kill('SIGKILL');
    t.equal(refused, 0);
    t.ok(peak <= limit, `${policy}: ${peak} of ${limit} bytes at most`);
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
    await client.config('SET', 'maxmemory', '0');
  }
});

t.test('several clients at once, values of all sizes in one pipeline', async (t) => {
  const directives = { maxmemory: 8 * MEGABYTE, 'maxmemory-policy': 'allkeys-lru' };
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS, directives });
  t.teardown(() => server.stop('SIGKILL'));
  const watcher = server.client();
  await fill(watcher);
  let peak = 0;
  await Promise.all(
    Array.from({ length: 4 }, async (_, index) => {
      const client = server.client();
      for (let round = 0; round < 10; round++) {
        const pipeline = client.pipeline();
        for (let key = 0; key < 12; key++)
          pipeline.set(`${index}:${round}:${key}`, 'v'.repeat(4 ** key % 300_007));
        for (const [error] of (await pipeline.exec())!) if (error !== null) t.fail(String(error));
        peak = Math.max(peak, await infoNumber(client, 'memory', 'used_memory_dataset'));
      }
    }),
  );
  // What one worker is about to write, the others do not know of yet.
  t.ok(peak <= (8 + THREADS) * MEGABYTE, `${peak} bytes at most`);
  t.equal(await watcher.call('DEBUG', 'VERIFY'), 'OK');
});

t.test('a limit below what is used is reached while nobody sends anything', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  await fill(client);
  const used = await infoNumber(client, 'memory', 'used_memory');
  const limit = used - MEGABYTE;
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru', 'maxmemory', String(limit));
  let looks = 0;
  do {
    await delay(100);
    looks++;
  } while ((await infoNumber(client, 'memory', 'used_memory')) > limit);
  const evicted = await infoNumber(client, 'stats', 'evicted_keys');
  // A look evicts for half a millisecond itself, which is some 200 keys.
  t.ok(evicted > 600 * looks, `${evicted} keys in ${looks} looks`);
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
});

t.test('a value that can not fit is refused, and nothing is evicted for it', async (t) => {
  const directives = { maxmemory: 8 * MEGABYTE, 'maxmemory-policy': 'allkeys-random' };
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS, directives });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  for (let key = 0; key < 1000; key++) void client.set(`k${key}`, 'x');
  const value = 'v'.repeat(9 * MEGABYTE);
  await t.rejects(client.set('large', value), /OOM command not allowed/);
  const evicted = await infoNumber(client, 'stats', 'evicted_keys');
  t.equal(await client.dbsize(), 1000 - evicted);
  t.equal(await client.exists('large'), 0);
});
