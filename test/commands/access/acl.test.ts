/** Users of a server: what they may do, and what happens to their clients when that changes. */

import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import type { RawClient } from '../../tools/raw-client.js';
import { type ServerOptions, TestServer } from '../../tools/server.js';

const NO_COMMAND = (name: string): string =>
  `-NOPERM this user has no permissions to run the '${name}' command\r\n`;
const NO_KEY = '-NOPERM this user has no permissions to access one of the keys used as arguments\r\n';
const NO_CHANNEL = '-NOPERM this user has no permissions to access one of the channels used as arguments\r\n';
const NO_DATABASE = '-NOPERM No permissions to access database\r\n';
const NOAUTH = '-NOAUTH Authentication required.\r\n';
const WRONGPASS = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';
const OK = '+OK\r\n';

const WORKERS = [1, 4];

type Body = (t: Test, server: TestServer) => Promise<void>;

const bodies: [name: string, body: Body][] = [];

/** A test for each number of workers; all of one number share a server. */
function withWorkers(name: string, body: Body): void {
  bodies.push([name, body]);
}

/** As if the server had just been started. */
async function clear(server: TestServer): Promise<void> {
  await server.clear();
  const admin = await server.rawClient();
  const users = (await server.client().call('ACL', 'USERS')) as string[];
  const others = users.filter((user) => user !== 'default');
  if (others.length > 0) await admin.text('ACL', 'DELUSER', ...others);
}

/** As many clients of a user as there are workers, at least: with several, they are on different ones. */
async function clientsOf(server: TestServer, user: string, count = 4): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (let index = 0; index < count; index++) {
    const client = await server.rawClient();
    if ((await client.text('AUTH', user, 'x')) !== OK) throw new Error('not authenticated');
    clients.push(client);
  }
  return clients;
}

withWorkers('commands, keys and channels', async (t, server) => {
  const admin = await server.rawClient();
  await admin.text(
    'ACL',
    'SETUSER',
    'u',
    'on',
    'nopass',
    '+@read',
    '+set',
    '+multi',
    '+exec',
    '+publish',
    '+subscribe',
  );
  await admin.text(
    'ACL',
    'SETUSER',
    'u',
    '%R~r:*',
    '%W~w:*',
    '~a:*',
    '&c:*',
    '+psubscribe',
    '+select',
    '+sort',
    '+copy',
  );
  const [client] = await clientsOf(server, 'u', 1);
  const expect = async (args: readonly string[], reply: string): Promise<void> => {
    t.equal(await client!.text(...args), reply, args.join(' '));
  };
  await expect(['GET', 'r:1'], '$-1\r\n');
  await expect(['GET', 'w:1'], NO_KEY);
  await expect(['SET', 'w:1', 'x'], OK);
  await expect(['SET', 'r:1', 'x'], NO_KEY);
  await expect(['SET', 'w:1', 'x', 'GET'], NO_KEY);
  await expect(['SET', 'a:1', 'y', 'GET'], '$-1\r\n');
  await expect(['EXISTS', 'w:1'], ':1\r\n');
  await expect(['EXISTS', 'other'], NO_KEY);
  await expect(['MGET', 'r:1', 'other'], NO_KEY);
  await expect(['DEL', 'a:1'], NO_COMMAND('del'));
  await expect(['COPY', 'r:1', 'w:2'], ':0\r\n');
  await expect(['COPY', 'w:1', 'r:2'], NO_KEY);
  await expect(['CONFIG', 'GET', 'x'], NO_COMMAND('config|get'));
  await expect(['PUBLISH', 'c:1', 'x'], ':0\r\n');
  await expect(['PUBLISH', 'd', 'x'], NO_CHANNEL);
  await expect(['SUBSCRIBE', 'c:1', 'd'], NO_CHANNEL);
  await expect(['PSUBSCRIBE', 'c:1*'], NO_CHANNEL);
  await expect(
    ['SORT', 'a:l', 'BY', 'nosort', 'GET', '#'],
    '-ERR GET option of SORT denied due to insufficient ACL permissions.\r\n',
  );
  await expect(
    ['SORT', 'a:l', 'BY', 'x_*'],
    '-ERR BY option of SORT denied due to insufficient ACL permissions.\r\n',
  );
  await expect(['SORT', 'a:l', 'STORE', 'r:2'], NO_KEY);
  await expect(['SORT', 'a:l', 'BY', 'nosort'], '*0\r\n');
  // A pipeline is checked command by command.
  const replies = await client!.pipeline([
    ['GET', 'r:1'],
    ['GET', 'no'],
    ['GET', 'a:1'],
    ['INCR', 'a:1'],
    ['GET', 'r:2'],
  ]);
  t.same(replies.map(String), ['$-1\r\n', NO_KEY, '$1\r\ny\r\n', NO_COMMAND('incr'), '$-1\r\n']);
  // What can't be queued ends the transaction.
  await expect(['MULTI'], OK);
  await expect(['SET', 'r:1', 'x'], NO_KEY);
  await expect(['EXEC'], '-EXECABORT Transaction discarded because of previous errors.\r\n');
  const log = (await server.client().call('ACL', 'LOG')) as string[][];
  t.same(log[0]!.slice(0, 10), [
    'count',
    1,
    'reason',
    'key',
    'context',
    'multi',
    'object',
    'r:1',
    'username',
    'u',
  ]);
  t.match(
    await server.client().info('stats'),
    /acl_access_denied_cmd:3\r\nacl_access_denied_key:\d+\r\nacl_access_denied_channel:3/,
  );
});

withWorkers('databases', async (t, server) => {
  const admin = await server.rawClient();
  await admin.text('ACL', 'SETUSER', 'u', 'on', 'nopass', '+@all', '~*', 'db=1,2');
  const [client] = await clientsOf(server, 'u', 1);
  const expect = async (args: readonly string[], reply: string | RegExp): Promise<void> => {
    const got = await client!.text(...args);
    if (typeof reply === 'string') t.equal(got, reply, args.join(' '));
    else t.match(got, reply, args.join(' '));
  };
  await expect(['PING'], '+PONG\r\n');
  await expect(['GET', 'a'], NO_DATABASE);
  await expect(['DBSIZE'], NO_DATABASE);
  await expect(['SCAN', '0'], NO_DATABASE);
  await expect(['SELECT', '3'], NO_DATABASE);
  await expect(['MULTI'], OK);
  await expect(['SELECT', '1'], '+QUEUED\r\n');
  await expect(['SET', 'a', 'x'], '+QUEUED\r\n');
  await expect(['SELECT', '0'], NO_DATABASE);
  await expect(['DISCARD'], OK);
  await expect(['SELECT', '1'], OK);
  await expect(['SET', 'a', 'x'], OK);
  await expect(['MOVE', 'a', '0'], NO_DATABASE);
  await expect(['MOVE', 'a', '2'], ':1\r\n');
  await expect(['COPY', 'a', 'b', 'DB', '0'], NO_DATABASE);
  await expect(['SWAPDB', '1', '2'], OK);
  await expect(['SWAPDB', '1', '0'], NO_DATABASE);
  await expect(['FLUSHALL'], NO_DATABASE);
  await expect(['FLUSHDB'], OK);
  await expect(['ACL', 'GETUSER', 'u'], /databases\r\n\$6\r\ndb=1,2\r\n/);
  const log = (await server.client().call('ACL', 'LOG', '1')) as string[][];
  t.same(log[0]!.slice(2, 8), ['reason', 'database', 'context', 'toplevel', 'object', 'flushall']);
});

withWorkers('rights that change', async (t, server) => {
  const admin = await server.rawClient();
  await admin.text('ACL', 'SETUSER', 'u', 'on', 'nopass', '+@all', '~*', '&*');
  const clients = await clientsOf(server, 'u');
  const [client] = clients;
  for (const one of clients) t.equal(await one.text('SET', 'a', 'x'), OK);
  t.equal(await client!.text('MULTI'), OK);
  t.equal(await client!.text('SET', 'a', 'y'), '+QUEUED\r\n');
  t.equal(await client!.text('GET', 'a'), '+QUEUED\r\n');
  await admin.text('ACL', 'SETUSER', 'u', '-set');
  for (const one of clients.slice(1)) t.equal(await one.text('SET', 'a', 'x'), NO_COMMAND('set'));
  t.equal(
    await client!.text('EXEC'),
    '*2\r\n-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command ' +
      'is no longer allowed for the following reason: no permission to execute the command or subcommand\r\n$1\r\nx\r\n',
  );
  // Within a transaction a change holds for what follows it.
  await admin.text('ACL', 'SETUSER', 'u', '+@all');
  await client!.pipeline([['MULTI'], ['ACL', 'SETUSER', 'u', '-get'], ['GET', 'a']]);
  t.match(await client!.text('EXEC'), /^\*2\r\n\+OK\r\n-NOPERM ACLs rules changed/);
  // Others see it, too, and whoever is not the user is not concerned.
  t.equal(await clients[3]!.text('GET', 'a'), NO_COMMAND('get'));
  t.equal(await admin.text('GET', 'a'), '$1\r\nx\r\n');
});

withWorkers('clients that wait', async (t, server) => {
  const admin = await server.rawClient();
  await admin.text('ACL', 'SETUSER', 'u', 'on', 'nopass', '+@all', '~*');
  const clients = await clientsOf(server, 'u');
  for (const client of clients) client.send('BLPOP', 'list', '0');
  while (!/blocked_clients:4/.test(await admin.text('INFO', 'clients')));
  await admin.text('ACL', 'SETUSER', 'u', 'resetkeys', '~other');
  t.equal(await admin.text('LPUSH', 'list', 'x'), ':1\r\n');
  for (const client of clients) t.equal((await client.read()).toString(), NO_KEY);
  t.equal(await admin.text('LLEN', 'list'), ':1\r\n', 'nobody has got it');
  t.match(
    await admin.text('INFO', 'commandstats'),
    /cmdstat_blpop:calls=0,.*rejected_calls=4,failed_calls=0/,
  );
  for (const client of clients) t.equal(await client.text('PING'), '+PONG\r\n');
});

withWorkers('subscribers that lose their channels', async (t, server) => {
  const admin = await server.rawClient();
  await admin.text('ACL', 'SETUSER', 'u', 'on', 'nopass', '+@all', '&a:*', '&b', '&p*');
  const clients = await clientsOf(server, 'u');
  await clients[0]!.text('SUBSCRIBE', 'a:1');
  await clients[1]!.text('PSUBSCRIBE', 'p*');
  await clients[2]!.text('SSUBSCRIBE', 'b');
  await clients[3]!.text('PING');
  await admin.text('ACL', 'SETUSER', 'u', '&more');
  const clientsLeft = async (): Promise<number> =>
    [...(await admin.text('CLIENT', 'LIST', 'USER', 'u')).matchAll(/user=u /g)].length;
  t.equal(await clientsLeft(), 4, 'with more channels nobody goes');
  await admin.text('ACL', 'SETUSER', 'u', 'resetchannels', '&a:*', '&p1');
  // At once: the list has them no more, and no message reaches them.
  t.equal(await clientsLeft(), 2);
  t.equal(await admin.text('PUBLISH', 'p1', 'x'), ':0\r\n');
  await Promise.all([clients[1]!.closed, clients[2]!.closed]);
  t.equal(await admin.text('PUBLISH', 'a:1', 'x'), ':1\r\n');
  t.equal(await clients[3]!.text('PING'), '+PONG\r\n');
});

withWorkers('scripts', async (t, server) => {
  const admin = await server.rawClient();
  await admin.text('ACL', 'SETUSER', 'u', 'on', 'nopass', '+eval', '+get', '~a*', '+sort');
  const [client] = await clientsOf(server, 'u', 1);
  const run = async (script: string, ...keys: string[]): Promise<string> =>
    client!.text('EVAL', script, String(keys.length), ...keys);
  t.equal(await run("return redis.call('get', KEYS[1])", 'a'), '$-1\r\n');
  t.equal(await run('return 1', 'b'), NO_KEY);
  t.equal(
    await run("return redis.pcall('set', 'a', 1)"),
    "-ERR The user executing the script can't run this command or subcommand\r\n",
  );
  t.equal(
    await run("return redis.pcall('get', 'b')"),
    "-ERR The user executing the script can't access at least one of the keys mentioned in the command arguments\r\n",
  );
  t.match(
    await run("return redis.pcall('sort', 'a', 'by', 'x_*')"),
    /^-ERR BY option of SORT denied due to insufficient ACL permissions/,
  );
  t.equal(
    await run("return {redis.acl_check_cmd('get', 'a'), redis.acl_check_cmd('get', 'b')}"),
    '*2\r\n:1\r\n$-1\r\n',
  );
  const log = (await server.client().call('ACL', 'LOG')) as string[][];
  t.same(log[0]!.slice(2, 10), ['reason', 'key', 'context', 'lua', 'object', 'b', 'username', 'u']);
});

withWorkers('users that go', async (t, server) => {
  const admin = await server.rawClient();
  for (const user of ['u', 'v']) await admin.text('ACL', 'SETUSER', user, 'on', 'nopass', '+@all', '~*');
  const [mine, others] = [await clientsOf(server, 'u'), await clientsOf(server, 'v')];
  mine[1]!.send('BLPOP', 'list', '0');
  while (!/blocked_clients:1/.test(await admin.text('INFO', 'clients')));
  t.equal(await admin.text('ACL', 'DELUSER', 'u', 'nobody'), ':1\r\n');
  t.notMatch(await admin.text('CLIENT', 'LIST'), /user=u /);
  await Promise.all(mine.map((client) => client.closed));
  for (const client of others) t.equal(await client.text('PING'), '+PONG\r\n');
  // Whoever deletes itself gets its reply first.
  t.equal(await others[0]!.text('ACL', 'DELUSER', 'v'), ':1\r\n');
  await Promise.all(others.map((client) => client.closed));
  t.equal(await admin.text('ACL', 'DELUSER', 'default'), "-ERR The 'default' user cannot be removed\r\n");
  t.equal(await admin.text('ACL', 'WHOAMI'), '$7\r\ndefault\r\n');
});

withWorkers('the default user', async (t, server) => {
  t.equal(await (await server.rawClient()).text('CONFIG', 'SET', 'requirepass', 'secret'), OK);
  const stranger = await server.rawClient();
  const admin = await server.rawClient();
  t.equal(await stranger.text('PING'), NOAUTH);
  t.equal(await admin.text('AUTH', 'wrong'), WRONGPASS);
  t.equal(await admin.text('AUTH', 'secret'), OK);
  // The password of the directive is that of the user.
  t.match(
    await admin.text('ACL', 'GETUSER', 'default'),
    /2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b/,
  );
  await admin.text('ACL', 'SETUSER', 'default', '>another');
  t.equal(await stranger.text('AUTH', 'another'), OK);
  t.equal(await stranger.text('RESET'), '+RESET\r\n');
  t.equal(await stranger.text('PING'), NOAUTH);
  t.equal(await admin.text('CONFIG', 'SET', 'requirepass', ''), OK);
  t.equal(await stranger.text('PING'), '+PONG\r\n', 'nobody has to say who he is');
  t.equal(await admin.text('CONFIG', 'SET', 'requirepass', 'new'), OK);
  t.equal(await stranger.text('PING'), NOAUTH, 'who has not said it has to now');
  t.equal(await admin.text('PING'), '+PONG\r\n');
  t.equal(
    await stranger
      .text('HELLO', '3', 'AUTH', 'default', 'new', 'SETNAME', 'me')
      .then((reply) => reply.slice(0, 2)),
    '%7',
  );
  await admin.text('ACL', 'SETUSER', 'default', 'off');
  t.equal(await stranger.text('PING'), '+PONG\r\n', 'who is logged in stays so');
  const late = await server.rawClient();
  t.equal(await late.text('AUTH', 'new'), WRONGPASS);
  t.notMatch(server.stderr + server.stdout, /secret|another/, 'no password is logged');
  await admin.text('ACL', 'SETUSER', 'default', 'on');
  t.equal(await admin.text('CONFIG', 'SET', 'requirepass', ''), OK);
});

withWorkers('what nobody may read', async (t, server) => {
  const admin = await server.rawClient();
  await admin.text('CONFIG', 'SET', 'slowlog-log-slower-than', '0');
  const monitor = await server.rawClient();
  await monitor.text('MONITOR');
  const client = await server.rawClient();
  await client.text('ACL', 'SETUSER', 'u', 'on', '>hidden1', '+@all');
  await client.text('AUTH', 'u', 'hidden1');
  await client.text('AUTH', 'u', 'hidden2');
  await client.text('HELLO', '2', 'AUTH', 'u', 'hidden1');
  await client.text('CONFIG', 'SET', 'requirepass', 'hidden3');
  await client.text('MULTI');
  await client.text('ACL', 'SETUSER', 'u', '>hidden4');
  await client.text('EXEC');
  await client.text('ECHO', 'end');
  let lines = '';
  while (!lines.includes('end')) lines += (await monitor.read()).toString();
  t.notMatch(lines, /hidden/);
  t.notMatch(await admin.text('SLOWLOG', 'GET', '-1'), /hidden/);
  t.notMatch(await admin.text('ACL', 'LOG'), /hidden/);
  t.notMatch(await admin.text('ACL', 'LIST'), /hidden/);
  t.notMatch(server.stdout, /hidden/);
  await admin.text('CONFIG', 'SET', 'requirepass', '', 'slowlog-log-slower-than', '10000');
});

t.test('a file of users', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-test-acl-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'users.acl');
  writeFileSync(
    file,
    'user alice on allcommands allkeys &* >alice\nuser bob on -@all +@set +acl ~set* &* nopass\n',
  );
  chmodSync(file, 0o600);
  const server = await TestServer.start({ kind: 'damselfly', threads: 4, directives: { aclfile: file } });
  t.teardown(() => server.stop('SIGKILL'));
  const admin = await server.rawClient();
  t.equal(await admin.text('ACL', 'USERS'), '*3\r\n$5\r\nalice\r\n$3\r\nbob\r\n$7\r\ndefault\r\n');
  const bobs = await clientsOf(server, 'bob');
  await admin.text('ACL', 'SETUSER', 'eve', 'on', 'nopass', '+get', '~*');
  t.equal(await admin.text('ACL', 'SAVE'), OK);
  t.match(
    readFileSync(file, 'utf8'),
    /^user alice on #.* ~\* &\* \+@all\nuser bob on .*\nuser default on nopass .*\nuser eve /,
  );
  t.equal(statSync(file).mode & 0o777, 0o600, 'the file keeps its mode');
  writeFileSync(file, 'user carol on\nuser dave +nosuch\n');
  t.equal(
    await admin.text('ACL', 'LOAD'),
    `-ERR ${file}:2: Error in applying operation '+nosuch': Unknown command or category name in ACL. WARNING: ACL errors ` +
      'detected, no change to the previously active ACL rules was performed\r\n',
  );
  for (const bob of bobs) t.equal(await bob.text('ACL', 'WHOAMI'), '$3\r\nbob\r\n');
  await admin.text('ACL', 'SETUSER', 'bob', '+subscribe', '+ping');
  const eves = await clientsOf(server, 'eve');
  const [subscriber, ...others] = bobs;
  await subscriber.text('SUBSCRIBE', 'news');
  writeFileSync(file, 'user bob on -@all +@set +acl ~set* nopass\n');
  t.equal(await admin.text('ACL', 'LOAD'), OK);
  await Promise.all([subscriber, ...eves].map((client) => client.closed));
  for (const bob of others)
    t.equal(await bob.text('ACL', 'WHOAMI'), '$3\r\nbob\r\n', 'those who stay in the file stay');
  t.match(await others[0].text('PING'), /^-NOPERM/, 'with the permissions that it gives');
  t.equal(
    await admin.text('ACL', 'USERS'),
    '*2\r\n$3\r\nbob\r\n$7\r\ndefault\r\n',
    'the default user is always there',
  );
  rmSync(file);
  t.equal(
    await admin.text('ACL', 'LOAD'),
    `-ERR Error loading ACLs, opening file '${file}': No such file or directory\r\n`,
  );
});

t.test('users of a configuration file', async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-test-acl-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const configFile = path.join(directory, 'redis.conf');
  writeFileSync(configFile, '# mine\nuser alice on nopass +get ~a*\nrequirepass secret\n');
  const server = await TestServer.start({ kind: 'damselfly', threads: 1, configFile });
  t.teardown(() => server.stop('SIGKILL'));
  const admin = await server.rawClient();
  await admin.text('AUTH', 'secret');
  t.match(await admin.text('ACL', 'SAVE'), /^-ERR This Redis instance is not configured to use an ACL file/);
  t.equal(await admin.text('ACL', 'SETUSER', 'bob', 'on', '+@read', '(+set ~b)'), OK);
  t.equal(await admin.text('CONFIG', 'REWRITE'), OK);
  const text = readFileSync(configFile, 'utf8');
  t.match(text, /^# mine\nuser alice on nopass ~a\* resetchannels -@all \+get\nrequirepass "secret"\n/);
  t.match(text, /\nuser bob on resetchannels -@all \+@read \(~b resetchannels -@all \+set\)\n/);
  t.match(text, /\nuser default on #[0-9a-f]{64} ~\* &\* \+@all\n/);
  await server.stop();
  // The folder has gone with the server.
  writeFileSync(configFile, text.replace(/^dir .*$/m, ''));
  const again = await TestServer.start({ kind: 'damselfly', threads: 1, configFile });
  t.teardown(() => again.stop('SIGKILL'));
  const client = await again.rawClient();
  t.equal(await client.text('AUTH', 'secret'), OK);
  t.equal(await client.text('ACL', 'USERS'), '*3\r\n$5\r\nalice\r\n$3\r\nbob\r\n$7\r\ndefault\r\n');
});

t.test('what prevents a start', async (t) => {
  const failure = async (directives: ServerOptions['directives']): Promise<string> => {
    const server = await TestServer.launch({ kind: 'damselfly', threads: 1, directives });
    t.equal((await server.exited).code, 1);
    return server.stderr;
  };
  t.match(
    await failure({ user: ['a', 'on', '+nosuch'] }),
    /Error in user declaration '\+nosuch': Unknown command/,
  );
  t.match(
    await failure({ aclfile: '/nonexistent/users.acl' }),
    /ACL errors: Error loading ACLs, opening file/,
  );
  t.match(
    await failure({ user: ['a', 'on'], aclfile: 'users.acl' }),
    /Configuring Redis with users defined in redis\.conf and at the same setting an ACL file path is invalid/,
  );
});

withWorkers('replies', async (t, server) => {
  const client = await server.rawClient();
  const expect = async (args: readonly string[], reply: string | RegExp): Promise<void> => {
    const got = await client.text(...args);
    if (typeof reply === 'string') t.equal(got, reply, args.join(' '));
    else t.match(got, reply, args.join(' '));
  };
  await expect(['ACL', 'GENPASS'], /^\$64\r\n[0-9a-f]{64}\r\n$/);
  await expect(['ACL', 'GENPASS', '5'], /^\$2\r\n/);
  await expect(['ACL', 'GENPASS', '0'], /^-ERR ACL GENPASS argument must be the number of bits/);
  await expect(['ACL', 'GENPASS', 'x'], '-ERR value is not an integer or out of range\r\n');
  await expect(['ACL', 'GETUSER', 'nobody'], '$-1\r\n');
  await expect(['ACL', 'CAT', 'nosuch'], "-ERR Unknown category 'nosuch'\r\n");
  await expect(['ACL', 'SETUSER', 'a b'], "-ERR Usernames can't contain spaces or null characters\r\n");
  await expect(
    ['ACL', 'SETUSER', 'u', 'on', 'x'],
    "-ERR Error in ACL SETUSER modifier 'x': Syntax error\r\n",
  );
  await expect(['ACL', 'DRYRUN', 'nobody', 'GET', 'a'], "-ERR User 'nobody' not found\r\n");
  await expect(['ACL', 'SETUSER', 'u', '+get', '~a'], OK);
  await expect(['ACL', 'DRYRUN', 'u', 'NOSUCH'], "-ERR Command 'NOSUCH' not found\r\n");
  await expect(['ACL', 'DRYRUN', 'u', 'GET'], "-ERR wrong number of arguments for 'get' command\r\n");
  await expect(['ACL', 'DRYRUN', 'u', 'GET', 'a'], OK);
  await expect(['ACL', 'DRYRUN', 'u', 'GET', 'b'], /This user has no permissions to access the 'b' key/);
  await expect(['ACL', 'LOG', 'RESET'], OK);
  await expect(['ACL', 'LOG'], '*0\r\n');
  await expect(['CLIENT', 'KILL', 'USER', 'nobody'], "-ERR No such user 'nobody'\r\n");
  await expect(['HELLO', '3'], /^%7/);
  await expect(['ACL', 'GETUSER', 'u'], /^%6\r\n\$5\r\nflags\r\n~1\r\n\$3\r\noff\r\n/);
});

for (const threads of WORKERS) {
  t.test(`${threads} workers`, async (t) => {
    const server = await TestServer.start({ kind: 'damselfly', threads });
    t.teardown(() => server.stop('SIGKILL'));
    for (const [name, body] of bodies) {
      await t.test(name, async (t) => {
        await clear(server);
        await body(t, server);
      });
    }
    t.notMatch(server.stderr, /BUG REPORT/, 'the server has not crashed');
  });
}
