/** Snapshots as files: between Damselfly and redis-server, at start, and what happens to damaged ones. */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { DATA_TYPES, differences, fillRandomly, readDataset } from '../tools/dataset.js';
import { Random } from '../tools/random.js';
import { hasProgram, run, skipWithoutRedis, TestServer, threadCounts, withServers } from '../tools/server.js';

/** Starts a server on a copy of a file. */
async function startOn(kind: 'damselfly' | 'redis', file: string, threads = 2): Promise<TestServer> {
  return TestServer.start({
    kind,
    threads,
    directives: { dir: path.dirname(file), dbfilename: path.basename(file) },
  });
}

for (const threads of threadCounts()) {
  t.test(`from Redis to Damselfly and back, ${threads} threads`, { skip: skipWithoutRedis() }, async (t) => {
    const seed = 4200 + threads;
    const random = new Random(seed);
    const first = await TestServer.start({ kind: 'redis' });
    t.teardown(() => first.stop('SIGKILL'));
    const theirs = first.client();
    // Long enough to be loaded by several threads.
    for (let number = 0; number < 8; number++) {
      await theirs.set(
        `long:${number}`,
        Buffer.from(Array.from({ length: 700_000 }, () => random.below(256))),
      );
    }
    await theirs.call('DEBUG', 'POPULATE', '1000', 'string', '80');
    await fillRandomly(theirs, random, 200, DATA_TYPES);
    const expected = await readDataset(theirs);
    for (const compression of ['yes', 'no']) {
      await theirs.config('SET', 'rdbcompression', compression);
      await theirs.save();
      const ours = await startOn('damselfly', path.join(first.directory, 'dump.rdb'), threads);
      t.teardown(() => ours.stop('SIGKILL'));
      const client = ours.client();
      t.same(differences(await readDataset(client), expected), [], `seed ${seed}: loaded`);
      t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
      t.match(await client.info('persistence'), new RegExp(`rdb_last_load_keys_loaded:${expected.size}\r`));
      await client.config('SET', 'rdbcompression', compression);
      await client.set('new', 'key');
      t.match(await client.info('persistence'), /rdb_changes_since_last_save:1\r/);
      await client.save();
      t.match(await client.info('persistence'), /rdb_changes_since_last_save:0\r/);
      const file = path.join(first.directory, 'dump.rdb');
      if (hasProgram('redis-check-rdb')) t.equal(run(['redis-check-rdb', file]).code, 0, 'redis-check-rdb');
      const second = await startOn('redis', file);
      t.teardown(() => second.stop('SIGKILL'));
      const withNew = new Map(expected);
      withNew.set(
        `0 ${Buffer.from('new').toString('hex')}`,
        `string -1 ${Buffer.from('key').toString('hex')}`,
      );
      t.same(differences(await readDataset(second.client()), withNew), [], `seed ${seed}: saved`);
      t.same(
        readdirSync(first.directory).filter((name) => name.startsWith('temp-')),
        [],
        'no temporary file is left',
      );
      await client.call('DEBUG', 'RELOAD');
      t.same(differences(await readDataset(client), withNew), [], `seed ${seed}: reloaded`);
      t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
      await ours.stop('SIGKILL');
      await second.stop('SIGKILL');
      await theirs.save();
    }
  });
}

withServers(t, 'keys that expire while the server is down', {}, async (t, server) => {
  const client = server.client();
  await client.set('gone', '1', 'PX', 1);
  await client.set('stays', '1', 'EX', 1000);
  await client.save();
  const file = path.join(server.directory, 'dump.rdb');
  const again = await startOn('damselfly', file);
  t.teardown(() => again.stop('SIGKILL'));
  const client2 = again.client();
  t.equal(await client2.dbsize(), 1);
  t.match(await client2.info('keyspace'), /db0:keys=1,expires=1/);
});

withServers(t, 'a damaged file', {}, async (t, server) => {
  const client = server.client();
  await client.mset('a', '1', 'b', 'two', 'c', 'x'.repeat(1000));
  await client.save();
  const file = path.join(server.directory, 'dump.rdb');
  const good = readFileSync(file);
  const start = async (content: Buffer) => {
    writeFileSync(file, content);
    const failing = await TestServer.launch({
      kind: 'damselfly',
      directives: { dir: server.directory },
    });
    const exit = await failing.exited;
    return { code: exit.code, stderr: failing.stderr };
  };
  const damaged = Buffer.from(good);
  damaged[good.length >> 1]! ^= 1;
  for (const content of [good.subarray(0, good.length >> 1), damaged, Buffer.from('no snapshot at all')]) {
    const { code, stderr } = await start(content);
    t.equal(code, 1);
    t.match(stderr, /^damselfly: can't load \S+dump\.rdb: .* at offset \d+\n$/);
    t.ok(readFileSync(file).equals(content), 'the file is untouched');
  }
});
