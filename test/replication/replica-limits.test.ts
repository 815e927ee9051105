/** A replica without memory or disk for what its primary sends. */

import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { infoNumber, type TestServer } from '../tools/server.js';
import { compare, follow, info, start, until, untilCaughtUp, untilLinked } from './pairs.js';

t.setTimeout(0);

t.test('a replica evicts keys by itself if replica-ignore-maxmemory is no', async (t) => {
  const primary = await start('damselfly');
  const replica = await start('damselfly', { 'maxmemory-policy': 'allkeys-random', appendonly: 'yes' });
  const next = await start('damselfly');
  t.teardown(() => Promise.all([primary.stop(), replica.stop(), next.stop()]));
  const there = primary.client();
  const here = replica.client();
  await follow(here, primary);
  await untilLinked(here);
  await follow(next.client(), replica);
  await untilLinked(next.client());
  for (let key = 0; key < 200; key++) await there.setrange(`key:${key}`, 10_000, 'x');
  await untilCaughtUp(there, here);
  const limit = (await infoNumber(here, 'memory', 'used_memory')) - 500_000;
  await here.config('SET', 'maxmemory', limit);
  await there.set('more', 'x');
  await untilCaughtUp(there, here);
  t.equal(await here.dbsize(), 201, 'by default it ignores the limit');
  await here.config('SET', 'replica-ignore-maxmemory', 'no');
  await until('keys are evicted', async () => (await here.dbsize()) < 170);
  t.ok((await infoNumber(here, 'stats', 'evicted_keys')) > 30);
  t.equal(await here.call('DEBUG', 'VERIFY'), 'OK');
  t.equal(await there.dbsize(), 201);
  await there.set('last', 'x');
  t.same(await compare(there, next.client()), [], 'its own replica has what the primary has');
});

/** Makes snapshots of a server fail, or not any more: its file can't take the place of a folder. */
async function failSaves(server: TestServer, fails: boolean): Promise<void> {
  const folder = path.join(server.directory, 'dump.rdb');
  rmSync(folder, { recursive: true, force: true });
  if (fails) mkdirSync(folder);
  const client = server.client();
  await until('it can save', async () => (await client.bgsave().catch(() => '')) !== '');
  const status = `rdb_last_bgsave_status:${fails ? 'err' : 'ok'}`;
  await until(status, async () => (await client.info('persistence')).includes(status));
}

t.test('a replica that can not write to its disk ends, unless that is to be ignored', async (t) => {
  const primary = await start('damselfly');
  const options = { save: '3600 1000000', 'replica-ignore-disk-write-errors': 'yes' };
  const replica = await start('damselfly', options);
  t.teardown(() => Promise.all([primary.stop(), replica.stop('SIGKILL')]));
  const there = primary.client();
  const here = replica.client();
  await follow(here, primary);
  await untilLinked(here);
  await failSaves(replica, true);
  await there.set('key', 'value');
  await untilCaughtUp(there, here);
  t.equal(await here.get('key'), 'value');
  await replica.untilLogged('Replica is applying a command even though it is unable to write to disk.');
  await failSaves(replica, false);
  await here.config('SET', 'replica-ignore-disk-write-errors', 'no');
  await there.set('key', 'newer');
  await untilCaughtUp(there, here);
  t.equal(await here.get('key'), 'newer', 'the disk is well again');
  await failSaves(replica, true);
  // The primary's PINGs and requests for acknowledgements are no writes.
  const offset = Number((await info(here)).get('slave_repl_offset'));
  await until('it hears of the primary', async () => {
    return Number((await info(here)).get('slave_repl_offset')) > offset;
  });
  await there.set('key', 'newest');
  const exit = await replica.exited;
  t.not(exit.code, 0);
  t.match(replica.output(), /Replica was unable to write command to disk\./);
});
