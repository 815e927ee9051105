import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import type { RawClient } from '../../tools/raw-client.js';
import { numberOf, type TestServer, withServers } from '../../tools/server.js';

const MEGABYTE = 1024 * 1024;

/** A number in INFO. */
async function info(client: RawClient, name: string): Promise<number> {
  return numberOf(await client.text('INFO'), name);
}

/** A number in the line that CLIENT LIST has for a client, NaN if it is gone. */
async function figure(client: RawClient, name: string, field: string): Promise<number> {
  const line = (await client.text('CLIENT', 'LIST'))
    .split('\n')
    .find((text) => text.includes(` name=${name} `));
  return Number(new RegExp(`(?:^| )${field}=(\\d+)`).exec(line ?? '')?.[1]);
}

async function named(server: TestServer, name: string): Promise<RawClient> {
  const client = await server.rawClient();
  t.equal(await client.text('CLIENT', 'SETNAME', name), '+OK\r\n');
  return client;
}

/**
 * Resolves once a client that is in the midst of an argument takes so much memory. It goes on sending it, however long that
 * takes: a silent client soon takes less. Returns how many bytes it has sent.
 */
async function takes(control: RawClient, client: RawClient, name: string, bytes: number): Promise<number> {
  let sent = 0;
  for (; (await figure(control, name, 'tot-mem')) < bytes; sent++) client.write('v');
  return sent;
}

/** Resolves once a client is not in CLIENT LIST any more. */
async function gone(client: RawClient, name: string): Promise<void> {
  while (!Number.isNaN(await figure(client, name, 'id')));
}

withServers(t, 'a command that is cut takes room, until its client falls silent', {}, async (t, server) => {
  const control = await server.rawClient();
  const client = await named(server, 'cut');
  const idle = await figure(control, 'cut', 'tot-mem');
  client.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${MEGABYTE}\r\n`);
  const sent = await takes(control, client, 'cut', idle + MEGABYTE);
  t.ok((await info(control, 'client_recent_max_input_buffer')) >= MEGABYTE);
  while ((await figure(control, 'cut', 'tot-mem')) > idle + MEGABYTE / 2);
  client.write(`${'v'.repeat(MEGABYTE - sent)}\r\n`);
  t.equal((await client.read()).toString(), '+OK\r\n');
  t.equal(await client.text('STRLEN', 'k'), `:${MEGABYTE}\r\n`);
});

withServers(t, 'the buffer for a command that came in parts is given back', {}, async (t, server) => {
  const control = await server.rawClient();
  const client = await named(server, 'parts');
  const idle = await figure(control, 'parts', 'tot-mem');
  const length = 30_000;
  client.write(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${length}\r\n`);
  const sent = await takes(control, client, 'parts', idle + length);
  client.write(`${'v'.repeat(length - sent)}\r\n`);
  t.equal((await client.read()).toString(), '+OK\r\n');
  // For a moment it is kept.
  await delay(300);
  while ((await figure(control, 'parts', 'tot-mem')) > idle);
});

withServers(t, 'maxmemory-clients closes the largest clients', {}, async (t, server) => {
  const control = await server.rawClient();
  await control.text('CLIENT', 'NO-EVICT', 'ON');
  const small = await named(server, 'small');
  const spared = await named(server, 'spared');
  await spared.text('CLIENT', 'NO-EVICT', 'ON');
  const large = await named(server, 'large');
  for (const [client, name, megabytes] of [
    [small, 'small', 1],
    [spared, 'spared', 6],
    [large, 'large', 4],
  ] as const) {
    client.write(`*2\r\n$4\r\nECHO\r\n$${megabytes * MEGABYTE}\r\n`);
    await takes(control, client, name, MEGABYTE);
  }
  t.equal(await control.text('CONFIG', 'SET', 'maxmemory-clients', '3mb'), '+OK\r\n');
  await gone(control, 'large');
  t.ok((await figure(control, 'small', 'id')) > 0);
  t.ok((await figure(control, 'spared', 'id')) > 0);
  t.equal(await info(control, 'evicted_clients'), 1);

  // Transactions and watched keys count.
  const queueing = await named(server, 'queueing');
  await queueing.text('MULTI');
  const value = 'v'.repeat(MEGABYTE);
  for (let index = 0; index < 2; index++) queueing.send('SET', 'k', value);
  queueing.send('SET', 'k', value);
  await gone(control, 'queueing');
  await control.text('CONFIG', 'SET', 'maxmemory-clients', '1200kb');
  const watching = await named(server, 'watching');
  const keys = Array.from({ length: 1000 }, (_, index) => `${index}`.padEnd(2000, 'k'));
  watching.send('WATCH', ...keys);
  await gone(control, 'watching');
});

withServers(t, 'what clients take counts for maxmemory', {}, async (t, server) => {
  const control = await server.rawClient();
  const client = await named(server, 'large');
  await control.text('CONFIG', 'SET', 'maxmemory', '4mb');
  t.equal(await control.text('SET', 'k', 'v'), '+OK\r\n');
  const used = await info(control, 'used_memory');
  client.write(`*2\r\n$4\r\nECHO\r\n$${5 * MEGABYTE}\r\n`);
  await takes(control, client, 'large', MEGABYTE);
  t.match(await control.text('SET', 'k', 'v'), /^-OOM /);
  t.ok((await info(control, 'used_memory')) >= used + 5 * MEGABYTE);
  t.ok((await info(control, 'mem_clients_normal')) >= 5 * MEGABYTE);
  await client.close();
  await gone(control, 'large');
  t.equal(await control.text('SET', 'k', 'v'), '+OK\r\n');
});

withServers(t, 'full memory and transactions', {}, async (t, server) => {
  const control = await server.rawClient();
  const client = await server.rawClient();
  const oom = "OOM command not allowed when used memory > 'maxmemory'.\r\n";
  await client.text('MULTI');
  await client.text('SET', 'k', 'v');
  await control.text('CONFIG', 'SET', 'maxmemory', '1');
  t.equal(await client.text('EXEC'), `-EXECABORT Transaction discarded because of: ${oom}`);
  await client.text('MULTI');
  t.equal(await client.text('GET', 'k'), `-${oom}`, 'what is queued takes memory, too');
  t.equal(await client.text('DISCARD'), '+OK\r\n');
  t.equal(await client.text('GET', 'k'), '$-1\r\n');
  await control.text('CONFIG', 'SET', 'maxmemory', '0');
  await client.text('MULTI');
  await client.text('GET', 'k');
  await control.text('CONFIG', 'SET', 'maxmemory', '1');
  t.equal(await client.text('EXEC'), '*1\r\n$-1\r\n');
});

withServers(t, 'nobody gets a part of replies that are too long together', {}, async (t, server) => {
  const control = await server.rawClient();
  await control.text('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 100000 0 0');
  await control.text('SET', 'k', 'v'.repeat(10_000));
  const client = await named(server, 'greedy');
  const request = '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n';
  client.write(request.repeat(5));
  t.equal((await client.readMany(5)).length, 5);
  client.write(request.repeat(20));
  await t.rejects(client.read(), 'closed without a reply');
  await gone(control, 'greedy');

  // A transaction runs to its end all the same.
  const other = await named(server, 'transaction');
  await other.text('MULTI');
  for (let index = 0; index < 11; index++) await other.text('GET', 'k');
  await other.text('SET', 'done', '1');
  await t.rejects(other.text('EXEC'));
  await gone(control, 'transaction');
  t.equal(await control.text('GET', 'done'), '$1\r\n1\r\n');
  t.equal(await control.text('PING'), '+PONG\r\n');
});

withServers(t, 'statistics', {}, async (t, server) => {
  const client = await server.rawClient();
  await client.text('CONFIG', 'RESETSTAT');
  await client.pipeline([['MULTI'], ['INCR', 'n'], ['AUTH', 'x'], ['EXEC']]);
  t.equal(await info(client, 'total_error_replies'), 1, 'EXEC does not fail with its commands');
  t.match(await client.text('INFO', 'commandstats'), /cmdstat_exec:calls=1,.*,failed_calls=0\r/);
  for (let index = 0; index < 20; index++) await client.text('SET', `key:${index}`, 'v', 'PX', '100000');
  const lasting = Number(/avg_ttl=(\d+)/.exec(await client.text('INFO', 'keyspace'))?.[1]);
  // Redis samples in the background only.
  if (process.env.DAMSELFLY_TEST_SERVER !== 'redis')
    t.ok(lasting > 50_000 && lasting <= 100_000, `${lasting} ms`);

  await client.text('CONFIG', 'SET', 'maxclients', '2');
  let rejected: RawClient | null = null;
  while ((await info(client, 'rejected_connections')) === 0) {
    rejected = await server.rawClient().catch(() => null);
  }
  await rejected?.close().catch(() => {});
  t.pass('a rejected connection is counted');
});

withServers(t, 'subscriptions and prefixes count as memory of their client', {}, async (t, server) => {
  const control = await server.rawClient();
  const names = Array.from({ length: 1000 }, (_, index) => `name:${index}`);
  const prefixes = names.flatMap((name) => ['PREFIX', `${name}:`]);
  const cases = [
    [['SUBSCRIBE', ...names], ['UNSUBSCRIBE']],
    [['PSUBSCRIBE', ...names], ['PUNSUBSCRIBE']],
    [['SSUBSCRIBE', ...names], ['SUNSUBSCRIBE']],
    [
      ['CLIENT', 'TRACKING', 'ON', 'BCAST', ...prefixes],
      ['CLIENT', 'TRACKING', 'OFF'],
    ],
  ] as const;
  await control.text('CLIENT', 'NO-EVICT', 'ON');
  for (const [begin, end] of cases) {
    const client = await named(server, 'listening');
    await client.text('HELLO', '3');
    const idle = await figure(control, 'listening', 'tot-mem');
    client.send(...begin);
    while ((await figure(control, 'listening', 'tot-mem')) < idle + 100_000);
    client.send(...end);
    while ((await figure(control, 'listening', 'tot-mem')) > idle + 10_000);
    client.send(...begin);
    t.equal(await control.text('CONFIG', 'SET', 'maxmemory-clients', '100kb'), '+OK\r\n');
    await gone(control, 'listening');
    await control.text('CONFIG', 'SET', 'maxmemory-clients', '0');
  }
});
