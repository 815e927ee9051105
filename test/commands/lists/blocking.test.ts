/** Commands that wait for keys: who is served, in which order, by what, and what ends a wait. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import type { RawClient } from '../../tools/raw-client.js';
import { sharedServers, TestServer, threadCounts, withServers } from '../../tools/server.js';

const withServer = sharedServers(t);

/** Settles when so many clients wait. */
async function untilBlocked(client: Redis, count: number): Promise<void> {
  while (!(await client.info('clients')).includes(`blocked_clients:${count}\r`)) await delay(2);
}

/** Has a new client send a command and waits until it is blocked, as the `count`th. */
async function blocked(
  server: TestServer,
  count: number,
  ...command: (string | number)[]
): Promise<RawClient> {
  const client = await server.rawClient();
  client.send(...command);
  await untilBlocked(server.client(), count);
  return client;
}

const textOf = async (client: RawClient) => (await client.read()).toString('latin1');

withServer('who waits longest is served first, whatever worker it is at', async (t, server) => {
  const control = server.client();
  const clients: RawClient[] = [];
  for (let index = 0; index < 20; index++) {
    clients.push(await blocked(server, index + 1, index % 2 === 0 ? 'BLPOP' : 'BRPOP', 'q', 0));
  }
  await control.rpush('q', '0', '1', '2');
  await control.multi().rpush('q', '3').rpush('other', 'x').rpush('q', '4', '5').exec();
  for (let index = 6; index < 20; index++) await server.client().lpush('q', String(index));
  // BRPOP takes from the other end of what one command or transaction has pushed.
  const served = await Promise.all(clients.map(async (client) => (await textOf(client)).split('\r\n')[4]));
  t.same(served.slice(0, 3), ['0', '2', '1']);
  t.same(served.slice(3, 6), ['5', '3', '4']);
  t.same(
    served.slice(6),
    Array.from({ length: 14 }, (_, index) => String(index + 6)),
  );
  t.equal(await control.llen('q'), 0);
});

withServer('every way for a key to become ready', async (t, server) => {
  const control = server.client();
  const dump = async (push: () => Promise<unknown>, key: string) => {
    await push();
    const bytes = await control.dumpBuffer(key);
    await control.del(key);
    return bytes!;
  };
  const listDump = await dump(() => control.rpush('d', 'x'), 'd');
  const setDump = await dump(() => control.zadd('d', 1, 'x'), 'd');
  const list = ['BLPOP', 'q', 0];
  const sortedSet = ['BZPOPMIN', 'q', 0];
  const stream = ['XREAD', 'BLOCK', 0, 'STREAMS', 'q', '0'];
  const ways: [name: string, command: (string | number)[], way: (client: Redis) => Promise<unknown>][] = [
    ['LPUSH', list, (client) => client.lpush('q', 'x')],
    ['LINSERT does nothing, RPUSH', list, (client) => client.rpush('q', 'x')],
    ['RENAME', list, (client) => client.multi().rpush('a', 'x').rename('a', 'q').exec()],
    ['RENAMENX', list, (client) => client.multi().rpush('a', 'x').renamenx('a', 'q').exec()],
    ['COPY', list, (client) => client.multi().rpush('a', 'x').copy('a', 'q').del('a').exec()],
    ['RESTORE', list, (client) => client.restore('q', 0, listDump)],
    ['MOVE', list, (client) => client.multi().select(1).rpush('q', 'x').move('q', 0).select(0).exec()],
    ['SWAPDB', list, (client) => client.multi().select(1).rpush('q', 'x').select(0).swapdb(0, 1).exec()],
    ['SORT STORE', list, (client) => client.multi().rpush('a', '1').sort('a', 'STORE', 'q').del('a').exec()],
    ['LMOVE', list, (client) => client.multi().rpush('a', 'x').lmove('a', 'q', 'LEFT', 'LEFT').exec()],
    ['RPOPLPUSH', list, (client) => client.multi().rpush('a', 'x').rpoplpush('a', 'q').exec()],
    ['BLMOVE', list, (client) => client.multi().rpush('a', 'x').blmove('a', 'q', 'LEFT', 'LEFT', 0).exec()],
    [
      'BLMOVEM',
      list,
      (client) => client.multi().rpush('a', 'x').call('BLMOVEM', 'a', 'q', 'LEFT', 'LEFT', '0').exec(),
    ],
    [
      'LMOVEM',
      list,
      (client) => client.multi().rpush('a', 'x').call('LMOVEM', 'a', 'q', 'LEFT', 'LEFT').exec(),
    ],
    ['the wrong type goes', list, (client) => client.multi().set('q', 'x').del('q').rpush('q', 'x').exec()],
    ['ZADD', sortedSet, (client) => client.zadd('q', 1, 'x')],
    ['ZINCRBY', sortedSet, (client) => client.zincrby('q', 1, 'x')],
    [
      'ZADD in a transaction',
      sortedSet,
      (client) => client.multi().zadd('q', 2, 'y').zrem('q', 'y').zadd('q', 1, 'x').exec(),
    ],
    [
      'ZUNIONSTORE',
      sortedSet,
      (client) => client.multi().zadd('a', 1, 'x').zunionstore('q', 1, 'a').del('a').exec(),
    ],
    [
      'ZRANGESTORE',
      sortedSet,
      (client) => client.multi().zadd('a', 1, 'x').zrangestore('q', 'a', 0, -1).del('a').exec(),
    ],
    ['GEOADD', sortedSet, (client) => client.geoadd('q', 13, 38, 'x')],
    ['RESTORE of a sorted set', sortedSet, (client) => client.restore('q', 0, setDump)],
    ['XADD', stream, (client) => client.xadd('q', '1-1', 'a', 'x')],
    [
      'RENAME of a stream',
      stream,
      (client) => client.multi().xadd('a', '1-1', 'a', 'x').rename('a', 'q').exec(),
    ],
    [
      'COPY of a stream',
      stream,
      (client) => client.multi().xadd('a', '1-1', 'a', 'x').copy('a', 'q').del('a').exec(),
    ],
  ];
  for (const [name, command, way] of ways) {
    const client = await blocked(server, 1, ...command);
    await way(server.client());
    t.match(await textOf(client), command === stream ? /1-1/ : /\$1\r\nx\r\n|\$1\r\n1\r\n/, name);
    await control.flushall();
  }
});

withServer('keys that are ready at once are taken in the order of the arguments', async (t, server) => {
  const control = server.client();
  await control.rpush('b', '1', '2');
  await control.rpush('c', '3');
  t.same(await control.blpop('a', 'b', 'c', 0), ['b', '1']);
  t.same(await control.brpop('a', 'b', 'c', 0), ['b', '2']);
  const client = await blocked(server, 1, 'BLPOP', 'x', 'y', 'x', 0);
  await control.multi().rpush('y', 'first').rpush('x', 'second').exec();
  t.match(await textOf(client), /first/, 'later the one that was ready first');
  t.equal(await control.llen('x'), 1);
  await control.del('x', 'c');
  t.match(await control.info('clients'), /total_blocking_keys:0\r/);
});

withServer('chains come to an end, also in circles', async (t, server) => {
  const control = server.client();
  const first = await blocked(server, 1, 'BLMOVE', 'a', 'b', 'LEFT', 'RIGHT', 0);
  const second = await blocked(server, 2, 'BRPOPLPUSH', 'b', 'c', 0);
  const third = await blocked(server, 3, 'BLMOVE', 'c', 'a', 'LEFT', 'RIGHT', 0);
  const fourth = await blocked(server, 4, 'BLMPOP', 0, 2, 'z', 'a', 'LEFT');
  await control.rpush('a', 'x');
  t.same(await Promise.all([first, second, third].map(textOf)), [
    '$1\r\nx\r\n',
    '$1\r\nx\r\n',
    '$1\r\nx\r\n',
  ]);
  t.match(await textOf(fourth), /\$1\r\na\r\n\*1\r\n\$1\r\nx/);
  t.equal(await control.dbsize(), 0);
  const itself = await blocked(server, 1, 'BLMOVE', 'a', 'a', 'LEFT', 'RIGHT', 0);
  await control.rpush('a', '1', '2');
  t.equal(await textOf(itself), '$1\r\n1\r\n');
  t.same(await control.lrange('a', 0, -1), ['2', '1']);
});

withServer('a destination of the wrong type is an error and takes nothing', async (t, server) => {
  const control = server.client();
  await control.set('target', 'a string');
  const first = await blocked(server, 1, 'BLMOVE', 'a', 'target', 'LEFT', 'RIGHT', 0);
  const second = await blocked(server, 2, 'BLPOP', 'a', 0);
  await control.rpush('a', 'x');
  t.match(await textOf(first), /^-WRONGTYPE/);
  t.match(await textOf(second), /x/, 'the next one gets it');
  t.match(await control.info('errorstats'), /errorstat_WRONGTYPE:count=1/);
});

withServer('BLMOVEM waits for an element, or with EXACTLY for all that it demands', async (t, server) => {
  const control = server.client();
  const request = ['q', 'target', 'LEFT', 'LEFT', '0'];
  await control.rpush('q', '1', '2');
  const three = await blocked(server, 1, 'BLMOVEM', ...request, 'EXACTLY', 3, 'BULK');
  const four = await blocked(server, 2, 'BLMOVEM', ...request, 'EXACTLY', 4, 'OBO');
  t.same(await control.lrange('q', 0, -1), ['1', '2'], 'nothing is moved before');
  await control.lpop('q');
  await control.rpush('q', '3');
  t.match(await control.info('clients'), /blocked_clients:2\r/);
  await control.rpush('q', '4', '5', '6', '7', '8', '9');
  t.equal(await textOf(three), '*3\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n', 'who waits longest');
  t.equal(await textOf(four), '*4\r\n$1\r\n8\r\n$1\r\n7\r\n$1\r\n6\r\n$1\r\n5\r\n', 'one by one');
  t.same(await control.lrange('q', 0, -1), ['9']);
  t.same(await control.lrange('target', 0, -1), ['8', '7', '6', '5', '2', '3', '4']);
  const impatient = await server.rawClient();
  t.equal(
    await impatient.text('BLMOVEM', 'q', 'r', 'LEFT', 'LEFT', '0.01', 'EXACTLY', '2', 'OBO'),
    '*-1\r\n',
  );
  await control.del('q');
  const some = await blocked(server, 1, 'BLMOVEM', ...request, 'COUNT', 5, 'BULK');
  const one = await blocked(server, 2, 'BLMOVEM', ...request);
  await control.rpush('q', 'a', 'b');
  t.equal(await textOf(some), '*2\r\n$1\r\na\r\n$1\r\nb\r\n');
  await control.rpush('q', 'c', 'd');
  t.equal(await textOf(one), '*1\r\n$1\r\nc\r\n');
});

withServer('who waits for many elements does not hold up who waits for one', async (t, server) => {
  const control = server.client();
  const many = await blocked(server, 1, 'BLMOVEM', 'q', 'r', 'LEFT', 'RIGHT', 0, 'EXACTLY', 3, 'BULK');
  const one = await blocked(server, 2, 'BLPOP', 'q', 0);
  const itself = await blocked(server, 3, 'BLMOVEM', 'q', 'q', 'RIGHT', 'LEFT', 0, 'EXACTLY', 2, 'OBO');
  await control.rpush('q', '1', '2');
  t.match(await textOf(one), /1/);
  await control.rpush('q', '3');
  t.equal(await textOf(itself), '*2\r\n$1\r\n2\r\n$1\r\n3\r\n');
  t.same(await control.lrange('q', 0, -1), ['2', '3']);
  await control.set('r', 'a string');
  await control.rpush('q', '4');
  t.match(await textOf(many), /^-WRONGTYPE/);
  t.equal(await control.llen('q'), 3);
});

withServer('transactions do not wait', async (t, server) => {
  const control = server.client();
  const results = await control
    .multi()
    .blpop('a', 0)
    .bzpopmax('a', 0)
    .call('BLMPOP', '0', '1', 'a', 'LEFT')
    .call('XREAD', 'BLOCK', '0', 'STREAMS', 'a', '$')
    .blmove('a', 'b', 'LEFT', 'LEFT', 0)
    .call('BLMOVEM', 'a', 'b', 'LEFT', 'LEFT', '0')
    .call('BLMOVEM', 'a', 'b', 'LEFT', 'LEFT', '0', 'EXACTLY', '1', 'OBO')
    .exec();
  t.same(
    results!.map(([, value]) => value),
    [null, null, null, null, null, null, null],
  );
});

withServer('the queue of a database is its own', async (t, server) => {
  const control = server.client();
  const client = await server.rawClient();
  await client.command('SELECT', 2);
  client.send('BLPOP', 'q', 0);
  await untilBlocked(control, 1);
  await control.rpush('q', 'not this');
  await control.select(2);
  await control.rpush('q', 'this');
  t.match(await textOf(client), /\$4\r\nthis/);
});

withServer('a client that waits reads the rest of its commands afterwards', async (t, server) => {
  const client = await server.rawClient();
  client.write(
    '*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n0\r\n*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n',
  );
  const control = server.client();
  await untilBlocked(control, 1);
  t.equal(await control.exists('k'), 0);
  await control.rpush('q', 'x');
  t.match((await client.readMany(3)).join(''), /x\r\n\+PONG\r\n\+OK\r\n$/);
  t.equal(await control.exists('k'), 1);
});

withServer('timeouts', async (t, server) => {
  const control = server.client();
  const raw = await server.rawClient();
  const started = Date.now();
  t.equal(await raw.text('BLPOP', 'q', '0.05'), '*-1\r\n');
  t.ok(Date.now() - started >= 50, 'not too early');
  t.equal(await raw.text('BLMOVE', 'q', 'r', 'LEFT', 'LEFT', '0.001'), '*-1\r\n');
  t.equal(await raw.text('BLPOP', 'q', '1e-3'), '*-1\r\n');
  t.match(await raw.text('BLPOP', 'q', '-1'), /^-ERR timeout is negative/);
  t.match(await raw.text('BLPOP', 'q', 'x'), /^-ERR timeout is not a float or out of range/);
  t.match(await raw.text('BLPOP', 'q', 'inf'), /^-ERR timeout is out of range/);
  t.match(await raw.text('BLPOP', 'q', '1e300'), /^-ERR timeout is out of range/);
  const waiting = await blocked(server, 1, 'BLPOP', 'q', 1000);
  t.match(await control.info('clients'), /clients_in_timeout_table:1\r/);
  await waiting.close();
  await untilBlocked(control, 0);
  t.match(await control.info('clients'), /clients_in_timeout_table:0\r/);
  t.match(await control.info('clients'), /total_blocking_keys:0\r/);
});

withServer('CLIENT UNBLOCK and CLIENT KILL', async (t, server) => {
  const control = server.client();
  const idOf = async (client: RawClient) => Number((await client.text('CLIENT', 'ID')).slice(1));
  const client = await server.rawClient();
  const id = await idOf(client);
  t.equal(await control.client('UNBLOCK', id), 0, 'it does not wait');
  client.send('BLPOP', 'q', 0);
  await untilBlocked(control, 1);
  t.match(String(await control.client('LIST', 'ID', id)), / flags=b .*cmd=blpop/);
  t.equal(await control.client('UNBLOCK', id), 1);
  t.equal(await textOf(client), '*-1\r\n');
  client.send('BLPOP', 'q', 0);
  await untilBlocked(control, 1);
  t.equal(await control.client('UNBLOCK', id, 'ERROR'), 1);
  t.match(await textOf(client), /^-UNBLOCKED client unblocked via CLIENT UNBLOCK/);
  client.send('BLPOP', 'q', 0);
  await untilBlocked(control, 1);
  t.equal(await control.client('KILL', 'ID', id), 1);
  await client.closed;
  await untilBlocked(control, 0);
  await control.rpush('q', 'x');
  t.equal(await control.llen('q'), 1, 'nobody has taken it');
});

withServer('FLUSHALL, an element too few, and DEBUG RELOAD', async (t, server) => {
  const control = server.client();
  const client = await blocked(server, 1, 'BLMPOP', 0, 1, 'q', 'LEFT', 'COUNT', 5);
  await control.multi().rpush('q', 'x').flushall().exec();
  await untilBlocked(control, 1);
  t.equal(client.unread, 0, 'it was gone again');
  await control.multi().rpush('q', 'x').lpop('q').exec();
  t.equal(await control.call('DEBUG', 'RELOAD'), 'OK');
  t.equal(client.unread, 0);
  await control.call('DEBUG', 'VERIFY');
  await control.rpush('q', 'y', 'z');
  t.match(await textOf(client), /y\r\n\$1\r\nz/);
});

withServer('what is loaded again serves who waits', async (t, server) => {
  const control = server.client();
  await control.rpush('q', 'x', 'y');
  await control.save();
  await control.del('q');
  const client = await blocked(server, 1, 'BLPOP', 'q', 0);
  t.equal(await control.call('DEBUG', 'RELOAD', 'NOSAVE'), 'OK');
  t.match(await textOf(client), /\$1\r\nx/);
  t.same(await control.lrange('q', 0, -1), ['y']);
});

withServer('groups are told that their stream has gone', async (t, server) => {
  const control = server.client();
  for (const [way, pattern] of [
    [() => control.del('s'), /^-NOGROUP/],
    [() => control.flushall(), /^-NOGROUP/],
    [() => control.rename('s', 'aside'), /^-NOGROUP/],
    [() => control.xgroup('DESTROY', 's', 'g'), /^-NOGROUP/],
    [() => control.set('s', 'x'), /^-WRONGTYPE/],
  ] as const) {
    await control.flushall();
    await control.xgroup('CREATE', 's', 'g', '$', 'MKSTREAM');
    const client = await blocked(server, 1, 'XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '>');
    t.match(await control.info('clients'), /total_blocking_keys_on_nokey:1\r/);
    await way();
    t.match(await textOf(client), pattern);
  }
});

withServer('it counts once, when it is done', async (t, server) => {
  const control = server.client();
  await control.config('RESETSTAT');
  await control.slowlog('RESET');
  await control.config('SET', 'slowlog-log-slower-than', '0');
  const client = await blocked(server, 1, 'BLPOP', 'q', 0);
  t.notMatch(await control.info('commandstats'), /cmdstat_blpop/);
  await control.rpush('q', 'x');
  await client.read();
  t.match(await control.info('commandstats'), /cmdstat_blpop:calls=1,/);
  const log = (await control.slowlog('GET', 50)) as [number, number, number, string[]][];
  t.equal(log.filter(([, , , [name]]) => name === 'BLPOP').length, 1);
  await control.config('SET', 'slowlog-log-slower-than', '10000');
});

withServer('CLIENT PAUSE', async (t, server) => {
  const control = server.client();
  const client = await blocked(server, 1, 'BLPOP', 'q', 0);
  const late = await server.rawClient();
  await control.client('PAUSE', 100_000, 'WRITE');
  const pushed = server.client().rpush('q', 'x', 'y');
  late.send('BLPOP', 'q', 0);
  await untilBlocked(control, 3);
  t.equal(client.unread, 0);
  await control.client('UNPAUSE');
  await pushed;
  t.match(await textOf(client), /x/, 'who was first is first');
  t.match(await textOf(late), /y/);
  await untilBlocked(control, 0);
});

await withServers(t, 'a thousand clients wait for one key', {}, async (t, server) => {
  const control = server.client();
  const clients = await Promise.all(Array.from({ length: 1000 }, () => server.rawClient()));
  for (const client of clients) client.send('BLPOP', 'q', 'other', 0);
  await untilBlocked(control, 1000);
  const replies = Promise.all(clients.map(textOf));
  const pushers = Array.from({ length: 4 }, () => server.client());
  await Promise.all(
    Array.from({ length: 500 }, (_, index) => pushers[index % 4]!.rpush('q', `${index}a`, `${index}b`)),
  );
  const elements = (await replies).map((reply) => reply.split('\r\n')[4]);
  t.equal(new Set(elements).size, 1000);
  t.equal(await control.exists('q'), 0);
  t.match(await control.info('clients'), /blocked_clients:0\r/);
  t.equal(await control.call('DEBUG', 'VERIFY'), 'OK');
});

await withServers(t, 'clients over maxclients do not disturb those who wait', {}, async (t, server) => {
  const control = server.client();
  await control.ping();
  const client = await blocked(server, 1, 'BLPOP', 'q', 0);
  await control.config('SET', 'maxclients', '3');
  const refused = await Promise.all(Array.from({ length: 5 }, () => server.rawClient()));
  await Promise.all(refused.slice(2).map(({ closed }) => closed));
  await control.rpush('q', 'x');
  t.match(await textOf(client), /x/);
});

await withServers(
  t,
  'a key that has expired before it could serve is recorded as deleted at once',
  { directives: { appendonly: 'yes', appendfsync: 'always' } },
  async (t, server) => {
    const control = server.client();
    const recorded = () => {
      const folder = path.join(server.directory, 'appendonlydir');
      const name = readdirSync(folder).find((file) => file.endsWith('.incr.aof'))!;
      return readFileSync(path.join(folder, name), 'latin1');
    };
    await control.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
    const client = await blocked(server, 1, 'BLPOP', 'q', 0);
    await control.multi().rpush('q', 'x').pexpire('q', 1).call('DEBUG', 'SLEEP', '0.02').exec();
    t.match(recorded(), /\$3\r\nDEL\r\n\$1\r\nq\r\n$/);
    await control.rpush('q', 'y');
    t.match(await textOf(client), /y/);
  },
);

for (const threads of threadCounts()) {
  t.test(`SHUTDOWN ends all waits, ${threads} workers`, async (t: Test) => {
    const server = await TestServer.start({ threads });
    t.teardown(() => void server.process.kill('SIGKILL'));
    const clients = await Promise.all(Array.from({ length: 50 }, () => server.rawClient()));
    for (const client of clients) client.send('BLPOP', 'q', 0);
    const control = server.client();
    await untilBlocked(control, 50);
    control.shutdown('NOSAVE').catch(() => {});
    await Promise.all(clients.map(({ closed }) => closed));
    t.equal((await server.exited).code, 0);
    control.disconnect();
  });
}
