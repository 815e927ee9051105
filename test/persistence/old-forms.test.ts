/** Files of all versions of Redis, in all forms of values: Damselfly and redis-server read the same from them. */

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { differences, readDataset } from '../tools/dataset.js';
import { Random } from '../tools/random.js';
import { RDB_FORMS, rdbBody, rdbFile } from '../tools/rdb-builder.js';
import { hasProgram, run, skipWithoutRedis, TestServer } from '../tools/server.js';

/** From Redis 2.0 to 7.0. */
const VERSIONS = [1, 2, 3, 4, 6, 7, 8, 9, 10];

t.test('every version, as redis-server reads it', { skip: skipWithoutRedis() }, async (t) => {
  const ours = await TestServer.start({ kind: 'damselfly', threads: 2 });
  const theirs = await TestServer.start({ kind: 'redis' });
  t.teardown(() => Promise.all([ours.stop('SIGKILL'), theirs.stop('SIGKILL')]));
  const [ourClient, theirClient] = [ours.client(), theirs.client()];
  for (const version of VERSIONS) {
    const seed = 4500 + version;
    const file = rdbFile(version, rdbBody(new Random(seed), version, 12), version % 2 === 0);
    for (const server of [ours, theirs]) writeFileSync(path.join(server.directory, 'dump.rdb'), file);
    if (hasProgram('redis-check-rdb')) {
      const { code, stdout } = run(['redis-check-rdb', path.join(theirs.directory, 'dump.rdb')]);
      t.equal(code, 0, `redis-check-rdb, version ${version}: ${stdout.slice(-500)}`);
    }
    t.equal(await theirClient.call('DEBUG', 'RELOAD', 'NOSAVE'), 'OK', `redis-server, version ${version}`);
    t.equal(await ourClient.call('DEBUG', 'RELOAD', 'NOSAVE'), 'OK', `version ${version}`);
    const expected = await readDataset(theirClient);
    const forms = RDB_FORMS.filter(([, since]) => since <= version).length;
    t.equal(expected.size, 2 * 12 * forms, `${forms} forms`);
    t.same(differences(await readDataset(ourClient), expected), [], `seed ${seed}`);
    t.equal(await ourClient.call('DEBUG', 'VERIFY'), 'OK');
    // And what was read is written in forms of today.
    await ourClient.save();
    writeFileSync(
      path.join(theirs.directory, 'dump.rdb'),
      readFileSync(path.join(ours.directory, 'dump.rdb')),
    );
    t.equal(await theirClient.call('DEBUG', 'RELOAD', 'NOSAVE'), 'OK');
    t.same(differences(await readDataset(theirClient), expected), [], `seed ${seed}: back`);
  }
});

t.test('what came after Redis 7.0', {}, async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 2 });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  for (const version of [11, 12]) {
    const body = rdbBody(new Random(4520), version, 20, [20]);
    const slotInfo = Buffer.concat([Buffer.from([254, 0, 244, 1, 2, 3])]);
    writeFileSync(path.join(server.directory, 'dump.rdb'), rdbFile(version, Buffer.concat([slotInfo, body])));
    t.equal(await client.call('DEBUG', 'RELOAD', 'NOSAVE'), 'OK');
    t.equal(await client.dbsize(), 20);
    for (const key of await client.keys('*')) t.equal(await client.type(key), 'set');
    // The same sets, written one member after the other, as every version has them.
    const dataset = await readDataset(client);
    await client.call('DEBUG', 'RELOAD');
    t.same(differences(await readDataset(client), dataset), []);
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  }
});

t.test('what else redis-server has', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await TestServer.start({ kind: 'redis' });
  t.teardown(() => redis.stop('SIGKILL'));
  const client = redis.client();
  const directives = { dir: redis.directory };
  await client.set('k', 'v');
  await client.call(
    'FUNCTION',
    'LOAD',
    "#!lua name=lib\nredis.register_function('f', function() return 1 end)",
  );
  await client.xadd('stream', '1-1', 'field', 'value');
  await client.save();
  const ours = await TestServer.start({ kind: 'damselfly', directives });
  t.teardown(() => ours.stop('SIGKILL'));
  t.equal(await ours.client().get('k'), 'v');
  t.equal(await ours.client().fcall('f', 0), 1);
  t.same(await ours.client().xrange('stream', '-', '+'), [['1-1', ['field', 'value']]]);
});

t.test(
  'a stream that says another number of entries than it has',
  { skip: skipWithoutRedis() },
  async (t) => {
    // Redis 5 has written such files before it was released, and all later versions read them.
    for (const kind of ['redis', 'damselfly'] as const) {
      const server = await TestServer.start({ kind });
      t.teardown(() => server.stop('SIGKILL'));
      const client = server.client();
      await client.xadd('stream', '1-1', 'field', 'value');
      await client.xadd('stream', '1-2', 'field', 'value');
      const payload = (await client.dumpBuffer('stream')) as Buffer;
      // The end of the listpack, the number of entries, the last id.
      const at = payload.indexOf(Buffer.from([0xff, 2, 1, 2])) + 1;
      t.ok(at > 0);
      payload[at] = 5;
      await client.call('DEBUG', 'SET-SKIP-CHECKSUM-VALIDATION', '1');
      t.equal(await client.restore('copy', 0, payload), 'OK', kind);
      t.same(await client.xrange('copy', '-', '+'), await client.xrange('stream', '-', '+'));
      await client.xdel('copy', '1-1');
      await client.xadd('copy', '2-1', 'field', 'value');
      if (kind === 'damselfly') {
        t.equal(await client.xlen('copy'), 2, 'those that are there count');
        t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
      }
    }
  },
);
