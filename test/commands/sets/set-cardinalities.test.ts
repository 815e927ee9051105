import t from 'tap';
import { Random } from '../../tools/random.js';
import { sharedServers } from '../../tools/server.js';

const onServers = sharedServers(t);

onServers(
  'unions, differences and intersections of sets in all encodings, and their cardinalities',
  async (t, server) => {
    const client = server.client();
    const random = new Random(5);
    const keys = Array.from({ length: 6 }, (_, index) => `set:${index}`);
    const sets = new Map<string, Set<string>>();
    const fill = async (key: string): Promise<void> => {
      const members = new Set<string>();
      // Sets of integers, small sets, sets with fingerprints and hash tables.
      const kind = random.below(4);
      const count = random.below([600, 20, 120, 600][kind]!);
      for (let index = 0; index < count; index++) {
        const number = random.below(800);
        members.add(kind === 0 ? String(number) : `${number % 2 === 0 ? '' : 'm'}${number}`);
      }
      await client.del(key);
      if (members.size > 0) await client.sadd(key, ...members);
      sets.set(key, members);
    };
    for (const key of keys) await fill(key);
    const membersOf = (name: string, operands: string[]): string[] => {
      const [first, ...others] = operands.map((key) => sets.get(key)!);
      if (name === 'SUNION') return [...new Set([...first!, ...others.flatMap((set) => [...set])])];
      if (name === 'SDIFF') return [...first!].filter((member) => !others.some((set) => set.has(member)));
      return [...first!].filter((member) => others.every((set) => set.has(member)));
    };
    for (let round = 0; round < 150; round++) {
      await fill(random.pick(keys));
      const operands = Array.from({ length: 1 + random.below(5) }, () => random.pick(keys));
      for (const name of ['SUNION', 'SDIFF', 'SINTER']) {
        const members = membersOf(name, operands).sort().join();
        const found = ((await client.call(name, ...operands)) as string[]).sort().join();
        if (found !== members) t.equal(found, members, `${name} ${operands.join(' ')}`);
        const limit = random.below(2) === 0 ? 0 : random.below(900);
        const options = limit === 0 && random.below(2) === 0 ? [] : ['LIMIT', String(limit)];
        const request = [String(operands.length), ...operands, ...options];
        const count = membersOf(name, operands).length;
        const expected = limit === 0 ? count : Math.min(count, limit);
        const reply = await client.call(`${name}CARD`, ...request);
        if (reply !== expected) t.equal(reply, expected, `${name}CARD ${request.join(' ')}`);
      }
    }
  },
);

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
