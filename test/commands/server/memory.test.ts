/** MEMORY STATS and what INFO tells of memory. */

import t from 'tap';
import { infoNumber, skipWithoutRedis, TestServer, withServers } from '../../tools/server.js';

type Reply = readonly (string | number | Reply)[];

/** Names of a flat list of names and values, with those of lists within. */
function names(reply: Reply): unknown[] {
  return reply.flatMap((item, index) =>
    index % 2 === 0 ? [item] : Array.isArray(item) ? [names(item as Reply)] : [],
  );
}

t.test('MEMORY STATS has the fields of Redis', { skip: skipWithoutRedis() }, async (t) => {
  const replies: unknown[] = [];
  for (const kind of ['redis', 'damselfly'] as const) {
    const server = await TestServer.start({ kind, threads: 2 });
    t.teardown(() => server.stop('SIGKILL'));
    const client = server.client();
    await client.set('a', 1);
    await client.select(3);
    await client.set('b', 1, 'EX', 1000);
    replies.push(names((await client.call('MEMORY', 'STATS')) as Reply));
  }
  t.same(replies[1], replies[0]);
});

withServers(t, 'nothing in an empty server raises an alarm', {}, async (t, server) => {
  const client = server.client();
  const number = (name: string): Promise<number> => infoNumber(client, 'memory', name);
  const startup = await number('used_memory_startup');
  t.ok(startup > 0 && startup <= (await number('used_memory')), `${startup} bytes at start`);
  const ratio = Number(/mem_fragmentation_ratio:([\d.]+)/.exec(await client.info('memory'))![1]);
  t.ok(ratio > 0.5 && ratio < 3, `mem_fragmentation_ratio ${ratio}`);
  t.ok((await number('total_system_memory')) > 0);
  // What maxmemory allows is what used_memory says.
  const limit = (await number('used_memory')) + 200_000;
  await client.config('SET', 'maxmemory', limit);
  await client.set('fits', 'x'.repeat(50_000));
  await t.rejects(async () => {
    for (let key = 0; key < 10; key++) await client.set(`key ${key}`, 'x'.repeat(50_000));
  }, /^OOM/);
  t.ok((await number('used_memory')) < limit + 100_000);
});

withServers(t, 'the largest input buffers of the last seconds', {}, async (t, server) => {
  const client = server.client();
  await client.set('key', 'x'.repeat(3000));
  const bytes = await infoNumber(client, 'clients', 'client_recent_max_input_buffer');
  t.ok(bytes >= 3000, `${bytes} bytes`);
});
