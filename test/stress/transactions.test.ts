/**
 * Many clients on four workers at once: no update is lost, nobody sees half of a change, and in the end every
 * data structure is sound.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Redis, RedisOptions } from 'ioredis';
import t, { type Test } from 'tap';
import { Random } from '../tools/random.js';
import { TestServer } from '../tools/server.js';

const THREADS = 4;

const start = async (t: Test) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS });
  t.teardown(() => server.stop('SIGKILL'));
  return server;
};

const verify = async (t: Test, server: TestServer): Promise<void> => {
  t.equal(await server.client().call('DEBUG', 'VERIFY').catch(String), 'OK', 'all shards are sound');
  t.notMatch(server.stderr, /BUG REPORT/);
};

/** Runs a job for each of `count` clients at once. */
const together = (
  server: TestServer,
  count: number,
  job: (client: Redis, index: number) => Promise<void>,
  options: RedisOptions = {},
) => Promise.all(Array.from({ length: count }, (_, index) => job(server.client(options), index)));

t.test('no increment is lost', async (t) => {
  const server = await start(t);
  const rounds = 1500;
  const clients = 12;
  await together(server, clients, async (client, index) => {
    const random = new Random(index);
    for (let round = 0; round < rounds; round += 50) {
      const pipeline = client.pipeline();
      for (let count = 0; count < 50; count++) {
        pipeline.incr('one');
        pipeline.incr(`one of few:${random.below(8)}`);
        pipeline.append('log', 'x');
      }
      await pipeline.exec();
    }
  });
  const client = server.client();
  t.equal(await client.get('one'), String(rounds * clients));
  const few = await client.mget(Array.from({ length: 8 }, (_, index) => `one of few:${index}`));
  t.equal(
    few.reduce((sum, value) => sum + Number(value), 0),
    rounds * clients,
  );
  t.equal(await client.strlen('log'), rounds * clients);
  await verify(t, server);
});

t.test('MSET and MGET are never torn', async (t) => {
  const server = await start(t);
  const keys = Array.from({ length: 10 }, (_, index) => `part:${index}`);
  await server.client().mset(...keys.flatMap((key) => [key, 'start']));
  let torn = 0;
  let reads = 0;
  await together(server, 12, async (client, index) => {
    const random = new Random(index);
    for (let round = 0; round < 1500; round++) {
      random.shuffle(keys);
      if (index < 4) {
        // Values of other lengths, so that entries move.
        const value = `${index}-${round}`.padEnd(random.below(60), '.');
        const pairs = keys.flatMap((key) => [key, value]);
        if (random.chance(0.1)) await client.msetnx(...pairs);
        else await client.mset(...pairs);
      } else {
        const values = await client.mget(keys);
        reads++;
        if (new Set(values).size !== 1) torn++;
      }
    }
  });
  t.equal(torn, 0, `of ${reads} reads`);
  await verify(t, server);
});

t.test('transfers keep the sum', async (t) => {
  const server = await start(t);
  const accounts = Array.from({ length: 20 }, (_, index) => `account:${index}`);
  await server.client().mset(...accounts.flatMap((account) => [account, '100']));
  const sumOf = (values: (string | null)[]) => values.reduce((sum, value) => sum + Number(value), 0);
  const wrong: number[] = [];
  await together(server, 12, async (client, index) => {
    const random = new Random(index);
    for (let round = 0; round < 800; round++) {
      const [from, to] = random.shuffle([...accounts]);
      const amount = random.below(10);
      if (index < 6) {
        await client.multi().decrby(from!, amount).incrby(to!, amount).exec();
      } else if (index < 8) {
        // A transaction that gives and takes back, and renames in between.
        await client
          .multi()
          .incrby(from!, amount)
          .rename(to!, 'aside')
          .decrby(from!, amount)
          .rename('aside', to!)
          .exec();
      } else {
        const values =
          index % 2 === 0
            ? await client.mget(accounts)
            : ((await client.multi().mget(accounts).exec())![0]![1] as string[]);
        const sum = sumOf(values);
        if (sum !== 2000) wrong.push(sum);
      }
    }
  });
  t.strictSame(wrong, []);
  t.equal(sumOf(await server.client().mget(accounts)), 2000);
  await verify(t, server);
});

t.test('WATCH lets one through, never two', async (t) => {
  const server = await start(t);
  const keys = ['a', 'b', 'c'];
  const successes = { a: 0, b: 0, c: 0 } as Record<string, number>;
  let failures = 0;
  await together(server, 10, async (client, index) => {
    const random = new Random(index);
    for (let round = 0; round < 300; round++) {
      const key = random.pick(keys);
      await client.watch(key, random.pick(keys), `unrelated:${index}`);
      const value = Number(await client.get(key));
      const results = await client
        .multi()
        .set(key, value + 1)
        .set(`unrelated:${index}`, round)
        .exec();
      if (results === null) failures++;
      else successes[key]!++;
    }
  });
  const client = server.client();
  for (const key of keys)
    t.equal(Number(await client.get(key)), successes[key], `${key}: every EXEC counted`);
  t.ok(failures > 0, `${failures} transactions have failed`);
  await verify(t, server);
});

t.test('everything at once, with clients that vanish', async (t) => {
  const seed = Date.now() % 1_000_000;
  const server = await start(t);
  const deadline = Date.now() + 4000;
  const unexpected = new Set<string>();
  let isOver = false;
  const names = Array.from({ length: 60 }, (_, index) => `key:${index}`);
  let steps = 0;
  const swarm = together(
    server,
    10,
    async (client, index) => {
      const random = new Random(seed + index);
      const choices: (() => Promise<unknown>)[] = [
        () => client.set(random.pick(names), 'v'.repeat(random.below(random.pick([10, 1000, 100_000])))),
        () => client.psetex(random.pick(names), 1 + random.below(50), 'brief'),
        () => client.get(random.pick(names)),
        () => client.append(random.pick(names), 'x'.repeat(random.below(300))),
        () => client.setrange(random.pick(names), random.below(2000), 'range'),
        () => client.del(random.pick(names), random.pick(names), random.pick(names)),
        () => client.rename(random.pick(names), random.pick(names)),
        () => client.copy(random.pick(names), random.pick(names), 'REPLACE'),
        () => client.copy(random.pick(names), random.pick(names), 'DB', random.below(4)),
        () => client.move(random.pick(names), random.below(4)),
        () => client.select(random.below(4)),
        () => client.pexpire(random.pick(names), random.below(100)),
        () => client.persist(random.pick(names)),
        () => client.mset(...names.slice(random.below(50)).flatMap((name) => [name, '1'])),
        () => client.mget(names),
        () => client.getdel(random.pick(names)),
        () => client.randomkey(),
        () => client.scan(random.below(1000), 'COUNT', 20),
        () => client.keys('key:*'),
        () => client.swapdb(random.below(4), random.below(4)),
        () => (random.chance(0.2) ? client.flushdb() : client.dbsize()),
        () => (random.chance(0.05) ? client.flushall('ASYNC') : client.info()),
        () => client.watch(random.pick(names)),
        () =>
          client
            .multi()
            .set(random.pick(names), 'in a transaction')
            .rename(random.pick(names), random.pick(names))
            .swapdb(0, random.below(4))
            .del(random.pick(names))
            .exec(),
      ];
      while (Date.now() < deadline) {
        const burst = Array.from({ length: random.between(1, 8) }, () => random.pick(choices)());
        for (const result of await Promise.allSettled(burst)) {
          if (result.status === 'fulfilled') {
            steps++;
            continue;
          }
          const text = String(result.reason);
          if (!/no such key|the same$|MOVE|WATCH inside MULTI|not an integer/.test(text))
            unexpected.add(text);
        }
      }
    },
    { retryStrategy: () => 5 },
  );
  const vanishing = (async () => {
    const random = new Random(seed);
    while (!isOver) {
      const client = await server.rawClient();
      client.write('*3\r\n$3\r\nSET\r\n$5\r\nkey:1\r\n$100\r\nhalf of a val');
      if (random.chance(0.5)) {
        client.write('ue'.repeat(100));
      }
      const other = await server.rawClient();
      other.send('WATCH', ...names);
      other.send('MULTI');
      other.send('SET', random.pick(names), 'never');
      if (random.chance(0.5)) other.send('EXEC');
      for (let count = 0; count < 50; count++) other.send('MGET', ...names);
      await delay(random.below(20));
      await Promise.all([client.close(), other.close()]);
    }
  })();
  const killer = (async () => {
    const client = server.client();
    while (!isOver) {
      await delay(50);
      const list = String(await client.client('LIST'));
      const victim = /id=(\d+) [^\n]*cmd=watch/.exec(list);
      if (victim !== null) await client.client('KILL', 'ID', victim[1]!).catch(() => {});
    }
  })();
  await swarm;
  isOver = true;
  await Promise.all([vanishing, killer]);
  for (const text of [...unexpected])
    if (/Connection is closed|ECONN|EPIPE/.test(text)) unexpected.delete(text);
  t.strictSame([...unexpected], [], `seed ${seed}`);
  t.ok(steps > 1000, `${steps} steps`);
  await verify(t, server);
  const client = server.client();
  await client.flushall();
  t.match(await client.info('memory'), /used_memory_dataset:0\r/, 'nothing is left behind');
});
