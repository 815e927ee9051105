/** What random scripts (test/compat) do not reach: several clients at once, many elements, a full server, watched keys. */

import t from 'tap';
import { Random } from '../../tools/random.js';
import { sharedServers, withServers } from '../../tools/server.js';

const onServers = sharedServers(t);

const CLIENTS = 4;
const ROUNDS = 40;

onServers('points of a leaderboard are neither lost nor doubled', async (t, server) => {
  const players = Array.from({ length: 300 }, (_, index) => `player ${index}`);
  const given = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, number) => {
      const redis = await server.client();
      const random = new Random(number + 1);
      const points = new Map<string, number>();
      for (let round = 0; round < ROUNDS; round++) {
        const pipeline = redis.pipeline();
        for (let step = 0; step < 50; step++) {
          const player = random.pick(players);
          const amount = random.between(-20, 100);
          pipeline.zincrby('{game}:all', amount, player);
          points.set(player, (points.get(player) ?? 0) + amount);
          if (step % 10 === 0) pipeline.zrevrange('{game}:all', 0, 9, 'WITHSCORES');
        }
        for (const [error] of (await pipeline.exec())!) if (error !== null) throw error;
      }
      return points;
    }),
  );
  const expected = new Map<string, number>();
  for (const points of given) {
    for (const [player, amount] of points) expected.set(player, (expected.get(player) ?? 0) + amount);
  }
  const redis = await server.client();
  const found = await redis.zrange('{game}:all', 0, '-1', 'WITHSCORES');
  const scores = new Map<string, number>();
  for (let index = 0; index < found.length; index += 2) scores.set(found[index]!, Number(found[index + 1]));
  t.strictSame([...scores].sort(), [...expected].sort());
  const order = [...expected].sort((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1)).map(([player]) => player);
  t.strictSame(
    found.filter((_, index) => index % 2 === 0),
    order,
  );
  for (const player of [order[0]!, order[150]!, order.at(-1)!]) {
    t.equal(await redis.zrank('{game}:all', player), order.indexOf(player));
    t.equal(await redis.zrevrank('{game}:all', player), order.length - 1 - order.indexOf(player));
  }
});

onServers('elements that are popped go to one client each', async (t, server) => {
  const redis = await server.client();
  const elements = 20_000;
  for (let first = 0; first < elements; first += 1000) {
    const pairs = Array.from({ length: 1000 }, (_, index) => [first + index, `job ${first + index}`]).flat();
    t.equal(await redis.zadd('jobs', ...(pairs as [number, string])), 1000);
  }
  t.equal(await redis.object('ENCODING', 'jobs'), 'skiplist');
  const popped = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, number) => {
      const client = await server.client();
      const own: number[] = [];
      for (;;) {
        const reply = await client[number % 2 === 0 ? 'zpopmin' : 'zpopmax']('jobs', 37);
        if (reply.length === 0) return own;
        for (let index = 0; index < reply.length; index += 2) {
          if (reply[index] !== `job ${reply[index + 1]}`)
            throw new Error(`${reply[index]} has a wrong score`);
          own.push(Number(reply[index + 1]));
        }
      }
    }),
  );
  const all = popped.flat().sort((a, b) => a - b);
  t.strictSame(
    all,
    Array.from({ length: elements }, (_, index) => index),
  );
  t.equal(await redis.exists('jobs'), 0);
});

onServers('a union over shards is atomic', async (t, server) => {
  const setup = await server.client();
  // A coin moves between two sets of different shards; their union always has exactly one.
  await setup.zadd('left', 1, 'coin', 1, 'a');
  await setup.zadd('right', 1, 'b');
  let isMoving = true;
  const mover = await server.client();
  const moves = (async () => {
    for (let count = 0; isMoving; count++) {
      const [from, to] = count % 2 === 0 ? ['left', 'right'] : ['right', 'left'];
      await mover.multi().zrem(from!, 'coin').zadd(to!, 1, 'coin').exec();
    }
  })();
  const unions = await server.client();
  for (let count = 0; count < 300; count++) {
    const reply = (await unions.zunion(2, 'left', 'right', 'WITHSCORES')) as string[];
    if (reply.join() !== 'a,1,b,1,coin,1') t.equal(reply.join(), 'a,1,b,1,coin,1');
    const stored = await unions.zunionstore('target', 2, 'left', 'right');
    if (stored !== 3) t.equal(stored, 3);
  }
  isMoving = false;
  await moves;
});

onServers('a scan sees whoever stays', async (t, server) => {
  const redis = await server.client();
  const stays = Array.from({ length: 500 }, (_, index) => `stays ${index}`);
  for (const [index, member] of stays.entries()) await redis.zadd('k', index, member);
  const seen = new Set<string>();
  let cursor = '0';
  let serial = 0;
  do {
    const [next, found] = await redis.zscan('k', cursor, 'COUNT', 20);
    for (let index = 0; index < found.length; index += 2) seen.add(found[index]!);
    cursor = next;
    const pipeline = redis.pipeline();
    for (let step = 0; step < 60; step++) {
      pipeline.zadd('k', serial, `guest ${serial}`);
      if (serial >= 1000) pipeline.zrem('k', `guest ${serial - 1000}`);
      serial++;
    }
    await pipeline.exec();
  } while (cursor !== '0');
  t.strictSame(
    stays.filter((member) => !seen.has(member)),
    [],
  );
});

onServers('WITHSCORE', async (t, server) => {
  const client = await server.rawClient();
  const expect = async (reply: string, ...request: (string | number)[]): Promise<void> => {
    t.equal(await client.text(...request), reply, request.join(' '));
  };
  await expect(':3\r\n', 'ZADD', 'k', '1', 'a', '2.5', 'b', '-inf', 'c');
  await expect('*2\r\n:2\r\n$3\r\n2.5\r\n', 'ZRANK', 'k', 'b', 'withscore');
  await expect('*2\r\n:2\r\n$4\r\n-inf\r\n', 'ZREVRANK', 'k', 'c', 'WITHSCORE');
  await expect('*-1\r\n', 'ZRANK', 'k', 'd', 'WITHSCORE');
  await expect('*-1\r\n', 'ZRANK', 'missing', 'd', 'WITHSCORE');
  await expect('$-1\r\n', 'ZRANK', 'missing', 'd');
  await expect('-ERR syntax error\r\n', 'ZRANK', 'k', 'a', 'WITHSCORES');
  await expect(
    "-ERR wrong number of arguments for 'zrank' command\r\n",
    'ZRANK',
    'k',
    'a',
    'WITHSCORE',
    'WITHSCORE',
  );
  await client.command('HELLO', '3');
  await expect('*2\r\n:1\r\n,1\r\n', 'ZRANK', 'k', 'a', 'WITHSCORE');
  await expect('_\r\n', 'ZREVRANK', 'k', 'd', 'WITHSCORE');
});

onServers('only a change touches a watched key', async (t, server) => {
  const client = await server.rawClient();
  const aborts = async (...request: string[]): Promise<boolean> => {
    const replies = await client.pipeline([['WATCH', 'k'], request, ['MULTI'], ['PING'], ['EXEC']]);
    return replies.at(-1)!.toString() === '*-1\r\n';
  };
  t.ok(await aborts('ZADD', 'k', '1', 'a'));
  t.notOk(await aborts('ZADD', 'k', '1', 'a'));
  t.notOk(await aborts('ZADD', 'k', 'NX', '2', 'a'));
  t.notOk(await aborts('ZADD', 'k', 'GT', '0', 'a'));
  t.ok(await aborts('ZADD', 'k', '2', 'a'));
  t.ok(await aborts('ZINCRBY', 'k', '1', 'a'));
  t.notOk(await aborts('ZREM', 'k', 'b'));
  t.notOk(await aborts('ZREMRANGEBYSCORE', 'k', '10', '20'));
  t.notOk(await aborts('ZPOPMIN', 'missing'));
  t.notOk(await aborts('ZPOPMIN', 'k', '0'));
  t.notOk(await aborts('ZADD', 'k', 'x', 'b'));
  t.notOk(await aborts('ZADD', 'k', '1', 'b', 'nan', 'c'));
  t.ok(await aborts('ZPOPMAX', 'k'));
  t.equal(await client.text('EXISTS', 'k'), ':0\r\n');
});

onServers('what is wrong changes nothing', async (t, server) => {
  const redis = await server.client();
  await redis.zadd('k', 'inf', 'up', '-inf', 'down', 1, 'one');
  const before = await redis.zrange('k', 0, '-1', 'WITHSCORES');
  for (const request of [
    ['ZADD', 'k', '1', 'a', 'x', 'b'],
    ['ZADD', 'k', '1', 'a', '2'],
    ['ZADD', 'k', 'NX', 'XX', '1', 'a'],
    ['ZADD', 'k', 'INCR', '-inf', 'up'],
    ['ZINCRBY', 'k', 'inf', 'down'],
    ['ZINCRBY', 'k', 'nan', 'one'],
    ['ZRANGESTORE', 'k', 'k', '(x', '2', 'BYSCORE'],
    ['ZUNIONSTORE', 'k', '99999999999', 'k'],
    ['ZUNIONSTORE', 'k', '1', 'k', 'WEIGHTS', 'x'],
    ['ZPOPMIN', 'k', '-1'],
    ['ZMPOP', '1', 'k', 'MIN', 'COUNT', '0'],
    ['ZREMRANGEBYRANK', 'k', '0', '99999999999999999999'],
    ['ZREMRANGEBYLEX', 'k', 'a', 'b'],
  ]) {
    await t.rejects(redis.call(request[0]!, request.slice(1)), request.join(' '));
  }
  t.strictSame(await redis.zrange('k', 0, '-1', 'WITHSCORES'), before);
});

withServers(
  t,
  'a full server refuses as a whole what it has no room for',
  { directives: { maxmemory: '48mb' } },
  async (t, server) => {
    const redis = await server.client();
    const random = new Random(3);
    let serial = 0;
    let error = '';
    while (error === '' && serial < 2_000_000) {
      const pairs = Array.from({ length: 500 }, () => [random.below(1000), `member ${serial++}`]).flat();
      const before = await redis.zcard('k');
      try {
        await redis.zadd('k', ...(pairs as [number, string]));
      } catch (thrown) {
        error = String(thrown);
        t.equal(await redis.zcard('k'), before);
      }
    }
    t.match(error, /OOM/);
    t.equal(await redis.unlink('k'), 1);
    await t.resolves(redis.call('DEBUG', 'VERIFY'));
  },
);

onServers('AGGREGATE COUNT adds the weights of the sets that have an element', async (t, server) => {
  const redis = server.client();
  await redis.zadd('a', 10, 'x', 20, 'y', 30, 'z');
  await redis.zadd('b', '-inf', 'x', 5, 'y');
  await redis.sadd('c', 'x', 'w');
  const call = (...args: string[]) => redis.call(args[0]!, ...args.slice(1));
  const scored = async (...args: string[]) => ((await call(...args)) as string[][]).flat();
  const target = () => scored('ZRANGE', 'target', '0', '-1', 'WITHSCORES');
  const counts = ['3', 'a', 'b', 'c', 'AGGREGATE', 'COUNT', 'WITHSCORES'];
  t.same(await scored('ZUNION', ...counts), ['w', '1', 'z', '1', 'y', '2', 'x', '3']);
  t.same(await scored('ZINTER', ...counts), ['x', '3']);
  const weighted = ['3', 'a', 'b', 'c', 'WEIGHTS', '2', '0.5', '-1', 'AGGREGATE', 'count'];
  t.same(await scored('ZUNION', ...weighted, 'WITHSCORES'), ['w', '-1', 'x', '1.5', 'z', '2', 'y', '2.5']);
  t.equal(await call('ZUNIONSTORE', 'target', ...weighted), 4);
  t.same(await target(), ['w', '-1', 'x', '1.5', 'z', '2', 'y', '2.5']);
  t.equal(await call('ZINTERSTORE', 'target', '2', 'a', 'b', 'AGGREGATE', 'COUNT'), 2);
  t.same(await target(), ['x', '2', 'y', '2']);
  const infinite = ['2', 'a', 'b', 'WEIGHTS', 'inf', '-inf', 'AGGREGATE', 'COUNT', 'WITHSCORES'];
  t.same(await scored('ZUNION', ...infinite), ['x', '0', 'y', '0', 'z', 'inf']);
  t.equal(await call('ZINTERSTORE', 'target', '2', 'a', 'nosuch', 'AGGREGATE', 'COUNT'), 0);
  t.equal(await redis.exists('target'), 0);
  await t.rejects(call('ZUNION', '1', 'a', 'AGGREGATE', 'COUNTS'), /syntax error/);
});
