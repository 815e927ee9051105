/** What a client gets, may send and costs as long as it has not authenticated. */

import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { RawClient } from '../tools/raw-client.js';
import { numberOf, skipWithoutRedis, TestServer, withServers } from '../tools/server.js';

const KEYS = 2000;
const PASSWORD = { directives: { requirepass: 'secret' } };

async function friendOf(server: TestServer): Promise<RawClient> {
  const client = await server.rawClient();
  t.equal(await client.text('AUTH', 'secret'), '+OK\r\n');
  return client;
}

async function info(client: RawClient, section: string, name: string): Promise<number> {
  return numberOf(await client.text('INFO', section), name);
}

await withServers(
  t,
  'who reads no replies is closed, and no key goes for it',
  {
    directives: {
      ...PASSWORD.directives,
      maxmemory: '4mb',
      'maxmemory-policy': 'allkeys-lru',
    },
  },
  async (t, server) => {
    const friend = await friendOf(server);
    const commands = Array.from({ length: KEYS }, (_, index) => ['SET', `key:${index}`, 'v'.repeat(1024)]);
    await friend.pipeline(commands);
    const stranger = await server.rawClient();
    stranger.socket.pause();
    let isClosed = false;
    void stranger.closed.then(() => {
      isClosed = true;
    });
    const request = 'HELLO 3\r\n'.repeat(50);
    while (!isClosed) {
      stranger.write(request);
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.equal(await friend.text('DBSIZE'), `:${KEYS}\r\n`);
    t.equal(await info(friend, 'stats', 'evicted_keys'), 0);
    t.equal(await friend.text('SET', 'key:0', 'v'), '+OK\r\n');
  },
);

await withServers(
  t,
  'no key goes for what it sends',
  { directives: { ...PASSWORD.directives, 'maxmemory-policy': 'allkeys-lru' } },
  async (t, server) => {
    const friend = await friendOf(server);
    await friend.pipeline(
      Array.from({ length: KEYS }, (_, index) => ['SET', `key:${index}`, 'v'.repeat(1024)]),
    );
    const used = await info(friend, 'memory', 'used_memory');
    await friend.text('CONFIG', 'SET', 'maxmemory', used + 300_000);
    const strangers: RawClient[] = [];
    for (let index = 0; index < 20; index++) {
      const stranger = await server.rawClient();
      stranger.write(`*9\r\n${`$16384\r\n${'x'.repeat(16384)}\r\n`.repeat(3)}`);
      strangers.push(stranger);
    }
    while ((await info(friend, 'memory', 'mem_not_counted_for_evict')) < 20 * 49_152) await delay(5);
    t.equal(await friend.text('SET', 'key:0', 'v'), '+OK\r\n');
    t.equal(await friend.text('DBSIZE'), `:${KEYS}\r\n`);
    t.ok((await info(friend, 'memory', 'used_memory')) > used + 20 * 49_152, 'but it is told');
    for (const stranger of strangers) await stranger.close();
    while ((await info(friend, 'memory', 'mem_not_counted_for_evict')) > 0) await delay(5);
  },
);

await withServers(t, 'what it sends is bounded', PASSWORD, async (t, server) => {
  const friend = await friendOf(server);
  const bulk = `$16384\r\n${'x'.repeat(16384)}\r\n`;
  const stranger = await server.rawClient();
  stranger.write(`*9\r\n${bulk.repeat(8)}`);
  await stranger.closed;
  t.match(server.stdout, /Closing client that reached max query buffer length: id=\d+ addr=/);
  const other = await server.rawClient();
  t.match(await other.text('AUTH', 'x'.repeat(16384)), /^-WRONGPASS/);
  t.equal(
    await other.text('AUTH', 'x'.repeat(16385)),
    '-ERR Protocol error: unauthenticated bulk length\r\n',
  );
  await other.closed;
  // The same for who has authenticated is a command like any other.
  friend.write(`*9\r\n$3\r\nDEL\r\n${bulk.repeat(8)}`);
  t.equal((await friend.read()).toString(), ':0\r\n');
});

await withServers(
  t,
  'it has a limited time',
  { directives: { ...PASSWORD.directives, 'auth-timeout': 1 } },
  async (t, server) => {
    const friend = await friendOf(server);
    const stranger = await server.rawClient();
    const talkative = await server.rawClient();
    let isClosed = false;
    void talkative.closed.then(() => {
      isClosed = true;
    });
    while (!isClosed) {
      t.match(await talkative.text('PING').catch(() => '-NOAUTH'), /^-NOAUTH/);
      await delay(20);
    }
    await stranger.closed;
    t.equal(await friend.text('PING'), '+PONG\r\n');
  },
);

await withServers(
  t,
  'all of them have half of maxclients',
  { directives: { ...PASSWORD.directives, maxclients: 12, 'auth-timeout': 0 } },
  async (t, server) => {
    const friend = await friendOf(server);
    while ((await info(friend, 'clients', 'connected_clients')) > 1) await delay(5);
    const strangers: RawClient[] = [];
    for (let index = 0; index < 11; index++) strangers.push(await server.rawClient());
    while (!server.stdout.includes('clients that have not authenticated')) await delay(20);
    while ((await info(friend, 'clients', 'connected_clients')) > 7) await delay(20);
    const others = [await friendOf(server), await friendOf(server)];
    for (const client of [friend, ...others]) t.equal(await client.text('PING'), '+PONG\r\n');
  },
);

t.test('as Redis does', { skip: skipWithoutRedis() }, async (t) => {
  const outcomes: string[][] = [];
  for (const kind of ['redis', 'damselfly'] as const) {
    const server = await TestServer.start({ kind, threads: 1, ...PASSWORD });
    t.teardown(() => server.stop('SIGKILL'));
    const friend = await friendOf(server);
    const outcome: string[] = [];
    const send = async (bytes: string, replies: number) => {
      const client = await RawClient.connect(server.address());
      client.write(bytes);
      try {
        outcome.push(Buffer.concat(await client.readMany(replies)).toString());
      } catch {
        outcome.push('closed');
      }
      await client.close();
    };
    await send('HELLO 3\r\n'.repeat(100), 100);
    await send('HELLO 3\r\n'.repeat(200), 200);
    await send('GET key\r\nPING\r\nAUTH secret\r\nPING\r\n', 4);
    await send('*11\r\n', 1);
    await send('*2\r\n$4\r\nAUTH\r\n$16385\r\n', 1);
    // Whoever waits is let in once no password is wanted.
    const stranger = await server.rawClient();
    outcome.push(await stranger.text('PING'));
    await friend.text('CONFIG', 'SET', 'requirepass', '');
    outcome.push(await stranger.text('PING'), await stranger.text('SET', 'key', 'value'));
    outcomes.push(outcome);
  }
  t.same(outcomes[1], outcomes[0]);
});
