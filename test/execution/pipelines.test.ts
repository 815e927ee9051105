/** Commands on the same keys that come together: what they share (locks, lookups) must not show in the replies. */

import t from 'tap';
import { Random } from '../tools/random.js';
import type { Argument, RawClient } from '../tools/raw-client.js';
import { sharedServers } from '../tools/server.js';

const onServers = sharedServers(t);

/** Commands on one key, among them some that fail before or after they look at it, and some that make it vanish. */
const COMMANDS: readonly ((key: string, random: Random) => Argument[])[] = [
  (key) => ['GET', key],
  (key, random) => ['SET', key, random.below(1000)],
  (key, random) => ['SET', key, 'x'.repeat(random.below(300)), 'KEEPTTL'],
  (key) => ['SET', key, 1, 'NO'],
  (key) => ['GETDEL', key],
  (key) => ['INCR', key],
  (key) => ['INCRBY', key, 'much'],
  (key, random) => ['APPEND', key, 'y'.repeat(random.below(50))],
  (key) => ['PEXPIREAT', key, 1],
  (key) => ['EXPIRE', key, 100],
  (key) => ['PERSIST', key],
  (key) => ['STRLEN', key],
  (key) => ['TYPE', key],
  (key) => ['DEL', key],
  (key) => ['LPUSH', key, 'one'],
  (key) => ['RPUSH', key, 'two', 'three'],
  (key) => ['LPOP', key],
  (key) => ['RPOP', key, 2],
  (key) => ['LLEN', key],
  (key) => ['LSET', key, 0, 'four'],
  (key, random) => ['HSET', key, `field ${random.below(4)}`, 'z'.repeat(random.below(100))],
  (key, random) => ['HDEL', key, `field ${random.below(4)}`],
  (key, random) => ['HPEXPIREAT', key, 1, 'FIELDS', 1, `field ${random.below(4)}`],
  (key) => ['HLEN', key],
  (key, random) => ['SADD', key, random.below(5)],
  (key, random) => ['SREM', key, random.below(5)],
  (key, random) => ['ZADD', key, random.below(5), `member ${random.below(3)}`],
  (key, random) => ['ZADD', key, 'high', `member ${random.below(3)}`],
  (key) => ['ZPOPMIN', key],
  (key) => ['MOVE', key, 1],
];

async function oneByOne(client: RawClient, commands: readonly Argument[][]): Promise<string[]> {
  const replies: string[] = [];
  for (const command of commands) replies.push(String(await client.command(...command)));
  return replies;
}

onServers('a pipeline replies what its commands would one by one', async (t, server) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const together = await server.rawClient();
  const alone = await server.rawClient();
  for (let round = 0; round < 400; round++) {
    // Two keys of one shard, and mostly the same one several times.
    const commands = (tag: string): Argument[][] => {
      const script = new Random(seed + round);
      const list: Argument[][] = [];
      while (list.length < 40) {
        const key = `{${tag}}${script.below(2)}`;
        for (let same = script.between(1, 6); same > 0; same--) list.push(script.pick(COMMANDS)(key, script));
      }
      return list;
    };
    const tag = String(random.below(3));
    const expected = await oneByOne(alone, commands(`alone ${tag}`));
    const replies = (await together.pipeline(commands(`together ${tag}`))).map(String);
    if (replies.join() !== expected.join()) {
      const at = replies.findIndex((reply, index) => reply !== expected[index]);
      const shown = commands(tag).slice(Math.max(0, at - 6), at + 1);
      t.fail(
        `seed ${seed}, round ${round}: ${replies[at]} instead of ${expected[at]} after ${shown.join('; ')}`,
      );
      return;
    }
  }
  await alone.command('DEBUG', 'VERIFY');
  t.pass(`seed ${seed}`);
});
