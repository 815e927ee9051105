import t from 'tap';
import { Random } from '../../tools/random.js';
import { sharedServers } from '../../tools/server.js';

const onServers = sharedServers(t);

onServers('SUNIONCARD, SDIFFCARD and SINTERCARD count what the sets would have', async (t, server) => {
  const client = server.client();
  const random = new Random(5);
  const keys = Array.from({ length: 6 }, (_, index) => `set:${index}`);
  const sets = new Map<string, Set<string>>();
  const fill = async (key: string): Promise<void> => {
    const members = new Set<string>();
    // Sets of integers, small sets and hash tables.
    const kind = random.below(3);
    const count = random.below([600, 20, 600][kind]!);
    for (let index = 0; index < count; index++) {
      const number = random.below(800);
      members.add(kind === 0 ? String(number) : `${number % 2 === 0 ? '' : 'm'}${number}`);
    }
    await client.del(key);
    if (members.size > 0) await client.sadd(key, ...members);
    sets.set(key, members);
  };
  for (const key of keys) await fill(key);
  const count = (name: string, operands: string[], limit: number): number => {
    const [first, ...others] = operands.map((key) => sets.get(key)!);
    let counted: number;
    if (name === 'SUNIONCARD') counted = new Set([...first!, ...others.flatMap((set) => [...set])]).size;
    else if (name === 'SDIFFCARD')
      counted = [...first!].filter((m) => !others.some((set) => set.has(m))).length;
    else counted = [...first!].filter((m) => others.every((set) => set.has(m))).length;
    return limit === 0 ? counted : Math.min(counted, limit);
  };
  for (let round = 0; round < 150; round++) {
    await fill(random.pick(keys));
    const operands = Array.from({ length: 1 + random.below(5) }, () => random.pick(keys));
    for (const name of ['SUNIONCARD', 'SDIFFCARD', 'SINTERCARD']) {
      const limit = random.below(2) === 0 ? 0 : random.below(900);
      const options = limit === 0 && random.below(2) === 0 ? [] : ['LIMIT', String(limit)];
      const request = [String(operands.length), ...operands, ...options];
      const expected = count(name, operands, limit);
      const reply = await client.call(name, ...request);
      if (reply !== expected) t.equal(reply, expected, `${name} ${request.join(' ')}`);
    }
  }
});

onServers('an approximate union is near the exact one', async (t, server) => {
  const client = server.client();
  await client.sadd('one', ...Array.from({ length: 20_000 }, (_, index) => `member ${index}`));
  await client.sadd('two', ...Array.from({ length: 20_000 }, (_, index) => `member ${index + 10_000}`));
  const estimate = Number(await client.call('SUNIONCARD', '2', 'one', 'two', 'APPROX'));
  t.ok(Math.abs(estimate - 30_000) < 1500, `${estimate} for 30,000`);
  t.equal(await client.call('SUNIONCARD', '2', 'one', 'two', 'APPROX', 'LIMIT', '100'), 100);
  t.equal(await client.call('SUNIONCARD', '2', 'one', 'two', 'LIMIT', '25000'), 25_000);
  t.equal(await client.call('SUNIONCARD', '2', 'nosuch', 'nosuch', 'APPROX'), 0);
});

onServers('errors', async (t, server) => {
  const client = await server.rawClient();
  await client.command('SADD', 's', 'a');
  await client.command('SET', 'string', 'a');
  for (const name of ['SUNIONCARD', 'SDIFFCARD']) {
    t.match(await client.text(name, '2', 's', 'string'), /^-WRONGTYPE/);
    t.equal(await client.text(name, '0', 's'), '-ERR numkeys should be greater than 0\r\n');
    t.equal(await client.text(name, 'x', 's'), '-ERR numkeys should be greater than 0\r\n');
    t.equal(
      await client.text(name, '3', 's', 's'),
      "-ERR Number of keys can't be greater than number of args\r\n",
    );
    t.equal(await client.text(name, '1', 's', 'LIMIT'), '-ERR syntax error\r\n');
    t.equal(await client.text(name, '1', 's', 'LIMIT', '-1'), "-ERR LIMIT can't be negative\r\n");
    t.equal(await client.text(name, '1', 's', 'LIMIT', 'x'), "-ERR LIMIT can't be negative\r\n");
    t.equal(await client.text(name, '1', 's', 'FOO'), '-ERR syntax error\r\n');
  }
  t.equal(await client.text('SDIFFCARD', '1', 's', 'APPROX'), '-ERR syntax error\r\n');
});
