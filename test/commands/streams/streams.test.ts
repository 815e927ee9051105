/**
 * What random scripts (test/compat) do not reach: several clients at once, a full server, watched keys, and what Redis has
 * learned since 7.0.
 */

import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { Random } from '../../tools/random.js';
import type { RawClient } from '../../tools/raw-client.js';
import { sharedServers, withServers } from '../../tools/server.js';

const onServers = sharedServers(t);

type Entry = [id: string, fields: string[]];
type Streams = [key: string, entries: Entry[]][] | null;

/** XREADGROUP with any options. */
function readGroup(redis: Redis, ...options: (string | number)[]): Promise<Streams> {
  return (redis.xreadgroup as (...request: unknown[]) => Promise<Streams>).call(redis, 'GROUP', ...options);
}

/** A function that sends commands and compares the replies. */
function expecting(t: Test, client: RawClient): (reply: string, request: string) => Promise<void> {
  return async (reply, request) => {
    t.equal(await client.text(...request.split(' ')), reply, request);
  };
}

/** A reply in bytes: numbers, null, texts, errors (with a minus in front) and arrays of these. */
type Part = number | string | null | readonly Part[];

function resp(part: Part): string {
  if (part === null) return '$-1\r\n';
  if (typeof part === 'number') return `:${part}\r\n`;
  if (typeof part === 'string') return `$${part.length}\r\n${part}\r\n`;
  return `*${part.length}\r\n${part.map(resp).join('')}`;
}

onServers('what producers add, a group gets and acknowledges: once', async (t, server) => {
  const setup = await server.client();
  const producers = 3;
  const consumers = 4;
  const perProducer = 2000;
  const total = producers * perProducer;
  await setup.xgroup('CREATE', 'events', 'workers', '0', 'MKSTREAM');
  const adding = Array.from({ length: producers }, async (_, number) => {
    const redis = await server.client();
    for (let first = 0; first < perProducer; first += 100) {
      const pipeline = redis.pipeline();
      for (let serial = first; serial < first + 100; serial++) {
        pipeline.xadd('events', '*', 'producer', number, 'serial', serial);
      }
      for (const [error] of (await pipeline.exec())!) if (error !== null) throw error;
    }
  });
  let acknowledged = 0;
  const seen = new Map<string, number>();
  const reading = Array.from({ length: consumers }, async (_, number) => {
    const redis = await server.client();
    const serials = new Array<number>(producers).fill(-1);
    while (acknowledged < total) {
      const reply = await readGroup(
        redis,
        'workers',
        `worker ${number}`,
        'COUNT',
        10 + number,
        'STREAMS',
        'events',
        '>',
      );
      const entries = reply?.[0]?.[1] ?? [];
      for (const [id, [, producer, , serial]] of entries) {
        seen.set(id, (seen.get(id) ?? 0) + 1);
        // Each producer's entries come in its order.
        if (Number(serial) <= serials[Number(producer)]!) throw new Error(`${serial} comes late`);
        serials[Number(producer)] = Number(serial);
      }
      if (entries.length > 0) {
        const count = await redis.xack('events', 'workers', ...entries.map(([id]) => id));
        acknowledged += count;
      }
    }
  });
  await Promise.all([...adding, ...reading]);
  t.equal(acknowledged, total);
  t.equal(seen.size, total);
  t.ok(
    [...seen.values()].every((count) => count === 1),
    'nobody got what somebody else got',
  );
  t.strictSame(await setup.xpending('events', 'workers'), [0, null, null, null]);
  t.equal(await setup.xlen('events'), total);
});

onServers('what consumers leave, others claim: it is acknowledged once', async (t, server) => {
  const setup = await server.client();
  const total = 3000;
  const pipeline = setup.pipeline();
  for (let serial = 0; serial < total; serial++) pipeline.xadd('jobs', '*', 'serial', serial);
  await pipeline.exec();
  await setup.xgroup('CREATE', 'jobs', 'g', '0');
  let acknowledged = 0;
  await Promise.all(
    Array.from({ length: 4 }, async (_, number) => {
      const redis = await server.client();
      const random = new Random(number + 1);
      const name = `c${number}`;
      while (acknowledged < total) {
        const way = random.below(3);
        const claim = way === 0 ? [] : ['CLAIM', 0];
        const entries =
          way === 2
            ? ((await redis.xautoclaim('jobs', 'g', name, 0, '0', 'COUNT', 20)) as [string, Entry[]])[1]
            : ((await readGroup(redis, 'g', name, 'COUNT', 20, ...claim, 'STREAMS', 'jobs', '>'))?.[0]?.[1] ??
              []);
        const done = entries.filter(() => random.chance(0.5)).map(([id]) => id);
        const left = entries.map(([id]) => id).filter((id) => !done.includes(id));
        if (done.length > 0) {
          const count = await redis.xack('jobs', 'g', ...done);
          acknowledged += count;
        }
        if (left.length > 0) await redis.call('XNACK', 'jobs', 'g', 'SILENT', 'IDS', left.length, ...left);
      }
    }),
  );
  t.equal(acknowledged, total);
  t.strictSame(await setup.xpending('jobs', 'g'), [0, null, null, null]);
});

onServers('readers see all entries in order, whoever adds them', async (t, server) => {
  const total = 4000;
  const producers = 4;
  const adding = Array.from({ length: producers }, async (_, number) => {
    const redis = await server.client();
    for (let serial = 0; serial < total / producers; serial += 50) {
      const pipeline = redis.pipeline();
      for (let step = 0; step < 50; step++) pipeline.xadd('log', 'MAXLEN', '~', total, '*', 'by', number);
      await pipeline.exec();
    }
  });
  const reading = Array.from({ length: 2 }, async () => {
    const redis = await server.client();
    const ids: string[] = [];
    while (ids.length < total) {
      const reply = (await redis.xread('COUNT', 70, 'STREAMS', 'log', ids.at(-1) ?? '0')) as Streams;
      for (const [id] of reply?.[0]?.[1] ?? []) ids.push(id);
    }
    return ids;
  });
  await Promise.all(adding);
  const [left, right] = await Promise.all(reading);
  t.strictSame(left, right);
  const numbers = left!.map((id) => id.split('-').map(Number) as [number, number]);
  t.ok(
    numbers.every(([ms, seq], at) => at === 0 || ms > numbers[at - 1]![0] || seq === numbers[at - 1]![1] + 1),
  );
});

onServers('only what changes entries touches a watched key', async (t, server) => {
  const client = await server.rawClient();
  const aborts = async (request: string): Promise<boolean> => {
    const replies = await client.pipeline([
      ['WATCH', 'k'],
      request.split(' '),
      ['MULTI'],
      ['PING'],
      ['EXEC'],
    ]);
    return replies.at(-1)!.toString() === '*-1\r\n';
  };
  t.ok(await aborts('XADD k 1-1 f v'));
  t.notOk(await aborts('XADD k 1-1 f v'));
  t.notOk(await aborts('XADD missing NOMKSTREAM 1-1 f v'));
  t.ok(await aborts('XADD k 2-1 f v'));
  t.notOk(await aborts('XTRIM k MAXLEN 5'));
  t.notOk(await aborts('XDEL k 7-1'));
  t.notOk(await aborts('XDELEX k IDS 1 7-1'));
  t.notOk(await aborts('XGROUP CREATE k g 0'));
  t.notOk(await aborts('XREADGROUP GROUP g c STREAMS k >'));
  t.notOk(await aborts('XNACK k g FAIL IDS 1 1-1'));
  t.notOk(await aborts('XACK k g 1-1'));
  t.ok(await aborts('XACKDEL k g IDS 1 2-1'));
  t.ok(await aborts('XTRIM k MAXLEN 0'));
  t.ok(await aborts('DEL k'));
  t.ok(await aborts('XGROUP CREATE k g $ MKSTREAM'));
});

onServers('what is wrong changes nothing', async (t, server) => {
  const redis = await server.client();
  await redis.xadd('k', '5-5', 'f', 'v');
  await redis.xgroup('CREATE', 'k', 'g', '0');
  await redis.xreadgroup('GROUP', 'g', 'c', 'STREAMS', 'k', '>');
  const before = await redis.dump('k');
  for (const request of [
    'XADD k 5-5 f v',
    'XADD k 0-0 f v',
    'XADD k * f',
    'XADD k KEEPREF ACKED * f v',
    'XADD k MAXLEN 1 MINID 1 * f v',
    'XTRIM k MAXLEN -1',
    'XTRIM k MAXLEN 0 DELREF DELREF',
    'XSETID k 1-1',
    'XDEL k 5-5 x',
    'XDELEX k',
    'XDELEX k IDS 1',
    'XDELEX k IDS 0 5-5',
    'XDELEX k IDS -1 5-5',
    'XDELEX k IDS 2 5-5',
    'XDELEX k IDS 1 5-5 6-6',
    'XDELEX k IDS 1 5-5 IDS 1 5-5',
    'XDELEX k IDS 1 x',
    'XDELEX k ACKED DELREF IDS 1 5-5',
    'XACKDEL k g IDS 1 5-5 NOW',
    'XACKDEL k g ACKED',
    'XNACK k g SOFT IDS 1 5-5',
    'XNACK k g FAIL IDS 1 5-5 RETRYCOUNT -1',
    'XNACK k g FAIL IDS 1 5-5 RETRYCOUNT',
    'XNACK k h FAIL IDS 1 5-5',
    'XNACK l g FAIL IDS 1 5-5',
    'XREADGROUP GROUP g c CLAIM -1 STREAMS k >',
    'XREADGROUP GROUP g c CLAIM x STREAMS k >',
    'XREADGROUP GROUP g c MAXCOUNT 0 STREAMS k >',
    'XREADGROUP GROUP g c COUNT 2 MAXCOUNT 1 STREAMS k >',
    'XREADGROUP GROUP g c MAXSIZE -5 STREAMS k >',
    'XREADGROUP GROUP h c STREAMS k >',
    'XCLAIM k g c 0 5-5 RETRYCOUNT x',
    'XGROUP CREATE k g 0',
  ]) {
    const words = request.split(' ');
    await t.rejects(redis.call(words[0]!, ...words.slice(1)), request);
  }
  t.equal(await redis.dump('k'), before);
});

onServers('XDELEX and XACKDEL heed what groups have of an entry', async (t, server) => {
  const client = await server.rawClient();
  const expect = expecting(t, client);
  await expect(resp([-1, -1]), 'XDELEX missing ACKED IDS 2 1-1 2-1');
  await expect(resp([-1]), 'XACKDEL missing g IDS 1 1-1');
  for (let ms = 1; ms <= 6; ms++) await client.command('XADD', 'k', `${ms}-1`, 'f', 'v');
  // Without groups, nothing was read by all of them.
  await expect(resp([2, -1]), 'XDELEX k ACKED IDS 2 1-1 9-1');
  await expect(resp([-1]), 'XACKDEL k g IDS 1 1-1');
  await client.command('XGROUP', 'CREATE', 'k', 'g', '0');
  await client.command('XGROUP', 'CREATE', 'k', 'h', '0');
  await client.text('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '5', 'STREAMS', 'k', '>');
  await client.text('XREADGROUP', 'GROUP', 'h', 'd', 'COUNT', '3', 'STREAMS', 'k', '>');
  // In the order of the arguments, whatever that is.
  await expect(resp([1]), 'XDELEX k IDS 1 1-1 KEEPREF');
  await expect(resp([5, '1-1', '5-1', [['c', '5']]]), 'XPENDING k g');
  await expect(resp([-1]), 'XDELEX k DELREF IDS 1 1-1');
  await expect(resp([4, '2-1', '5-1', [['c', '4']]]), 'XPENDING k g');
  await expect(resp([2, '2-1', '3-1', [['d', '2']]]), 'XPENDING k h');
  await expect(resp([2]), 'XDELEX k ACKED IDS 1 2-1');
  await expect(resp([2]), 'XACKDEL k g ACKED IDS 1 2-1');
  await expect(resp([-1]), 'XACKDEL k g ACKED IDS 1 2-1');
  await expect(resp([1]), 'XACKDEL k h ACKED IDS 1 2-1');
  // Read by one group only.
  await expect(resp([2]), 'XACKDEL k g ACKED IDS 1 4-1');
  await expect(resp([1]), 'XACKDEL k g DELREF IDS 1 3-1');
  await expect(`${resp([0, null, null]).replace('*3', '*4')}*-1\r\n`, 'XPENDING k h');
  await expect(resp([1, '5-1', '5-1', [['c', '1']]]), 'XPENDING k g');
  await expect(resp([1, 1, -1]), 'XDELEX k IDS 3 5-1 6-1 6-1');
  await expect(resp([-1]), 'XACKDEL k g IDS 1 5-1');
  await expect(resp([['4-1', ['f', 'v']]]), 'XRANGE k - +');
});

onServers('trimming heeds what groups have of an entry', async (t, server) => {
  const client = await server.rawClient();
  const expect = expecting(t, client);
  const fill = async (): Promise<void> => {
    await client.command('DEL', 'k');
    for (let ms = 1; ms <= 6; ms++) await client.command('XADD', 'k', `${ms}-1`, 'f', 'v');
    await client.command('XGROUP', 'CREATE', 'k', 'g', '0');
    await client.text('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '5', 'STREAMS', 'k', '>');
  };
  const ids = async (): Promise<string> =>
    (await client.text('XRANGE', 'k', '-', '+')).match(/\d+-\d+/g)!.join(' ');
  await fill();
  await expect(resp(2), 'XTRIM k MAXLEN = 4 DELREF');
  await expect(resp([3, '3-1', '5-1', [['c', '3']]]), 'XPENDING k g');
  await expect(resp('7-1'), 'XADD k DELREF MINID 5 7-1 f v');
  await expect(resp([1, '5-1', '5-1', [['c', '1']]]), 'XPENDING k g');
  await fill();
  await expect(resp(2), 'XTRIM k KEEPREF MAXLEN = 4');
  await expect(resp([5, '1-1', '5-1', [['c', '5']]]), 'XPENDING k g');
  await fill();
  await client.command('XACK', 'k', 'g', '2-1', '3-1', '5-1');
  await expect(resp(2), 'XTRIM k ACKED MAXLEN 4');
  t.equal(await ids(), '1-1 4-1 5-1 6-1');
  // What is still pending stays, and what is not read.
  await expect(resp(1), 'XTRIM k ACKED MAXLEN 0');
  t.equal(await ids(), '1-1 4-1 6-1');
  await client.command('XACK', 'k', 'g', '1-1');
  await expect(resp('8-1'), 'XADD k MINID 8 ACKED 8-1 f v');
  t.equal(await ids(), '4-1 6-1 8-1');
  // Groups of no entry hold back nothing.
  await client.command('XGROUP', 'DESTROY', 'k', 'g');
  await expect(resp(2), 'XTRIM k ACKED MAXLEN 1');
  t.equal(await ids(), '8-1');
});

onServers('approximate trimming removes whole blocks that are acknowledged', async (t, server) => {
  const redis = await server.client();
  const pipeline = redis.pipeline();
  for (let ms = 1; ms <= 1000; ms++) pipeline.xadd('k', `${ms}-1`, 'field', `value ${ms}`);
  await pipeline.exec();
  await redis.xgroup('CREATE', 'k', 'g', '0');
  await redis.xreadgroup('GROUP', 'g', 'c', 'COUNT', 700, 'STREAMS', 'k', '>');
  t.equal(await redis.call('XTRIM', 'k', 'MAXLEN', '~', 0, 'LIMIT', 0, 'ACKED'), 0);
  const acknowledged = Array.from({ length: 700 }, (_, at) => `${at + 1}-1`).filter((id) => id !== '250-1');
  await redis.xack('k', 'g', ...acknowledged);
  // Blocks have 100 entries: the third one stays, and what is behind the last one read.
  t.equal(await redis.call('XTRIM', 'k', 'MAXLEN', '~', 0, 'LIMIT', 300, 'ACKED'), 200);
  t.equal(await redis.call('XTRIM', 'k', 'MAXLEN', '~', 0, 'LIMIT', 0, 'ACKED'), 400);
  t.equal(await redis.xlen('k'), 400);
  t.equal(((await redis.xrange('k', '-', '+', 'COUNT', 1)) as Entry[])[0]![0], '201-1');
  await redis.call('DEBUG', 'VERIFY');
});

onServers('XNACK gives back, in this order', async (t, server) => {
  const client = await server.rawClient();
  const expect = expecting(t, client);
  for (let ms = 1; ms <= 6; ms++) await client.command('XADD', 'k', `${ms}-1`, 'f', 'v');
  await client.command('XGROUP', 'CREATE', 'k', 'g', '0');
  await client.text('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '5', 'STREAMS', 'k', '>');
  await expect(resp(2), 'XNACK k g FAIL IDS 3 3-1 6-1 1-1');
  await expect(resp(1), 'XNACK k g SILENT IDS 1 2-1');
  await expect(resp(1), 'XNACK k g FATAL IDS 1 4-1');
  await expect(resp(1), 'XNACK k g FORCE FAIL IDS 1 6-1'.replace('FORCE FAIL', 'FAIL FORCE'));
  await expect(resp(0), 'XNACK k g FAIL FORCE IDS 1 7-1');
  const most = '9223372036854775807';
  const pending = (id: string, count: number): Part => [id, '', -1, count];
  const range = resp([
    pending('1-1', 1),
    pending('2-1', 0),
    pending('3-1', 1),
    pending('4-1', 7),
    pending('6-1', 0),
  ]);
  await expect(
    range.replace(':7', `:${most}`),
    'XPENDING k g IDLE 1 - + 10'.replace('IDLE 1 ', 'IDLE 60000 '),
  );
  await expect(resp([6, '1-1', '6-1', [['c', '1']]]), 'XPENDING k g');
  t.match(await client.text('XINFO', 'STREAM', 'k', 'FULL'), /nacked-count\r\n:5\r\n/);
  await expect(resp(1), 'XNACK k g FAIL IDS 1 1-1 RETRYCOUNT 9');
  // An idle time of nothing has to have passed for what was given back.
  const claimed = (id: string, count: number | string): string =>
    `*4\r\n${resp(id)}${resp(['f', 'v'])}:-1\r\n:${count}\r\n`;
  await expect(
    `*1\r\n*2\r\n${resp('k')}*5\r\n${claimed('3-1', 1)}${claimed('2-1', 0)}${claimed('4-1', most)}${claimed('6-1', 0)}${claimed('1-1', 9)}`,
    'XREADGROUP GROUP g d CLAIM 3600000 COUNT 5 STREAMS k >',
  );
  await expect(
    resp([
      6,
      '1-1',
      '6-1',
      [
        ['c', '1'],
        ['d', '5'],
      ],
    ]),
    'XPENDING k g',
  );
  t.match(await client.text('XINFO', 'STREAM', 'k', 'FULL'), /nacked-count\r\n:0\r\n/);
  // What is given back goes to whoever claims it by name, too.
  await expect(resp(1), 'XNACK k g FAIL IDS 1 3-1');
  await expect(resp(['3-1']), 'XCLAIM k g e 3600000 3-1 4-1 JUSTID');
  await expect(resp(1), 'XACK k g 3-1');
});

onServers('XREADGROUP claims what is idle before it reads what is new', async (t, server) => {
  const client = await server.rawClient();
  const expect = expecting(t, client);
  for (let ms = 1; ms <= 6; ms++) await client.command('XADD', 'k', `${ms}-1`, 'f', 'v');
  await client.command('XGROUP', 'CREATE', 'k', 'g', '0');
  await client.text('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', '4', 'STREAMS', 'k', '>');
  // Delivered long ago; 3-1 first.
  await client.command('XCLAIM', 'k', 'g', 'c', '0', '3-1', 'IDLE', '9000000', 'JUSTID');
  await client.command('XCLAIM', 'k', 'g', 'c', '0', '1-1', '4-1', 'IDLE', '5000000', 'JUSTID');
  await client.command('XDEL', 'k', '4-1');
  const reply = await client.text(
    ...'XREADGROUP GROUP g d CLAIM 3600000 NOACK COUNT 3 STREAMS k >'.split(' '),
  );
  t.match(
    reply,
    /^\*1\r\n\*2\r\n\$1\r\nk\r\n\*3\r\n\*4\r\n\$3\r\n3-1\r\n.*:900\d{4}\r\n:1\r\n\*4\r\n\$3\r\n1-1\r\n.*:500\d{4}\r\n:1\r\n\*2\r\n\$3\r\n5-1\r\n[^:]*$/s,
  );
  // What was deleted is pending no more, and what is new was not to be acknowledged.
  await expect(
    resp([
      3,
      '1-1',
      '3-1',
      [
        ['c', '1'],
        ['d', '2'],
      ],
    ]),
    'XPENDING k g',
  );
  // Nothing is idle, and then nothing is new either.
  await expect(
    `*1\r\n*2\r\n${resp('k')}${resp([['6-1', ['f', 'v']]])}`,
    'XREADGROUP GROUP g d CLAIM 3600000 STREAMS k >',
  );
  await expect('*-1\r\n', 'XREADGROUP GROUP g d CLAIM 3600000 STREAMS k >');
  // Of its own history a consumer gets all, idle or not.
  t.match(
    await client.text(...'XREADGROUP GROUP g d CLAIM 3600000 STREAMS k 0'.split(' ')),
    /1-1.*3-1.*6-1/s,
  );
});

onServers('MAXCOUNT and MAXSIZE bound a reply over all streams', async (t, server) => {
  const client = await server.rawClient();
  for (const key of ['{s}1', '{s}2', '{s}3']) {
    for (let ms = 1; ms <= 100; ms++) await client.command('XADD', key, `${ms}-1`, 'f', 'v');
    await client.command('XGROUP', 'CREATE', key, 'g', '0');
  }
  const count = async (request: string): Promise<number> => {
    const reply = await client.text(...request.split(' '));
    return reply.match(/\d-1\r\n/g)?.length ?? 0;
  };
  const all = 'STREAMS {s}1 {s}2 {s}3';
  t.equal(await count(`XREAD COUNT 50 ${all} 0 0 0`), 150);
  t.equal(await count(`XREAD COUNT 50 MAXCOUNT 80 ${all} 0 0 0`), 80);
  t.equal(await count(`XREAD MAXCOUNT 7 ${all} 0 0 0`), 7);
  t.equal(await count(`XREAD MAXCOUNT 5 MAXSIZE 100000 ${all} 0 0 0`), 5);
  t.equal(await count(`XREAD MAXSIZE 1 ${all} 0 0 0`), 1);
  const reply = await client.text('XREAD', 'MAXSIZE', '5000', ...all.split(' '), '0', '0', '0');
  t.ok(reply.length <= 5000 && reply.length > 4900, `${reply.length} bytes`);
  t.equal(await count(`XREADGROUP GROUP g c COUNT 50 MAXCOUNT 80 ${all} > > >`), 80);
  t.equal(await count(`XREADGROUP GROUP g c MAXSIZE 1 ${all} > > >`), 1);
  t.equal(await count(`XREADGROUP GROUP g c MAXCOUNT 60 ${all} 0 0 0`), 60);
  t.equal(await count(`XREADGROUP GROUP g c MAXSIZE 1 ${all} 70-0 0 0`), 1);
  t.equal(await client.text('XPENDING', '{s}1', 'g'), resp([51, '1-1', '51-1', [['c', '51']]]));
  t.equal(await client.text('XPENDING', '{s}2', 'g'), resp([30, '1-1', '30-1', [['c', '30']]]));
  // What does not go into the reply was not delivered.
  t.equal(await count(`XREADGROUP GROUP g d MAXSIZE 1 CLAIM 0 ${all} > > >`), 1);
  t.equal(
    await client.text('XPENDING', '{s}1', 'g'),
    resp([
      51,
      '1-1',
      '51-1',
      [
        ['c', '50'],
        ['d', '1'],
      ],
    ]),
  );
});

withServers(
  t,
  'a full server refuses as a whole what it has no room for',
  { directives: { maxmemory: '48mb' } },
  async (t, server) => {
    const redis = await server.client();
    const value = 'x'.repeat(2000);
    await redis.xgroup('CREATE', 'k', 'g', '0', 'MKSTREAM');
    let error = '';
    let added = 0;
    while (error === '' && added < 1_000_000) {
      const pipeline = redis.pipeline();
      for (let step = 0; step < 100; step++) pipeline.xadd('k', '*', 'field', value);
      for (const [thrown] of (await pipeline.exec())!) {
        if (thrown === null) added++;
        else error = String(thrown);
      }
    }
    t.match(error, /OOM/);
    t.equal(await redis.xlen('k'), added);
    // What can be delivered without memory is, and is pending then.
    let delivered = 0;
    for (;;) {
      const reply = await readGroup(redis, 'g', 'c', 'COUNT', 1000, 'STREAMS', 'k', '>').catch(() => null);
      const entries = reply?.[0]?.[1] ?? [];
      if (entries.length === 0) break;
      delivered += entries.length;
    }
    t.equal(((await redis.xpending('k', 'g')) as unknown[])[0], delivered);
    await t.resolves(redis.call('DEBUG', 'VERIFY'));
    t.equal(await redis.unlink('k'), 1);
    await t.resolves(redis.call('DEBUG', 'VERIFY'));
  },
);
