/** OBJECT ENCODING of strings after what makes and changes them; OBJECT IDLETIME by what counts as use. */

import t from 'tap';
import { withServers } from '../../tools/server.js';

const ENCODINGS: readonly [commands: string, encoding: string][] = [
  ['SET k 12', 'int'],
  ['SET k 012', 'embstr'],
  ['SET k abc', 'embstr'],
  [`SET k ${'x'.repeat(44)}`, 'embstr'],
  [`SET k ${'x'.repeat(45)}`, 'raw'],
  ['SET k 1; APPEND k 2', 'raw'],
  ['SET k 1; APPEND k 2; INCR k', 'int'],
  ['INCRBYFLOAT k 3', 'embstr'],
  ['INCRBYFLOAT k 3; EXPIRE k 100', 'embstr'],
  ['INCRBYFLOAT k 3; EXPIRE k 100; PERSIST k', 'embstr'],
  ['INCRBYFLOAT k 3; INCR k', 'int'],
  ['INCRBYFLOAT k 3; SET k 4', 'int'],
  ['INCRBYFLOAT k 3; SETRANGE k 0 4', 'raw'],
  ['INCRBYFLOAT other 3; COPY other k', 'embstr'],
  ['INCRBYFLOAT other 3; RENAME other k', 'embstr'],
  ['INCRBYFLOAT other 3; APPEND other 1; RENAME other k', 'raw'],
];

withServers(t, 'OBJECT ENCODING', {}, async (t, server) => {
  const client = server.client();
  for (const [commands, encoding] of ENCODINGS) {
    await client.flushall();
    for (const command of commands.split('; ')) {
      const [name, ...args] = command.split(' ');
      await client.call(name, ...args);
    }
    t.equal(await client.call('OBJECT', 'ENCODING', 'k'), encoding, commands);
  }
});

withServers(t, 'OBJECT IDLETIME counts from the last change under LRM', {}, async (t, server) => {
  const client = server.client();
  const idle = () => client.object('IDLETIME', 'k') as Promise<number>;
  await client.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
  await client.set('source', 'value');
  const dump = (await client.dumpBuffer('source'))!;
  const restore = (key: string) => client.call('RESTORE', key, '0', dump, 'IDLETIME', '5000', 'REPLACE');
  await restore('k');
  t.ok((await idle()) >= 5000);
  await client.get('k');
  t.ok((await idle()) < 100, 'under LRU reading is use');
  for (const policy of ['allkeys-lrm', 'volatile-lrm']) {
    await client.call('CONFIG', 'SET', 'maxmemory-policy', policy);
    t.same(await client.config('GET', 'maxmemory-policy'), ['maxmemory-policy', policy]);
    await restore('k');
    await client.get('k');
    await client.mget('k', 'source');
    await client.strlen('k');
    t.ok((await idle()) >= 5000, `under ${policy} reading is not`);
    await client.append('k', 'more');
    t.ok((await idle()) < 100, `under ${policy} a change is`);
  }
});

withServers(t, 'LRM evicts what was changed long ago, however often it is read', {}, async (t, server) => {
  const client = server.client();
  const names = (prefix: string) => Array.from({ length: 300 }, (_, index) => `${prefix}:${index}`);
  await client.set('source', 'v'.repeat(5000));
  const dump = (await client.dumpBuffer('source'))!;
  await client.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lrm', 'maxmemory-samples', '20');
  for (const key of names('old')) await client.call('RESTORE', key, '0', dump, 'IDLETIME', '5000');
  for (const key of names('new')) await client.set(key, 'v'.repeat(5000));
  await client.mget(names('old'));
  const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))![1]);
  await client.config('SET', 'maxmemory', String(used - 500_000));
  for (let tries = 0; tries < 1000 && (await client.exists(names('old'))) > 250; tries++) await client.ping();
  const old = await client.exists(names('old'));
  const changed = await client.exists(names('new'));
  t.ok(old <= 250, `${old} of 300 old keys are left`);
  t.ok(300 - changed <= (300 - old) / 10, `${changed} of 300 new keys are left`);
  await client.config('SET', 'maxmemory', '0');
});
