/** A shard's lock that is kept while others wait for it: alone, and under connections that all use one key. */

import t from 'tap';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { createKeyspace, Keyspace } from '../../src/keyspace/keyspace.js';
import type { Shard } from '../../src/keyspace/shard.js';
import { Attention } from '../../src/memory/attention.js';
import { HeaderWord } from '../../src/memory/shard-memory.js';
import { TestServer } from '../tools/server.js';

const FREE = 0;
const WAITED_FOR = 2;

const open = () => {
  const keyspace = new Keyspace(
    createKeyspace(2, 8 << 20, 1, Attention.create(1)),
    defaultSettings(),
    new Float64Array(16),
  );
  return { keyspace, keptLock: keyspace.keptLock, first: keyspace.shards[0]!, second: keyspace.shards[1]! };
};

const state = (shard: Shard): number => shard.words[HeaderWord.Lock]!;

/** Takes a lock, and has it look as if another thread slept on it. */
const lockWaitedFor = (shard: Shard): void => {
  shard.lock();
  shard.words[HeaderWord.Lock] = WAITED_FOR;
};

t.test('a lock for which nobody waits is released', async (t) => {
  const { keptLock, first } = open();
  first.lock();
  keptLock.keepOrRelease(first, 0);
  t.equal(state(first), FREE);
});

t.test('a kept lock is taken again, and released by its holder', async (t) => {
  const { keptLock, first } = open();
  lockWaitedFor(first);
  keptLock.keepOrRelease(first, 0);
  t.equal(state(first), WAITED_FOR);
  first.lock();
  t.equal(state(first), WAITED_FOR);
  first.unlock();
  t.equal(state(first), FREE);
  keptLock.letGo();
  t.equal(state(first), FREE);
});

t.test('it is let go when the round ends, and before another lock is taken', async (t) => {
  const { keyspace, keptLock, first, second } = open();
  lockWaitedFor(first);
  keptLock.keepOrRelease(first, 0);
  keptLock.letGo();
  t.equal(state(first), FREE);

  lockWaitedFor(first);
  keptLock.keepOrRelease(first, 0);
  second.lock();
  t.equal(state(first), FREE);
  second.unlock();

  lockWaitedFor(second);
  keptLock.keepOrRelease(second, 0);
  keyspace.lockAll();
  t.not(state(first), FREE);
  t.not(state(second), FREE);
  keyspace.unlockAll();
  t.equal(state(first), FREE);
  t.equal(state(second), FREE);
});

t.test('those who wait have it after a while', async (t) => {
  const { keptLock, first } = open();
  let keeps = 0;
  for (; keeps < 1_000_000; keeps++) {
    lockWaitedFor(first);
    keptLock.keepOrRelease(first, 0);
    if (state(first) === FREE) break;
  }
  t.ok(keeps > 0 && keeps < 1_000_000, `kept ${keeps} times`);
  // From then on it is kept again.
  lockWaitedFor(first);
  keptLock.keepOrRelease(first, 0);
  t.equal(state(first), WAITED_FOR);
  keptLock.letGo();
});

t.test('after a long command it is not kept', async (t) => {
  const { keptLock, first } = open();
  lockWaitedFor(first);
  keptLock.keepOrRelease(first, performance.now() - 1);
  t.equal(state(first), FREE);
  lockWaitedFor(first);
  keptLock.keepOrRelease(first, performance.now());
  t.equal(state(first), WAITED_FOR);
  keptLock.letGo();
  t.equal(state(first), FREE);
});

t.test('many connections with one queue: every member is popped once', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 4 });
  t.teardown(() => server.stop('SIGKILL'));
  const clients = 16;
  const rounds = 60;
  const depth = 32;
  const popped = await Promise.all(
    Array.from({ length: clients }, async (_, index) => {
      const client = server.client();
      const mine: string[] = [];
      for (let round = 0; round < rounds; round++) {
        const pipeline = client.pipeline();
        for (let count = 0; count < depth; count++) {
          pipeline.zadd('queue', count, `${index}:${round}:${count}`);
          pipeline.zpopmin('queue');
          // Takes all locks while one may be kept.
          if (count === depth / 2 && round % 8 === 0) pipeline.dbsize().mget('a', 'b', 'c').incr('other');
        }
        for (const [error, reply] of (await pipeline.exec())!) {
          if (error !== null) throw error;
          if (Array.isArray(reply) && reply.length === 2) mine.push(reply[0] as string);
        }
      }
      return mine;
    }),
  );
  const all = popped.flat();
  t.equal(all.length, clients * rounds * depth);
  t.equal(new Set(all).size, all.length);
  t.equal(await server.client().call('DEBUG', 'VERIFY'), 'OK');
});
