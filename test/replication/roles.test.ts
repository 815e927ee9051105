/** A server that becomes a replica, and a primary again: what the clients of all its workers may do. */

import t from 'tap';
import { encodeCommand, RawClient } from '../tools/raw-client.js';
import { TestServer } from '../tools/server.js';
import { follow, start, untilLinked } from './pairs.js';

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
