import t from 'tap';
import type { RawClient } from '../../tools/raw-client.js';
import { defaultKind, type TestServer, withServers } from '../../tools/server.js';

const words = (text: string): string[] => text.split(' ').map((word) => word.replaceAll('_', ' '));

/** Requests, with spaces written as underscores, and their replies. */
const REPLIES: readonly [string, string][] = [
  ['CLIENT', "-ERR wrong number of arguments for 'client' command\r\n"],
  ['CLIENT foo', "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n"],
  ['CLIENT ID x', "-ERR wrong number of arguments for 'client|id' command\r\n"],
  ['CLIENT GETNAME', '$-1\r\n'],
  ['CLIENT SETNAME a_b', '-ERR Client names cannot contain spaces, newlines or special characters.\r\n'],
  ['CLIENT SETNAME abc', '+OK\r\n'],
  ['CLIENT GETNAME', '$3\r\nabc\r\n'],
  ['CLIENT SETNAME ', '+OK\r\n'],
  ['CLIENT GETNAME', '$-1\r\n'],
  ['CLIENT KILL 1.1.1.1:1', '-ERR No such client\r\n'],
  ['CLIENT KILL ID x', '-ERR client-id should be greater than 0\r\n'],
  ['CLIENT KILL ID 0', '-ERR client-id should be greater than 0\r\n'],
  ['CLIENT KILL ID -1', '-ERR client-id should be greater than 0\r\n'],
  ['CLIENT KILL ID 999999', ':0\r\n'],
  ['CLIENT KILL TYPE foo', "-ERR Unknown client type 'foo'\r\n"],
  ['CLIENT KILL TYPE pubsub', ':0\r\n'],
  ['CLIENT KILL TYPE Replica', ':0\r\n'],
  ['CLIENT KILL USER nouser', "-ERR No such user 'nouser'\r\n"],
  ['CLIENT KILL SKIPME maybe', '-ERR syntax error\r\n'],
  ['CLIENT KILL foo bar', '-ERR syntax error\r\n'],
  ['CLIENT KILL ID', '-ERR No such client\r\n'],
  ['CLIENT KILL ID 1 ADDR', '-ERR syntax error\r\n'],
  ['CLIENT KILL TYPE normal ID 99 foo', '-ERR syntax error\r\n'],
  ['CLIENT LIST foo', '-ERR syntax error\r\n'],
  ['CLIENT LIST TYPE', '-ERR syntax error\r\n'],
  ['CLIENT LIST TYPE foo', "-ERR Unknown client type 'foo'\r\n"],
  ['CLIENT LIST TYPE normal x', '-ERR syntax error\r\n'],
  ['CLIENT LIST TYPE pubsub', '$0\r\n\r\n'],
  ['CLIENT LIST ID', '-ERR syntax error\r\n'],
  ['CLIENT LIST ID 1 x', '-ERR Invalid client ID\r\n'],
  ['CLIENT LIST ID 999999', '$0\r\n\r\n'],
  ['CLIENT LIST ID 99999999999999999999999', '-ERR Invalid client ID\r\n'],
  ['CLIENT PAUSE x', '-ERR timeout is not an integer or out of range\r\n'],
  ['CLIENT PAUSE -1', '-ERR timeout is negative\r\n'],
  ['CLIENT PAUSE 1 foo', '-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n'],
  ['CLIENT PAUSE 1 write', '+OK\r\n'],
  ['CLIENT UNPAUSE', '+OK\r\n'],
  ['CLIENT REPLY foo', '-ERR syntax error\r\n'],
  ['CLIENT REPLY on', '+OK\r\n'],
  [
    'CLIENT TRACKINGINFO',
    '*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n',
  ],
  ['CLIENT TRACKINGINFO x', "-ERR wrong number of arguments for 'client|trackinginfo' command\r\n"],
  ['CLIENT GETREDIR', ':-1\r\n'],
  ['CLIENT TRACKING', "-ERR wrong number of arguments for 'client|tracking' command\r\n"],
  ['CLIENT TRACKING off', '+OK\r\n'],
  ['CLIENT TRACKING off OPTIN OPTOUT', '+OK\r\n'],
  ['CLIENT TRACKING off PREFIX x', '+OK\r\n'],
  ['CLIENT TRACKING maybe', '-ERR syntax error\r\n'],
  ['CLIENT TRACKING on REDIRECT', '-ERR syntax error\r\n'],
  ['CLIENT TRACKING on REDIRECT x', '-ERR value is not an integer or out of range\r\n'],
  ['CLIENT TRACKING off REDIRECT 999999', '-ERR The client ID you want redirect to does not exist\r\n'],
  ['CLIENT TRACKING on OPTIN OPTOUT', "-ERR You can't specify both OPTIN mode and OPTOUT mode\r\n"],
  ['CLIENT TRACKING on OPTIN BCAST', '-ERR OPTIN and OPTOUT are not compatible with BCAST\r\n'],
  ['CLIENT TRACKING on PREFIX x', '-ERR PREFIX option requires BCAST mode to be enabled\r\n'],
  [
    'CLIENT TRACKING on BCAST PREFIX ab PREFIX a',
    "-ERR Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap.\r\n",
  ],
  [
    'CLIENT CACHING yes',
    '-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled\r\n',
  ],
  ['CLIENT UNBLOCK', "-ERR wrong number of arguments for 'client|unblock' command\r\n"],
  ['CLIENT UNBLOCK x', '-ERR value is not an integer or out of range\r\n'],
  ['CLIENT UNBLOCK 1 x', '-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n'],
  [
    'CLIENT UNBLOCK 1 timeout x',
    "-ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.\r\n",
  ],
  ['CLIENT NO-EVICT foo', '-ERR syntax error\r\n'],
  ['CLIENT NO-EVICT on', '+OK\r\n'],
  ['CLIENT NO-EVICT off', '+OK\r\n'],
  ['CLIENT UNBLOCK x', '-ERR value is not an integer or out of range\r\n'],
  ['CLIENT UNBLOCK 999999', ':0\r\n'],
  ['CLIENT UNBLOCK 3 foo', '-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n'],
  ['CLIENT UNBLOCK 3 error', ':0\r\n'],
];

/** What Redis 7.0 does not have. */
const NEWER_REPLIES: readonly [string, string][] = [
  ['CLIENT NO-TOUCH x', '-ERR syntax error\r\n'],
  ['CLIENT NO-TOUCH on', '+OK\r\n'],
  ['CLIENT NO-TOUCH off', '+OK\r\n'],
  ['CLIENT SETINFO lib-nam x', "-ERR Unrecognized option 'lib-nam'\r\n"],
  ['CLIENT SETINFO lib-name a_b', '-ERR lib-name cannot contain spaces, newlines or special characters.\r\n'],
  ['CLIENT SETINFO LIB-NAME x', '+OK\r\n'],
  ['CLIENT SETINFO lib-ver 1.0', '+OK\r\n'],
  ['CLIENT KILL MAXAGE x', '-ERR maxage is not an integer or out of range\r\n'],
  ['CLIENT KILL MAXAGE 1000', ':0\r\n'],
  ['CLIENT KILL IDLE x', '-ERR idle is not an integer or out of range\r\n'],
  ['CLIENT KILL IDLE 0', '-ERR idle should be greater than 0\r\n'],
  ['CLIENT KILL NOT-IDLE 5', '-ERR syntax error\r\n'],
  ['CLIENT KILL NOT-SKIPME yes', '-ERR syntax error\r\n'],
  ['CLIENT KILL NOT-ID 0', '-ERR client-id should be greater than 0\r\n'],
  ['CLIENT KILL NOT-ID 1 2 3 TYPE pubsub', ':0\r\n'],
  ['CLIENT KILL NOT-TYPE foo', "-ERR Unknown client type 'foo'\r\n"],
  ['CLIENT KILL NOT-USER foo', "-ERR No such user 'foo'\r\n"],
  ['CLIENT KILL ID 999998 999999', ':0\r\n'],
  ['CLIENT LIST ID 999998 DB', '-ERR syntax error\r\n'],
  ['CLIENT LIST FLAGS Pz', '-ERR Unknown flags found in the provided filter: Pz\r\n'],
  ['CLIENT LIST NOT-FLAGS Pz', '-ERR Unknown flags found in the provided filter: Pz\r\n'],
  ['CLIENT LIST CAPA x', '-ERR Unknown capa found in the provided filter: x\r\n'],
  ['CLIENT LIST CAPA r', '$0\r\n\r\n'],
  ['CLIENT LIST DB x', '-ERR DB is not an integer or out of range\r\n'],
  ['CLIENT LIST DB -1', '-ERR DB number should be between 0 and 15\r\n'],
  ['CLIENT LIST DB 16', '-ERR DB number should be between 0 and 15\r\n'],
  ['CLIENT LIST NOT-DB 0', '$0\r\n\r\n'],
  ['CLIENT LIST SKIPME maybe', '-ERR syntax error\r\n'],
  ['CLIENT LIST MAXAGE 0', '-ERR maxage should be greater than 0\r\n'],
  ['CLIENT LIST IP 10.1.2.3', '$0\r\n\r\n'],
  ['CLIENT LIST NAME nobody', '$0\r\n\r\n'],
  ['CLIENT LIST NOT-', '-ERR syntax error\r\n'],
  ['CLIENT LIST NOT- x', '-ERR syntax error\r\n'],
];

/** Clients enough that every worker has some. */
async function openClients(server: TestServer, count: number): Promise<{ client: RawClient; id: number }[]> {
  const clients: { client: RawClient; id: number }[] = [];
  for (let index = 0; index < count; index++) {
    const client = await server.rawClient();
    clients.push({ client, id: Number((await client.text('CLIENT', 'ID')).slice(1)) });
  }
  return clients;
}

function lines(reply: string): string[] {
  return reply.split(/\r?\n/).filter((line) => line.startsWith('id='));
}

async function isClosed(client: RawClient): Promise<boolean> {
  try {
    await client.read();
    return false;
  } catch {
    return true;
  }
}

withServers(t, 'replies', {}, async (t, server) => {
  const client = await server.rawClient();
  const cases = defaultKind() === 'redis' ? REPLIES : [...REPLIES, ...NEWER_REPLIES];
  for (const [request, expected] of cases) t.equal(await client.text(...words(request)), expected, request);
  const help = await client.text('CLIENT', 'HELP');
  t.match(help, /\+CLIENT <subcommand> \[<arg> \[value\] \[opt\] \.\.\.\]\. Subcommands are:\r\n/);
});

withServers(t, 'every client is listed by every other', {}, async (t, server) => {
  const clients = await openClients(server, 6);
  const ids = clients.map(({ id }) => id);
  t.same(
    ids,
    [...new Set(ids)].sort((one, other) => one - other),
    'ids rise',
  );
  const [first, second, third] = clients;
  await second.client.text('CLIENT', 'SETNAME', 'second');
  await second.client.text('SELECT', '9');
  await second.client.text('MULTI');
  await second.client.text('GET', 'k');
  await third.client.text('HELLO', '3', 'SETNAME', 'third');
  await third.client.text('CLIENT', 'NO-EVICT', 'ON');
  for (const { client, id } of clients) {
    if (client === second.client || client === third.client) continue;
    const list = lines(await client.text('CLIENT', 'LIST'));
    const listed = list.map((line) => Number(/^id=(\d+) /.exec(line)?.[1]));
    t.same(
      listed.filter((other) => ids.includes(other)),
      ids,
    );
    const own = list.find((line) => line.startsWith(`id=${id} `));
    t.match(
      own,
      /^id=\d+ addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=\d+ name= age=\d+ idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=26 qbuf-free=\d+ argv-mem=10 multi-mem=0 rbs=\d+ rbp=\d+ obl=0 oll=0 omem=0 tot-mem=\d+ events=r cmd=client\|list user=default redir=-1 resp=2$/,
    );
    const two = list.find((line) => line.startsWith(`id=${second.id} `));
    t.match(two, / name=second .* flags=x db=9 .* multi=1 .* cmd=(get|multi) user=default redir=-1 resp=2$/);
    const three = list.find((line) => line.startsWith(`id=${third.id} `));
    t.match(three, / name=third .* flags=e db=0 .* multi=-1 .* cmd=client\|no-evict user=default .* resp=3$/);
  }
  const some = lines(
    await first.client.text('CLIENT', 'LIST', 'ID', `${clients[4].id}`, `${second.id}`, '9999999'),
  );
  t.same(
    some.map((line) => /^id=(\d+) /.exec(line)?.[1]),
    [`${clients[4].id}`, `${second.id}`],
  );
  t.match(
    await first.client.text('CLIENT', 'INFO'),
    new RegExp(`^\\$\\d+\r\nid=${first.id} .* cmd=client\\|info `),
  );
  t.match(await third.client.text('CLIENT', 'INFO'), /^=\d+\r\ntxt:id=\d+ /);
  await second.client.close();
  // A closed connection leaves the list once its worker has noticed.
  let left = '';
  do left = await first.client.text('CLIENT', 'LIST');
  while (left.includes(`id=${second.id} `));
  t.pass();
});

withServers(t, 'kill', {}, async (t, server) => {
  const clients = await openClients(server, 8);
  const [{ client: killer, id: ownId }, ...others] = clients;
  t.equal(await killer.text('CLIENT', 'KILL', 'ID', `${others[0].id}`), ':1\r\n');
  t.notMatch(await killer.text('CLIENT', 'LIST'), new RegExp(`id=${others[0].id} `));
  t.equal(await killer.text('CLIENT', 'KILL', 'ID', `${others[0].id}`), ':0\r\n');
  t.ok(await isClosed(others[0].client));
  const address = / addr=(\S+) /.exec(await others[1].client.text('CLIENT', 'INFO'))?.[1] ?? '';
  t.equal(await killer.text('CLIENT', 'KILL', address), '+OK\r\n');
  t.ok(await isClosed(others[1].client));
  t.equal(await killer.text('CLIENT', 'KILL', 'ID', `${ownId}`), ':0\r\n');
  const local = / laddr=(\S+) /.exec(await killer.text('CLIENT', 'INFO'))?.[1] ?? '';
  t.equal(await killer.text('CLIENT', 'KILL', 'LADDR', local, 'TYPE', 'normal', 'USER', 'default'), ':5\r\n');
  for (const { client } of others.slice(2)) t.ok(await isClosed(client));
  t.equal(await killer.text('CLIENT', 'KILL', 'SKIPME', 'no', 'ID', `${ownId}`), ':1\r\n');
  t.ok(await isClosed(killer));
});

withServers(t, 'kill inside a transaction', {}, async (t, server) => {
  const [killer, ...others] = await openClients(server, 4);
  for (const { client } of others) await client.text('WATCH', 'k');
  await killer.client.text('MULTI');
  await killer.client.text('SET', 'k', 'v');
  await killer.client.text('CLIENT', 'KILL', 'TYPE', 'normal');
  t.equal(await killer.client.text('EXEC'), '*2\r\n+OK\r\n:3\r\n');
  for (const { client } of others) t.ok(await isClosed(client));
});

withServers(t, 'reply modes', {}, async (t, server) => {
  const client = await server.rawClient();
  client.send('CLIENT', 'REPLY', 'OFF');
  client.send('SET', 'k', '1');
  client.send('CLIENT', 'REPLY', 'SKIP');
  client.send('CLIENT', 'REPLY', 'ON');
  t.equal((await client.read()).toString(), '+OK\r\n');
  t.equal(await client.text('GET', 'k'), '$1\r\n1\r\n');
  client.send('CLIENT', 'REPLY', 'SKIP');
  client.send('INCR', 'k');
  t.equal(await client.text('INCR', 'k'), ':3\r\n');
  client.send('CLIENT', 'REPLY', 'SKIP');
  client.send('CLIENT', 'REPLY', 'SKIP');
  client.send('no-such-command');
  t.equal(await client.text('INCR', 'k'), ':4\r\n');
  client.send('CLIENT', 'REPLY', 'SKIP');
  client.send('CLIENT', 'REPLY', 'ON');
  t.equal((await client.read()).toString(), '+OK\r\n');
  t.equal(await client.text('PING'), '+PONG\r\n');
});

withServers(t, 'a pause holds commands back until it ends', {}, async (t, server) => {
  const clients = await openClients(server, 5);
  const [{ client: pauser }, ...others] = clients;
  t.equal(await pauser.text('CLIENT', 'PAUSE', '100000', 'WRITE'), '+OK\r\n');
  const [writer, ...readers] = others;
  for (const { client } of readers) t.equal(await client.text('GET', 'n'), '$-1\r\n');
  for (let index = 0; index < 3; index++) writer.client.send('INCR', 'n');
  writer.client.send('GET', 'n');
  readers[0].client.send('MULTI');
  t.equal((await readers[0].client.read()).toString(), '+OK\r\n');
  readers[0].client.send('INCR', 'n');
  const isHeld = async (id: number): Promise<boolean> =>
    / flags=x?b /.test(await pauser.text('CLIENT', 'LIST', 'ID', `${id}`));
  while (!(await isHeld(writer.id)) || !(await isHeld(readers[0].id)));
  // Redis 7.0 crashes when it is asked to unblock a client that a pause holds back.
  if (defaultKind() !== 'redis') {
    t.equal(await pauser.text('CLIENT', 'UNBLOCK', `${writer.id}`), ':0\r\n');
  }
  t.equal(await pauser.text('GET', 'n'), '$-1\r\n');
  t.equal(await pauser.text('CLIENT', 'UNPAUSE'), '+OK\r\n');
  const replies = await writer.client.readMany(4);
  t.equal(Buffer.concat(replies).toString(), ':1\r\n:2\r\n:3\r\n$1\r\n3\r\n');
  t.equal((await readers[0].client.read()).toString(), '+QUEUED\r\n');
  t.equal(await readers[0].client.text('EXEC'), '*1\r\n:4\r\n');
  // A pause of everything ends by itself; it holds back its author too.
  t.equal(await pauser.text('CLIENT', 'PAUSE', '300'), '+OK\r\n');
  const startMs = Date.now();
  t.equal(await pauser.text('GET', 'n'), '$1\r\n4\r\n');
  t.ok(Date.now() - startMs >= 200);
  // What expires during a pause of writes is as good as gone, but stays until it may be deleted.
  await pauser.pipeline([
    ['MULTI'],
    ['SET', 'short', '1', 'PX', '300'],
    ['CLIENT', 'PAUSE', '100000', 'WRITE'],
    ['EXEC'],
  ]);
  while ((await pauser.text('GET', 'short')) !== '$-1\r\n');
  t.equal(await pauser.text('DBSIZE'), ':2\r\n');
  t.equal(await pauser.text('CLIENT', 'UNPAUSE'), '+OK\r\n');
  while ((await pauser.text('DBSIZE')) !== ':1\r\n') await pauser.text('GET', 'short');
});

/** Asks until the answer is yes, for 30 seconds at most. */
async function until(isDone: () => Promise<boolean>): Promise<boolean> {
  const end = Date.now() + 30_000;
  while (Date.now() < end) {
    if (await isDone()) return true;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return false;
}

if (defaultKind() !== 'redis') {
  withServers(t, 'filters of Valkey 9', {}, async (t, server) => {
    const clients = await openClients(server, 8);
    const ids = clients.map(({ id }) => id);
    const [first, second, third, last] = [clients[0]!, clients[1]!, clients[2]!, clients[7]!];
    t.equal(await first.client.text('CLIENT', 'SETNAME', 'miller'), '+OK\r\n');
    await second.client.text('CLIENT', 'SETINFO', 'LIB-NAME', 'redis-x');
    await second.client.text('CLIENT', 'SETINFO', 'LIB-VER', '9.9');
    await third.client.text('CLIENT', 'NO-EVICT', 'ON');
    await third.client.text('SELECT', '3');
    const found = async (...filters: string[]) =>
      lines(await last.client.text('CLIENT', 'LIST', ...filters)).map((line) =>
        Number(/^id=(\d+)/.exec(line)![1]),
      );
    // What a client has just done is in the table once its worker has published it.
    t.ok(await until(async () => (await found('DB', '3', 'FLAGS', 'e')).length === 1));
    t.ok(await until(async () => (await found('LIB-VER', '9.9')).length === 1));
    t.ok(await until(async () => (await found('NAME', 'miller')).length === 1));
    const all = (...without: number[]) => ids.filter((id) => !without.includes(id));
    t.same(await found('NAME', 'miller'), [first.id]);
    t.same(await found('NOT-NAME', 'miller'), all(first.id));
    t.same(await found('LIB-NAME', 'redis-x', 'LIB-VER', '9.9'), [second.id]);
    t.same(await found('LIB-NAME', 'redis-x', 'NOT-LIB-VER', '9.9'), []);
    t.same(await found('FLAGS', 'e', 'DB', '3'), [third.id]);
    t.same(await found('NOT-FLAGS', 'N'), [third.id]);
    t.same(await found('NOT-DB', '3', 'SKIPME', 'yes'), all(third.id, last.id));
    t.same(await found('IP', '127.0.0.1'), ids);
    t.same(await found('NOT-IP', '127.0.0.1'), []);
    t.same(await found('ID', ...ids.map(String), 'NOT-ID', String(ids[4])), all(ids[4]!));
    t.same(await found('ID', String(ids[5]), String(ids[2]), String(ids[5])), [ids[5], ids[2], ids[5]]);
    t.same(await found('ID', String(ids[5]), 'ID', String(ids[2])), [ids[2], ids[5]]);
    t.same(await found('NOT-TYPE', 'normal'), []);
    t.same(await found('NOT-USER', 'default'), []);
    t.same(await found('IDLE', '100000'), []);

    // KILL takes the same filters.
    const kill = (...filters: string[]) => last.client.text('CLIENT', 'KILL', ...filters);
    t.equal(await kill('FLAGS', 'e', 'NOT-DB', '3'), ':0\r\n');
    t.equal(await kill('FLAGS', 'e', 'DB', '3'), ':1\r\n');
    t.ok(await isClosed(third.client));
    t.equal(await kill('NOT-ID', String(first.id), String(second.id)), ':4\r\n');
    for (const { client } of clients.slice(3, 7)) t.ok(await isClosed(client));
    t.ok(await until(async () => (await found()).length === 3));
    t.equal(await kill('NOT-NAME', 'miller', 'IP', '127.0.0.1'), ':1\r\n');
    t.ok(await isClosed(second.client));
    t.equal(await first.client.text('PING'), '+PONG\r\n');
  });
}
