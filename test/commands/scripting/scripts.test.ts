/** EVAL and its like over a socket: replies, errors, what scripts may do, and what others see of them. */

import { createHash } from 'node:crypto';
import t from 'tap';
import { defaultKind, numberOf, sharedServers, TestServer, withServers } from '../../tools/server.js';

const onServers = sharedServers(t);
const isOurs = defaultKind() === 'damselfly';

const sha = (source: string): string => createHash('sha1').update(source).digest('hex');

onServers('a script runs commands and replies', async (t, server) => {
  const client = await server.rawClient();
  t.equal(await client.text('EVAL', "return redis.call('SET',KEYS[1],ARGV[1])", 1, 'k', 'v'), '+OK\r\n');
  t.equal(await client.text('EVAL', "return redis.call('GET','k')", 0), '$1\r\nv\r\n');
  t.equal(
    await client.text('EVAL', "return {1, 'two', {3, false}, 4.9, true, nil, 5}", 0),
    '*5\r\n:1\r\n$3\r\ntwo\r\n*2\r\n:3\r\n$-1\r\n:4\r\n:1\r\n',
  );
  t.equal(await client.text('EVAL', "return redis.error_reply('MY fault')", 0), '-MY fault\r\n');
  t.equal(await client.text('EVAL', "return {err='MY fault'}", 0), '-MY fault\r\n');
  t.equal(await client.text('EVAL', "return redis.status_reply('FINE')", 0), '+FINE\r\n');
  t.equal(await client.text('EVAL', "return redis.sha1hex('')", 0), `$40\r\n${sha('')}\r\n`);
  const large = 'x'.repeat(300_000);
  t.equal(await client.text('EVAL', 'return ARGV[1]', 0, large), `$300000\r\n${large}\r\n`);
  await client.command('SET', 'large', large);
  t.equal(await client.text('EVAL', "return #redis.call('GET','large')", 0), ':300000\r\n');
  await client.command('HELLO', 3);
  await client.command('HSET', 'h', 'f', 'v');
  t.equal(
    await client.text('EVAL', "redis.setresp(3); return redis.call('HGETALL','h')", 0),
    '%1\r\n$1\r\nf\r\n$1\r\nv\r\n',
  );
  t.equal(await client.text('EVAL', "return redis.call('HGETALL','h')", 0), '*2\r\n$1\r\nf\r\n$1\r\nv\r\n');
  t.equal(await client.text('EVAL', 'return nil', 0), '_\r\n');
});

onServers('wrong calls are refused', async (t, server) => {
  const client = await server.rawClient();
  const error = async (...args: (string | number)[]) => (await client.text(...args)).trimEnd();
  t.equal(await error('EVAL', 'return 1', 'x'), '-ERR value is not an integer or out of range');
  t.equal(await error('EVAL', 'return 1', -1), "-ERR Number of keys can't be negative");
  t.equal(
    await error('EVAL', 'return 1', 2, 'k'),
    "-ERR Number of keys can't be greater than number of args",
  );
  t.equal(await error('EVAL', 'return 1'), "-ERR wrong number of arguments for 'eval' command");
  t.match(
    await error('EVAL', 'return +', 0),
    /^-ERR Error compiling script \(new function\): user_script:1: /,
  );
  const failing = async (source: string) => (await error('EVAL', source, 0)).replace(sha(source), 'SHA');
  t.equal(
    await failing("return redis.call('nosuch')"),
    '-ERR Unknown Redis command called from script script: SHA, on @user_script:1.',
  );
  t.equal(
    await failing("return redis.call('get')"),
    '-ERR Wrong number of args calling Redis command from script script: SHA, on @user_script:1.',
  );
  t.equal(
    await failing("return redis.call('subscribe','c')"),
    '-ERR This Redis command is not allowed from script script: SHA, on @user_script:1.',
  );
  t.equal(
    await failing("return redis.pcall('config','get','port')"),
    '-ERR This Redis command is not allowed from script',
  );
  t.equal(
    await failing("redis.call('set','s','x')\nreturn redis.call('incr','s')"),
    '-ERR value is not an integer or out of range script: SHA, on @user_script:2.',
  );
  t.equal(await failing("error('mine')"), '-ERR user_script:1: mine script: SHA, on @user_script:1.');
});

onServers('scripts are known by their SHA-1', async (t, server) => {
  const client = await server.rawClient();
  const source = 'return ARGV[1]';
  const noScript = '-NOSCRIPT No matching script. Please use EVAL.\r\n';
  await client.command('SCRIPT', 'FLUSH');
  t.equal(await client.text('EVALSHA', sha(source), 0, 'a'), noScript);
  t.equal(await client.text('EVALSHA', 'short', 0), noScript);
  t.equal(await client.text('EVAL', source, 0, 'a'), '$1\r\na\r\n');
  t.equal(await client.text('EVALSHA', sha(source).toUpperCase(), 0, 'b'), '$1\r\nb\r\n');
  t.equal(await client.text('SCRIPT', 'LOAD', 'return 2'), `$40\r\n${sha('return 2')}\r\n`);
  t.equal(
    await client.text('SCRIPT', 'EXISTS', sha(source), sha('return 2'), sha('none'), 'short'),
    '*4\r\n:1\r\n:1\r\n:0\r\n:0\r\n',
  );
  t.match(await client.text('SCRIPT', 'LOAD', 'return +'), /^-ERR Error compiling script/);
  t.equal(await client.text('SCRIPT', 'FLUSH', 'x'), '-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n');
  t.equal(await client.text('SCRIPT', 'FLUSH', 'ASYNC'), '+OK\r\n');
  t.equal(await client.text('EVALSHA', sha(source), 0, 'a'), noScript);
  t.equal(await client.text('SCRIPT', 'KILL'), '-NOTBUSY No scripts in execution right now.\r\n');
});

onServers('every worker knows what one has been told', async (t, server) => {
  const clients = await Promise.all(Array.from({ length: 6 }, () => server.rawClient()));
  for (let round = 0; round < 5; round++) {
    const source = `return ${round}`;
    await clients[round % 6]!.command('SCRIPT', 'LOAD', source);
    for (const client of clients) t.equal(await client.text('EVALSHA', sha(source), 0), `:${round}\r\n`);
    await clients[(round + 1) % 6]!.command('SCRIPT', 'FLUSH');
    for (const client of clients) t.match(await client.text('EVALSHA', sha(source), 0), /^-NOSCRIPT/);
  }
});

onServers('read-only scripts may not write', async (t, server) => {
  const client = await server.rawClient();
  const write = "return redis.call('SET','k','v')";
  t.match(
    await client.text('EVAL_RO', write, 0),
    /^-ERR Write commands are not allowed from read-only scripts\./,
  );
  t.match(
    await client.text('EVAL_RO', "return redis.call('PUBLISH','c','m')", 0),
    /^-ERR Write commands are not/,
  );
  await client.command('SCRIPT', 'LOAD', write);
  t.match(
    await client.text('EVALSHA_RO', sha(write), 0),
    /^-ERR Write commands are not allowed from read-only/,
  );
  t.match(
    await client.text('EVAL', `#!lua flags=no-writes\n${write}`, 0),
    /^-ERR Write commands are not allowed/,
  );
  t.equal(
    await client.text('EVAL_RO', `#!lua\n${write}`, 0),
    '-ERR Can not execute a script with write flag using *_ro command.\r\n',
  );
  t.equal(await client.text('EVAL_RO', "return redis.call('EXISTS','k')", 0), ':0\r\n');
  t.match(
    await client.text('EVAL', '#!lua flags=what\nreturn 1', 0),
    /^-ERR Unexpected flag in script shebang: what/,
  );
});

onServers('a script has a database of its own', async (t, server) => {
  const client = await server.rawClient();
  await client.command(
    'EVAL',
    "redis.call('SELECT',5); redis.call('SET','k','five'); redis.call('SELECT',0)",
    0,
  );
  await client.command('EVAL', "redis.call('SELECT',5)", 0);
  t.equal(await client.text('GET', 'k'), '$-1\r\n');
  await client.command('SELECT', 5);
  t.equal(await client.text('EVAL', "return redis.call('GET','k')", 0), '$4\r\nfive\r\n');
});

onServers('scripts in transactions, and watched keys', async (t, server) => {
  const client = await server.rawClient();
  const other = await server.rawClient();
  await client.command('MULTI');
  await client.command('EVAL', "return redis.call('INCR','a')", 0);
  await client.command('INCR', 'a');
  await client.command('EVAL', "return redis.call('KEYS','*')", 1, 'b');
  t.equal(await client.text('EXEC'), '*3\r\n:1\r\n:2\r\n*1\r\n$1\r\na\r\n');
  await client.command('WATCH', 'a');
  await other.command('EVAL', "return redis.call('INCR',ARGV[1])", 0, 'a');
  await client.command('MULTI');
  await client.command('GET', 'a');
  t.equal(await client.text('EXEC'), '*-1\r\n');
});

onServers('scripts serve those who wait, when they have ended', async (t, server) => {
  const waiting = await server.rawClient();
  const client = await server.rawClient();
  waiting.send('BLPOP', 'list', 0);
  while (!(await client.text('INFO', 'clients')).includes('blocked_clients:1'));
  const length = await client.text(
    'EVAL',
    "redis.call('RPUSH','list','one'); redis.call('RPUSH','list','two'); return redis.call('LLEN','list')",
    0,
  );
  t.equal(length, ':2\r\n');
  t.equal((await waiting.read()).toString(), '*2\r\n$4\r\nlist\r\n$3\r\none\r\n');
  t.equal(await client.text('LRANGE', 'list', 0, -1), '*1\r\n$3\r\ntwo\r\n');
});

onServers('nothing blocks in a script', async (t, server) => {
  if (!isOurs) return;
  const client = await server.rawClient();
  const call = (...command: (string | number)[]) =>
    client.text('EVAL', 'return redis.call(unpack(ARGV))', 0, ...command);
  t.equal(await call('BLPOP', 'none', 0), '$-1\r\n');
  t.equal(await call('WAIT', 1, 0), ':0\r\n');
  t.equal(await call('WAITAOF', 0, 1, 0), '*2\r\n:0\r\n:0\r\n');
  await client.command('XGROUP', 'CREATE', 'stream', 'group', '$', 'MKSTREAM');
  const readGroup = ['XREADGROUP', 'GROUP', 'group', 'me', 'BLOCK', 0, 'STREAMS', 'stream', '>'];
  t.equal(await call('XREAD', 'BLOCK', 0, 'STREAMS', 'stream', '$'), '$-1\r\n');
  t.equal(await call(...readGroup), '$-1\r\n');
  await client.command('XADD', 'stream', '1-1', 'a', 1);
  const entry = '*1\r\n*2\r\n$6\r\nstream\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n';
  t.equal(await call('XREAD', 'BLOCK', 0, 'STREAMS', 'stream', '0-0'), entry);
  t.equal(await call(...readGroup), entry);
});

onServers('commands that scripts call are counted', async (t, server) => {
  const client = await server.rawClient();
  await client.command('CONFIG', 'RESETSTAT');
  await client.command('EVAL', "for i = 1, 100 do redis.call('INCR','n') end", 0);
  await client.command('EVAL', "return redis.pcall('LPUSH','n','x')", 0);
  const stats = await client.text('INFO', 'commandstats');
  t.match(stats, /cmdstat_incr:calls=100,.*failed_calls=0/);
  t.match(stats, /cmdstat_lpush:calls=1,.*failed_calls=1/);
  t.match(stats, /cmdstat_eval:calls=2,.*failed_calls=1/);
  t.match(await client.text('INFO', 'errorstats'), /errorstat_WRONGTYPE:count=1/);
});

onServers('MONITOR and the slow log show scripts', async (t, server) => {
  const monitor = await server.rawClient();
  const client = await server.rawClient();
  await monitor.command('MONITOR');
  await client.command('EVAL', "return redis.call('SET','k','v')", 0);
  t.match((await monitor.read()).toString(), /^\+\d+\.\d+ \[0 127\.0\.0\.1:\d+\] "EVAL" "return redis\.call/);
  t.match((await monitor.read()).toString(), /^\+\d+\.\d+ \[0 lua\] "SET" "k" "v"/);
});

onServers('keyspace events come from scripts', async (t, server) => {
  const listener = await server.rawClient();
  const client = await server.rawClient();
  await client.command('CONFIG', 'SET', 'notify-keyspace-events', 'KEA');
  await listener.command('PSUBSCRIBE', '__keyevent@*');
  await client.command('EVAL', "redis.call('SET','k','v'); redis.call('DEL','k')", 0);
  t.match((await listener.read()).toString(), /__keyevent@0__:set\r\n\$1\r\nk/);
  t.match((await listener.read()).toString(), /__keyevent@0__:del\r\n\$1\r\nk/);
  await client.command('CONFIG', 'SET', 'notify-keyspace-events', '');
});

if (isOurs) {
  withServers(t, 'scripts of EVAL are evicted, loaded ones are not', {}, async (t, server) => {
    const client = server.client();
    const loaded = String(await client.script('LOAD', 'return "loaded"'));
    for (let index = 0; index < 700; index++) await client.eval(`return ${index}`, 0);
    const info = await client.info();
    t.equal(numberOf(info, 'number_of_cached_scripts'), 501);
    t.equal(numberOf(info, 'evicted_scripts'), 200);
    t.equal(await client.evalsha(loaded, 0), 'loaded');
    t.equal(await client.evalsha(sha('return 699'), 0), 699);
    await t.rejects(client.evalsha(sha('return 1'), 0), /NOSCRIPT/);
  });

  t.test('memory of scripts is bounded', async (t) => {
    const server = await TestServer.start({ threads: 1, directives: { 'script-memory-limit': '16mb' } });
    t.teardown(() => server.stop('SIGKILL'));
    const client = server.client();
    await t.rejects(
      client.eval("local t = {} for i = 1, 1e7 do t[i] = tostring(i) .. ('x'):rep(100) end return #t", 0),
      /not enough memory/,
    );
    t.equal(await client.eval("return redis.call('SET','k','v')", 0), 'OK');
    t.equal(await client.get('k'), 'v');
  });
}

withServers(t, 'maxmemory and scripts', { directives: { maxmemory: '64mb' } }, async (t, server) => {
  const client = await server.rawClient();
  await client.command('CONFIG', 'SET', 'maxmemory', 1);
  t.match(
    await client.text('EVAL', "return redis.call('SET','k','v')", 0),
    /^-OOM command not allowed when used memory > 'maxmemory'\. script: /,
  );
  t.equal(await client.text('EVAL', "return redis.call('GET','k')", 0), '$-1\r\n');
  t.match(await client.text('EVAL', '#!lua\nreturn 1', 0), /^-OOM /);
  t.equal(await client.text('EVAL', '#!lua flags=allow-oom\nreturn redis.call("SET","k","v")', 0), '+OK\r\n');
  t.equal(await client.text('EVAL', '#!lua flags=no-writes\nreturn 1', 0), ':1\r\n');
  t.equal(
    await client.text('EVAL', "redis.call('DEL','k'); return redis.call('SET','k','v')", 0),
    '+OK\r\n',
    'one that has written goes on',
  );
});

onServers('a replica without its primary runs what may be stale', async (t, server) => {
  const client = await server.rawClient();
  const other = await server.rawClient();
  const down = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n";
  const library = `#!lua name=stale
    redis.register_function{function_name='fresh', callback=function() return 1 end, flags={'no-writes'}}
    redis.register_function{function_name='any', callback=function() return 2 end, flags={'no-writes', 'allow-stale'}}`;
  const flagged = (code: string) => `#!lua flags=no-writes,allow-stale\n${code}`;
  await client.command('FUNCTION', 'LOAD', library);
  await client.command('CONFIG', 'SET', 'replica-serve-stale-data', 'no');
  await client.command('MULTI');
  await client.command('GET', 'a');
  await other.command('MULTI');
  await other.command('PING');
  const queued = [client, other];
  const third = await server.rawClient();
  t.equal(await third.text('REPLICAOF', '127.0.0.1', 1), '+OK\r\n');
  for (const each of queued) {
    t.match(await each.text('EXEC'), /^-EXECABORT Transaction discarded because of: MASTERDOWN /);
  }
  t.equal(await client.text('EVAL', 'return 1', 0), down);
  t.equal(await client.text('EVAL_RO', 'return 1', 0), down);
  t.equal(await client.text('EVAL', '#!lua flags=no-writes\nreturn 1', 0), down);
  t.equal(await client.text('EVAL', flagged('return 1'), 0), ':1\r\n');
  t.match(
    await client.text('EVAL', flagged("return redis.call('GET', 'a')"), 0),
    /^-ERR Can not execute the command on a stale replica script: /,
  );
  t.equal(await client.text('EVAL', flagged("return #redis.call('INFO', 'server') > 0"), 0), ':1\r\n');
  t.equal(await client.text('FCALL', 'fresh', 0), down);
  t.equal(await client.text('FCALL', 'any', 0), ':2\r\n');
  await client.command('MULTI');
  await client.command('EVAL', 'return 1', 0);
  t.equal(await client.text('EXEC'), `*1\r\n${down}`);
  t.equal(await client.text('REPLICAOF', 'NO', 'ONE'), '+OK\r\n');
  t.equal(await client.text('EVAL', 'return 1', 0), ':1\r\n');
});
