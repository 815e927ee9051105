/** Replication: chains, failover, restarts, what clients are told, what is refused. */

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import t from 'tap';
import { Random } from '../tools/random.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';
import {
  compare,
  endHistory,
  follow,
  info,
  start,
  until,
  untilCaughtUp,
  untilLinked,
  writeRandomly,
} from './pairs.js';

t.setTimeout(0);

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const random = new Random(seed);
t.comment(`seed ${seed}`);

t.test('a chain, and a failover within it', { skip: skipWithoutRedis() }, async (t) => {
  for (const kinds of [
    ['redis', 'damselfly', 'redis'],
    ['damselfly', 'damselfly', 'damselfly'],
  ] as const) {
    const servers = await Promise.all(kinds.map((kind) => start(kind)));
    const [a, b, c] = servers.map((server) => server.client());
    await follow(b!, servers[0]!);
    await untilLinked(b!);
    await follow(c!, servers[1]!);
    await untilLinked(c!);
    let isOver = false;
    const writer = writeRandomly(servers[0]!.client(), new Random(random.below(1e9)), () => isOver);
    await new Promise((resolve) => setTimeout(resolve, 500));
    isOver = true;
    await writer;
    t.same(await compare(a!, b!), []);
    t.same(await compare(b!, c!), []);
    const ids = await Promise.all(
      [a, b, c].map(async (client) => (await info(client!)).get('master_replid')),
    );
    t.equal(new Set(ids).size, 1, 'one history along the chain');
    await servers[1]!.untilLogged(/^\d+:S .*Synchronization with replica .* succeeded/m);
    await endHistory(a!, b!);
    await untilCaughtUp(b!, c!);
    await b!.call('REPLICAOF', 'NO', 'ONE');
    const promoted = await info(b!);
    t.equal(promoted.get('role'), 'master');
    t.equal(promoted.get('master_replid2'), ids[0]);
    await b!.set('after', 'failover');
    await follow(a!, servers[1]!);
    t.same(await compare(b!, c!), []);
    t.same(await compare(b!, a!), []);
    t.equal(await a!.get('after'), 'failover');
    const stats = await info(b!, 'stats');
    t.equal(stats.get('sync_full'), '1', 'nobody needs a full sync');
    await Promise.all(servers.map((server) => server.stop()));
  }
});

t.test('after a full sync, a stream goes on in the database that it has selected', async (t) => {
  for (const kinds of [
    ['damselfly', 'damselfly'],
    ['damselfly', 'redis'],
    ['redis', 'damselfly'],
  ] as const) {
    if (kinds.includes('redis' as never) && skipWithoutRedis() !== false) continue;
    const servers = await Promise.all([...kinds.map((kind) => start(kind)), start('damselfly')]);
    const [top, middle, leaf] = servers.map((server) => server.client());
    await follow(middle!, servers[0]!);
    await untilLinked(middle!);
    await top!.select(2);
    await top!.set('before', '1');
    await untilCaughtUp(top!, middle!);
    // What a replica passes on to another does not begin with SELECT.
    await follow(leaf!, servers[1]!);
    await untilLinked(leaf!);
    await top!.set('after', '1');
    await top!.sadd('set', ...Array.from({ length: 300 }, (_, index) => `member ${index}`));
    await untilCaughtUp(top!, middle!);
    t.same(await compare(middle!, leaf!), [], kinds.join(' '));
    await leaf!.call('DEBUG', 'VERIFY');
    await leaf!.select(2);
    t.equal(await leaf!.get('after'), '1', kinds.join(' '));
    await Promise.all(servers.map((server) => server.stop()));
  }
});

t.test(
  'a replica that is ahead of the one it follows now waits for it',
  { skip: skipWithoutRedis() },
  async (t) => {
    for (const kind of ['redis', 'damselfly'] as const) {
      const servers = await Promise.all([start('damselfly'), start('damselfly'), start(kind)]);
      const [top, middle, leaf] = servers.map((server) => server.client());
      for (const replica of [middle!, leaf!]) {
        await follow(replica, servers[0]!);
        await untilCaughtUp(top!, replica);
      }
      // The middle one receives what is written, but does not apply it.
      await middle!.client('PAUSE', '600000', 'WRITE');
      await top!.set('written', '1');
      await untilCaughtUp(top!, leaf!);
      await follow(leaf!, servers[1]!);
      await servers[1]!.untilLogged(/is ahead of this server/);
      await middle!.client('UNPAUSE');
      t.same(await compare(middle!, leaf!), [], kind);
      const stats = await info(middle!, 'stats');
      t.equal(stats.get('sync_full'), '0', kind);
      t.equal(stats.get('sync_partial_ok'), '1', kind);
      await Promise.all(servers.map((server) => server.stop()));
    }
  },
);

t.test('a stream in a database that the replica does not have', async (t) => {
  const primary = await start('damselfly', { databases: 16 });
  const middle = await start('damselfly', { databases: 16 });
  const leaf = await start('damselfly', { databases: 4 });
  const client = primary.client();
  await follow(middle.client(), primary);
  await untilLinked(middle.client());
  await client.select(10);
  await client.set('gone', '1');
  await client.del('gone');
  await untilCaughtUp(client, middle.client());
  await follow(leaf.client(), middle);
  await untilLinked(leaf.client());
  await client.set('other', '1');
  await untilCaughtUp(client, middle.client());
  await untilCaughtUp(middle.client(), leaf.client());
  await leaf.untilLogged(/CRITICAL.*database 10/);
  // As Redis does.
  t.equal(await leaf.client().get('other'), '1');
  await leaf.client().call('DEBUG', 'VERIFY');
  await Promise.all([primary, middle, leaf].map((server) => server.stop()));
});

t.test('a replica that is restarted goes on where it was', { skip: skipWithoutRedis() }, async (t) => {
  for (const kind of ['redis', 'damselfly'] as const) {
    const primary = await start(kind);
    const replica = await TestServer.start({ kind: 'damselfly', directives: { save: '3600 1' } });
    const there = primary.client();
    await there.mset('a', '1', 'b', '2');
    await follow(replica.client(), primary);
    await untilCaughtUp(there, replica.client());
    await replica.client().call('SAVE');
    await there.select(2);
    await there.set('c', '3');
    await untilCaughtUp(there, replica.client());
    const again = await TestServer.start({
      kind: 'damselfly',
      directives: {
        dir: replica.directory,
        replicaof: ['127.0.0.1', String(primary.port)],
      },
    });
    const here = again.client();
    t.same(await compare(there, here), []);
    t.equal((await info(there, 'stats')).get('sync_full'), '1');
    await again.stop();
    await replica.stop();
    await primary.stop();
  }
});

/** Ends a server whose files are needed again. */
async function kill(server: TestServer): Promise<void> {
  server.process.kill('SIGKILL');
  await server.exited;
}

/** Where nobody listens. */
const NOWHERE = ['127.0.0.1', '1'] as const;

t.test('what a replica saves while its link is down goes on in the right database', async (t) => {
  for (const kind of ['redis', 'damselfly'] as const) {
    if (kind === 'redis' && skipWithoutRedis() !== false) continue;
    const primary = await start(kind);
    const replica = await start('damselfly', { save: '3600 1' });
    const there = primary.client();
    await there.select(2);
    await there.set('a', '1');
    await follow(replica.client(), primary);
    await untilCaughtUp(there, replica.client());
    // The stream has selected the database.
    await there.set('b', '2');
    await untilCaughtUp(there, replica.client());
    await replica.client().call('REPLICAOF', ...NOWHERE);
    await replica.client().call('SAVE');
    await kill(replica);
    const alone = await start('damselfly', { dir: replica.directory, replicaof: [...NOWHERE] });
    await alone.client().call('SAVE');
    await kill(alone);
    const again = await start('damselfly', {
      dir: replica.directory,
      replicaof: ['127.0.0.1', String(primary.port)],
    });
    await untilLinked(again.client());
    await there.set('c', '3');
    t.same(await compare(there, again.client()), [], kind);
    t.equal((await info(there, 'stats')).get('sync_full'), '1', kind);
    await again.stop();
    await primary.stop();
  }
});

t.test('an append-only file that begins while the link is down goes on in the right database', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly', { appendonly: 'yes' });
  const [there, here] = [primary.client(), replica.client()];
  await there.select(2);
  await there.set('a', '1');
  await follow(here, primary);
  await untilCaughtUp(there, here);
  await there.set('b', '2');
  await untilCaughtUp(there, here);
  const untilRewritten = (count: string): Promise<void> =>
    until('the file has a new base', async () => {
      return (await info(here, 'persistence')).get('aof_rewrites') === count;
    });
  await untilRewritten('1');
  await here.call('REPLICAOF', ...NOWHERE);
  await here.call('BGREWRITEAOF');
  await untilRewritten('2');
  await follow(here, primary);
  await untilLinked(here);
  await there.set('c', '3');
  t.same(await there.call('WAITAOF', '0', '1', '0'), [0, 1]);
  t.equal((await info(there, 'stats')).get('sync_full'), '1');
  await kill(replica);
  const again = await start('damselfly', { dir: replica.directory, appendonly: 'yes' });
  const client = again.client();
  await client.select(2);
  t.equal(await client.get('c'), '3');
  await Promise.all([again.stop(), primary.stop()]);
});

t.test(
  'replicas of a primary that is restarted go on where they are',
  { skip: skipWithoutRedis() },
  async (t) => {
    for (const kind of ['redis', 'damselfly'] as const) {
      const primary = await start('damselfly');
      const replica = await start(kind);
      const here = replica.client({ retryStrategy: () => 20 });
      await follow(here, primary);
      await untilLinked(here);
      const there = primary.client();
      await there.mset('a', '1', 'b', '2');
      await there.set('short', '1', 'PX', 50);
      await there.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
      await untilCaughtUp(there, here);
      const before = await info(there);
      there.call('SHUTDOWN', 'SAVE').catch(() => {});
      await primary.exited;
      const again = await TestServer.start({
        kind: 'damselfly',
        port: primary.port,
        directives: { dir: primary.directory },
      });
      const back = again.client();
      t.equal((await info(back)).get('master_replid2'), before.get('master_replid'), kind);
      await back.set('c', '3');
      t.same(await compare(back, here), []);
      await until('the key has gone', async () => (await here.dbsize()) === 3);
      const stats = await info(back, 'stats');
      t.same([stats.get('sync_full'), stats.get('sync_partial_ok')], ['0', '1']);
      await Promise.all([again.stop(), primary.stop(), replica.stop()]);
    }
  },
);

t.test('a full sync through memory', async (t) => {
  for (const isDiskless of ['yes', 'no']) {
    const primary = await start('damselfly', { 'repl-diskless-sync': isDiskless });
    const replica = await start('damselfly', { 'repl-diskless-load': 'on-empty-db' });
    const there = primary.client();
    const here = replica.client();
    await there.call('DEBUG', 'POPULATE', '2000', 'key', '100');
    await here.set('own', '1');
    await follow(here, primary);
    t.same(await compare(there, here), []);
    t.match(replica.output(), /from master.* to disk/, 'there was a key');
    await here.call('REPLICAOF', 'NO', 'ONE');
    await here.config('SET', 'repl-diskless-load', 'swapdb');
    await there.config('SET', 'repl-backlog-size', '16kb');
    await there.call('DEBUG', 'POPULATE', '2000', 'other', '100');
    await follow(here, primary);
    t.same(await compare(there, here), []);
    t.match(replica.output(), /from master.* to memory/);
    await Promise.all([primary.stop(), replica.stop()]);
  }
});

t.test('REPLICAOF in a transaction', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly');
  t.teardown(() => Promise.all([primary.stop(), replica.stop()]));
  const here = replica.client();
  const replies = await here
    .multi()
    .call('REPLICAOF', '127.0.0.1', String(primary.port))
    .info('replication')
    .dbsize()
    .exec();
  t.match(replies?.[1]?.[1], /role:slave\r\n[\s\S]*master_link_status:down/);
  await untilCaughtUp(primary.client(), here);
  await here.multi().call('REPLICAOF', 'NO', 'ONE').dbsize().exec();
  await until('it is a primary', async () => (await info(here)).get('role') === 'master');
  t.equal(await here.set('a', '1'), 'OK');
});

t.test('a shutdown tells which replicas lack something', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly');
  t.teardown(() => Promise.all([primary.stop(), replica.stop('SIGKILL')]));
  const there = primary.client();
  await follow(replica.client(), primary);
  await untilCaughtUp(there, replica.client());
  await there.config('SET', 'shutdown-timeout', '1000');
  replica.process.kill('SIGSTOP');
  await there.set('a', '1');
  const refused = t.rejects(primary.client().call('SHUTDOWN'), /^ERR Errors trying to SHUTDOWN/);
  await until('it waits', async () =>
    /shutdown_in_milliseconds:[1-9]/.test((await there.info('server')).toString()),
  );
  t.equal(await there.call('SHUTDOWN', 'ABORT'), 'OK');
  await refused;
  await there.config('SET', 'shutdown-timeout', '1');
  there.call('SHUTDOWN').catch(() => {});
  await primary.exited;
  t.match(
    primary.output(),
    /Lagging replica 127\.0\.0\.1:\d+ reported offset \d+ behind master, lag=\d+, state=online\./,
  );
  t.match(primary.output(), '0 of 1 replicas are in sync when shutting down.');
});

t.test('what a replica needs that does not keep up is counted, but no key is evicted for it', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly');
  t.teardown(() => Promise.all([primary.stop(), replica.stop('SIGKILL')]));
  const client = primary.client();
  await follow(replica.client(), primary);
  await untilCaughtUp(client, replica.client());
  const memory = async () => {
    const fields = await info(client, 'memory');
    const field = (name: string) => Number(fields.get(name));
    return {
      used: field('used_memory'),
      counted: field('used_memory') - field('mem_not_counted_for_evict'),
      backlog: field('mem_replication_backlog'),
      replicas: field('mem_clients_slaves'),
      replication: field('mem_total_replication_buffers'),
    };
  };
  await client.config('SET', 'repl-backlog-size', '16kb');
  await client.config('SET', 'maxmemory-policy', 'allkeys-random');
  for (let key = 0; key < 50; key++) await client.setrange(`key:${key}`, 100_000, 'x');
  const before = await memory();
  await client.config('SET', 'maxmemory', before.counted + 2_000_000);
  replica.process.kill('SIGSTOP');
  const value = 'x'.repeat(100_000);
  for (let write = 0; write < 200; write++) await client.setrange('key:0', 0, value);
  await until('the replica lags behind', async () => (await memory()).replicas >= 5_000_000);
  const during = await memory();
  t.equal(during.replication, during.backlog + during.replicas);
  const growth = during.counted - before.counted;
  t.ok(Math.abs(growth) < 500_000, `the rest has grown by ${growth}`);
  t.ok(during.used > before.used + 5_000_000);
  t.equal(await client.dbsize(), 50);
  await client.call('CLIENT', 'KILL', 'TYPE', 'replica');
  await until('it is gone', async () => (await memory()).replicas === 0);
  t.equal(await client.dbsize(), 50);
  replica.process.kill('SIGCONT');
});

t.test('what clients of primaries and replicas are told', async (t) => {
  const primary = await start('damselfly', { 'min-replicas-to-write': 1 });
  const replica = await start('damselfly', { 'replica-serve-stale-data': 'no' });
  t.teardown(() => Promise.all([primary.stop(), replica.stop()]));
  const there = primary.client();
  const here = replica.client();
  await t.rejects(there.set('a', '1'), /^NOREPLICAS Not enough good replicas to write\.$/);
  await follow(here, primary);
  await untilLinked(here);
  await until('the replica is good', async () => (await info(there)).get('min_slaves_good_slaves') === '1');
  t.equal(await there.set('a', '1'), 'OK');
  t.equal(await there.wait(1, 0), 1);
  t.equal(await here.get('a'), '1');
  t.equal(await there.wait(2, 50), 1, 'the time is over');
  t.match(await there.client('LIST', 'TYPE', 'REPLICA'), /flags=S .*cmd=psync/);
  t.match(
    await here.client('LIST', 'TYPE', 'MASTER'),
    new RegExp(`addr=127.0.0.1:${primary.port} .*flags=M`),
  );
  await t.rejects(here.wait(1, 0), /^ERR WAIT cannot be used with replica instances/);
  const counted = await here.info('commandstats');
  t.match(counted, /cmdstat_set:calls=1,/, 'commands of the primary are counted');
  const connections = ((await there.client('LIST')) as string).trim().split('\n');
  const others = connections.filter((line) => !line.includes('flags=S')).length;
  t.equal((await info(there, 'clients')).get('connected_clients'), String(others), 'without replicas');
  const subscriber = replica.client();
  const message = new Promise((resolve) => subscriber.on('message', (...args) => resolve(args)));
  await subscriber.subscribe('news');
  await there.publish('news', 'hello');
  t.same(await message, ['news', 'hello'], 'messages reach subscribers of replicas');
  const reader = replica.client();
  const read = reader.call('XREAD', 'BLOCK', '0', 'STREAMS', 'x', '$');
  await until('the reader waits', async () => /\bblocked_clients:1\r/.test(await here.info('clients')));
  await there.xadd('x', '1-1', 'f', 'v');
  t.same(((await read) as unknown[]).flat(5), ['x', '1-1', 'f', 'v'], 'who waits on a replica is served');
  const next = reader.call('XREAD', 'BLOCK', '0', 'STREAMS', 'x', '$');
  await until('it waits again', async () => /\bblocked_clients:1\r/.test(await here.info('clients')));
  await there
    .pipeline()
    .xadd('x', '2-1', 'f', 'v')
    .xadd('x', '2-2', 'f', 'v')
    .xadd('x', '2-3', 'f', 'v')
    .exec();
  t.same(
    ((await next) as unknown[]).flat(5),
    ['x', '2-1', 'f', 'v'],
    'before the commands behind it are run',
  );
  await there.set('short', '1', 'PX', 50);
  await until('the key has gone', async () => (await here.get('short')) === null);
  const queued = replica.client();
  await queued.call('MULTI');
  await queued.call('GET', 'a');
  await primary.stop();
  await until('the link is down', async () => (await info(here)).get('master_link_status') === 'down');
  await t.rejects(
    here.get('a'),
    /^MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'\.$/,
  );
  await t.rejects(
    queued.call('EXEC'),
    /^EXECABORT Transaction discarded because of: MASTERDOWN Link with MASTER is down/,
    'what was queued while the link was up, too',
  );
  await here.call('REPLICAOF', 'NO', 'ONE');
  t.equal(await here.get('a'), '1');
  t.equal(await here.set('a', '2'), 'OK');
  for (const command of ['GET a', 'PING']) {
    const client = await replica.rawClient();
    t.equal(await client.text('MULTI'), '+OK\r\n');
    t.equal(await client.text(...command.split(' ')), '+QUEUED\r\n');
    await here.call('REPLICAOF', '127.0.0.1', String(primary.port));
    t.equal(
      await client.text('EXEC'),
      "-EXECABORT Transaction discarded because of: MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
      'what was queued while the link was up is asked again',
    );
    t.equal(await client.text('MULTI'), '+OK\r\n');
    t.equal(await client.text('EXEC'), '*0\r\n');
    await here.call('REPLICAOF', 'NO', 'ONE');
  }
});

t.test('a writable replica deletes what its own clients let expire, and nothing else', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly', { 'replica-read-only': 'no' });
  const [there, here] = [primary.client(), replica.client()];
  await there.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
  await follow(here, primary);
  await untilCaughtUp(there, here);
  await there.set('theirs', 'v', 'PX', 1);
  await untilCaughtUp(there, here);
  await here.set('set', 'v', 'PX', 1);
  await here.multi().set('lasting', 'v', 'PX', 50).persist('lasting').exec();
  await here.set('late', 'v', 'PX', 100_000);
  await here.hset('changed', 'f', 'v');
  await here.call('PEXPIRE', 'changed', '1');
  await here.multi().set('copied', 'v', 'PX', 50).copy('copied', 'copy').rename('copied', 'renamed').exec();
  await here.eval("redis.call('SET', KEYS[1], 'v', 'PX', 1)", 1, 'script');
  await here.multi().select(3).set('transaction', 'v', 'PX', 1).select(0).exec();
  await until('they are deleted', async () => (await here.dbsize()) === (await there.dbsize()) + 2);
  t.equal(await there.dbsize(), 1, 'what the primary keeps, the replica keeps');
  t.equal(await here.exists('theirs'), 0);
  t.equal(await here.exists('lasting', 'late'), 2);
  await here.select(3);
  await until('in another database, too', async () => (await here.dbsize()) === 0);
  t.equal(await here.call('DEBUG', 'VERIFY'), 'OK');

  // Then it is an ordinary primary.
  await here.select(0);
  await here.call('REPLICAOF', 'NO', 'ONE');
  await here.pexpire('late', 1);
  await until('all is deleted', async () => (await here.dbsize()) === 1);
  await Promise.all([primary, replica].map((server) => server.stop('SIGKILL')));
});

t.test('CLIENT KILL of a replica comes before what is written after it', async (t) => {
  const primary = await start('damselfly', { 'repl-backlog-size': 16_384 });
  const replica = await start('damselfly');
  const [there, here] = [primary.client(), replica.client()];
  await follow(here, primary);
  await untilCaughtUp(there, here);
  const syncs = async (): Promise<number> => Number((await info(there, 'stats')).get('sync_full'));
  const before = await syncs();
  const transaction = there.multi().call('CLIENT', 'KILL', 'TYPE', 'replica');
  for (let index = 0; index < 10; index++) transaction.set(`key:${index}`, 'v'.repeat(16_384));
  await transaction.exec();
  await until('it has to begin anew', async () => (await syncs()) > before);
  t.same(await compare(there, here), []);
  await Promise.all([primary, replica].map((server) => server.stop('SIGKILL')));
});

t.test('a snapshot for a replica that has gone is given up', async (t) => {
  const primary = await start('damselfly', { 'rdb-key-save-delay': 1_000_000 });
  const replica = await start('damselfly');
  const [there, here] = [primary.client(), replica.client()];
  await there.call('DEBUG', 'POPULATE', '1000');
  const isSaving = async (): Promise<boolean> =>
    (await info(there, 'persistence')).get('rdb_bgsave_in_progress') === '1';
  await follow(here, primary);
  await until('the snapshot has begun', isSaving);
  await here.call('REPLICAOF', 'NO', 'ONE');
  await until('it has ended', async () => !(await isSaving()));
  await primary.untilLogged('Background transfer cancelled');
  await there.config('SET', 'rdb-key-save-delay', '0');
  await follow(here, primary);
  t.same(await compare(there, here), []);
  await Promise.all([primary, replica].map((server) => server.stop('SIGKILL')));
});

t.test('a full sync that brings less is refused, if that is wanted', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly', { 'replica-full-sync-guard': 'yes' });
  t.teardown(() => Promise.all([primary.stop(), replica.stop()]));
  await replica.client().mset('a', '1', 'b', '2');
  await primary.client().set('c', '3');
  await follow(replica.client(), primary);
  await replica.untilLogged(
    'The full sync is refused: it brings 1 keys in the place of 2 (replica-full-sync-guard)',
  );
  t.equal(await replica.client().dbsize(), 2);
  await replica.client().config('SET', 'replica-full-sync-guard', 'no');
  await untilCaughtUp(primary.client(), replica.client());
  t.equal(await replica.client().get('c'), '3');
  t.equal(await replica.client().dbsize(), 1);
});

t.test('hashes whose fields expire are not for redis-server 7.0', { skip: skipWithoutRedis() }, async (t) => {
  const primary = await start('damselfly');
  const old = await start('redis');
  const same = await start('damselfly');
  t.teardown(() => Promise.all([primary.stop(), old.stop(), same.stop()]));
  const there = primary.client();
  await there.hset('h', 'a', '1', 'b', '2');
  await follow(old.client(), primary);
  await follow(same.client(), primary);
  await untilCaughtUp(there, old.client());
  await untilCaughtUp(there, same.client());
  await there.call('HEXPIRE', 'h', '1000', 'FIELDS', '1', 'a');
  await primary.untilLogged(/Replica 127\.0\.0\.1:\d+ is refused: there are hashes whose fields expire/);
  t.same(await compare(there, same.client()), []);
  t.equal((await info(old.client())).get('master_link_status'), 'down');
  await there.del('h');
  await until('it is back', async () => (await info(old.client())).get('master_link_status') === 'up');
  t.same(await compare(there, old.client()), []);
});

t.test('FAILOVER', async (t) => {
  const [one, two] = await Promise.all([start('damselfly'), start('damselfly')]);
  t.teardown(() => Promise.all([one!.stop(), two!.stop()]));
  const a = one!.client();
  const b = two!.client();
  await t.rejects(a.call('FAILOVER'), /^ERR FAILOVER requires connected replicas\.$/);
  await follow(b, one!);
  await untilLinked(b);
  await a.set('k', '1');
  t.equal(await a.call('FAILOVER', 'TO', '127.0.0.1', String(two!.port), 'TIMEOUT', '10000'), 'OK');
  await until('it has failed over', async () => (await info(b)).get('role') === 'master');
  await untilCaughtUp(b, a);
  t.equal(await b.set('k', '2'), 'OK');
  t.same(await compare(b, a), []);
  t.equal((await info(a)).get('master_failover_state'), 'no-failover');
  t.equal((await info(b, 'stats')).get('sync_full'), '0', 'without a full sync');
});

t.test('FAILOVER to a replica whose answer is lost', async (t) => {
  const primary = await start('damselfly');
  const asked: string[] = [];
  /** A replica that takes over after the timeout, and whose connection breaks before it has said so. */
  const target = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      for (const [, name, last] of bytes.toString('latin1').matchAll(/\*\d+\r\n\$\d+\r\n(\w+)([^*]*)/g)) {
        if (name === 'PING') socket.write('+PONG\r\n');
        if (name === 'REPLCONF' && !last!.includes('ACK')) socket.write('+OK\r\n');
        if (name !== 'PSYNC') continue;
        asked.push(last!.includes('FAILOVER') ? 'take over' : 'go on');
        if (asked.length === 1) setTimeout(() => socket.destroy(), 300);
        else if (asked.length === 2) socket.write("-ERR PSYNC FAILOVER can't be sent to a master.\r\n");
        else socket.write(`+CONTINUE ${'b'.repeat(40)}\r\n`);
      }
    });
  });
  target.listen(0, '127.0.0.1');
  await once(target, 'listening');
  const { port } = target.address() as net.AddressInfo;
  const link = net.connect(primary.port, '127.0.0.1');
  t.teardown(async () => {
    link.destroy();
    target.close();
    await primary.stop();
  });
  const there = primary.client();
  let received = '';
  link.on('data', (bytes) => {
    received += bytes.toString('latin1');
  });
  link.on('error', () => {});
  link.write(`REPLCONF listening-port ${port}\r\nREPLCONF capa psync2\r\n`);
  await until('it is known', async () => received.includes('+OK\r\n+OK'));
  link.write('PSYNC ? -1\r\n');
  await until('it is online', async () => /state=online/.test(await there.info('replication')));
  const offset = (await info(there)).get('master_repl_offset');
  link.write(`*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$${offset!.length}\r\n${offset}\r\n`);
  const acks = setInterval(() => {
    link.write('*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$7\r\n9999999\r\n');
  }, 20);
  t.teardown(() => clearInterval(acks));
  t.equal(await there.call('FAILOVER', 'TO', '127.0.0.1', String(port), 'TIMEOUT', '250'), 'OK');
  await until('it is over', async () => {
    const fields = await info(there);
    return (
      fields.get('master_failover_state') === 'no-failover' && fields.get('master_link_status') !== 'down'
    );
  });
  t.equal((await info(there)).get('role'), 'slave', 'there are not two primaries');
  t.same(asked, ['take over', 'take over', 'go on']);
});

t.test('a replica with an append-only file, and a shutdown that waits', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly', { appendonly: 'yes' });
  t.teardown(() => Promise.all([primary.stop(), replica.stop()]));
  const there = primary.client();
  const here = replica.client();
  await there.select(5);
  await there.set('a', '1');
  await follow(here, primary);
  await untilLinked(here);
  await until('the file has begun anew', async () => {
    const fields = await info(here, 'persistence');
    return fields.get('aof_rewrite_in_progress') === '0' && fields.get('aof_enabled') === '1';
  });
  await there.set('b', '2');
  await there.publish('channel', 'no part of the file');
  await there.call('BGSAVE');
  await here.call('BGREWRITEAOF');
  await until('it is rewritten', async () => {
    const fields = await info(here, 'persistence');
    return fields.get('aof_rewrite_in_progress') === '0' && fields.get('aof_rewrite_scheduled') === '0';
  });
  await there.set('c', '3');
  t.equal(await there.wait(1, 0), 1);
  t.same(await there.call('WAITAOF', '0', '1', '0'), [0, 1]);
  await there.set('d', '4');
  await primary.stop();
  await until('all is here', async () => {
    await here.select(5);
    return (await here.get('d')) === '4';
  });
  replica.process.kill('SIGTERM');
  await replica.exited;
  const again = await TestServer.start({
    kind: 'damselfly',
    directives: { dir: replica.directory, appendonly: 'yes' },
  });
  t.teardown(() => again.stop());
  const loaded = again.client();
  await loaded.select(5);
  t.same(await loaded.mget('a', 'b', 'c', 'd'), ['1', '2', '3', '4']);
});

t.test('nothing counts as written to an append-only file that has no base yet', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly', { 'rdb-key-save-delay': 80_000 });
  t.teardown(() => Promise.all([primary.stop(), replica.stop('SIGKILL')]));
  const there = primary.client();
  const here = replica.client();
  for (let key = 0; key < 100; key++) await there.set(`key:${key}`, 'value');
  await follow(here, primary);
  await untilCaughtUp(there, here);
  await here.config('SET', 'appendonly', 'yes');
  await replica.untilLogged('Background append only file rewriting started');
  await there.set('a', '1');
  t.same(await there.call('WAITAOF', '0', '1', '1500'), [0, 0]);
  await here.config('SET', 'rdb-key-save-delay', '0');
  t.same(await there.call('WAITAOF', '0', '1', '0'), [0, 1]);

  await there.config('SET', 'rdb-key-save-delay', '80000');
  await there.config('SET', 'appendonly', 'yes');
  await there.set('a', '2');
  t.same(await there.call('WAITAOF', '1', '0', '1500'), [0, 1]);
  await there.config('SET', 'rdb-key-save-delay', '0');
  t.same(await there.call('WAITAOF', '1', '0', '0'), [1, 1]);
});

t.test('what WAIT and WAITAOF answer', async (t) => {
  const primary = await start('damselfly', { appendonly: 'yes', appendfsync: 'no' });
  const replica = await start('damselfly');
  t.teardown(() => Promise.all([primary.stop(), replica.stop()]));
  const there = primary.client();
  await there.set('a', '1');
  t.same(await there.call('WAITAOF', '1', '0', '50'), [0, 0], 'nobody has asked the disk');
  const off = t.rejects(
    primary
      .client()
      .pipeline()
      .set('a', '1')
      .call('WAITAOF', '1', '0', '0')
      .exec()
      .then((replies) => {
        throw replies?.[1]?.[0];
      }),
    /^ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled\.$/,
  );
  await until('it waits', async () => /blocked_clients:1/.test(await there.info('clients')));
  await there.config('SET', 'appendonly', 'no');
  await off;
  await there.config('SET', 'appendonly', 'yes');
  await there.config('SET', 'appendfsync', 'everysec');
  await there.set('a', '1');
  t.same(await there.call('WAITAOF', '1', '0', '0'), [1, 0]);
  await follow(replica.client(), primary);
  await untilCaughtUp(there, replica.client());
  await there.set('a', '2');
  await t.rejects(there.call('WAIT', '2', '9223372036854775807'), /^ERR timeout is out of range$/);
  const waits = [there, primary.client()].map((client, index) => {
    const name = ['WAIT', 'WAITAOF'][index]!;
    const args = name === 'WAIT' ? ['5', '0'] : ['0', '5', '0'];
    return t.rejects(client.call(name, ...args), /^UNBLOCKED force unblock from blocking operation/);
  });
  const control = primary.client();
  await until('they wait', async () => /blocked_clients:2/.test(await control.info('clients')));
  await replica.client().call('REPLICAOF', 'NO', 'ONE');
  await follow(control, replica);
  await Promise.all(waits);
});

t.test("WAIT tells what is confirmed of its own client's writes", async (t) => {
  const primary = await TestServer.start({ kind: 'damselfly', threads: 1 });
  const replica = await start('damselfly');
  t.teardown(() => Promise.all([primary.stop(), replica.stop()]));
  const [there, other] = [primary.client(), primary.client()];
  const here = replica.client();
  await follow(here, primary);
  await untilCaughtUp(there, here);
  await there.set('a', '1');
  const waiting = there.call('WAIT', '2', '2000');
  await until('it is confirmed', async () => {
    const fields = await info(other);
    return fields.get('slave0')!.includes(`offset=${fields.get('master_repl_offset')},`);
  });
  await here.client('PAUSE', '60000', 'WRITE');
  await other.set('b', '2');
  t.equal(await waiting, 1, "others' writes do not count");
  t.equal(await there.call('WAIT', '-1', '0'), 1);
  t.equal(await other.call('WAIT', '-1', '0'), 0);
  await here.client('UNPAUSE');
  t.equal(await other.call('WAIT', '1', '0'), 1);
});

t.test('CLIENT PAUSE on a replica holds the stream back', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly');
  const [there, here] = [primary.client(), replica.client()];
  await there.set('a', '1');
  await follow(here, primary);
  await untilCaughtUp(there, here);
  await here.client('PAUSE', 100_000, 'WRITE');
  await there.set('a', '2');
  const read = async (): Promise<number> => Number((await info(here)).get('slave_read_repl_offset'));
  const sent = Number((await info(there)).get('master_repl_offset'));
  await until('the replica has read it', async () => (await read()) >= sent);
  t.equal(await here.get('a'), '1');
  t.ok(Number((await info(here)).get('slave_repl_offset')) < sent);
  await here.client('UNPAUSE');
  await untilCaughtUp(there, here);
  t.equal(await here.get('a'), '2');
  t.equal((await info(there, 'stats')).get('sync_full'), '1');
  await Promise.all([primary.stop(), replica.stop()]);
});

t.test('redis-cli --rdb', { skip: skipWithoutRedis() }, async (t) => {
  const primary = await start('damselfly');
  t.teardown(() => primary.stop());
  await primary.client().mset('a', '1', 'b', '2');
  const file = path.join(primary.directory, 'copy.rdb');
  execFileSync('redis-cli', ['-p', String(primary.port), '--rdb', file], { stdio: 'pipe', timeout: 60_000 });
  t.match(execFileSync('redis-check-rdb', [file]).toString(), /RDB looks OK/);
  const functions = path.join(primary.directory, 'functions.rdb');
  execFileSync('redis-cli', ['-p', String(primary.port), '--functions-rdb', functions], {
    stdio: 'pipe',
    timeout: 60_000,
  });
  t.match(execFileSync('redis-check-rdb', [functions]).toString(), /RDB looks OK/);
});
