/** Full syncs with `repl-diskless-load swapdb`: the replica goes on with the data that it has until it has the other. */

import path from 'node:path';
import type { Redis } from 'ioredis';
import t from 'tap';
import { distDirectory, numberOf, skipWithoutRedis, TestServer } from '../tools/server.js';
import { compare, follow, start, until, untilCaughtUp } from './pairs.js';

t.setTimeout(0);

const KEYS = 3000;
const SMALL_SHARDS = path.join(distDirectory, 'test', 'tools', 'small-shards.js');
const SHARD_BYTES = 1 << 20;
const OLD_FUNCTION =
  "#!lua name=lib\nredis.register_function{function_name='which', callback=function() return 'old' end, flags={'no-writes'}}";
const NEW_FUNCTION = OLD_FUNCTION.replace("'old'", "'new'");
const REFUSED = '-LOADING Redis is loading the dataset in memory\r\n';
const PRIMARY = { 'repl-backlog-size': '16kb', 'repl-diskless-sync': 'yes' };

/** Changes the data while the replica has no primary, by so much that it can't go on where it was. */
async function leaveBehind(
  primary: TestServer,
  replica: Redis,
  change: readonly (readonly string[])[],
): Promise<void> {
  const client = await primary.rawClient();
  await replica.call('REPLICAOF', '127.0.0.1', '1');
  const filling = 'x'.repeat(100_000);
  await client.pipeline([...Array.from({ length: 40 }, () => ['SET', 'filling', filling]), ...change]);
  await client.close();
  await follow(replica, primary);
}

async function isAsync(server: TestServer): Promise<boolean> {
  const client = await server.rawClient();
  const info = await client.text('INFO', 'persistence');
  await client.close();
  return numberOf(info, 'async_loading') === 1 && numberOf(info, 'loading') === 0;
}

for (const kind of ['damselfly', 'redis'] as const) {
  t.test(`a later state of the data, of a ${kind}`, { skip: skipWithoutRedis() }, async (t) => {
    const primary = await start(kind, PRIMARY);
    const replica = await start('damselfly', { 'repl-diskless-load': 'swapdb', save: '3600 1' });
    const there = primary.client();
    const here = replica.client();
    t.teardown(() => Promise.all([primary.stop('SIGKILL'), replica.stop('SIGKILL')]));
    await there.call('DEBUG', 'POPULATE', KEYS, 'key', 50);
    await there.rpush('list', ...Array.from({ length: 2000 }, (_, number) => `${number}`));
    await there.set('state', 'old');
    await there.xadd('stream', '1-0', 'field', 'old');
    await there.call('FUNCTION', 'LOAD', OLD_FUNCTION);
    await there.select(3);
    await there.set('gone', 'old');
    await follow(here, primary);
    await untilCaughtUp(there, here);
    const [watcher, reader, other] = await Promise.all([1, 2, 3].map(() => replica.rawClient()));
    await watcher!.pipeline([['WATCH', 'state'], ['MULTI'], ['GET', 'state']]);
    reader!.send('XREAD', 'BLOCK', '0', 'STREAMS', 'stream', '$');

    await there.config('SET', 'rdb-key-save-delay', '4000');
    await here.call('BGSAVE');
    await leaveBehind(primary, here, [
      ['SELECT', '0'],
      ['SET', 'state', 'new'],
      ['DEL', 'list', 'key:7'],
      ['XADD', 'stream', '2-0', 'field', 'new'],
      ['FUNCTION', 'LOAD', 'REPLACE', NEW_FUNCTION],
      ['SELECT', '3'],
      ['DEL', 'gone'],
      ['SELECT', '5'],
      ['SET', 'come', 'new'],
    ]);
    for (const round of ['received', 'received again']) {
      await until('it is received', () => isAsync(replica));
      t.equal(await other!.text('GET', 'state'), '$3\r\nold\r\n', round);
      t.equal(await other!.text('LLEN', 'list'), ':2000\r\n');
      t.equal(await other!.text('FCALL', 'which', '0'), '$3\r\nold\r\n');
      t.equal(await other!.text('EVAL', 'return redis.call("GET", "state")', '0'), '$3\r\nold\r\n');
      t.match(await other!.text('SET', 'state', 'x'), /^-READONLY/);
      const refused = ['BGSAVE', 'SAVE', 'BGREWRITEAOF', 'REPLICAOF NO ONE', 'CONFIG SET appendonly yes'];
      for (const command of refused) t.equal(await other!.text(...command.split(' ')), REFUSED, command);
      t.ok(await isAsync(replica), 'all of that while it is received');
      if (round === 'received') {
        await there.call('CLIENT', 'KILL', 'TYPE', 'replica');
        await until('the transfer is given up', async () => !(await isAsync(replica)));
        t.equal(await other!.text('DBSIZE'), `:${KEYS + 3}\r\n`);
        t.equal(await other!.text('GET', 'state'), '$3\r\nold\r\n', 'nothing of it is seen');
      }
    }
    await there.config('SET', 'rdb-key-save-delay', '0');
    await there.call('CLIENT', 'KILL', 'TYPE', 'replica');
    t.match(String(await reader!.read()), /2-0/, 'who waits for the key is served');
    await untilCaughtUp(there, here);
    t.same(await compare(there, here), []);
    t.equal(await watcher!.text('EXEC'), '*-1\r\n', 'a watched key has changed');
    t.equal(await other!.text('FCALL', 'which', '0'), '$3\r\nnew\r\n');
    t.equal(await other!.text('DBSIZE'), `:${KEYS + 2}\r\n`);
    t.equal(await other!.text('DEBUG', 'VERIFY'), '+OK\r\n');
    await replica.untilLogged('MASTER <-> REPLICA sync: Swapping active DB with loaded DB');
    t.equal(await other!.text('BGSAVE'), '+Background saving started\r\n');
    await until('it is saved', async () =>
      (await here.info('persistence')).includes('rdb_bgsave_in_progress:0'),
    );
    t.match(await here.info('persistence'), /rdb_last_bgsave_status:ok/);
    await there.set('after', 'all');
    t.same(await compare(there, here), []);
  });
}

t.test('clients read old or new data; without room for both, they wait', async (t) => {
  for (const keys of [8000, 20_000]) {
    const primary = await start('damselfly', PRIMARY);
    const replica = await TestServer.start({
      kind: 'damselfly',
      threads: 3,
      nodeOptions: ['--import', SMALL_SHARDS],
      environment: { DAMSELFLY_TEST_SHARD_BYTES: String(SHARD_BYTES) },
      directives: { 'repl-diskless-load': 'swapdb', 'repl-ping-replica-period': 1 },
    });
    t.teardown(() => Promise.all([primary.stop('SIGKILL'), replica.stop('SIGKILL')]));
    const there = primary.client();
    const here = replica.client();
    await there.call('DEBUG', 'POPULATE', keys, 'key', 800);
    await follow(here, primary);
    await untilCaughtUp(there, here);
    const readers = await Promise.all(Array.from({ length: 6 }, () => replica.rawClient()));
    let isOver = false;
    const found = new Set<string>();
    const reading = readers.map(async (reader, index) => {
      for (let number = index; !isOver; number += 7) {
        const reply = await reader.text('STRLEN', `key:${number % keys}`);
        found.add(reply.startsWith('-LOADING') ? 'loading' : reply.trim());
      }
    });
    const newer = Array.from({ length: keys }, (_, number) => ['APPEND', `key:${number}`, 'x']);
    await leaveBehind(primary, here, newer);
    await untilCaughtUp(there, here);
    isOver = true;
    await Promise.all(reading);
    found.delete('loading');
    t.same([...found].sort(), [':800', ':801'], `${keys} keys`);
    const { length: times } = replica
      .output()
      .split('There is no memory for the old and the new data at once');
    t.equal(times - 1, keys === 8000 ? 0 : 1);
    t.same(await compare(there, here), []);
    t.equal(await here.call('DEBUG', 'VERIFY'), 'OK');
  }
});
