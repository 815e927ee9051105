/** Workers that are started when they are first wanted: until then the others do their work. */

import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { infoNumber, TestServer } from '../tools/server.js';

const THREADS = 3;

t.test('a worker that is not needed is not started, and its shards are kept house for', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS, activeWorkers: 1 });
  t.teardown(() => server.stop('SIGKILL'));
  const admin = server.client();
  const number = (name: string): Promise<number> => infoNumber(admin, 'server', name);
  const keys = async (): Promise<number> => admin.dbsize();
  const untilStarted = async (count: number): Promise<void> => {
    while ((await number('active_workers')) !== count) await delay(20);
  };
  const expireEverywhere = async (): Promise<void> => {
    const pipeline = admin.pipeline();
    for (let key = 0; key < 1000; key++) pipeline.set(`k${key}`, 'v', 'PX', 1);
    await pipeline.exec();
    // Nobody asks for the keys.
    while ((await keys()) > 0) await delay(20);
  };
  t.equal(await number('worker_threads'), THREADS);
  t.equal(await number('started_workers'), 1);
  await expireEverywhere();

  await admin.config('SET', 'active-workers', 2);
  await untilStarted(2);
  t.equal(await number('started_workers'), 2);
  await expireEverywhere();

  await admin.config('SET', 'active-workers', THREADS);
  await untilStarted(THREADS);
  const clients = Array.from({ length: 12 }, () => server.client());
  const subscribers = await Promise.all(
    clients.map(async (client, index) => {
      await client.set(`own ${index}`, index);
      const subscriber = server.client();
      await subscriber.subscribe('news');
      return subscriber;
    }),
  );
  const heard = subscribers.map(
    (subscriber) => new Promise((resolve) => subscriber.on('message', (_, text) => resolve(text))),
  );
  await clients[0]!.publish('news', 'hello');
  t.same(
    await Promise.all(heard),
    subscribers.map(() => 'hello'),
  );
  for (const [index, client] of clients.entries()) t.equal(await client.get(`own ${index}`), String(index));
  for (const index of clients.keys()) await admin.del(`own ${index}`);
  await expireEverywhere();
  t.equal(await admin.debug('VERIFY'), 'OK');

  await admin.config('SET', 'active-workers', 1);
  await untilStarted(1);
  t.equal(await number('started_workers'), THREADS, 'they stay');
  await expireEverywhere();
});
