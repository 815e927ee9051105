/** Moments that hold for all threads at once: the beginning of a pause, and that of a rewrite inside a transaction. */

import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { TestServer } from '../tools/server.js';

const THREADS = 4;

/** Clients that send pipelines of INCR and RPUSH until `stop` is called; it waits for their last replies. */
function startWriters(server: TestServer, count: number): { stop: () => Promise<number> } {
  let isOver = false;
  let acknowledged = 0;
  const writers = Array.from({ length: count }, async (_, index) => {
    const client = server.client();
    while (!isOver) {
      const pipeline = client.pipeline();
      for (let command = 0; command < 100; command++) {
        pipeline.incr(`counter:${(index + command) % 16}`);
        pipeline.rpush(`list:${index}`, 'x');
      }
      await pipeline.exec();
      acknowledged += 100;
    }
  });
  return {
    stop: async () => {
      isOver = true;
      await Promise.all(writers);
      return acknowledged;
    },
  };
}

/** The sum of all counters, and of the lengths of all lists. */
async function sums(server: TestServer, writers: number): Promise<[number, number]> {
  const client = server.client();
  const counters = await client.mget(Array.from({ length: 16 }, (_, index) => `counter:${index}`));
  const lengths = await Promise.all(
    Array.from({ length: writers }, (_, index) => client.llen(`list:${index}`)),
  );
  client.disconnect();
  return [
    counters.reduce((sum, value) => sum + Number(value ?? 0), 0),
    lengths.reduce((sum, length) => sum + length, 0),
  ];
}

async function start(t: Test, directives: Record<string, string> = {}): Promise<TestServer> {
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS, directives });
  t.teardown(() => server.stop('SIGKILL'));
  return server;
}

t.test('nothing is written once CLIENT PAUSE WRITE has replied', async (t) => {
  const server = await start(t);
  const writers = 8;
  const load = startWriters(server, writers);
  const client = server.client();
  for (let round = 0; round < 30; round++) {
    t.equal(await client.call('CLIENT', 'PAUSE', '10000', 'WRITE'), 'OK');
    const atOnce = await sums(server, writers);
    await delay(10);
    t.same(await sums(server, writers), atOnce, `round ${round}`);
    t.equal(await client.call('CLIENT', 'UNPAUSE'), 'OK');
    await delay(5);
  }
  await load.stop();
  t.notMatch(server.stderr, /BUG REPORT/);
});

t.test(
  'a rewrite inside a transaction has all of what went before and nothing of what comes after',
  async (t) => {
    const server = await start(t, { appendonly: 'yes', 'auto-aof-rewrite-percentage': '0' });
    const writers = 6;
    const client = server.client();
    for (let round = 0; round < 4; round++) {
      const load = startWriters(server, writers);
      await delay(50);
      const [[, reply]] = (await client.multi().call('BGREWRITEAOF').exec())!;
      t.equal(reply, 'Background append only file rewriting started');
      while (/aof_rewrite_in_progress:1/.test(await client.info('persistence'))) await delay(10);
      await load.stop();
      const before = await sums(server, writers);
      t.equal(await client.call('DEBUG', 'LOADAOF'), 'OK');
      t.same(await sums(server, writers), before, `round ${round}`);
    }
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  },
);

/** These end the connection or the server, wait, or are not for transactions. */
const LEFT_OUT = new Set([
  'shutdown',
  'quit',
  'monitor',
  'multi',
  'exec',
  'discard',
  'watch',
  'reset',
  'sync',
  'psync',
]);

t.test('no command takes locks in a transaction that it has not', async (t) => {
  const server = await start(t, { appendonly: 'yes' });
  const client = server.client();
  await client.mset(Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`key:${index}`, 'v'])));
  const table = (await client.call('COMMAND')) as [string, number, string[], ...unknown[]][];
  const names = table.flatMap((row) => {
    const subcommands = (row[9] as [string, number][]) ?? [];
    return subcommands.length === 0
      ? [[row[0], String(row[1])]]
      : subcommands.map(([name, arity]) => [name, String(arity)]);
  });
  const raw = await server.rawClient();
  const tails = [['key:1', '1', '1'], ['0', '1', '2'], ['1', 'key:1', 'key:2'], []];
  let run = 0;
  for (const [name, arity] of names) {
    if (LEFT_OUT.has(name!.toLowerCase()) || /^debug$|client\|(kill|reply|pause)/i.test(name!)) continue;
    const words = name!.split('|');
    for (const tail of tails) {
      const wanted = Math.abs(Number(arity));
      const args = [...words, ...tail];
      while (args.length < wanted) args.push('key:3');
      if (Number(arity) > 0) args.length = wanted;
      // A subscriber may send little else afterwards: it has a connection of its own.
      const connection = /subscribe$/.test(name!) ? await server.rawClient() : raw;
      await connection.pipeline([['MULTI'], ['SET', 'key:5', 'v'], args, ['SET', 'key:50', 'v'], ['EXEC']]);
      if (connection !== raw) connection.close();
      run++;
    }
  }
  for (const tail of [
    ['DIGEST'],
    ['DIGEST-VALUE', 'key:1'],
    ['OBJECT', 'key:1'],
    ['RELOAD'],
    ['VERIFY'],
    ['LOADAOF'],
    ['SLEEP', '0'],
    ['POPULATE', '10'],
    ['JMAP'],
    ['HTSTATS', '0'],
  ]) {
    await raw.pipeline([
      ['MULTI'],
      ['SET', 'key:5', 'v'],
      ['DEBUG', ...tail],
      ['SET', 'key:50', 'v'],
      ['EXEC'],
    ]);
    run++;
  }
  t.ok(run > 500, `${run} transactions`);
  t.equal(await raw.text('DISCARD'), '-ERR DISCARD without MULTI\r\n');
  t.notMatch(server.stderr, /BUG REPORT/);
  t.equal(await server.client().call('DEBUG', 'VERIFY'), 'OK');
});
