import t from 'tap';
import { Random } from '../../tools/random.js';
import { sharedServers } from '../../tools/server.js';

const onServers = sharedServers(t);

type Side = 'LEFT' | 'RIGHT';

/** Moves elements of plain arrays as LMOVEM does; returns what it replies. */
function move(
  lists: Map<string, string[]>,
  [from, to]: [string, string],
  [fromSide, toSide]: [Side, Side],
  count: number,
  isExact: boolean,
  isOneByOne: boolean,
): string[] | null {
  const source = lists.get(from) ?? [];
  if (isExact && source.length < count) return null;
  const moved: string[] = [];
  for (let left = Math.min(count, source.length); left > 0; left--) {
    moved.push((fromSide === 'LEFT' ? source.shift() : source.pop())!);
  }
  // In bulk, elements keep their order in the source.
  if (!isOneByOne && fromSide === 'RIGHT') moved.reverse();
  const arrived = isOneByOne && toSide === 'LEFT' ? [...moved].reverse() : moved;
  const target = from === to ? source : (lists.get(to) ?? []);
  if (moved.length > 0) {
    lists.set(from, source);
    lists.set(to, toSide === 'LEFT' ? [...arrived, ...target] : [...target, ...arrived]);
  }
  return arrived;
}

onServers('random moves between lists, long and short, and within one', async (t, server) => {
  const client = server.client();
  const random = new Random(7);
  const lists = new Map<string, string[]>();
  const keys = ['a', 'b', 'c', 'd'];
  let next = 0;
  const fill = async (key: string, count: number, lengthMax: number): Promise<void> => {
    const elements = Array.from({ length: count }, () => `${next++}:`.padEnd(random.below(lengthMax), 'x'));
    await client.rpush(key, ...elements);
    lists.set(key, [...(lists.get(key) ?? []), ...elements]);
  };
  await fill('a', 3000, 100);
  for (let round = 0; round < 250; round++) {
    const pair: [string, string] = [keys[random.below(4)]!, keys[random.below(4)]!];
    const sides = ['LEFT', 'RIGHT'] as const;
    const ends: [Side, Side] = [sides[random.below(2)]!, sides[random.below(2)]!];
    const count = 1 + random.below([3, 20, 3000][random.below(3)]!);
    const isExact = random.below(3) === 0;
    const isOneByOne = random.below(2) === 0;
    if (random.below(20) === 0) await fill(pair[0], 1 + random.below(5), [10, 10_000][random.below(2)]!);
    const expected = move(lists, pair, ends, count, isExact, isOneByOne);
    const order = isOneByOne ? 'OBO' : 'BULK';
    const limit = isExact ? 'EXACTLY' : 'COUNT';
    const request = [...pair, ...ends, limit, String(count), order];
    const reply = await client.call('LMOVEM', ...request);
    if (JSON.stringify(reply) !== JSON.stringify(expected))
      t.same(reply, expected, `LMOVEM ${request.join(' ')}`);
    for (const key of new Set(pair)) {
      const stored = await client.lrange(key, 0, -1);
      if (JSON.stringify(stored) !== JSON.stringify(lists.get(key) ?? [])) {
        t.same(stored, lists.get(key) ?? [], `${key} after LMOVEM ${request.join(' ')}`);
      }
      if (stored.length === 0) lists.delete(key);
    }
  }
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  for (const key of keys) t.equal(await client.exists(key), lists.has(key) ? 1 : 0);
});

onServers('replies and errors', async (t, server) => {
  const client = await server.rawClient();
  const run = (...args: string[]) => client.text('LMOVEM', ...args);
  await client.command('RPUSH', 'list', 'a', 'b', 'c');
  t.equal(await run('list', 'other', 'LEFT', 'RIGHT'), '*1\r\n$1\r\na\r\n');
  t.equal(await run('nosuch', 'other', 'LEFT', 'RIGHT'), '*0\r\n');
  t.equal(await run('nosuch', 'other', 'LEFT', 'RIGHT', 'EXACTLY', '1', 'OBO'), '*-1\r\n');
  t.equal(await run('list', 'other', 'LEFT', 'RIGHT', 'exactly', '3', 'bulk'), '*-1\r\n');
  t.equal(await run('list', 'other', 'LEFT', 'RIGHT', 'COUNT', '9', 'BULK'), '*2\r\n$1\r\nb\r\n$1\r\nc\r\n');
  t.equal(await client.text('EXISTS', 'list'), ':0\r\n');
  const tooSmall = '-ERR count should be greater than 0\r\n';
  t.equal(await run('other', 'list', 'LEFT', 'RIGHT', 'COUNT', '0', 'OBO'), tooSmall);
  t.equal(await run('other', 'list', 'LEFT', 'RIGHT', 'COUNT', 'x', 'OBO'), tooSmall);
  for (const rest of [
    ['MIDDLE', 'LEFT'],
    ['LEFT', 'MIDDLE'],
    ['LEFT', 'RIGHT', 'COUNT'],
    ['LEFT', 'RIGHT', 'COUNT', '1'],
    ['LEFT', 'RIGHT', 'COUNT', '1', 'SLOWLY'],
    ['LEFT', 'RIGHT', 'SOME', '1', 'OBO'],
    ['LEFT', 'RIGHT', 'COUNT', '1', 'OBO', 'x'],
  ]) {
    t.equal(await run('other', 'list', ...rest), '-ERR syntax error\r\n', rest.join(' '));
    if (rest.length === 2) continue;
    const waiting = ['LEFT', 'RIGHT', '0', ...rest.slice(2)];
    t.equal(
      await client.text('BLMOVEM', 'other', 'list', ...waiting),
      '-ERR syntax error\r\n',
      waiting.join(' '),
    );
  }
  t.match(await client.text('BLMOVEM', 'other', 'list', 'LEFT', 'LEFT'), /^-ERR wrong number of arguments/);
  t.equal(
    await client.text('BLMOVEM', 'other', 'list', 'LEFT', 'LEFT', 'COUNT', '1', 'OBO'),
    '-ERR syntax error\r\n',
  );
  t.match(await client.text('BLMOVEM', 'other', 'list', 'LEFT', 'LEFT', 'x'), /^-ERR timeout is not a float/);
  t.match(await client.text('BLMOVEM', 'other', 'list', 'LEFT', 'LEFT', '-1'), /^-ERR timeout is negative/);
  await client.command('SET', 'string', 'x');
  t.match(await client.text('BLMOVEM', 'string', 'other', 'LEFT', 'LEFT', '0'), /^-WRONGTYPE/);
  t.match(await run('string', 'other', 'LEFT', 'LEFT'), /^-WRONGTYPE/);
  t.match(await run('other', 'string', 'LEFT', 'LEFT'), /^-WRONGTYPE/);
  t.equal(await run('nosuch', 'string', 'LEFT', 'LEFT'), '*0\r\n');
  t.equal(await client.text('LRANGE', 'other', '0', '-1'), '*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n');
  t.equal(await client.text('TYPE', 'list'), '+none\r\n');
});

onServers('clients that move to and fro lose nothing', async (t, server) => {
  const clients = Array.from({ length: 4 }, () => server.client());
  const [client] = clients as [(typeof clients)[0]];
  const elements = Array.from({ length: 400 }, (_, index) => String(index));
  await client.rpush('from', ...elements);
  await Promise.all(
    clients.map(async (mover, index) => {
      const random = new Random(index);
      const keys = ['from', 'to', 'third'];
      for (let round = 0; round < 100; round++) {
        const source = keys[random.below(3)]!;
        const order = round % 2 === 0 ? 'OBO' : 'BULK';
        const count = String(1 + random.below(50));
        await mover.call('LMOVEM', source, keys[random.below(3)]!, 'LEFT', 'RIGHT', 'COUNT', count, order);
      }
    }),
  );
  const kept = await Promise.all(['from', 'to', 'third'].map((key) => client.lrange(key, 0, -1)));
  t.same(
    kept.flat().sort((left, right) => Number(left) - Number(right)),
    elements,
  );
});

onServers('a full server refuses moves', async (t, server) => {
  const client = await server.rawClient();
  await client.command('RPUSH', 'list', 'a', 'b', 'c');
  await client.command('CONFIG', 'SET', 'maxmemory', '1');
  const request = ['LMOVEM', 'list', 'other', 'LEFT', 'RIGHT', 'COUNT', '2', 'BULK'];
  t.match(await client.text(...request), /^-OOM /);
  await client.command('CONFIG', 'SET', 'maxmemory', '0');
  t.equal(await client.text('LLEN', 'list'), ':3\r\n');
  t.equal(await client.text('EXISTS', 'other'), ':0\r\n');
  t.match(await client.text(...request), /^\*2\r\n/);
});
