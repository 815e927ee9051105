/** DEBUG DIGEST and DIGEST-VALUE against redis-server and between encodings; DEBUG STRINGMATCH-LEN, SET-ACTIVE-EXPIRE. */

import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Random } from '../../tools/random.js';
import { skipWithoutRedis, TestServer, withServers } from '../../tools/server.js';

const SMALL_LIMITS = [
  ['list-max-listpack-size', '1'],
  ['set-max-intset-entries', '0'],
  ['set-max-listpack-entries', '0'],
  ['zset-max-listpack-entries', '0'],
] as const;

/** Commands that write some of everything, in an order drawn from the seed. */
function commands(seed: number): string[][] {
  const random = new Random(seed);
  const all: string[][] = [
    ['SET', 'text', 'some text'],
    ['SET', 'number', '12'],
    ['SET', 'volatile', 'x', 'EX', '1000'],
  ];
  for (let index = 0; index < 40; index++) {
    all.push(['SADD', 'members', `m${index}`], ['SADD', 'integers', String(index * 7 - 20)]);
    all.push(['ZADD', 'scores', String(index / 3), `m${index}`]);
  }
  all.push(['ZADD', 'scores', '-inf', 'first', '1e300', 'last', '17', '9']);
  for (let index = all.length - 1; index > 0; index--) {
    const other = random.below(index + 1);
    [all[index], all[other]] = [all[other]!, all[index]!];
  }
  for (let index = 0; index < 30; index++) all.push(['RPUSH', 'list', `element ${index % 7}`, String(index)]);
  return [...all, ['SELECT', '3'], ...all.slice(0, 20), ['SELECT', '0']];
}

const KEYS = ['text', 'number', 'volatile', 'members', 'integers', 'scores', 'list', 'absent'];

async function digests(server: TestServer, seed: number): Promise<unknown[]> {
  const client = server.client();
  await client.flushall();
  const written = Promise.all(commands(seed).map(([name, ...args]) => client.call(name!, ...args)));
  await written;
  return [await client.call('DEBUG', 'DIGEST'), await client.call('DEBUG', 'DIGEST-VALUE', ...KEYS)];
}

t.test('digests are those of redis-server', { skip: skipWithoutRedis() }, async (t) => {
  const theirs = await TestServer.start({ kind: 'redis' });
  const ours = await TestServer.start();
  t.teardown(() => Promise.all([theirs.stop(), ours.stop()]));
  t.strictSame(await digests(ours, 1), await digests(theirs, 1));
});

withServers(t, 'digests do not depend on order and encodings', {}, async (t, server) => {
  const client = server.client();
  t.equal(await client.call('DEBUG', 'DIGEST'), '0'.repeat(40), 'no keys');
  const first = await digests(server, 1);
  t.strictSame(await client.multi().call('DEBUG', 'DIGEST').exec(), [[null, first[0]]], 'in a transaction');
  for (const [name, value] of SMALL_LIMITS) {
    if (server.kind === 'redis' && name === 'set-max-listpack-entries') continue;
    await client.config('SET', name, value);
  }
  const second = await digests(server, 2);
  t.not(await client.object('ENCODING', 'scores'), 'listpack');
  // Database 3 has other keys with the other seed.
  t.strictSame(second[1], first[1]);
  t.not(second[0], first[0]);
  await client.call('SET', 'text', 'some other text');
  t.not(await client.call('DEBUG', 'DIGEST'), second[0]);
});

withServers(t, 'DEBUG STRINGMATCH-LEN', {}, async (t, server) => {
  const client = server.client();
  t.equal(await client.call('DEBUG', 'STRINGMATCH-LEN', '10', 'a*a'), 1);
  t.equal(await client.call('DEBUG', 'STRINGMATCH-LEN', '10', 'a*b'), 0);
  t.equal(await client.call('DEBUG', 'STRINGMATCH-LEN', '3', '?[a-c]\\a'), 1);
  t.equal(await client.call('DEBUG', 'STRINGMATCH-LEN', '200000', 'a*?*?*?*?*a*b'), 0);
});

withServers(t, 'DEBUG SET-ACTIVE-EXPIRE holds for all workers', {}, async (t, server) => {
  const client = server.client();
  await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
  for (let index = 0; index < 100; index++) await client.call('SET', `key ${index}`, 'x', 'PX', '1');
  await sleep(700);
  t.equal(await client.dbsize(), 100, 'nothing is deleted while it is off');
  t.match(await client.call('DEBUG', 'OBJECT', 'key 1'), /encoding:embstr/);
  t.equal(await client.dbsize(), 100, 'nor by a look at it');
  t.equal(await client.call('DEBUG', 'DIGEST'), '0'.repeat(40), 'the digest is of what is not expired');
  await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', '1');
  while ((await client.dbsize()) > 0) await sleep(20);
});
