/**
 * Scripts from all workers over a few keys, most of them declared wrongly, beside transactions, blocking commands and
 * snapshots: nothing waits for ever, no script is seen half, and no update is lost.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { Random } from '../tools/random.js';
import { TestServer } from '../tools/server.js';

const THREADS = 4;
const ACCOUNTS = 24;
const CLIENTS = 12;
const ROUNDS = 400;
/** A script that waits for longer waits for ever. */
const STUCK_MS = 60_000;

const account = (index: number): string => `account:${index}`;

/** Moves money between two accounts: whose names are in ARGV, whichever KEYS says. */
const TRANSFER = `
  local from, to = ARGV[1], ARGV[2]
  local amount = tonumber(ARGV[3])
  if tonumber(redis.call('GET', from)) < amount then return 0 end
  redis.call('DECRBY', from, amount)
  redis.call('INCRBY', to, amount)
  return 1`;
/** The same over declared keys. */
const DECLARED = `
  if tonumber(redis.call('GET', KEYS[1])) < tonumber(ARGV[1]) then return 0 end
  redis.call('DECRBY', KEYS[1], ARGV[1])
  redis.call('INCRBY', KEYS[2], ARGV[1])
  return 1`;
/** Moves money along a chain of accounts, and so locks one shard after the other. */
const CHAIN = `
  local moved = 0
  for index = 2, #ARGV do
    if tonumber(redis.call('GET', ARGV[index - 1])) > 0 then
      redis.call('DECR', ARGV[index - 1])
      redis.call('INCR', ARGV[index])
      moved = moved + 1
    end
  end
  return moved`;
/** Adds everything up, in whatever order. */
const SUM = `
  local sum = 0
  for _, name in ipairs(ARGV) do sum = sum + redis.call('GET', name) end
  return sum`;
/** Needs all shards in the middle. */
const COUNT = `
  local before = redis.call('GET', ARGV[1])
  redis.call('INCR', ARGV[1])
  local count = redis.call('DBSIZE')
  redis.call('DECR', ARGV[1])
  return redis.call('GET', ARGV[1]) == before and count or -1`;
/** Serves somebody who waits. */
const PUSH = `
  redis.call('RPUSH', ARGV[1], ARGV[2])
  redis.call('INCR', ARGV[3])
  redis.call('DECR', ARGV[3])
  return redis.call('LLEN', ARGV[1])`;

const within = async <T>(promise: Promise<T>, what: string): Promise<T> => {
  const timer = new AbortController();
  const late = delay(STUCK_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what} is stuck`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
};

type Job = (client: Redis, random: Random) => Promise<void>;

function jobs(t: Test, names: readonly string[], total: number): Job[] {
  const some = (random: Random, count: number): string[] =>
    Array.from({ length: count }, () => random.pick(names));
  const wrong = (random: Random): string[] => some(random, random.below(3));
  return [
    async (client, random) => {
      const keys = wrong(random);
      await client.eval(TRANSFER, keys.length, ...keys, ...some(random, 2), random.below(20));
    },
    async (client, random) => {
      await client.eval(DECLARED, 2, ...some(random, 2), random.below(20));
    },
    async (client, random) => {
      const keys = wrong(random);
      await client.eval(CHAIN, keys.length, ...keys, ...some(random, 2 + random.below(10)));
    },
    async (client, random) => {
      const order = [...names];
      random.shuffle(order);
      const keys = wrong(random);
      const sum = await client.eval(SUM, keys.length, ...keys, ...order);
      if (sum !== total) t.equal(sum, total, 'a script sees all or nothing of the others');
    },
    async (client, random) => {
      const count = await client.eval(COUNT, 0, random.pick(names));
      if (Number(count) < names.length) t.ok(false, `a script has counted ${count}`);
    },
    async (client, random) => {
      const [from, to] = some(random, 2) as [string, string];
      const replies = await client
        .multi()
        .eval(TRANSFER, 0, from, to, random.below(5))
        .decr(from)
        .eval(CHAIN, 1, from, ...some(random, 4))
        .incr(from)
        .exec();
      for (const [error] of replies ?? []) if (error) t.error(error);
    },
    async (client) => {
      const values = await client.mget(...names);
      const sum = values.reduce((left, value) => left + Number(value), 0);
      if (sum !== total) t.equal(sum, total, 'MGET sees all or nothing of a script');
    },
  ];
}

for (const appendOnly of ['no', 'yes']) {
  t.test(`the sum stays what it is (appendonly ${appendOnly})`, async (t) => {
    const server = await TestServer.start({
      kind: 'damselfly',
      threads: THREADS,
      directives: { appendonly: appendOnly },
    });
    t.teardown(() => server.stop('SIGKILL'));
    const seed = Date.now() % 1_000_000;
    t.comment(`seed ${seed}`);
    const names = Array.from({ length: ACCOUNTS }, (_, index) => account(index));
    const total = ACCOUNTS * 100;
    const first = server.client();
    await first.mset(...names.flatMap((name) => [name, '100']));
    const all = jobs(t, names, total);
    let isOver = false;
    const pushed: string[] = [];
    const popped: string[] = [];
    const popping = Promise.all(
      Array.from({ length: 3 }, async () => {
        const client = server.client();
        while (!isOver) {
          const got = await client.blpop('queue:1', 'queue:2', 0.2);
          if (got !== null) popped.push(got[1]);
        }
      }),
    );
    const saving = (async () => {
      const client = server.client();
      while (!isOver) {
        await client.call(appendOnly === 'yes' ? 'BGREWRITEAOF' : 'BGSAVE').catch(() => {});
        await delay(100);
      }
    })();
    const work = Promise.all(
      Array.from({ length: CLIENTS }, async (_, index) => {
        const client = server.client();
        const random = new Random(seed + index);
        for (let round = 0; round < ROUNDS; round++) {
          if (random.below(10) === 0) {
            const item = `${index}:${round}`;
            pushed.push(item);
            await client.eval(PUSH, 0, random.pick(['queue:1', 'queue:2']), item, random.pick(names));
          } else {
            await random.pick(all)(client, random);
          }
        }
      }),
    );
    try {
      await within(work, 'the work');
    } finally {
      isOver = true;
    }
    await within(Promise.all([popping, saving]), 'what runs beside it');
    for (const queue of ['queue:1', 'queue:2']) popped.push(...(await first.lrange(queue, 0, -1)));
    t.same(popped.sort(), pushed.sort(), 'every item was taken once');
    const values = await first.mget(...names);
    t.equal(
      values.reduce((sum, value) => sum + Number(value), 0),
      total,
    );
    t.equal(await first.call('DEBUG', 'VERIFY').catch(String), 'OK', 'all shards are sound');
    if (appendOnly === 'yes') {
      await first.call('DEBUG', 'LOADAOF');
      const loaded = await first.mget(...names);
      t.same(loaded, values, 'the append-only file has the same');
    }
    t.notMatch(server.stderr, /BUG REPORT/);
  });
}
