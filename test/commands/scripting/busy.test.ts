/** Slow scripts: what others are told, on every worker, and how they are ended. */

import t, { type Test } from 'tap';
import type { RawClient } from '../../tools/raw-client.js';
import { TestServer } from '../../tools/server.js';

const BUSY = '-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n';
const ENDLESS = 'while true do end';

/** Sends a script that does not end, and waits until others are told so. */
async function begin(server: TestServer, ...script: (string | number)[]): Promise<RawClient> {
  const running = await server.rawClient();
  running.send(...script);
  const client = await server.rawClient();
  while (!(await client.text('PING')).startsWith('-BUSY'));
  return running;
}

const withEach = (name: string, body: (t: Test, server: TestServer) => Promise<void>): void => {
  for (const [threads, transport] of [
    [1, 'epoll'],
    [1, 'io_uring'],
    [4, 'io_uring'],
    [4, 'epoll'],
  ] as const) {
    t.test(`${name} (${threads} workers, ${transport})`, async (t) => {
      const server = await TestServer.start({
        kind: 'damselfly',
        threads,
        directives: { 'busy-reply-threshold': 20, transport },
      });
      t.teardown(() => server.stop('SIGKILL'));
      await body(t, server);
    });
  }
};

withEach('a slow script is killed', async (t, server) => {
  // They come to all workers.
  const clients = await Promise.all(Array.from({ length: 8 }, () => server.rawClient()));
  for (const [index, client] of clients.entries()) await client.command('SET', `k${index}`, index);
  for (const script of [ENDLESS, 'while true do pcall(function() while true do end end) end']) {
    const running = await begin(server, 'EVAL', script, 1, 'k0');
    running.send('GET', 'k1');
    for (const [index, client] of clients.entries()) {
      t.equal(await client.text('GET', `k${index}`), BUSY);
      t.equal(await client.text('KEYS', '*'), BUSY);
    }
    await clients[0]!.command('MULTI');
    t.equal(await clients[0]!.text('GET', 'k'), BUSY);
    t.match(await clients[0]!.text('EXEC'), /^-EXECABORT/);
    await clients[0]!.command('DISCARD');
    t.match(await clients[1]!.text('FUNCTION', 'STATS'), /\$4\r\nname\r\n.*\$4\r\nEVAL\r\n.*duration_ms/s);
    t.equal(await clients[2]!.text('FUNCTION', 'KILL'), BUSY);
    const late = await server.rawClient();
    t.equal(await late.text('PING'), BUSY, 'a new connection');
    t.equal(await late.text('SHUTDOWN'), BUSY);
    t.equal(await clients[3]!.text('SCRIPT', 'KILL'), '+OK\r\n');
    t.match((await running.read()).toString(), /^-ERR Script killed by user with SCRIPT KILL\.\.\. script: /);
    t.equal((await running.read()).toString(), '$1\r\n1\r\n', 'what it has sent meanwhile');
    t.equal(await clients[4]!.text('GET', 'k4'), '$1\r\n4\r\n');
    t.equal(await clients[4]!.text('SCRIPT', 'KILL'), '-NOTBUSY No scripts in execution right now.\r\n');
  }

  // It sees what clients do meanwhile.
  const client = clients[6]!;
  await client.command('DEBUG', 'SET-DISABLE-DENY-SCRIPTS', 1);
  const untilNamed =
    "repeat local list = redis.call('CLIENT', 'LIST') until list:find('name=chosen') return 'seen'";
  const listing = await begin(server, 'EVAL', untilNamed, 0);
  t.match(await client.text('HELLO', 2, 'SETNAME', 'chosen'), /server/);
  t.equal((await listing.read()).toString(), '$4\r\nseen\r\n');
  for (const command of ['MULTI', 'EXEC', 'EVAL']) {
    const words = command === 'EVAL' ? "'EVAL', 'return 1', 0" : `'${command}'`;
    t.match(await client.text('EVAL', `return redis.call(${words})`, 0), /not allowed from script/, command);
  }
  await client.command('DEBUG', 'SET-DISABLE-DENY-SCRIPTS', 0);
  t.equal(await clients[5]!.text('DEBUG', 'VERIFY'), '+OK\r\n');
});

withEach('one that has written can only be ended with the server', async (t, server) => {
  const client = await server.rawClient();
  const running = await begin(server, 'EVAL', `redis.call('SET', KEYS[1], 'v') ${ENDLESS}`, 1, 'k');
  t.match(
    await client.text('SCRIPT', 'KILL'),
    /^-UNKILLABLE Sorry the script already executed write commands/,
  );
  t.equal(await client.text('GET', 'other'), BUSY);
  client.send('SHUTDOWN', 'NOSAVE');
  t.equal((await server.exited).code, 0);
  await t.rejects(running.read());
});

withEach('functions are killed by FUNCTION KILL', async (t, server) => {
  const client = await server.rawClient();
  await client.command(
    'FUNCTION',
    'LOAD',
    `#!lua name=lib\nredis.register_function('endless', function() ${ENDLESS} end)`,
  );
  const running = await begin(server, 'FCALL', 'endless', 0);
  const busy = BUSY.replace('SCRIPT', 'FUNCTION');
  t.equal(await client.text('PING'), busy);
  t.equal(await client.text('SCRIPT', 'KILL'), busy);
  t.equal(await client.text('FUNCTION', 'KILL'), '+OK\r\n');
  t.match((await running.read()).toString(), /^-ERR Script killed by user/);
  t.equal(
    await client.text('FUNCTION', 'LOAD', '#!lua name=slow\nwhile true do end'),
    '-ERR Error registering functions: ERR FUNCTION LOAD timeout\r\n',
  );
});

withEach('connections that end meanwhile are forgotten', async (t, server) => {
  const watcher = await server.rawClient();
  const waiting = await server.rawClient();
  await watcher.command('WATCH', 'k', 'other');
  waiting.send('BLPOP', 'k', 'list', 0);
  const client = await server.rawClient();
  while (!(await client.text('INFO', 'clients')).includes('blocked_clients:1'));
  const running = await begin(server, 'EVAL', `redis.call('GET', KEYS[1]) ${ENDLESS}`, 1, 'k');
  await watcher.close();
  await waiting.close();
  await running.close();
  while ((await client.text('SCRIPT', 'KILL')) !== '+OK\r\n');
  while ((await client.text('PING')) !== '+PONG\r\n');
  while (!(await client.text('INFO', 'clients')).includes('blocked_clients:0'));
  t.equal(await client.text('RPUSH', 'k', 'x'), ':1\r\n');
  t.equal(await client.text('LLEN', 'k'), ':1\r\n', 'nobody has taken it');
  t.equal(await client.text('DEBUG', 'VERIFY'), '+OK\r\n');
});

withEach('a client that leaves while a script holds one of its keys', async (t, server) => {
  const waiting = await server.rawClient();
  const client = await server.rawClient();
  await client.command('DEBUG', 'SET-DISABLE-DENY-SCRIPTS', 1);
  await waiting.command('CLIENT', 'SETNAME', 'waiting');
  // The request is kept with the first key, in another shard than k.
  waiting.send('BLPOP', 'list', 'k', 0);
  while (!(await client.text('INFO', 'clients')).includes('blocked_clients:1'));
  const script = `
    redis.call('GET', KEYS[1])
    while redis.call('CLIENT', 'LIST'):find('name=waiting') do end
    local length = redis.call('RPUSH', KEYS[1], 'x')
    -- Takes the memory that has been freed meanwhile. A script that has written does not begin anew to get another lock.
    for bytes = 1, 1000 do redis.call('SET', '{list}' .. bytes, string.rep('\\255', bytes)) end
    return length`;
  const running = await begin(server, 'EVAL', script, 1, 'k');
  waiting.socket.end();
  // The server has closed it, too.
  await waiting.closed;
  while ((await client.text('PING')) !== '+PONG\r\n');
  t.equal((await running.read()).toString(), ':1\r\n');
  t.equal(await client.text('LLEN', 'k'), ':1\r\n', 'nobody has taken it');
  t.equal(await client.text('DEBUG', 'VERIFY'), '+OK\r\n');
});

t.test('SIGTERM waits for a slow script', async (t) => {
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 2,
    directives: { 'busy-reply-threshold': 20, appendonly: 'yes' },
  });
  t.teardown(() => server.stop('SIGKILL'));
  const client = await server.rawClient();
  const running = await begin(server, 'EVAL', `redis.call('GET', KEYS[1]) ${ENDLESS}`, 1, 'k');
  server.process.kill('SIGTERM');
  await server.untilLogged('scheduling shutdown');
  t.equal(await client.text('SCRIPT', 'KILL'), '+OK\r\n');
  await running.read();
  t.equal((await server.exited).code, 0);
});
