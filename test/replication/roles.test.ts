/** A server that becomes a replica, and a primary again: what the clients of all its workers may do. */

import t from 'tap';
import { encodeCommand, RawClient } from '../tools/raw-client.js';
import { TestServer } from '../tools/server.js';
import { compare, follow, info, start, until, untilCaughtUp, untilLinked } from './pairs.js';

const TURNS = 10;
const WRITES = 12;
const READONLY = "-READONLY You can't write against a read only replica.\r\n";

t.test('once REPLICAOF has replied, no worker takes a write', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 4, activeWorkers: 4 });
  t.teardown(() => server.stop('SIGKILL'));
  const primary = await start('damselfly');
  t.teardown(() => primary.stop('SIGKILL'));
  const admin = server.client();
  const clients = await Promise.all(
    Array.from({ length: 16 }, () => RawClient.connect({ port: server.port })),
  );
  // So many together are run under one hold of the shard's lock.
  const writes = Buffer.concat(Array.from({ length: WRITES }, () => encodeCommand(['SET', 'key', 'value'])));
  const replies = async (): Promise<string[]> => {
    const all = await Promise.all(
      clients.map((client) => {
        client.write(writes);
        return client.readMany(WRITES);
      }),
    );
    return [...new Set(all.flat().map(String))];
  };
  for (let turn = 0; turn < TURNS; turn++) {
    t.same(await replies(), ['+OK\r\n']);
    await follow(admin, primary);
    await untilLinked(admin);
    t.same(await replies(), [READONLY]);
    await admin.call('REPLICAOF', 'NO', 'ONE');
  }
  for (const client of clients) await client.close();
});

t.test('replicas of a replica that becomes a primary need no full sync', async (t) => {
  const top = await start('damselfly');
  const middle = await TestServer.start({
    kind: 'damselfly',
    threads: 3,
    activeWorkers: 3,
    directives: { 'repl-diskless-sync-delay': 0 },
  });
  const bottom = await start('damselfly');
  t.teardown(() => Promise.all([top, middle, bottom].map((server) => server.stop('SIGKILL'))));
  const [admin, below] = [middle.client(), bottom.client()];
  await follow(below, middle);
  const clients = await Promise.all(Array.from({ length: 8 }, () => middle.rawClient()));
  const fullSyncs = async (): Promise<string> => (await info(admin, 'stats')).get('sync_full')!;
  for (let turn = 0; turn < TURNS; turn++) {
    await follow(admin, top);
    await untilCaughtUp(top.client(), admin);
    await untilCaughtUp(admin, below);
    const before = await fullSyncs();
    let isOver = false;
    // The first writes after the change come from workers that have been busy refusing them.
    const writing = clients.map(async (client) => {
      let taken = 0;
      while (!isOver) if ((await client.text('INCR', `${turn}`)).startsWith(':')) taken++;
      return taken;
    });
    await admin.call('REPLICAOF', 'NO', 'ONE');
    await until('writes are taken', async () => Number(await admin.get(`${turn}`)) > 100);
    isOver = true;
    await Promise.all(writing);
    t.same(await compare(admin, below), []);
    t.equal(await fullSyncs(), before);
  }
});
