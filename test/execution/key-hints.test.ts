/** Keys that are read ahead: what is known of them afterwards, and that hints do no harm, whatever the shards hold. */

import t from 'tap';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { KeyHints } from '../../src/execution/key-hints.js';
import { createKeyspace, Keyspace } from '../../src/keyspace/keyspace.js';
import { Attention } from '../../src/memory/attention.js';
import { Random } from '../tools/random.js';
import { sharedServers } from '../tools/server.js';

const open = (): Keyspace =>
  new Keyspace(createKeyspace(2, 8 << 20, 2, Attention.create(1)), defaultSettings(), new Float64Array(16));

t.test('keys are found again in their order, time after time', async (t) => {
  const [shard, other] = open().shards as [Keyspace['shards'][0], Keyspace['shards'][0]];
  const hints = new KeyHints(3, shard);
  t.equal(hints.take(10), -1, 'there are none');
  hints.add(10, 1, shard);
  hints.add(20, 2, other);
  hints.add(30, 3, shard);
  hints.add(40, 4, other);
  t.equal(hints.count, 3, 'no more than it has room for');
  for (let pass = 0; pass < 2; pass++) {
    t.equal(hints.take(10), 0);
    t.equal(hints.take(30), -1, 'another one is next');
    t.equal(hints.take(20), 1);
    t.equal(hints.shards[1], other);
    t.equal(hints.hashes[1], 2);
    t.equal(hints.take(30), 2);
  }
  t.equal(hints.take(10), 0);
  hints.clear();
  t.equal(hints.take(20), -1);
  hints.add(5, 9, other);
  t.equal(hints.take(5), 0);
});

/** Hints of keys that may not exist, in both shards. */
function anyHints(keyspace: Keyspace, random: Random): KeyHints {
  const hints = new KeyHints(64, keyspace.shards[0]!);
  for (let key = 0; key < 64; key++) {
    hints.add(key, random.below(2 ** 32) | 0, keyspace.shards[random.below(2)]!);
  }
  return hints;
}

t.test('reading ahead changes nothing, and does not fail in the middle of a change', async (t) => {
  const keyspace = open();
  const random = new Random(3);
  for (let round = 0; round < 20; round++) anyHints(keyspace, random).run(round & 1);
  keyspace.verify();
  for (let round = 0; round < 50; round++) {
    const hints = anyHints(keyspace, random);
    for (const { words } of keyspace.shards) {
      for (let count = 0; count < 100; count++) words[random.below(4096)] = random.below(2 ** 32) | 0;
    }
    t.doesNotThrow(() => hints.run(round & 1));
  }
});

const onServers = sharedServers(t);

onServers('commands on more keys than are read ahead, some of them named twice', async (t, server) => {
  const client = server.client();
  const random = new Random(5);
  const model = new Map<string, string>();
  for (let round = 0; round < 20; round++) {
    const keys = Array.from({ length: random.below(3000) + 1 }, () => `key:${random.below(4000)}`);
    const pairs = keys.flatMap((key, index) => [key, `${round}:${index}`]);
    await client.mset(pairs);
    for (let index = 0; index < pairs.length; index += 2) model.set(pairs[index]!, pairs[index + 1]!);
    const asked = random.shuffle([...keys, 'nosuch', ...keys.slice(0, 10)]);
    t.same(
      await client.mget(asked),
      asked.map((key) => model.get(key) ?? null),
    );
    const gone = random.shuffle(keys).slice(0, keys.length >> 1);
    t.equal(await client.del(gone), new Set(gone).size);
    for (const key of gone) model.delete(key);
    const transaction = client.multi();
    for (const key of keys.slice(0, 50)) transaction.get(key);
    t.same(
      (await transaction.exec())!.map(([, value]) => value),
      keys.slice(0, 50).map((key) => model.get(key) ?? null),
    );
  }
  t.equal(await client.dbsize(), model.size);
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
});
