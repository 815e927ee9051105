/** Counters go on where an int32 would come round: changes of a shard, versions of watched keys, the sum of used memory. */

import t from 'tap';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { KeyspaceCounter } from '../../src/keyspace/counters.js';
import { KeyEvent } from '../../src/keyspace/events.js';
import { NamedKey } from '../../src/keyspace/gate.js';
import { createKeyspace, Keyspace, usedUnitLog2 } from '../../src/keyspace/keyspace.js';
import { Attention } from '../../src/memory/attention.js';
import { HeaderDouble, SHARD_BYTES_MAX } from '../../src/memory/shard-memory.js';

const SHARD_BYTES = 1 << 20;
const WRAP = 2 ** 32;

function newKeyspace(shardCount: number): Keyspace {
  const handle = createKeyspace(shardCount, SHARD_BYTES, 2, Attention.create(1));
  return new Keyspace(handle, defaultSettings(), new Float64Array(KeyspaceCounter.COUNT));
}

t.test('changes are counted beyond 2^32', async (t) => {
  const keyspace = newKeyspace(2);
  const [first, second] = keyspace.shards;
  for (const shard of [first!, second!]) shard.doubles[HeaderDouble.DirtyCount] = WRAP - 5;
  const before = keyspace.dirtyCount();
  const key = new NamedKey(first!.bytes, first!.view);
  for (let change = 0; change < 10; change++) first!.changed(key, KeyEvent.Set);
  t.equal(first!.dirtyCount, WRAP + 5);
  t.equal(keyspace.dirtyCount() - before, 10, 'what save points ask for');
});

t.test('a watched key has a new version after 2^32 changes', async (t) => {
  const { watchedKeys, doubles } = newKeyspace(1).shards[0]!;
  const slot = watchedKeys.watch(1, 12345);
  const version = watchedKeys.version(slot);
  t.equal(version, 0);
  doubles[(slot + 2) >> 1] = WRAP - 1;
  watchedKeys.touch(1, 12345);
  t.equal(watchedKeys.version(slot), WRAP);
  t.equal(watchedKeys.watch(1, 12345), slot, 'another watcher');
  watchedKeys.unwatch(slot);
  t.equal(watchedKeys.version(slot), WRAP, 'one of them is left');
  watchedKeys.unwatch(slot);
  t.equal(watchedKeys.version(slot), WRAP + 1);
  const slots = Array.from({ length: 60 }, (_, index) => watchedKeys.watch(0, index));
  t.equal(new Set(slots).size, 60);
  const before = slots.map((slot) => watchedKeys.version(slot));
  watchedKeys.touchWhere(0, (hash) => hash === 7);
  t.same(
    slots.map((slot) => watchedKeys.version(slot)),
    slots.map((_, index) => before[index]! + (index === 7 ? 1 : 0)),
  );
});

t.test('the sum of used memory fits one word, however many shards are full', async (t) => {
  t.equal(usedUnitLog2(4, SHARD_BYTES_MAX), 6, 'small units while they do');
  for (let shards = 1; shards <= 1 << 16; shards *= 2) {
    const unitLog2 = usedUnitLog2(shards, SHARD_BYTES_MAX);
    if (shards * (SHARD_BYTES_MAX >> unitLog2) >= WRAP) t.fail(`${shards} shards`);
    if (unitLog2 > 6 && shards * (SHARD_BYTES_MAX >> (unitLog2 - 1)) < WRAP / 2) t.fail(`${shards} shards`);
  }
  const keyspace = newKeyspace(4);
  keyspace.lockAll();
  for (const shard of keyspace.shards) t.ok(shard.arena.allocate(100_000));
  keyspace.unlockAll();
  keyspace.lockAll();
  keyspace.verify();
  keyspace.unlockAll();
});
