/** Client-side caching over several workers: who is told of which changes, how, and what ends it. */

import t from 'tap';
import type { RawClient } from '../../tools/raw-client.js';
import { sharedServers, type TestServer, withServers } from '../../tools/server.js';

const withServer = sharedServers(t);

async function tracking(server: TestServer, ...options: string[]): Promise<RawClient> {
  const client = await server.rawClient();
  await client.command('HELLO', '3');
  const reply = await client.text('CLIENT', 'TRACKING', 'ON', ...options);
  if (reply !== '+OK\r\n') throw new Error(reply);
  return client;
}

/** The next invalidation: its keys, null for all. */
async function invalidated(client: RawClient): Promise<string[] | null> {
  while (client.pushes.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const text = client.pushes.shift()!.toString('latin1');
  if (!text.startsWith('>2\r\n$10\r\ninvalidate\r\n')) throw new Error(text);
  if (/\r\n(_|\$-1|\*-1)\r\n$/.test(text)) return null;
  return text
    .split('\r\n')
    .slice(4)
    .filter((_, index) => index % 2 === 1);
}

/** Whatever was sent to a client before has come by now. */
async function fence(server: TestServer, client: RawClient): Promise<void> {
  const name = `fence:${Math.random()}`;
  client.send('SUBSCRIBE', name);
  const arrived = (text: string) => client.pushes.findIndex((push) => push.toString('latin1').includes(text));
  const wait = async (text: string) => {
    while (arrived(text) < 0) await new Promise((resolve) => setTimeout(resolve, 1));
    client.pushes.splice(arrived(text), 1);
  };
  await wait(name);
  await server.client().publish(name, 'x');
  await wait(name);
}

withServer('what was read is invalidated once', async (t, server) => {
  const control = server.client();
  await control.mset('a', 1, 'b', 2);
  const clients = await Promise.all(Array.from({ length: 6 }, () => tracking(server)));
  for (const client of clients) await client.command('MGET', 'a', 'b', 'missing');
  await control.set('a', 3);
  for (const client of clients) t.same(await invalidated(client), ['a']);
  await control.set('a', 4);
  await control.set('missing', 1);
  for (const client of clients)
    t.same(await invalidated(client), ['missing'], 'a was forgotten; what is not there is cached, too');
  t.match(await control.info('stats'), /tracking_total_keys:1\r/);
  await control.flushall();
  for (const client of clients) t.equal(await invalidated(client), null);
  t.match(await control.info('clients'), /tracking_clients:6\r/);
  await clients[0]!.command('CLIENT', 'TRACKING', 'OFF');
  t.match(await control.info('clients'), /tracking_clients:5\r/);
});

withServer('of a script, what its commands read is remembered', async (t, server) => {
  const control = server.client();
  const client = await tracking(server);
  const script = "redis.pcall('GET', 'read'); redis.call('SET', 'written', 1); return 1";
  for (const name of ['EVAL', 'FCALL', 'EVAL_RO', 'FCALL_RO']) {
    if (name.startsWith('FCALL')) {
      const register = "redis.register_function{function_name='read', flags={'no-writes'}, callback=";
      const code = "function() return redis.pcall('GET', 'read') end}";
      await control.call('FUNCTION', 'LOAD', 'REPLACE', `#!lua name=reader\n${register}${code}`);
    }
    const source = name === 'EVAL' ? script : "return redis.call('GET', 'read')";
    await client.command(name, name.startsWith('EVAL') ? source : 'read', '1', 'declared');
    await control.mset('declared', 1, 'written', 2, 'read', 3);
    t.same(await invalidated(client), ['read'], name);
    await fence(server, client);
    t.same(client.pushes, [], 'nothing else');
  }
  const choosy = await tracking(server, 'OPTIN');
  await choosy.command('EVAL', "return redis.call('GET', 'read')", '0');
  await choosy.command('CLIENT', 'CACHING', 'YES');
  await choosy.command('EVAL', "redis.call('GET', 'a'); return redis.call('GET', 'b')", '0');
  await control.mset('read', 4, 'a', 1, 'b', 1);
  t.same([await invalidated(choosy), await invalidated(choosy)].flat().sort(), ['a', 'b']);
});

withServer('a key that goes by itself is invalidated', async (t, server) => {
  const client = await tracking(server);
  const control = server.client();
  // It has to be read before it expires, however busy the machine is.
  for (let lifeMs = 100; ; lifeMs *= 2) {
    await control.psetex('brief', lifeMs, 'v');
    if ((await client.text('GET', 'brief')).startsWith('$1')) break;
  }
  t.same(await invalidated(client), ['brief']);
  await server.client().set('k', 'v');
  await client.command('GET', 'k');
  await server.client().call('DEBUG', 'RELOAD');
  t.equal(await invalidated(client), null, 'and all keys when the data is loaded again');
});

withServer('NOLOOP, OPTIN and OPTOUT', async (t, server) => {
  const control = server.client();
  const quiet = await tracking(server, 'NOLOOP');
  await quiet.command('GET', 'k');
  await quiet.command('SET', 'k', '1');
  await fence(server, quiet);
  t.equal(quiet.pushes.length, 0, 'its own change');
  await quiet.command('GET', 'k');
  await control.set('k', '2');
  t.same(await invalidated(quiet), ['k']);

  const optIn = await tracking(server, 'OPTIN');
  await optIn.command('GET', 'a');
  await optIn.command('CLIENT', 'CACHING', 'YES');
  await optIn.command('GET', 'b');
  await optIn.command('GET', 'c');
  await control.mset('a', 1, 'b', 1, 'c', 1);
  t.same(await invalidated(optIn), ['b']);
  await fence(server, optIn);
  t.equal(optIn.pushes.length, 0);

  const optOut = await tracking(server, 'OPTOUT');
  await optOut.command('CLIENT', 'CACHING', 'NO');
  await optOut.command('GET', 'a');
  await optOut.command('GET', 'b');
  await control.mset('a', 2, 'b', 2);
  t.same(await invalidated(optOut), ['b']);
});

withServer('BCAST: by prefix, each key once, whoever has changed it', async (t, server) => {
  const control = server.client();
  const all = await tracking(server, 'BCAST');
  const some = await tracking(server, 'BCAST', 'PREFIX', 'user:', 'PREFIX', 'item:', 'NOLOOP');
  t.match(
    await all.text('CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'x'),
    /^-ERR/,
    'the prefix "" overlaps',
  );
  await control
    .multi()
    .set('user:1', 1)
    .set('user:1', 2)
    .set('item:1', 1)
    .set('other', 1)
    .del('user:1')
    .exec();
  const told = [...(await invalidated(some))!, ...(await invalidated(some))!];
  t.same(told.sort(), ['item:1', 'user:1']);
  t.same((await invalidated(all))!.sort(), ['item:1', 'other', 'user:1']);
  some.send('SET', 'user:2', '1');
  await some.read();
  t.same(await invalidated(all), ['user:2']);
  await fence(server, some);
  t.equal(some.pushes.length, 0);
});

withServer('a redirection with RESP2, which breaks', async (t, server) => {
  const control = server.client();
  const target = await server.rawClient();
  const id = (await target.text('CLIENT', 'ID')).slice(1).trim();
  await target.command('SUBSCRIBE', '__redis__:invalidate');
  const client = await server.rawClient();
  t.equal(await client.text('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id), '+OK\r\n');
  t.equal(await client.text('CLIENT', 'GETREDIR'), `:${id}\r\n`);
  await client.command('GET', 'k');
  await control.set('k', 'v');
  t.equal(
    (await target.read()).toString('latin1'),
    '*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n',
  );
  await client.command('GET', 'k');
  await target.close();
  while ((await control.client('LIST', 'ID', Number(id))) !== '');
  await control.set('k', 'w');
  while (!(await client.text('CLIENT', 'TRACKINGINFO')).includes('broken_redirect'));
  t.match(
    await client.text('CLIENT', 'TRACKING', 'ON', 'REDIRECT', '123456789'),
    /^-ERR The client ID you want redirect to does not exist/,
  );
});

withServer('a client that was served is told of its own change after its reply', async (t, server) => {
  const control = server.client();
  await control.rpush('to', 'x');
  const client = await tracking(server);
  await client.command('LRANGE', 'to', 0, -1);
  let isAnswered = false;
  client.send('BLMOVE', 'from', 'to', 'LEFT', 'LEFT', 0);
  while (!(await control.info('clients')).includes('blocked_clients:1\r'));
  const reply = client.read().then(() => {
    isAnswered = true;
  });
  const order: string[] = [];
  const { pushes } = client;
  const push = pushes.push.bind(pushes);
  pushes.push = (...items) => {
    order.push(isAnswered ? 'after' : 'with');
    return push(...items);
  };
  await control.rpush('from', 'y');
  await reply;
  t.same(await invalidated(client), ['to']);
  t.equal(order.length, 1);
});

await withServers(
  t,
  'the table has a limit',
  { directives: { 'tracking-table-max-keys': 50 } },
  async (t, server) => {
    const control = server.client();
    const client = await tracking(server);
    for (let key = 0; key < 200; key++) await client.command('GET', `key:${key}`);
    const told: string[] = [];
    while (told.length < 150) told.push(...(await invalidated(client))!);
    t.equal(new Set(told).size, told.length);
    while (!/tracking_total_keys:50\r/.test(await control.info('stats')));
    await fence(server, client);
    t.equal(told.length + client.pushes.length, 150);
    t.equal(await control.call('DEBUG', 'VERIFY'), 'OK');
  },
);

withServer('what a reader has cached in the end is what there is', async (t, server) => {
  const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
  const writers = Array.from({ length: 3 }, () => server.client());
  const isAlone = String(await writers[0]!.config('GET', 'threads')).endsWith(',1');
  let isOver = false;
  const writing = writers.map(async (client, index) => {
    for (let round = 0; round < 300; round++)
      await client.set(keys[(round * 7 + index) % 20]!, `${index}:${round}`);
  });
  const reading = Array.from({ length: 4 }, async () => {
    const client = await tracking(server);
    const cache = new Map<string, string>();
    /** Handles what has come; returns the keys that it is about. */
    const drop = () => {
      const pushes = client.pushes.splice(0).map((push) => push.toString('latin1'));
      const dropped = keys.filter((key) => pushes.some((push) => push.includes(`\r\n${key}\r\n`)));
      for (const key of dropped) cache.delete(key);
      return dropped;
    };
    let stale = 0;
    for (let round = 0; !isOver; round++) {
      const key = keys[round % 20]!;
      drop();
      const known = cache.get(key);
      const value = await client.text('GET', key);
      // In one packet with the reply, an invalidation may be before or behind it.
      const dropped = drop();
      if (known !== undefined && cache.has(key) && known !== value) stale++;
      if (!dropped.includes(key)) cache.set(key, value);
    }
    // With one worker nobody can read what has changed before it is told.
    if (isAlone) t.equal(stale, 0);
    await Promise.all(writing);
    await fence(server, client);
    drop();
    for (const [key, value] of cache) {
      const reader = await server.rawClient();
      t.equal(value, await reader.text('GET', key), key);
    }
  });
  await Promise.all(writing);
  isOver = true;
  await Promise.all(reading);
});
