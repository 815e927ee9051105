/** What random scripts (test/compat) do not reach: many keys over all shards, many clients, watched keys, full memory. */

import t from 'tap';
import { sharedServers, TestServer, withServers } from '../../tools/server.js';

const onServers = sharedServers(t);

function elements(first: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `element ${first + index}`);
}

onServers('many sources in all shards, sparse and dense, make the union', async (t, server) => {
  const client = server.client();
  const keys: string[] = [];
  const all = new Set<string>();
  for (let index = 0; index < 24; index++) {
    const added = elements(1000 * index, index % 3 === 0 ? 5000 : 300);
    keys.push(`sketch:${index}`);
    for (const element of added) all.add(element);
    await client.call('PFADD', `sketch:${index}`, ...added);
  }
  await client.call('PFADD', 'union', ...all);
  const expected = await client.callBuffer('PFDEBUG', 'GETREG', 'union');
  t.equal(await client.call('PFMERGE', 'merged', ...keys, 'nosuch'), 'OK');
  t.same(await client.callBuffer('PFDEBUG', 'GETREG', 'merged'), expected);
  const estimate = Number(await client.call('PFCOUNT', 'union'));
  t.equal(await client.call('PFCOUNT', ...keys), estimate);
  t.equal(await client.call('PFCOUNT', 'merged'), estimate);
  t.ok(Math.abs(estimate - all.size) < all.size * 0.05, `${estimate} for ${all.size}`);
  t.equal(await client.call('PFMERGE', 'merged'), 'OK');
  t.equal(await client.call('PFCOUNT', 'merged'), estimate);
  t.equal(await client.call('PFDEBUG', 'ENCODING', 'sketch:1'), 'sparse');
  t.equal(await client.call('PFMERGE', 'sketch:1', 'sketch:0'), 'OK');
  t.equal(await client.call('PFDEBUG', 'ENCODING', 'sketch:1'), 'dense');
});

onServers('PFDEBUG DECODE in a transaction is that of its key', async (t, server) => {
  const client = server.client();
  const keys = Array.from({ length: 16 }, (_, number) => `sketch:${number}`);
  for (const key of keys) await client.call('PFADD', key, `of ${key}`);
  const expected = await Promise.all(keys.map((key) => client.call('PFDEBUG', 'DECODE', key)));
  await client.call('MULTI');
  for (const key of keys) await client.call('PFDEBUG', 'DECODE', key);
  t.same(await client.call('EXEC'), expected);
});

onServers('clients at once lose no element', async (t, server) => {
  const rounds = 20;
  const clients = Array.from({ length: 6 }, () => server.client());
  await Promise.all(
    clients.map(async (client, index) => {
      for (let round = 0; round < rounds; round++) {
        const pipeline = client.pipeline();
        for (const element of elements(100 * (rounds * index + round), 100)) {
          pipeline.call('PFADD', 'shared', element);
          if (round % 10 === 0) pipeline.call('PFCOUNT', 'shared');
        }
        pipeline.call('PFMERGE', `copy:${index}`, 'shared');
        await pipeline.exec();
      }
    }),
  );
  const [client] = clients as [(typeof clients)[0]];
  await client.call('PFADD', 'alone', ...elements(0, 100 * rounds * clients.length));
  t.same(
    await client.callBuffer('PFDEBUG', 'GETREG', 'shared'),
    await client.callBuffer('PFDEBUG', 'GETREG', 'alone'),
  );
  t.equal(await client.call('PFCOUNT', 'shared'), await client.call('PFCOUNT', 'alone'));
});

onServers('only a change touches a watched key', async (t, server) => {
  const client = await server.rawClient();
  const aborts = async (...request: string[]): Promise<boolean> => {
    const [, , , , reply] = await client.pipeline([['WATCH', 'k'], request, ['MULTI'], ['PING'], ['EXEC']]);
    return reply!.toString() === '*-1\r\n';
  };
  t.ok(await aborts('PFADD', 'k', 'a'));
  t.notOk(await aborts('PFADD', 'k', 'a'));
  t.ok(await aborts('PFCOUNT', 'k'), 'the estimate is kept');
  t.notOk(await aborts('PFCOUNT', 'k'));
  t.notOk(await aborts('PFCOUNT', 'k', 'other'));
  t.ok(await aborts('PFMERGE', 'k', 'other'));
  t.notOk(await aborts('PFDEBUG', 'ENCODING', 'k'));
  t.ok(await aborts('PFDEBUG', 'TODENSE', 'k'));
  t.notOk(await aborts('PFDEBUG', 'TODENSE', 'k'));
  t.ok(await aborts('PFADD', 'k', 'b'));
});

onServers('errors and odd values', async (t, server) => {
  const client = await server.rawClient();
  const expect = async (reply: string, ...request: (string | Buffer)[]): Promise<void> => {
    t.equal(await client.text(...request), reply, request.join(' ').slice(0, 60));
  };
  const notOne = '-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n';
  const damaged = '-INVALIDOBJ Corrupted HLL object detected\r\n';
  await expect('+OK\r\n', 'SET', 's', 'x'.repeat(40));
  await expect(notOne, 'PFADD', 's', 'a');
  await expect(notOne, 'PFCOUNT', 'nosuch', 's');
  await expect(notOne, 'PFMERGE', 'nosuch', 's');
  await expect(':0\r\n', 'EXISTS', 'nosuch');
  await expect(':1\r\n', 'RPUSH', 'l', 'a');
  for (const name of ['PFADD', 'PFCOUNT', 'PFMERGE']) {
    await expect('-WRONGTYPE Operation against a key holding the wrong kind of value\r\n', name, 'l', 'b');
  }
  await expect(':1\r\n', 'PFADD', 'h');
  await expect(':0\r\n', 'PFADD', 'h');
  await expect(':0\r\n', 'PFCOUNT', 'h');
  await expect(':18\r\n', 'APPEND', 'h', '');
  await expect(':20\r\n', 'APPEND', 'h', 'zz');
  const [value] = await client.pipeline([['GET', 'h']]);
  await expect(damaged, 'PFCOUNT', 'other', 'h');
  await expect(damaged, 'PFMERGE', 'other', 'h');
  await expect(damaged, 'PFDEBUG', 'TODENSE', 'h');
  t.same(await client.command('GET', 'h'), value, 'nothing has changed');
  await expect('-ERR The specified key does not exist\r\n', 'PFDEBUG', 'GETREG', 'nosuch');
  await expect('+OK\r\n', 'PFSELFTEST');
  const huge = Buffer.alloc(18);
  huge.write('HYLL\x01', 'latin1');
  huge.writeBigUInt64LE(2n ** 62n + 1n, 8);
  await expect('+OK\r\n', 'SET', 'huge', huge);
  await expect(`:${2n ** 62n + 1n}\r\n`, 'PFCOUNT', 'huge');
});

onServers('DUMP and COPY keep the value, and expiries stay', async (t, server) => {
  const client = server.client();
  for (const [key, count] of [
    ['few', 50],
    ['many', 20_000],
  ] as const) {
    await client.call('PFADD', key, ...elements(0, count));
    await client.call('PFCOUNT', key);
    await client.expire(key, 1000);
    const value = await client.getBuffer(key);
    const dump = await client.callBuffer('DUMP', key);
    await client.call('RESTORE', `${key} again`, '0', dump as Buffer);
    t.same(await client.getBuffer(`${key} again`), value);
    await client.call('COPY', key, `${key} copied`);
    t.same(await client.getBuffer(`${key} copied`), value);
    await client.call('PFADD', key, ...elements(count, 5000));
    t.ok((await client.ttl(key)) > 900, 'PFADD that makes it dense');
    await client.call('PFMERGE', key, 'few');
    t.ok((await client.ttl(key)) > 900);
    t.equal(await client.object('ENCODING', key), 'raw');
  }
});

t.test('without memory nothing changes', async (t) => {
  const server = await TestServer.start({ threads: 1 });
  t.teardown(() => server.stop());
  const client = server.client();
  await client.call('PFADD', 'h', ...elements(0, 500));
  const before = await client.getBuffer('h');
  await client.config('SET', 'maxmemory', '1');
  await t.rejects(client.call('PFADD', 'h', ...elements(500, 5000)), /OOM/);
  await t.rejects(client.call('PFMERGE', 'new', 'h'), /OOM/);
  t.ok(Number(await client.call('PFCOUNT', 'h')) > 0, 'reading is allowed');
  await client.config('SET', 'maxmemory', '0');
  const after = await client.getBuffer('h');
  t.same(after!.subarray(16), before!.subarray(16), 'all but the estimate');
});

withServers(
  t,
  'with another hll-sparse-max-bytes',
  { directives: { 'hll-sparse-max-bytes': '60' } },
  async (t, server) => {
    const client = server.client();
    await client.call('PFADD', 'h', ...elements(0, 5));
    t.equal(await client.call('PFDEBUG', 'ENCODING', 'h'), 'sparse');
    t.ok((await client.strlen('h')) <= 60);
    await client.call('PFADD', 'h', ...elements(5, 50));
    t.equal(await client.call('PFDEBUG', 'ENCODING', 'h'), 'dense');
    await client.config('SET', 'hll-sparse-max-bytes', '3000');
    await client.call('PFADD', 'other', ...elements(0, 55));
    t.equal(await client.call('PFDEBUG', 'ENCODING', 'other'), 'sparse');
    t.equal(await client.call('PFCOUNT', 'other'), await client.call('PFCOUNT', 'h'));
  },
);
