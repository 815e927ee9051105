/** Primaries and replicas, Damselfly and redis-server in all pairs: equal data under writes and cut links. */

import t from 'tap';
import { fillRandomly } from '../tools/dataset.js';
import { Random } from '../tools/random.js';
import { type ServerKind, skipWithoutRedis } from '../tools/server.js';
import { compare, follow, info, start, untilLinked, writeRandomly } from './pairs.js';

t.setTimeout(0);

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const random = new Random(seed);
t.comment(`seed ${seed}`);

const PAIRS: readonly (readonly [ServerKind, ServerKind])[] = [
  ['damselfly', 'redis'],
  ['redis', 'damselfly'],
  ['damselfly', 'damselfly'],
];

for (const [primaryKind, replicaKind] of PAIRS) {
  for (const isDiskless of ['yes', 'no']) {
    await t.test(
      `${primaryKind} to ${replicaKind}, diskless ${isDiskless}`,
      { skip: skipWithoutRedis() },
      async (t) => {
        const primary = await start(primaryKind, { 'repl-diskless-sync': isDiskless });
        const replica = await start(replicaKind);
        t.teardown(() => Promise.all([primary.stop(), replica.stop()]));
        const there = primary.client();
        const here = replica.client();
        await fillRandomly(there, random, 300, ['string', 'list', 'set', 'zset', 'hash', 'stream']);
        let isOver = false;
        const writers = Array.from({ length: 3 }, () =>
          writeRandomly(primary.client(), new Random(random.below(1e9)), () => isOver),
        );
        await follow(here, primary);
        await untilLinked(here);
        const end = Date.now() + 1500;
        while (Date.now() < end) {
          await there.call('CLIENT', 'KILL', 'TYPE', 'replica');
          await untilLinked(here);
        }
        isOver = true;
        await Promise.all(writers);
        t.same(await compare(there, here), []);
        const stats = await info(there, 'stats');
        t.equal(stats.get('sync_full'), '1', 'cut links need no other full sync');
        t.ok(Number(stats.get('sync_partial_ok')) > 0);
        t.equal((await info(there)).get('connected_slaves'), '1');
        await there.set('last', '1');
        t.equal(await there.wait(1, 10_000), 1);
        t.equal(await here.get('last'), '1');
        const rows = (await there.call('ROLE')) as unknown[];
        t.equal(rows[0], 'master');
        t.match(rows[2], [['127.0.0.1', String(replica.port), /^\d+$/]]);
        t.match(await here.call('ROLE'), ['slave', '127.0.0.1', primary.port, 'connected', Number]);
        await t.rejects(here.set('a', '1'), /^READONLY You can't write against a read only replica\.$/);
      },
    );
  }
}
