/** What random scripts (test/compat) do not reach: several clients at once, many fields, a full server, watched keys. */

import t from 'tap';
import { sharedServers } from '../../tools/server.js';

const onServers = sharedServers(t);

const CLIENTS = 4;
const ROUNDS = 30;
const BURST = 50;

onServers('counters in one hash lose nothing', async (t, server) => {
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, number) => {
      const redis = await server.client();
      for (let round = 0; round < ROUNDS; round++) {
        const pipeline = redis.pipeline();
        for (let step = 0; step < BURST; step++) {
          pipeline.hincrby('visits', `page ${step}`, 2);
          pipeline.hincrbyfloat('visits', 'seconds', 0.5);
          // Makes the hash large for some rounds: the table takes over what the packed form counted.
          pipeline.hset('visits', `visitor ${number}:${step * round}`, 'x'.repeat(step));
        }
        for (const [error] of (await pipeline.exec())!) if (error !== null) throw error;
      }
    }),
  );
  const redis = await server.client();
  const visits = await redis.hgetall('visits');
  for (let page = 0; page < BURST; page++) t.equal(visits[`page ${page}`], String(2 * CLIENTS * ROUNDS));
  t.equal(visits.seconds, String((CLIENTS * ROUNDS * BURST) / 2));
  t.equal(await redis.hlen('visits'), Object.keys(visits).length);
  t.equal(await redis.object('ENCODING', 'visits'), 'hashtable');
  t.equal(await redis.call('DEBUG', 'VERIFY'), 'OK');
});

onServers('pairs set together are read together', async (t, server) => {
  const writers = Array.from({ length: 2 }, async (_, number) => {
    const redis = await server.client();
    for (let round = 0; round < 200; round++) {
      const text = `${number}:${round}`;
      await redis.hset('profile', 'name', text, 'mail', text, 'note', text.repeat(round % 20));
    }
  });
  let torn = 0;
  let isOver = false;
  const reader = (async () => {
    const redis = await server.client();
    while (!isOver) {
      const [name, mail] = await redis.hmget('profile', 'name', 'mail');
      if (name !== mail) torn++;
    }
  })();
  await Promise.all(writers);
  isOver = true;
  await reader;
  t.equal(torn, 0);
});

onServers('a scan sees what stays', async (t, server) => {
  const redis = await server.client();
  const stays = Array.from({ length: 1000 }, (_, index) => `stays ${index}`);
  await redis.hset('k', Object.fromEntries(stays.map((field, index) => [field, index])));
  const seen = new Map<string, string>();
  let cursor = '0';
  let serial = 0;
  do {
    const [next, found] = await redis.hscan('k', cursor, 'COUNT', 20);
    for (let index = 0; index < found.length; index += 2) seen.set(found[index]!, found[index + 1]!);
    cursor = next;
    const pipeline = redis.pipeline();
    for (let step = 0; step < 60; step++) {
      pipeline.hset('k', `guest ${serial}`, 'x');
      if (serial >= 1000) pipeline.hdel('k', `guest ${serial - 1000}`);
      serial++;
    }
    await pipeline.exec();
  } while (cursor !== '0');
  t.strictSame(
    stays.filter((field, index) => seen.get(field) !== String(index)),
    [],
  );
});

onServers('HSCAN NOVALUES, and pairs in RESP3', async (t, server) => {
  const client = await server.rawClient();
  const expect = async (reply: string, ...request: string[]): Promise<void> => {
    t.equal(await client.text(...request), reply, request.join(' '));
  };
  await expect(':1\r\n', 'HSET', 'k', 'f', 'v');
  await expect('*2\r\n$1\r\n0\r\n*1\r\n$1\r\nf\r\n', 'HSCAN', 'k', '0', 'NOVALUES', 'COUNT', '5');
  await expect('*2\r\n$1\r\n0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n', 'HSCAN', 'k', '0', 'MATCH', '*');
  await client.command('SADD', 's', 'm');
  await expect('-ERR syntax error\r\n', 'SSCAN', 's', '0', 'NOVALUES');
  await expect('-ERR syntax error\r\n', 'SSCAN', 's', '0', 'TYPE', 'set');
  await expect('*2\r\n$1\r\nf\r\n$1\r\nv\r\n', 'HRANDFIELD', 'k', '1', 'WITHVALUES');
  await client.command('HELLO', '3');
  await expect('%1\r\n$1\r\nf\r\n$1\r\nv\r\n', 'HGETALL', 'k');
  await expect('%0\r\n', 'HGETALL', 'missing');
  await expect('*1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n', 'HRANDFIELD', 'k', '1', 'WITHVALUES');
});

onServers('fields are drawn without repetition, or with', async (t, server) => {
  const redis = await server.client();
  for (const size of [20, 2000]) {
    await redis.del('k');
    await redis.hset(
      'k',
      Object.fromEntries(Array.from({ length: size }, (_, index) => [`f${index}`, index])),
    );
    for (const count of [1, 5, size - 3, size]) {
      const fields = (await redis.hrandfield('k', count)) as string[];
      t.equal(new Set(fields).size, count);
    }
    const drawn = (await redis.hrandfield('k', -5000, 'WITHVALUES')) as string[];
    t.equal(drawn.length, 10_000);
    for (let index = 0; index < drawn.length; index += 2) {
      if (drawn[index] !== `f${drawn[index + 1]}`) t.fail('a field with the value of another');
    }
    t.ok(new Set(drawn).size > size, 'most fields are among them');
  }
});

onServers('only a change touches a watched key', async (t, server) => {
  const client = await server.rawClient();
  const aborts = async (...request: string[]): Promise<boolean> => {
    const replies = await client.pipeline([['WATCH', 'k'], request, ['MULTI'], ['PING'], ['EXEC']]);
    return replies.at(-1)!.toString() === '*-1\r\n';
  };
  t.ok(await aborts('HSET', 'k', 'f', '1'));
  t.ok(await aborts('HSET', 'k', 'f', '1'), 'as in Redis, the same value again is a change');
  t.notOk(await aborts('HSETNX', 'k', 'f', '2'));
  t.notOk(await aborts('HINCRBY', 'k', 'f', 'x'));
  t.ok(await aborts('HINCRBY', 'k', 'f', '1'));
  t.notOk(await aborts('HDEL', 'k', 'g'));
  t.notOk(await aborts('HSET', 'k', 'f'));
  t.ok(await aborts('HDEL', 'k', 'f'));
  t.equal(await client.text('EXISTS', 'k'), ':0\r\n');
  t.notOk(await aborts('HINCRBYFLOAT', 'k', 'f', 'x'));
  t.equal(await client.text('EXISTS', 'k'), ':0\r\n');
});
