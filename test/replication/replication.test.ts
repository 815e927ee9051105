/** Replication: chains, failover, restarts, what clients are told, what is refused. */

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import t from 'tap';
import { Random } from '../tools/random.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';
import { compare, follow, info, start, until, untilCaughtUp, untilLinked, writeRandomly } from './pairs.js';

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
