/** Sets of shards, beside sets of JavaScript. */

import t from 'tap';
import { ShardSet } from '../../src/keyspace/shard-set.js';
import { Random } from '../tools/random.js';

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const random = new Random(seed);
t.comment(`seed ${seed}`);

function members(set: ShardSet): number[] {
  const found: number[] = [];
  for (let index = set.next(0); index >= 0; index = set.next(index + 1)) found.push(index);
  return found;
}

t.test('sets of all sizes', async (t) => {
  for (const shardCount of [1, 2, 16, 31, 32, 33, 64, 100, 1024]) {
    const set = new ShardSet(shardCount);
    const model = new Set<number>();
    for (let step = 0; step < 200; step++) {
      if (random.chance(0.05)) {
        set.clear();
        model.clear();
      } else if (random.chance(0.02)) {
        set.addAll();
        for (let index = 0; index < shardCount; index++) model.add(index);
      } else {
        const index = random.below(shardCount);
        set.add(index);
        model.add(index);
      }
      const expected = [...model].sort((left, right) => left - right);
      t.same(members(set), expected, `${shardCount} shards`);
      t.equal(set.isFull, model.size === shardCount);
      const from = random.below(shardCount + 1);
      t.equal(set.next(from), expected.find((index) => index >= from) ?? -1);
      const asked = random.below(shardCount);
      t.equal(set.has(asked), model.has(asked));
    }
  }
});
