/** What random scripts (test/compat) do not reach: several clients at once, long lists, a full server, watched keys. */

import t from 'tap';
import { sharedServers, withServers } from '../../tools/server.js';

const onServers = sharedServers(t);

const CLIENTS = 4;
const ROUNDS = 60;
const MOVES_PER_ROUND = 25;

onServers('elements that go round between lists are neither lost nor doubled', async (t, server) => {
  const lists = Array.from({ length: 8 }, (_, index) => `list ${index}`);
  const setup = await server.client();
  const elements = Array.from({ length: 400 }, (_, index) => `element ${index}`);
  for (const [index, element] of elements.entries()) await setup.rpush(lists[index % 8]!, element);

  const moved = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const redis = await server.client();
      let done = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const pipeline = redis.pipeline();
        for (let move = 0; move < MOVES_PER_ROUND; move++) {
          const from = lists[(client + round * 3 + move) % 8]!;
          const to = lists[(client * 5 + round + move * 3) % 8]!;
          if (move % 3 === 0) pipeline.rpoplpush(from, to);
          else pipeline.call('LMOVE', from, to, move % 2 === 0 ? 'LEFT' : 'RIGHT', 'LEFT');
        }
        for (const [error, element] of (await pipeline.exec())!) {
          if (error !== null) throw error;
          if (element !== null) done++;
        }
      }
      return done;
    }),
  );
  t.ok(moved.every((count) => count > 0));
  const transaction = setup.multi();
  for (const list of lists) transaction.lrange(list, 0, -1);
  const rest = (await transaction.exec())!.flatMap(([, found]) => found as string[]);
  t.strictSame(rest.sort(), elements.sort());
});

onServers('every job of a queue is taken once', async (t, server) => {
  const jobs = 3000;
  const producer = await server.client();
  const taken = new Set<string>();
  let doubled = 0;
  const push = (async () => {
    for (let first = 0; first < jobs; first += 50) {
      await producer.lpush('queue', ...Array.from({ length: 50 }, (_, index) => `job ${first + index}`));
    }
  })();
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const consumer = await server.client();
      while (taken.size < jobs && doubled === 0) {
        const found =
          client % 2 === 0
            ? await consumer.rpop('queue', 7)
            : ((await consumer.call('LMPOP', '2', 'empty', 'queue', 'RIGHT', 'COUNT', '5')) as
                | [string, string[]]
                | null);
        const batch = found === null ? [] : client % 2 === 0 ? (found as string[]) : (found[1] as string[]);
        for (const job of batch) {
          if (taken.has(job)) doubled++;
          taken.add(job);
        }
      }
    }),
  );
  await push;
  t.equal(doubled, 0);
  t.equal(taken.size, jobs);
  t.equal(await producer.exists('queue'), 0);
});

onServers('SORT by other keys sees one moment', async (t, server) => {
  const writer = await server.client();
  const reader = await server.client();
  const items = Array.from({ length: 20 }, (_, index) => `item${index}`);
  await writer.rpush('items', ...items);
  // Each transaction gives all items weights of the same round, one more than the round before.
  const setWeights = (round: number) =>
    writer.mset(
      Object.fromEntries(items.map((item, index) => [`weight:${item}`, String(round * 100 + index)])),
    );
  await setWeights(0);
  let isWriting = true;
  const writing = (async () => {
    for (let round = 1; round < 150; round++) await setWeights(round);
    isWriting = false;
  })();
  let torn = 0;
  while (isWriting) {
    const weights = (await reader.sort('items', 'BY', 'weight:*', 'GET', 'weight:*')) as string[];
    if (new Set(weights.map((weight) => Math.floor(Number(weight) / 100))).size !== 1) torn++;
    const [[, sorted]] = (await reader
      .multi()
      .sort('items', 'BY', 'weight:*', 'GET', '#', 'DESC')
      .exec())! as [[unknown, string[]]];
    if (sorted.join() !== items.toReversed().join()) torn++;
  }
  await writing;
  t.equal(torn, 0);
});

onServers('long lists', async (t, server) => {
  const client = await server.rawClient();
  const expect = async (reply: string, ...request: string[]): Promise<void> => {
    t.equal(await client.text(...request), reply, request.slice(0, 4).join(' '));
  };
  for (let first = 0; first < 100_000; first += 5000) {
    await client.text('RPUSH', 'l', ...Array.from({ length: 5000 }, (_, index) => `e${first + index}`));
  }
  await expect('$9\r\nquicklist\r\n', 'OBJECT', 'ENCODING', 'l');
  await expect(':100000\r\n', 'LLEN', 'l');
  await expect('$6\r\ne50000\r\n', 'LINDEX', 'l', '50000');
  await expect('$6\r\ne49999\r\n', 'LINDEX', 'l', '-50001');
  await expect('*2\r\n$6\r\ne99998\r\n$6\r\ne99999\r\n', 'LRANGE', 'l', '99998', '200000');
  await expect(':77777\r\n', 'LPOS', 'l', 'e77777', 'RANK', '-1');
  await expect(':1\r\n', 'COPY', 'l', 'copied');
  await expect('+OK\r\n', 'LTRIM', 'l', '99990', '-1');
  await expect(':10\r\n', 'LLEN', 'l');
  await expect('$8\r\nlistpack\r\n', 'OBJECT', 'ENCODING', 'l');
  await expect('$6\r\ne99990\r\n', 'LPOP', 'l');
  await expect(':1\r\n', 'UNLINK', 'l');
  await expect(':100000\r\n', 'LLEN', 'copied');
  await expect(':1\r\n', 'DEL', 'copied');
});

withServers(
  t,
  'no memory: an error, and nothing has changed',
  { directives: { maxmemory: '8mb' } },
  async (t, server) => {
    const client = await server.rawClient();
    const long = 'x'.repeat(100_000);
    let pushed = 0;
    while ((await client.text('RPUSH', 'l', long)).startsWith(':')) pushed++;
    t.ok(pushed > 10);
    // What is left is less than what the long request itself took in buffers.
    while ((await client.text('RPUSH', 'l', long.slice(0, 1000))).startsWith(':')) pushed++;
    t.match(await client.text('LPUSH', 'l', long), /^-OOM /);
    t.match(await client.text('LMOVE', 'l', 'other', 'LEFT', 'LEFT'), /^-OOM /);
    t.equal(await client.text('LLEN', 'l'), `:${pushed}\r\n`);
    t.equal(await client.text('EXISTS', 'other'), ':0\r\n');
    t.equal(await client.text('LPOP', 'l'), `$100000\r\n${long}\r\n`);
    t.equal(await client.text('LTRIM', 'l', '0', '1'), '+OK\r\n');
    t.equal(await client.text('RPUSH', 'l', long), ':3\r\n');
  },
);

onServers('transactions notice changes of watched lists', async (t, server) => {
  const watcher = await server.rawClient();
  const writer = await server.rawClient();
  const changes: [string[], boolean][] = [
    [['RPUSH', 'l', 'x'], true],
    [['LSET', 'l', '0', 'y'], true],
    [['LREM', 'l', '0', 'nothing'], false],
    [['LINSERT', 'l', 'BEFORE', 'nothing', 'x'], false],
    [['LINSERT', 'l', 'BEFORE', 'y', 'x'], true],
    [['RPUSHX', 'missing', 'x'], false],
    [['LMOVE', 'l', 'l', 'LEFT', 'RIGHT'], true],
    [['LRANGE', 'l', '0', '-1'], false],
    [['SORT', 'l', 'ALPHA', 'STORE', 'l'], true],
    [['LPOP', 'l', '0'], false],
    [['LPOP', 'l'], true],
    [['LTRIM', 'l', '5', '6'], true],
  ];
  await writer.text('RPUSH', 'l', 'a', 'b', 'c');
  for (const [command, isChange] of changes) {
    await watcher.text('WATCH', 'l');
    await writer.text(...command);
    await watcher.text('MULTI');
    await watcher.text('PING');
    t.equal(await watcher.text('EXEC'), isChange ? '*-1\r\n' : '*1\r\n+PONG\r\n', command.join(' '));
  }
});
