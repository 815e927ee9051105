/** What applications do, with both common drivers: a session store, a rate limiter, a cache. */

import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from 'redis';
import t, { type Test } from 'tap';
import { TestServer } from '../tools/server.js';

/** The commands that the applications below use, as either driver offers them. */
interface Store {
  get(key: string): Promise<string | null>;
  setForMs(key: string, value: string, milliseconds: number): Promise<unknown>;
  setIfAbsent(key: string, value: string, milliseconds: number): Promise<boolean>;
  refresh(key: string, milliseconds: number): Promise<unknown>;
  remainingMs(key: string): Promise<number>;
  del(key: string): Promise<number>;
  getMany(keys: string[]): Promise<(string | null)[]>;
  /** INCR and PEXPIRE NX in one transaction; returns the count. */
  countInWindow(key: string, milliseconds: number): Promise<number>;
  /** Reads, changes and writes back under WATCH; false if somebody else was faster. */
  update(key: string, change: (value: string) => string): Promise<boolean>;
  keysLike(pattern: string): Promise<string[]>;
}

function withIoredis(server: TestServer): Store {
  const client = server.client({ enableAutoPipelining: true });
  const watching = server.client();
  return {
    get: (key) => client.get(key),
    setForMs: (key, value, milliseconds) => client.set(key, value, 'PX', milliseconds),
    setIfAbsent: async (key, value, milliseconds) =>
      (await client.set(key, value, 'PX', milliseconds, 'NX')) === 'OK',
    refresh: (key, milliseconds) => client.pexpire(key, milliseconds),
    remainingMs: (key) => client.pttl(key),
    del: (key) => client.del(key),
    getMany: (keys) => client.mget(keys),
    countInWindow: async (key, milliseconds) => {
      const results = await client.multi().incr(key).pexpire(key, milliseconds, 'NX').exec();
      return results![0]![1] as number;
    },
    update: async (key, change) => {
      await watching.watch(key);
      const value = (await watching.get(key)) ?? '';
      return (await watching.multi().set(key, change(value), 'KEEPTTL').exec()) !== null;
    },
    keysLike: async (pattern) => {
      const found = new Set<string>();
      for await (const keys of client.scanStream({ match: pattern, count: 50 })) {
        for (const key of keys as string[]) found.add(key);
      }
      return [...found];
    },
  };
}

async function withNodeRedis(t: Test, server: TestServer, protocol: 2 | 3): Promise<Store> {
  const open = async () => {
    const client = createClient({ url: `redis://127.0.0.1:${server.port}`, RESP: protocol });
    client.on('error', () => {});
    await client.connect();
    t.teardown(() => client.destroy());
    return client;
  };
  const client = await open();
  const watching = await open();
  return {
    get: (key) => client.get(key),
    setForMs: (key, value, milliseconds) => client.set(key, value, { PX: milliseconds }),
    setIfAbsent: async (key, value, milliseconds) =>
      (await client.set(key, value, { PX: milliseconds, NX: true })) === 'OK',
    refresh: (key, milliseconds) => client.pExpire(key, milliseconds),
    remainingMs: (key) => client.pTTL(key),
    del: (key) => client.del(key),
    getMany: (keys) => client.mGet(keys),
    countInWindow: async (key, milliseconds) => {
      const [count] = await client.multi().incr(key).pExpire(key, milliseconds, 'NX').exec();
      return Number(count);
    },
    update: async (key, change) => {
      await watching.watch(key);
      const value = (await watching.get(key)) ?? '';
      try {
        await watching.multi().set(key, change(value), { KEEPTTL: true }).exec();
        return true;
      } catch (error) {
        if ((error as Error).constructor.name === 'WatchError') return false;
        throw error;
      }
    },
    keysLike: async (pattern) => {
      const found = new Set<string>();
      for await (const keys of client.scanIterator({ MATCH: pattern, COUNT: 50 })) {
        for (const key of keys) found.add(key);
      }
      return [...found];
    },
  };
}

async function sessionStore(t: Test, store: Store): Promise<void> {
  const users = Array.from({ length: 300 }, (_, index) => `session:${index}`);
  await Promise.all(users.map((key) => store.setForMs(key, JSON.stringify({ key, visits: 0 }), 60_000)));
  await Promise.all(users.map((key) => store.refresh(key, 120_000)));
  for (const key of users.slice(0, 20)) {
    const updated = await store.update(key, (text) => {
      const session = JSON.parse(text);
      session.visits++;
      return JSON.stringify(session);
    });
    t.ok(updated);
    const { visits } = JSON.parse((await store.get(key))!);
    t.equal(visits, 1);
    t.ok((await store.remainingMs(key)) > 0, 'it keeps its time');
  }
  t.equal((await store.keysLike('session:*')).length, users.length);
  t.equal(await store.del(users[0]!), 1, 'logged out');
  t.equal(await store.get(users[0]!), null);
  await store.setForMs('session:brief', 'x', 30);
  while ((await store.get('session:brief')) !== null) await delay(5);
  t.equal(await store.remainingMs('session:brief'), -2);
}

async function rateLimiter(t: Test, store: Store): Promise<void> {
  const limit = 10;
  const isAllowed = async (user: string) => (await store.countInWindow(`rate:${user}`, 60_000)) <= limit;
  const answers = await Promise.all(Array.from({ length: 50 }, () => isAllowed('eager')));
  t.equal(answers.filter(Boolean).length, limit);
  t.ok(await isAllowed('other'));
  const remaining = await store.remainingMs('rate:eager');
  t.ok(remaining > 0 && remaining <= 60_000);
}

async function cache(t: Test, store: Store): Promise<void> {
  let computed = 0;
  const read = async (id: number): Promise<string> => {
    const known = await store.get(`cache:${id}`);
    if (known !== null) return known;
    // Only who gets the lock computes.
    if (await store.setIfAbsent(`lock:${id}`, 'mine', 10_000)) {
      computed++;
      await store.setForMs(`cache:${id}`, `result ${id}`, 60_000);
    }
    for (;;) {
      const value = await store.get(`cache:${id}`);
      if (value !== null) return value;
      await delay(1);
    }
  };
  const results = await Promise.all(Array.from({ length: 400 }, (_, index) => read(index % 40)));
  t.ok(results.every((result, index) => result === `result ${index % 40}`));
  t.equal(computed, 40, 'each computed once');
  const values = await store.getMany(['cache:0', 'cache:39', 'cache:40']);
  t.strictSame(values, ['result 0', 'result 39', null]);
}

t.test('applications', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 3 });
  t.teardown(() => server.stop('SIGKILL'));
  const drivers: [string, (t: Test) => Promise<Store>][] = [
    ['ioredis', async () => withIoredis(server)],
    ['node-redis, RESP2', (t) => withNodeRedis(t, server, 2)],
    ['node-redis, RESP3', (t) => withNodeRedis(t, server, 3)],
  ];
  for (const [name, open] of drivers) {
    await t.test(name, async (t) => {
      await server.client().flushall();
      const store = await open(t);
      await t.test('a session store', (t) => sessionStore(t, store));
      await t.test('a rate limiter', (t) => rateLimiter(t, store));
      await t.test('a cache', (t) => cache(t, store));
    });
  }
  t.equal(await server.client().call('DEBUG', 'VERIFY'), 'OK');
});
