/** Connections that move between workers: nothing is lost, doubled or mixed up, and what binds them holds them. */

import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Random } from '../tools/random.js';
import { encodeCommand, type RawClient } from '../tools/raw-client.js';
import { infoNumber, TestServer } from '../tools/server.js';

const THREADS = 4;
const TRANSPORTS = ['io_uring', 'epoll'] as const;

const start = async (t: Test, directives: Record<string, string | number>, activeWorkers = THREADS) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS, activeWorkers, directives });
  t.teardown(() => server.stop('SIGKILL'));
  return server;
};

/** Clients at work until `isOver()`. */
type Work = (isOver: () => boolean) => Promise<unknown>[];

/** Has clients work for a while, and changes the number of active workers all the time until they are done. */
const whileMoving = async (server: TestServer, milliseconds: number, work: Work): Promise<void> => {
  const admin = server.client();
  const endMs = Date.now() + milliseconds;
  let isDone = false;
  const done = Promise.all(work(() => Date.now() >= endMs)).finally(() => {
    isDone = true;
  });
  for (let count = 0; !isDone; count++) {
    await admin.config('SET', 'active-workers', [1, 4, 2, 3][count % 4]!);
    await Promise.race([delay(150), done.catch(() => {})]);
  }
  await done;
};

for (const transport of TRANSPORTS) {
  t.test(`${transport}: replies come in order, and sessions stay what they are`, async (t) => {
    const server = await start(t, { transport });
    const admin = server.client();
    const clients = Array.from({ length: 24 }, () => server.client());
    const ids = await Promise.all(
      clients.map(async (client, index) => {
        await client.select(index % 16);
        await client.client('SETNAME', `client-${index}`);
        if (index % 3 === 0) await client.client('NO-EVICT', 'ON');
        return client.client('ID');
      }),
    );
    const counts = clients.map(() => 0);
    const work: Work = (isOver) =>
      clients.map(async (client, index) => {
        const random = new Random(index);
        while (!isOver()) {
          const pipeline = client.pipeline();
          const depth = 1 + random.below(30);
          for (let count = 0; count < depth; count++) pipeline.incr(`counter ${index}`);
          for (const [error, value] of (await pipeline.exec())!) {
            if (error !== null || value !== ++counts[index]!) throw new Error(`${error ?? value}`);
          }
          // Reads that take several rounds to send and to receive.
          if (random.chance(0.02)) {
            const text = 'v'.repeat(random.below(400_000));
            await client.set(`value ${index}`, text);
            if ((await client.get(`value ${index}`)) !== text) throw new Error('another value');
          }
        }
      });
    await whileMoving(server, 5000, work);
    t.ok((await infoNumber(admin, 'stats', 'moved_connections')) > 50, 'connections have moved');
    const list = (await admin.client('LIST')) as string;
    for (const [index, id] of ids.entries()) {
      t.equal(await clients[index]!.client('ID'), id);
      const line = list.split('\n').find((text) => text.startsWith(`id=${id} `))!;
      t.match(line, `name=client-${index} `);
      t.match(line, ` db=${index % 16} `);
      t.match(line, index % 3 === 0 ? ' flags=e ' : ' flags=N ');
    }
    t.equal(list.trim().split('\n').length, clients.length + 2);
    t.equal(await admin.call('DEBUG', 'VERIFY'), 'OK');
    t.equal(await infoNumber(admin, 'clients', 'connected_clients'), clients.length + 2);
  });

  t.test(`${transport}: commands in pieces`, async (t) => {
    const server = await start(t, { transport });
    const clients = await Promise.all(Array.from({ length: 8 }, () => server.rawClient()));
    const work: Work = (isOver) =>
      clients.map(async (client, index) => {
        const random = new Random(index);
        for (let count = 1; !isOver(); count++) {
          const bytes = encodeCommand(['APPEND', `pieces ${index}`, 'x']);
          const cut = random.below(bytes.length);
          client.write(bytes.subarray(0, cut));
          if (random.chance(0.3)) await delay(random.below(3));
          client.write(bytes.subarray(cut));
          const reply = (await client.read()).toString('latin1');
          if (reply !== `:${count}\r\n`) throw new Error(reply);
        }
      });
    await whileMoving(server, 3000, work);
    t.ok((await infoNumber(server.client(), 'stats', 'moved_connections')) > 10);
  });

  t.test(`${transport}: transactions, watched keys and monitors`, async (t) => {
    const server = await start(t, { transport });
    const clients = await Promise.all(Array.from({ length: 12 }, () => server.rawClient()));
    const monitor = await server.rawClient();
    t.equal(await monitor.text('MONITOR'), '+OK\r\n');
    let done = 0;
    const work: Work = (isOver) =>
      clients.map(async (client: RawClient) => {
        while (!isOver()) {
          await client.command('WATCH', 'balance');
          const value = (await client.text('GET', 'balance')).split('\r\n')[1] ?? '0';
          await client.command('MULTI');
          if ((await client.text('SET', 'balance', String(Number(value) + 1))) !== '+QUEUED\r\n')
            throw new Error('not queued');
          if ((await client.text('EXEC')) !== '*-1\r\n') done++;
        }
      });
    await whileMoving(server, 3000, work);
    const client = server.client();
    t.equal(Number(await client.get('balance')), done);
    t.ok(done > 10);
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  });

  t.test(`${transport}: clients are killed and close while they move`, async (t) => {
    const server = await start(t, { transport });
    const admin = server.client();
    let ended = 0;
    const work: Work = (isOver) =>
      Array.from({ length: 16 }, async (_, index) => {
        const random = new Random(index);
        while (!isOver()) {
          const client = server.client();
          const id = await client.client('ID');
          const until = Date.now() + random.below(300);
          let isKilled = false;
          while (Date.now() < until && !isOver()) await client.incr(`counter ${index}`);
          if (random.chance(0.5)) {
            const burst = Array.from({ length: 20 }, () =>
              client.incr('burst').catch(() => (isKilled = true)),
            );
            await admin.client('KILL', 'ID', id);
            await Promise.all(burst);
            await client.incr('burst').catch(() => {
              isKilled = true;
            });
            if (!isKilled) throw new Error('a killed client goes on');
          } else {
            client.disconnect();
          }
          ended++;
        }
      });
    await whileMoving(server, 4000, work);
    t.ok(ended > 50);
    await delay(300);
    const list = ((await admin.client('LIST')) as string).trim().split('\n');
    t.equal(await infoNumber(admin, 'clients', 'connected_clients'), list.length);
    t.ok(list.length <= 3 + 16, `${list.length} clients are left`);
  });
}

t.test('with replies that wait for the disk', async (t) => {
  const server = await start(t, { appendonly: 'yes', appendfsync: 'always' });
  const clients = Array.from({ length: 16 }, () => server.client());
  const counts = clients.map(() => 0);
  const work: Work = (isOver) =>
    clients.map(async (client, index) => {
      while (!isOver()) {
        const value = await client.incr(`counter ${index}`);
        if (value !== ++counts[index]!) throw new Error(`${value}, not ${counts[index]}`);
      }
    });
  await whileMoving(server, 4000, work);
  t.ok((await infoNumber(server.client(), 'stats', 'moved_connections')) > 20);
});

t.test('little is done by one worker, and slow commands bring in the others', async (t) => {
  const server = await start(t, {}, 0);
  const client = server.client();
  const untilActive = async (wanted: (active: number) => boolean): Promise<number> => {
    for (let tries = 0; tries < 200; tries++) {
      const active = await infoNumber(client, 'server', 'active_workers');
      if (wanted(active)) return active;
      await delay(50);
    }
    return infoNumber(client, 'server', 'active_workers');
  };
  t.equal(await untilActive((active) => active === 1), 1);
  await client.call('DEBUG', 'SLEEP', '0.2');
  await delay(500);
  t.equal(await infoNumber(client, 'server', 'active_workers'), 1);
  await client.call('DEBUG', 'SLEEP', '0.2');
  t.equal(await untilActive((active) => active === THREADS), THREADS);
});

t.test('over node:net, connections stay where they are', async (t) => {
  const server = await start(t, { transport: 'node' }, 1);
  const clients = Array.from({ length: 8 }, () => server.client());
  await Promise.all(clients.map((client) => client.incr('counter')));
  await delay(500);
  t.equal(await clients[0]!.get('counter'), '8');
  t.equal(await infoNumber(clients[0]!, 'stats', 'moved_connections'), 0);
  t.equal(await infoNumber(clients[0]!, 'server', 'active_workers'), THREADS);
});
