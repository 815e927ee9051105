/** Keyspace events that no command of a client causes directly, and switching them on and off. */

import t from 'tap';
import { bulkText, elementsOf } from '../../compat/replies.js';
import type { RawClient } from '../../tools/raw-client.js';
import { sharedServers, type TestServer } from '../../tools/server.js';

const withServer = sharedServers(t);

async function listener(server: TestServer, classes: string): Promise<RawClient> {
  await server.client().config('SET', 'notify-keyspace-events', classes);
  const client = await server.rawClient();
  await client.command('PSUBSCRIBE', '*');
  return client;
}

const eventOf = (reply: Buffer): string => elementsOf(reply)!.slice(2).map(bulkText).join(' ');

/** Reads until an event comes. */
async function until(client: RawClient, wanted: string): Promise<string[]> {
  const events: string[] = [];
  while (events.at(-1) !== wanted) events.push(eventOf(await client.read()));
  return events;
}

withServer('keys and fields that expire by themselves', async (t, server) => {
  const client = await listener(server, 'AE');
  const control = server.client();
  await control.psetex('brief', 20, 'v');
  t.same(await until(client, '__keyevent@0__:expired brief'), [
    '__keyevent@0__:set brief',
    '__keyevent@0__:expire brief',
    '__keyevent@0__:expired brief',
  ]);
  await control.hset('h', 'f', 'v', 'g', 'w');
  await control.call('HPEXPIRE', 'h', '20', 'FIELDS', '1', 'f');
  await until(client, '__keyevent@0__:hexpired h');
  t.equal(await control.hlen('h'), 1);
  await control.call('HPEXPIRE', 'h', '20', 'FIELDS', '1', 'g');
  await until(client, '__keyevent@0__:hexpired h');
  t.same(
    await until(client, '__keyevent@0__:del h'),
    ['__keyevent@0__:del h'],
    'the hash goes with its last field',
  );
});

withServer('a key that expired and that a command finds first', async (t, server) => {
  const client = await listener(server, 'AKE');
  const control = server.client();
  await control.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
  await control.psetex('k', 1, 'v');
  while ((await control.get('k')) !== null);
  const events = await until(client, '__keyevent@0__:expired k');
  t.equal(events.at(-2), '__keyspace@0__:k expired');
  await control.call('DEBUG', 'SET-ACTIVE-EXPIRE', '1');
});

withServer('keys that are evicted', async (t, server) => {
  const client = await listener(server, 'Ee');
  const control = server.client();
  for (let key = 0; key < 500; key++) await control.set(`k${key}`, 'x'.repeat(10_000));
  const used = Number(/used_memory:(\d+)/.exec(await control.info('memory'))![1]);
  await control.config('SET', 'maxmemory-policy', 'allkeys-lru', 'maxmemory', used - 1_000_000);
  t.match(eventOf(await client.read()), /^__keyevent@0__:evicted k\d+$/);
  await control.config('SET', 'maxmemory', '0', 'maxmemory-policy', 'noeviction');
});

withServer(
  'nothing expires by itself during a pause, and afterwards without a command',
  async (t, server) => {
    const client = await listener(server, 'Ex');
    const control = server.client();
    await control.client('PAUSE', 150, 'WRITE');
    const started = Date.now();
    // The pause began before: what was to expire meanwhile has to wait.
    const other = server.client();
    await other.psetex('late', 1, 'v');
    t.ok(Date.now() - started >= 100, 'a write waits');
    await control.client('PAUSE', 200, 'WRITE');
    const paused = Date.now();
    const event = eventOf(await client.read());
    t.equal(event, '__keyevent@0__:expired late');
    t.ok(Date.now() - paused >= 0);
  },
);

withServer('classes, databases, and off again', async (t, server) => {
  const client = await listener(server, 'K$');
  const control = server.client();
  await control.lpush('list', 'x');
  await control.select(3);
  await control.set('k', 'v');
  t.equal(eventOf(await client.read()), '__keyspace@3__:k set');
  await control.config('SET', 'notify-keyspace-events', '');
  await control.set('k', 'w');
  await control.publish('fence', '');
  t.equal(eventOf(await client.read()), 'fence ');
  await control.config('SET', 'notify-keyspace-events', 'Eg');
  await control.del('k');
  t.equal(eventOf(await client.read()), '__keyevent@3__:del k');
  await control.config('SET', 'notify-keyspace-events', '');
});
