/** FUNCTION and FCALL over a socket, and libraries in files. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { sharedServers, skipWithoutRedis, TestServer } from '../../tools/server.js';

const onServers = sharedServers(t);

const LIBRARY = `#!lua name=mine
redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
redis.register_function{
  function_name = 'get',
  callback = function(keys, args) return redis.call('GET', keys[1]) end,
  description = 'Gets',
  flags = {'no-writes'},
}`;
const other = (name: string, called: string, value: number): string =>
  `#!lua name=${name}\nredis.register_function('${called}', function() return ${value} end)`;

onServers('libraries are loaded, listed and deleted', async (t, server) => {
  const client = await server.rawClient();
  await client.command('FUNCTION', 'FLUSH');
  t.equal(await client.text('FUNCTION', 'LOAD', LIBRARY), '$4\r\nmine\r\n');
  t.equal(await client.text('FUNCTION', 'LOAD', LIBRARY), "-ERR Library 'mine' already exists\r\n");
  t.equal(await client.text('FUNCTION', 'LOAD', 'REPLACE', LIBRARY), '$4\r\nmine\r\n');
  t.equal(await client.text('FUNCTION', 'LOAD', 'WHAT', LIBRARY), '-ERR Unknown option given: WHAT\r\n');
  t.equal(
    await client.text('FUNCTION', 'LOAD', other('two', 'PUT', 1)),
    '-ERR Function PUT already exists\r\n',
  );
  t.equal(await client.text('FUNCTION', 'LOAD', 'return 1'), '-ERR Missing library metadata\r\n');
  t.match(
    await client.text('FUNCTION', 'LOAD', '#!lua name=x\nreturn +'),
    /^-ERR Error compiling function: /,
  );
  t.equal(
    await client.text('FUNCTION', 'LOAD', '#!lua name=x\nreturn 1'),
    '-ERR No functions registered\r\n',
  );
  t.equal(await client.text('FCALL', 'put', 1, 'k', 'v'), '+OK\r\n');
  t.equal(await client.text('FCALL', 'Get', 1, 'k'), '$1\r\nv\r\n');
  t.equal(await client.text('FCALL_RO', 'get', 1, 'k'), '$1\r\nv\r\n');
  t.match(
    await client.text('FCALL_RO', 'put', 1, 'k', 'v'),
    /^-ERR Can not execute a script with write flag/,
  );
  t.equal(await client.text('FCALL', 'none', 0), '-ERR Function not found\r\n');
  t.equal(await client.text('FCALL', 'get', 'x'), '-ERR Bad number of keys provided\r\n');
  const list = await client.text('FUNCTION', 'LIST', 'LIBRARYNAME', 'MI*', 'WITHCODE');
  t.match(list, /library_name\r\n\$4\r\nmine\r\n.*engine\r\n\$3\r\nLUA/s);
  t.match(list, /\$4\r\nGets\r\n\$5\r\nflags\r\n\*1\r\n\+no-writes/);
  t.ok(list.includes(LIBRARY));
  t.equal(await client.text('FUNCTION', 'LIST', 'LIBRARYNAME', 'none'), '*0\r\n');
  t.match(
    await client.text('FUNCTION', 'STATS'),
    /libraries_count\r\n:1\r\n\$15\r\nfunctions_count\r\n:2\r\n/,
  );
  t.equal(await client.text('FUNCTION', 'DELETE', 'mine'), '+OK\r\n');
  t.equal(await client.text('FUNCTION', 'DELETE', 'mine'), '-ERR Library not found\r\n');
  t.equal(await client.text('FCALL', 'get', 1, 'k'), '-ERR Function not found\r\n');
});

onServers('a dump restores libraries by a policy', async (t, server) => {
  const client = await server.rawClient();
  await client.command('FUNCTION', 'FLUSH');
  await client.command('FUNCTION', 'LOAD', other('one', 'first', 1));
  const reply = await client.command('FUNCTION', 'DUMP');
  const dump = reply.subarray(reply.indexOf('\r\n') + 2, -2);
  t.equal(await client.text('FUNCTION', 'RESTORE', dump), '-ERR Library one already exists\r\n');
  await client.command('FUNCTION', 'LOAD', other('two', 'second', 2));
  t.equal(await client.text('FUNCTION', 'RESTORE', dump, 'REPLACE'), '+OK\r\n');
  t.equal(await client.text('FCALL', 'second', 0), ':2\r\n');
  t.equal(await client.text('FUNCTION', 'RESTORE', dump, 'FLUSH'), '+OK\r\n');
  t.equal(await client.text('FCALL', 'first', 0), ':1\r\n');
  t.equal(await client.text('FCALL', 'second', 0), '-ERR Function not found\r\n');
  t.match(await client.text('FUNCTION', 'RESTORE', dump, 'WHAT'), /^-ERR Wrong restore policy given/);
  const damaged = Buffer.from(dump);
  damaged[5]! ^= 1;
  t.equal(
    await client.text('FUNCTION', 'RESTORE', damaged),
    '-ERR DUMP payload version or checksum are wrong\r\n',
  );
  await client.command('FUNCTION', 'FLUSH');
});

onServers('every worker follows', async (t, server) => {
  const clients = await Promise.all(Array.from({ length: 6 }, () => server.rawClient()));
  for (let round = 0; round < 5; round++) {
    await clients[round]!.command('FUNCTION', 'LOAD', 'REPLACE', other('lib', 'f', round));
    for (const client of clients) t.equal(await client.text('FCALL', 'f', 0), `:${round}\r\n`);
  }
  await clients[0]!.command('FUNCTION', 'FLUSH');
  for (const client of clients) t.equal(await client.text('FCALL', 'f', 0), '-ERR Function not found\r\n');
});

const SETTINGS: readonly Record<string, string>[] = [
  { appendonly: 'no' },
  { appendonly: 'yes' },
  { appendonly: 'yes', 'aof-use-rdb-preamble': 'no' },
];

for (const directives of SETTINGS) {
  t.test(`libraries survive (${JSON.stringify(directives)})`, async (t) => {
    const server = await TestServer.start({ kind: 'damselfly', directives });
    t.teardown(() => server.stop('SIGKILL'));
    const client = server.client();
    await client.function('LOAD', LIBRARY);
    await client.fcall('put', 1, 'k', 'v');
    await client.call('DEBUG', 'RELOAD');
    t.equal(await client.fcall('get', 1, 'k'), 'v');
    if (directives.appendonly === 'no') return;
    await client.call('DEBUG', 'LOADAOF');
    t.equal(await client.fcall('get', 1, 'k'), 'v');
    await client.call('BGREWRITEAOF');
    while (!(await client.info('persistence')).includes('aof_rewrite_in_progress:0'));
    await client.function('LOAD', other('later', 'late', 7));
    await client.call('DEBUG', 'LOADAOF');
    t.equal(await client.fcall('get', 1, 'k'), 'v');
    t.equal(await client.fcall('late', 0), 7);
  });
}

t.test('redis-server reads our libraries, and we read its', { skip: skipWithoutRedis() }, async (t) => {
  const ours = await TestServer.start({ kind: 'damselfly' });
  const theirs = await TestServer.start({ kind: 'redis' });
  t.teardown(async () => {
    await ours.stop('SIGKILL');
    await theirs.stop('SIGKILL');
  });
  const long = `${LIBRARY}\n-- ${'x'.repeat(5000)}`;
  await ours.client().function('LOAD', long);
  const dump = await ours.client().functionBuffer('DUMP');
  t.equal(await theirs.client().function('RESTORE', dump as Buffer), 'OK');
  await theirs.client().fcall('put', 1, 'k', 'v');
  const back = await theirs.client().functionBuffer('DUMP');
  t.equal(await ours.client().function('RESTORE', back as Buffer, 'REPLACE'), 'OK');
  t.same(await libraryWithCode(ours), await libraryWithCode(theirs));
});

/** What FUNCTION LIST tells of the only library. Its functions are in no particular order. */
async function libraryWithCode(server: TestServer): Promise<unknown> {
  const [library] = (await server.client().function('LIST', 'WITHCODE')) as [unknown[]];
  const functions = library[library.indexOf('functions') + 1] as string[][];
  functions.sort((one, other) => (one[1]! < other[1]! ? -1 : 1));
  return library;
}

t.test('EVAL in an old log runs again', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', directives: { appendonly: 'yes' } });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  await client.set('k', '1');
  const folder = path.join(server.directory, 'appendonlydir');
  while (!readdirSync(folder).some((name) => name.endsWith('incr.aof')));
  const name = readdirSync(folder).find((file) => file.endsWith('incr.aof'))!;
  const { appendFileSync } = await import('node:fs');
  while (!readFileSync(path.join(folder, name), 'latin1').includes('set'));
  const source = "return redis.call('INCR', KEYS[1])";
  appendFileSync(
    path.join(folder, name),
    `*4\r\n$4\r\nEVAL\r\n$${source.length}\r\n${source}\r\n$1\r\n1\r\n$1\r\nk\r\n`,
  );
  await client.call('DEBUG', 'LOADAOF');
  t.equal(await client.get('k'), '2');
});
