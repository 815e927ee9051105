/** Many clients in WAIT at once, on all workers, while replicas come and go: each gets its own reply, once. */

import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Random } from '../tools/random.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';
import { compare, follow, info, start, until, untilCaughtUp } from './pairs.js';

const CLIENTS = 24;
const TURNS = 300;

for (const transport of ['io_uring', 'epoll']) {
  t.test(`WAIT, ${transport}`, { skip: skipWithoutRedis() }, async (t) => {
    const primary = await TestServer.start({
      kind: 'damselfly',
      threads: 4,
      activeWorkers: 4,
      directives: { transport, 'repl-diskless-sync-delay': 0 },
    });
    const replicas = [await start('damselfly'), await start('redis')];
    t.teardown(() => Promise.all([primary, ...replicas].map((server) => server.stop('SIGKILL'))));
    const control = primary.client();
    const controls = replicas.map((server) => server.client());
    for (const replica of controls) await follow(replica, primary);
    for (const replica of controls) await untilCaughtUp(control, replica);
    t.equal(await control.call('WAIT', '2', '0'), 2);

    const errors: string[] = [];
    let confirmed = 0;
    const run = async (index: number): Promise<void> => {
      const random = new Random(index);
      const client = await primary.rawClient();
      // Messages may come between replies to these: their worker replies.
      if (index % 6 === 5) await client.command('HELLO', 3);
      for (let turn = 0; turn < TURNS; turn++) {
        const value = `${index}-${turn}`;
        const wanted = 1 + random.below(2);
        const timeoutMs = random.chance(0.2) ? 1 : 5000;
        const isOneByOne = random.chance(0.3);
        const replies: string[] = [];
        const requests = [
          ['SET', `k${index}`, value],
          ['WAIT', wanted, timeoutMs],
          ['ECHO', value],
          ['WAIT', wanted, timeoutMs],
        ];
        for (const request of requests) {
          client.send(...request);
          if (isOneByOne) replies.push((await client.read()).toString());
        }
        while (replies.length < requests.length) replies.push((await client.read()).toString());
        const [set, first, echo, second] = replies;
        const isRight =
          set === '+OK\r\n' &&
          /^:[0-2]\r\n$/.test(first!) &&
          echo === `$${value.length}\r\n${value}\r\n` &&
          /^:[0-2]\r\n$/.test(second!);
        if (!isRight) errors.push(JSON.stringify(replies));
        if (Number(first!.slice(1)) >= wanted) confirmed++;
      }
      await client.close();
    };
    let isOver = false;
    const cutLinks = async (): Promise<void> => {
      while (!isOver) {
        await control.call('CLIENT', 'KILL', 'TYPE', 'replica');
        // The links are up again at once; a while without cuts follows.
        await delay(200);
      }
    };
    const cuts = cutLinks();
    await Promise.all(Array.from({ length: CLIENTS }, (_, index) => run(index)));
    isOver = true;
    await cuts;
    t.same(errors, []);
    t.ok(confirmed > 0);
    await until(
      'nobody is blocked',
      async () => (await info(control, 'clients')).get('blocked_clients') === '0',
    );
    for (const replica of controls) t.same(await compare(control, replica), []);
    t.equal(await control.call('DEBUG', 'VERIFY'), 'OK');
  });
}

t.test('clients that leave, or give up, while they wait', async (t) => {
  const primary = await TestServer.start({ kind: 'damselfly', threads: 2, activeWorkers: 2 });
  const replica = await start('damselfly');
  t.teardown(() => Promise.all([primary.stop('SIGKILL'), replica.stop('SIGKILL')]));
  const control = primary.client();
  await follow(replica.client(), primary);
  await untilCaughtUp(control, replica.client());
  for (let round = 0; round < 100; round++) {
    const clients = await Promise.all(Array.from({ length: 8 }, () => primary.rawClient()));
    for (const [index, client] of clients.entries()) {
      client.send('SET', `k${index}`, round);
      client.send('WAIT', 1 + (index % 2), 0);
    }
    for (const client of clients) client.socket.destroy();
  }
  await until(
    'nobody is blocked',
    async () => (await info(control, 'clients')).get('blocked_clients') === '0',
  );
  // The sockets of those that have left belong to others now, who get nothing but their own replies.
  const clients = await Promise.all(Array.from({ length: 8 }, () => primary.rawClient()));
  for (let turn = 0; turn < 50; turn++) {
    for (const client of clients) client.send('WAIT', 2, 1);
    for (const client of clients) client.send('PING');
    for (const client of clients) {
      t.equal((await client.read()).toString(), ':1\r\n');
      t.equal((await client.read()).toString(), '+PONG\r\n');
    }
  }
  const waiting = await primary.rawClient();
  waiting.send('SET', 'k', 'v');
  waiting.send('WAIT', 2, 0);
  t.equal((await waiting.read()).toString(), '+OK\r\n');
  await until('it waits', async () => (await info(control, 'clients')).get('blocked_clients') === '1');
  await control.call('REPLICAOF', '127.0.0.1', String(replica.port));
  t.match((await waiting.read()).toString(), /^-UNBLOCKED force unblock from blocking operation/);
});

for (const kind of ['damselfly', 'redis'] as const) {
  const skip = kind === 'redis' ? skipWithoutRedis() : false;
  t.test(`CLIENT UNBLOCK ends WAIT and WAITAOF, ${kind}`, { skip }, async (t) => {
    const server = await TestServer.start({ kind, threads: 3, activeWorkers: 3 });
    t.teardown(() => server.stop('SIGKILL'));
    const control = server.client();
    const requests =
      kind === 'redis'
        ? [['WAIT', 1, 0]]
        : [
            ['WAIT', 1, 0],
            ['WAITAOF', 0, 1, 0],
          ];
    for (let round = 0; round < 10; round++) {
      for (const request of requests) {
        const client = await server.rawClient();
        const id = (await client.text('CLIENT', 'ID')).slice(1, -2);
        const reply = request[0] === 'WAIT' ? ':0\r\n' : '*2\r\n:0\r\n:0\r\n';
        for (const [reason, wanted] of [
          ['TIMEOUT', reply],
          ['ERROR', '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n'],
        ]) {
          client.send(...request);
          await until('it waits', async () => /blocked_clients:1/.test(await control.info('clients')));
          t.equal(await control.call('CLIENT', 'UNBLOCK', id, reason!), 1);
          t.equal((await client.read()).toString(), wanted);
          t.equal(await client.text('PING'), '+PONG\r\n');
          t.equal(await control.call('CLIENT', 'UNBLOCK', id), 0);
        }
        await client.close();
      }
    }
  });
}
