/** Fields that expire: replies and errors, random changes against a model, what survives copies and snapshots. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t from 'tap';
import { Random } from '../../tools/random.js';
import { sharedServers, withServers } from '../../tools/server.js';

const onServers = sharedServers(t);

/** Far enough away for every test. */
const LATER_MS = 4_000_000_000_000;
const NO_FIELD = -2;
const NO_EXPIRY = -1;

const NO_FIELDS = 'ERR Mandatory argument FIELDS is missing or not at the right position';
const OTHER_COUNT = 'ERR The `numfields` parameter must match the number of arguments';
const WRONG_COUNT = 'ERR Number of fields must be a positive integer';
const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';

/** A command's reply, or its error. */
async function ask(client: Redis, line: string): Promise<unknown> {
  const [name, ...args] = line.split(' ');
  return client.call(name!, ...args).catch((failure: Error) => failure.message);
}

/** Waits for something that comes by itself, much longer than it should take. */
async function until(isDone: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 6000; tries++) {
    if (await isDone()) return;
    await delay(10);
  }
  throw new Error('it does not come');
}

onServers('errors', async (t, server) => {
  const client = server.client();
  await client.hset('h', 'a', '1');
  await client.set('text', 'x');
  const arity = (name: string) => `ERR wrong number of arguments for '${name}' command`;
  for (const [line, error] of [
    ['HEXPIRE h 10 FIELDS 1', arity('hexpire')],
    ['HEXPIRE text 10 FIELDS 1 a', WRONG_TYPE],
    ['HEXPIRE h x FIELDS 1 a', 'ERR value is not an integer or out of range'],
    ['HEXPIRE h -1 FIELDS 1 a', 'ERR invalid expire time, must be >= 0'],
    ['HEXPIRE h 70368744178 FIELDS 1 a', "ERR invalid expire time in 'hexpire' command"],
    ['HPEXPIRE h 70368744177663 FIELDS 1 a', "ERR invalid expire time in 'hpexpire' command"],
    ['HPEXPIREAT h 70368744177664 FIELDS 1 a', "ERR invalid expire time in 'hpexpireat' command"],
    ['HEXPIREAT h 9223372036854775807 FIELDS 1 a', "ERR invalid expire time in 'hexpireat' command"],
    ['HEXPIRE h 10 NX GT FIELDS 1 a', NO_FIELDS],
    ['HEXPIRE h 10 FIELD 1 a', NO_FIELDS],
    ['HEXPIRE h 10 NX FIELD 1 a', NO_FIELDS],
    ['HEXPIRE h 10 FIELDS 0 a', 'ERR Parameter `numFields` should be greater than 0'],
    ['HEXPIRE h 10 FIELDS x a', 'ERR Parameter `numFields` should be greater than 0'],
    ['HEXPIRE h 10 FIELDS 2 a', OTHER_COUNT],
    ['HEXPIRE h 10 FIELDS 1 a b', OTHER_COUNT],
    ['HEXPIRE h 10 NX FIELDS 1', OTHER_COUNT],
    ['HTTL h FIELDS 1', arity('httl')],
    ['HTTL text FIELDS 1 a', WRONG_TYPE],
    ['HTTL h FIELD 1 a', NO_FIELDS],
    ['HPTTL h FIELDS 0 a', WRONG_COUNT],
    ['HEXPIRETIME h FIELDS 9223372036854775808 a', WRONG_COUNT],
    ['HPEXPIRETIME h FIELDS 3 a', OTHER_COUNT],
    ['HPERSIST h FIELDS -1 a', WRONG_COUNT],
    ['HPERSIST text FIELDS 1 a', WRONG_TYPE],
    ['HGETDEL h FIELDS 1', arity('hgetdel')],
    ['HGETDEL h XX 1 a', NO_FIELDS],
    ['HGETDEL h FIELDS 0 a', WRONG_COUNT],
    ['HGETDEL h FIELDS 2 a', OTHER_COUNT],
    ['HGETDEL text FIELDS 1 a', WRONG_TYPE],
    ['HGETEX h FIELDS 1', arity('hgetex')],
    ['HGETEX h PERSIST 1 FIELDS 1 a', NO_FIELDS],
    ['HGETEX h PXAT 1 1', NO_FIELDS],
    ['HGETEX h EX x FIELDS 1 a', 'ERR value is not an integer or out of range'],
    ['HGETEX h PX -1 FIELDS 1 a', 'ERR invalid expire time, must be >= 0'],
    ['HGETEX h EXAT 70368744178 FIELDS 1 a', "ERR invalid expire time in 'hgetex' command"],
    ['HGETEX h FIELDS 2 a', OTHER_COUNT],
    ['HGETEX text FIELDS 1 a', WRONG_TYPE],
    ['HSETEX h FIELDS 1 a', arity('hsetex')],
    ['HSETEX h FIELDS 2 a 1', arity('hsetex')],
    ['HSETEX h FIELDS 1 a 1 b', arity('hsetex')],
    ['HSETEX h FIELDS 0 a 1', 'ERR invalid number of fields'],
    ['HSETEX h XXX FIELDS 1 a 1', 'ERR unknown argument: XXX'],
    ['HSETEX h XX NX FIELDS 1 a 1', 'ERR Only one of XX or NX arguments can be specified'],
    ['HSETEX h FXX FNX FIELDS 1 a 1', 'ERR Only one of FXX or FNX arguments can be specified'],
    [
      'HSETEX h EX 10 KEEPTTL FIELDS 1 a 1',
      'ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified',
    ],
    ['HSETEX h EX FIELDS 1 a 1', 'ERR value is not an integer or out of range'],
    ['HSETEX h EX -1 FIELDS 1 a 1', 'ERR invalid expire time, must be >= 0'],
    ['HSETEX h PXAT 70368744177664 FIELDS 1 a 1', "ERR invalid expire time in 'hsetex' command"],
    ['HSETEX text FIELDS 1 a 1', WRONG_TYPE],
  ] as const) {
    t.equal(await ask(client, line), error, line);
  }
  t.same(await client.hgetall('h'), { a: '1' });
  t.same(await ask(client, 'HPTTL h FIELDS 1 a'), [NO_EXPIRY]);
  t.equal(await client.object('ENCODING', 'h'), 'listpack');
});

for (const size of [3, 600]) {
  onServers(`replies, ${size} fields`, async (t, server) => {
    const client = server.client();
    const is = async (line: string, reply: unknown) => t.same(await ask(client, line), reply, line);
    const refill = async () => {
      await client.del('h');
      await client.hset(
        'h',
        Object.fromEntries(Array.from({ length: size }, (_, index) => [`f${index}`, index])),
      );
    };
    const encoding = size < 100 ? 'listpackex' : 'hashtable';

    await refill();
    for (const name of ['HEXPIRE none 10', 'HTTL none', 'HPERSIST none'])
      await is(`${name} FIELDS 2 a b`, [-2, -2]);
    await is('HGETEX none EX 10 FIELDS 2 a b', [null, null]);
    await is('HGETDEL none FIELDS 2 a b', [null, null]);
    await is('HSETEX none FXX FIELDS 1 a b', 0);
    t.equal(await client.exists('none'), 0);

    // Conditions, and that a field may be named twice.
    await is(`HPEXPIREAT h ${LATER_MS} XX FIELDS 2 f0 nothing`, [0, NO_FIELD]);
    await is(`HPEXPIREAT h ${LATER_MS} GT FIELDS 1 f0`, [0]);
    await is(`HPEXPIREAT h ${LATER_MS} LT FIELDS 1 f0`, [1]);
    t.equal(await client.object('ENCODING', 'h'), encoding);
    await is(`HPEXPIREAT h ${LATER_MS - 1} NX FIELDS 3 f0 f1 f1`, [0, 1, 0]);
    await is(`HPEXPIREAT h ${LATER_MS} GT FIELDS 2 f0 f1`, [0, 1]);
    await is(`HPEXPIREAT h ${LATER_MS - 5000} LT FIELDS 2 f0 f1`, [1, 1]);
    await is(`HPEXPIREAT h ${LATER_MS - 4001} XX FIELDS 2 f0 f2`, [1, 0]);
    await is('HPEXPIRETIME h FIELDS 4 f0 f1 f2 g', [LATER_MS - 4001, LATER_MS - 5000, NO_EXPIRY, NO_FIELD]);
    await is('HEXPIRETIME h FIELDS 2 f0 f1', [LATER_MS / 1000 - 4, LATER_MS / 1000 - 5]);
    for (const [command, unit] of [
      ['HTTL', 1000],
      ['HPTTL', 1],
    ] as const) {
      const before = Date.now();
      const [left, none] = (await ask(client, `${command} h FIELDS 2 f1 f2`)) as number[];
      const expected = (LATER_MS - 5000 - before) / unit;
      t.ok(left! <= expected + 1 && left! > expected - 100_000 / unit, `${command}: ${left}`);
      t.equal(none, NO_EXPIRY);
    }
    await is('HPERSIST h FIELDS 4 f0 f0 f2 g', [1, NO_EXPIRY, NO_EXPIRY, NO_FIELD]);

    // What keeps an expiry, and what does not.
    await is('HINCRBY h f1 5', 6);
    await is('HINCRBYFLOAT h f1 0.5', '6.5');
    await is('HPEXPIRETIME h FIELDS 1 f1', [LATER_MS - 5000]);
    await is('HSETNX h f1 x', 0);
    await is('HPEXPIRETIME h FIELDS 1 f1', [LATER_MS - 5000]);
    await is('HSET h f1 1', 0);
    await is('HPEXPIRETIME h FIELDS 1 f1', [NO_EXPIRY]);
    await is('HSETEX h EX 100 FIELDS 2 f1 7 f2 8', 1);
    await is('HTTL h FIELDS 2 f1 f2', [100, 100]);
    await is('HSETEX h KEEPTTL FIELDS 3 f0 a f1 b new c', 1);
    await is('HTTL h FIELDS 3 f0 f1 new', [NO_EXPIRY, 100, NO_EXPIRY]);
    await is('HSETEX h FXX FIELDS 2 f1 x nothing y', 0);
    await is('HSETEX h FNX FIELDS 2 nothing x f1 y', 0);
    await is('HMGET h f1 nothing', ['b', null]);
    await is(`HSETEX h FXX PXAT ${LATER_MS} FIELDS 1 f1 d`, 1);
    await is('HPEXPIRETIME h FIELDS 1 f1', [LATER_MS]);
    await is('HSETEX h FNX FIELDS 1 newer e', 1);
    await is('HSETEX h FIELDS 1 f1 d', 1);
    await is('HSETEX h NX FIELDS 1 f1 x', 0);
    await is('HSETEX h NX FNX FIELDS 1 brandnew x', 0);
    await is('HEXISTS h brandnew', 0);
    await is('HSETEX nokey XX FIELDS 1 f x', 0);
    await is('EXISTS nokey', 0);
    await is('HSETEX nokey NX EX 100 FIELDS 1 f x', 1);
    await is('HTTL nokey FIELDS 1 f', [100]);
    await is('HSETEX nokey XX FXX FIELDS 1 f y', 1);
    await is('HSETEX nokey FNX XX FIELDS 1 f z', 0);
    await is('HGETDEL nokey FIELDS 1 f', ['y']);
    await is('EXISTS nokey', 0);
    await is('HSETEX h XX FIELDS 1 f1 d', 1);
    await is('HGETEX h FIELDS 3 f1 nothing f0', ['d', null, 'a']);
    await is(`HGETEX h PXAT ${LATER_MS} FIELDS 2 f1 nothing`, ['d', null]);
    await is('HPEXPIRETIME h FIELDS 1 f1', [LATER_MS]);
    await is('HGETEX h PERSIST FIELDS 2 f1 f0', ['d', 'a']);
    await is('HPEXPIRETIME h FIELDS 1 f1', [NO_EXPIRY]);

    // Times that are past.
    await is('HEXPIRE h 0 FIELDS 3 f0 f0 nothing', [2, NO_FIELD, NO_FIELD]);
    await is('HEXISTS h f0', 0);
    await is('HGETEX h EXAT 1 FIELDS 2 f1 f1', ['d', null]);
    await is('HSETEX h PX 0 FIELDS 2 f2 x other y', 1);
    await is('HMGET h f1 f2 other new', [null, null, null, 'c']);
    await is('HGETDEL h FIELDS 3 new new nothing', ['c', null, null]);
    t.equal(await client.hlen('h'), size - 2);

    // The key's own expiry goes beside.
    await client.pexpireat('h', LATER_MS + 1);
    await is(`HPEXPIREAT h ${LATER_MS} FIELDS 1 newer`, [1]);
    await is('PEXPIRETIME h', LATER_MS + 1);
    await client.pexpireat('h', LATER_MS - 1);
    await is('PEXPIRETIME h', LATER_MS - 1);
    await is('HPEXPIRETIME h FIELDS 1 newer', [LATER_MS]);
    await client.persist('h');
    await is('PTTL h', NO_EXPIRY);
    await is('HPEXPIRETIME h FIELDS 1 newer', [LATER_MS]);
    await client.call('DEBUG', 'VERIFY');
    t.match(await client.info('keyspace'), /keys=1,expires=0,avg_ttl=0,subexpiry=1/);

    // With its last field the hash goes.
    await client.hset('last', 'a', '1', 'b', '2');
    await is('HEXPIRE last 0 FIELDS 2 a b', [2, 2]);
    await is('EXISTS last', 0);
    await is('HSETEX last EX 0 FIELDS 1 a 1', 1);
    await is('EXISTS last', 0);
    await is('HSETEX last EX 100 FIELDS 1 a 1', 1);
    await is('HGETEX last PX 0 FIELDS 1 a', ['1']);
    await is('EXISTS last', 0);
    await is('HSETEX last EX 100 FIELDS 1 a 1', 1);
    await is('HGETDEL last FIELDS 1 a', ['1']);
    await is('EXISTS last', 0);
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  });
}

interface Known {
  value: string;
  /** -1: never. */
  expiresAt: number;
}

type Hashes = Map<string, Map<string, Known>>;

/** All hashes of database 0 with the expiries of their fields, in the order of names. */
async function readHashes(client: Redis): Promise<Record<string, Record<string, Known>>> {
  const all: Record<string, Record<string, Known>> = {};
  for (const key of (await client.keys('*')).sort()) {
    const pairs = await client.hgetall(key);
    const fields = Object.keys(pairs).sort();
    const times = (await client.call('HPEXPIRETIME', key, 'FIELDS', fields.length, ...fields)) as number[];
    all[key] = {};
    for (const [index, field] of fields.entries()) {
      all[key][field] = { value: pairs[field]!, expiresAt: times[index]! };
    }
  }
  return all;
}

function expectedHashes(model: Hashes): Record<string, Record<string, Known>> {
  const all: Record<string, Record<string, Known>> = {};
  for (const key of [...model.keys()].sort()) {
    all[key] = Object.fromEntries([...model.get(key)!].sort(([left], [right]) => (left < right ? -1 : 1)));
  }
  return all;
}

const KEYS = ['{a}1', '{a}2', 'b', 'c', 'd'];

/** Random changes of hashes, with all times far away or past. */
async function changeRandomly(client: Redis, random: Random, model: Hashes, steps: number): Promise<void> {
  const pipeline = client.pipeline();
  const fieldOf = () => `f${random.below(random.chance(0.5) ? 10 : 400)}`;
  for (let step = 0; step < steps; step++) {
    const key = random.pick(KEYS);
    const other = random.pick(KEYS);
    const hash = model.get(key) ?? new Map<string, Known>();
    const fields = [...new Set(Array.from({ length: random.below(5) + 1 }, fieldOf))];
    const expiresAt = random.chance(0.1) ? 1 : LATER_MS + random.below(1000);
    const value = random.chance(0.1) ? 'long'.repeat(30) : String(random.below(100));
    const dice = random.below(14);
    const expire = (field: string) => {
      if (expiresAt === 1) hash.delete(field);
      else hash.get(field)!.expiresAt = expiresAt;
    };
    if (dice < 3) {
      pipeline.hset(key, Object.fromEntries(fields.map((field) => [field, value])));
      for (const field of fields) hash.set(field, { value, expiresAt: -1 });
    } else if (dice < 7) {
      pipeline.call('HPEXPIREAT', key, expiresAt, 'FIELDS', fields.length, ...fields);
      for (const field of fields) if (hash.has(field)) expire(field);
    } else if (dice < 8) {
      pipeline.call('HPERSIST', key, 'FIELDS', fields.length, ...fields);
      for (const field of fields) if (hash.has(field)) hash.get(field)!.expiresAt = -1;
    } else if (dice < 9) {
      const keeps = random.chance(0.5);
      const options = keeps ? ['KEEPTTL'] : ['PXAT', expiresAt];
      const pairs = fields.flatMap((field) => [field, value]);
      pipeline.call('HSETEX', key, ...options, 'FIELDS', fields.length, ...pairs);
      for (const field of fields) {
        hash.set(field, { value, expiresAt: keeps ? (hash.get(field)?.expiresAt ?? -1) : -1 });
        if (!keeps) expire(field);
      }
    } else if (dice < 10) {
      pipeline.call('HGETDEL', key, 'FIELDS', fields.length, ...fields);
      for (const field of fields) hash.delete(field);
    } else if (dice < 11) {
      if (random.chance(0.5)) pipeline.pexpireat(key, LATER_MS + random.below(1000));
      else pipeline.persist(key);
    } else if (dice < 12) {
      if (key !== other) pipeline.copy(key, other, 'REPLACE');
      if (key !== other && hash.size > 0) model.set(other, new Map(structuredClone([...hash])));
    } else if (dice < 13 && hash.size > 0) {
      pipeline.rename(key, other);
      model.delete(key);
      model.set(other, hash);
      continue;
    } else if (random.chance(0.2)) {
      pipeline.del(key);
      hash.clear();
    }
    if (hash.size > 0) model.set(key, hash);
    else model.delete(key);
  }
  for (const [error] of (await pipeline.exec())!) if (error !== null) throw error;
}

onServers('random changes agree with a model, and survive whatever holds values', async (t, server) => {
  const client = server.client();
  const random = new Random(77);
  const model: Hashes = new Map();
  const encodings = new Set<unknown>();
  for (let round = 0; round < 30; round++) {
    await changeRandomly(client, random, model, 60);
    t.same(await readHashes(client), expectedHashes(model), `round ${round}`);
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
    for (const key of model.keys()) encodings.add(await client.object('ENCODING', key));
    if (round % 10 !== 9) continue;
    for (const key of model.keys()) {
      const payload = await client.dumpBuffer(key);
      t.equal(await client.restore(key, 0, payload, 'REPLACE'), 'OK');
      t.equal(await client.move(key, 3), 1);
    }
    t.equal(await client.dbsize(), 0);
    await client.swapdb(0, 3);
    t.same(await readHashes(client), expectedHashes(model), 'dumped, restored and moved');
    await client.save();
    await client.call('DEBUG', 'RELOAD');
    t.same(await readHashes(client), expectedHashes(model), 'saved and loaded');
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  }
  t.ok(encodings.has('listpackex') && encodings.has('hashtable'), `${[...encodings]}`);
  await client.flushall();
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
});

for (const fields of [20, 3000]) {
  onServers(`${fields} fields go by themselves`, async (t, server) => {
    const client = server.client();
    const names = Array.from({ length: fields }, (_, index) => `f${index}`);
    const half = names.slice(0, fields / 2);
    for (const key of ['all', 'half'])
      await client.hset(key, Object.fromEntries(names.map((name) => [name, 'v'])));
    await client.hset('other', 'a', '1');
    const expired = async () => Number(/expired_subkeys:(\d+)/.exec(await client.info('stats'))![1]);
    const expiredBefore = await expired();
    await client.call('HPEXPIRE', 'all', 200, 'FIELDS', fields, ...names);
    await client.call('HPEXPIRE', 'half', 200, 'FIELDS', half.length, ...half);
    await client.call('HPEXPIREAT', 'half', LATER_MS, 'FIELDS', 1, names[fields - 1]!);
    await client.call('HPEXPIREAT', 'other', LATER_MS, 'FIELDS', 1, 'a');
    // Nobody asks for them.
    await until(async () => (await expired()) - expiredBefore === fields + half.length);
    t.equal(await client.dbsize(), 2);
    t.same(Object.keys(await client.hgetall('half')).sort(), names.slice(fields / 2).sort());
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  });

  withServers(t, `nothing that has expired is seen, of ${fields} fields`, {}, async (t, server) => {
    const client = server.client();
    await client.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
    const names = Array.from({ length: fields }, (_, index) => `f${index}`);
    const gone = names.slice(2);
    await client.hset('h', Object.fromEntries(names.map((name) => [name, name])));
    await client.hset('whole', 'a', '1');
    await client.rpush('list', 'f0', 'f5');
    // The first that expires.
    await client.call('HPEXPIRE', 'whole', 100, 'FIELDS', 1, 'a');
    await client.call('HPEXPIRE', 'h', 100, 'FIELDS', gone.length, ...gone);
    await until(async () => (await client.hget('h', 'f2')) === null);
    // A large hash loses its fields bit by bit as it is looked at; what is left is hidden.
    t.same(await client.hgetall('h'), { f0: 'f0', f1: 'f1' });
    t.equal(await client.hlen('h'), 2);
    t.same((await client.hkeys('h')).sort(), ['f0', 'f1']);
    t.same((await client.hvals('h')).sort(), ['f0', 'f1']);
    t.same(await client.hmget('h', 'f1', 'f9'), ['f1', null]);
    t.equal(await client.hexists('h', 'f8'), 0);
    t.equal(await client.hstrlen('h', 'f8'), 0);
    t.equal(await client.hdel('h', 'f8'), 0);
    t.same(await client.call('HGETDEL', 'h', 'FIELDS', 1, 'f8'), [null]);
    t.same(((await client.hrandfield('h', 10)) as string[]).sort(), ['f0', 'f1']);
    t.ok(['f0', 'f1'].includes((await client.hrandfield('h')) as string));
    let cursor = '0';
    const seen: string[] = [];
    do {
      const [next, found] = await client.hscan('h', cursor, 'NOVALUES');
      seen.push(...found);
      cursor = next;
    } while (cursor !== '0');
    t.same([...new Set(seen)].sort(), ['f0', 'f1']);
    t.same(await client.sort('list', 'BY', 'nosort', 'GET', 'h->*'), [null, null]);
    t.same(await client.sort('list', 'BY', 'nosort', 'GET', '*->f9'), [null, null]);
    t.same(await ask(client, 'HPTTL h FIELDS 2 f0 f7'), [NO_EXPIRY, NO_FIELD]);
    t.same(await ask(client, 'HPERSIST h FIELDS 1 f7'), [NO_FIELD]);
    t.same(await ask(client, 'HEXPIRE h 100 FIELDS 1 f7'), [NO_FIELD]);
    t.equal(await ask(client, 'HSETEX h FXX FIELDS 1 f7 x'), 0);
    t.equal(await client.hincrby('h', 'f3', 5), 5);
    t.equal(await client.hset('h', 'f4', 'new'), 1);
    t.equal(await client.hsetnx('h', 'f6', 'new'), 1);
    t.equal(await ask(client, 'HSETEX h FNX KEEPTTL FIELDS 1 f7 new'), 1);
    t.same(await ask(client, 'HPTTL h FIELDS 4 f3 f4 f6 f7'), Array(4).fill(NO_EXPIRY));
    t.equal(await client.copy('h', 'copy'), 1);
    t.equal(await client.hlen('copy'), 6);
    t.equal(await client.hlen('h'), 6);

    t.equal(await client.exists('whole'), 0);
    t.equal(await client.type('whole'), 'none');
    t.same((await client.keys('*')).sort(), ['copy', 'h', 'list']);
    t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
  });
}

onServers('a field that expires is a change for who watches', async (t, server) => {
  const client = server.client();
  const other = server.client();
  await client.hset('h', 'b', '2');
  // It must not expire before it is watched.
  for (let lifeMs = 100; ; lifeMs *= 2) {
    await client.hset('h', 'a', '1');
    await client.call('HPEXPIRE', 'h', lifeMs, 'FIELDS', 1, 'a');
    await client.watch('h');
    if ((await other.hlen('h')) === 2) break;
    await client.unwatch();
  }
  await until(async () => (await other.hlen('h')) === 1);
  t.equal(await client.multi().hset('h', 'c', '3').exec(), null);
});

onServers('only snapshots with fields that expire need a newer reader', async (t, server) => {
  const client = server.client();
  const version = async () => {
    await client.save();
    return readFileSync(path.join(server.directory, 'dump.rdb')).subarray(0, 9).toString();
  };
  await client.hset('h', 'a', '1', 'b', '2');
  t.equal(await version(), 'REDIS0010');
  await client.call('HPEXPIREAT', 'h', LATER_MS, 'FIELDS', 1, 'a');
  t.equal(await version(), 'REDIS0012');
  const payload = await client.dumpBuffer('h');
  t.equal(payload.readUInt16LE(payload.length - 10), 12);
  await client.call('HPERSIST', 'h', 'FIELDS', 1, 'a');
  t.equal(await version(), 'REDIS0010');
  const plain = await client.dumpBuffer('h');
  t.equal(plain.readUInt16LE(plain.length - 10), 10);
});

withServers(
  t,
  'hashes of fields that expire are not what the volatile policies evict',
  {},
  async (t, server) => {
    const client = server.client();
    await client.config('SET', 'maxmemory-policy', 'volatile-lru');
    await client.hset('kept', 'a', 'x'.repeat(1000));
    await client.call('HPEXPIREAT', 'kept', LATER_MS, 'FIELDS', 1, 'a');
    for (let number = 0; number < 50; number++) await client.set(`v${number}`, 'x'.repeat(1000), 'EX', 1000);
    await client.config('SET', 'maxmemory', '1');
    await until(async () => (await client.dbsize()) === 1);
    t.equal(await client.hlen('kept'), 1);
  },
);

/** The requests in a file of them. */
function requestsIn(bytes: Buffer): string[] {
  const requests: string[] = [];
  let at = 0;
  const line = () => {
    const end = bytes.indexOf('\r\n', at);
    const text = bytes.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  while (at < bytes.length) {
    const words: string[] = [];
    for (let left = Number(line().slice(1)); left > 0; left--) {
      const length = Number(line().slice(1));
      words.push(bytes.toString('latin1', at, at + length));
      at += length + 2;
    }
    requests.push(words.join(' '));
  }
  return requests;
}

withServers(
  t,
  'the append-only file has times, not durations, and no command of Redis 8',
  { directives: { appendonly: 'yes' } },
  async (t, server) => {
    const client = server.client();
    const startMs = Date.now();
    for (const line of [
      'HSET h a 1 b 2 c 3 d 4',
      'HEXPIRE h 1000 FIELDS 3 a b nothing',
      'HEXPIRE h 1000 NX FIELDS 2 a c',
      'HPERSIST h FIELDS 2 b d',
      'HEXPIRE h 0 FIELDS 1 d',
      'HPERSIST h FIELDS 1 nothing',
      'HINCRBYFLOAT h a 0.5',
      'HSETEX h PX 1000000 FIELDS 2 e 5 f 6',
      'HSETEX h FXX KEEPTTL FIELDS 2 e 7 b 8',
      'HSETEX h FNX FIELDS 1 e 9',
      'HSETEX h EX 0 FIELDS 1 g 10',
      'HGETEX h EX 1000 FIELDS 2 b nothing',
      'HGETEX h PERSIST FIELDS 2 b c',
      'HGETEX h FIELDS 1 b',
      'HGETEX h PXAT 1 FIELDS 1 b',
      'HGETDEL h FIELDS 2 c nothing',
      'HPEXPIRE h 100 FIELDS 1 f',
      'HSET last x 1',
      'HPEXPIRE last 100 FIELDS 1 x',
    ]) {
      await ask(client, line);
    }
    await until(async () => (await client.hlen('h')) === 2 && (await client.exists('last')) === 0);
    const file = path.join(server.directory, 'appendonlydir', 'appendonly.aof.1.incr.aof');
    await until(async () => readFileSync(file).includes('HDEL\r\n$1\r\nh\r\n$1\r\nf\r\n'));
    await until(async () => readFileSync(file).includes('DEL\r\n$4\r\nlast\r\n'));
    const requests = requestsIn(readFileSync(file))
      .filter((request) => !/^(SELECT|MULTI|EXEC)/.test(request))
      .map((request) =>
        request.replace(/\d{13}/, (time) => (Number(time) > startMs ? 'TIME' : `the past: ${time}`)),
      );
    // These two come by themselves, on a busy machine before the last of the others.
    const isLate = (request: string) => request === 'DEL last' || request === 'HDEL h f';
    t.same(requests.filter(isLate).sort(), ['DEL last', 'HDEL h f']);
    t.same(
      requests.filter((request) => !isLate(request)),
      [
        'HSET h a 1 b 2 c 3 d 4',
        'HPEXPIREAT h TIME FIELDS 2 a b',
        'HPEXPIREAT h TIME FIELDS 1 c',
        'HPERSIST h FIELDS 1 b',
        'HDEL h d',
        'HSET h a 1.5',
        'HPEXPIREAT h TIME FIELDS 1 a',
        'HSET h e 5 f 6',
        'HPEXPIREAT h TIME FIELDS 2 e f',
        'HSET h e 7 b 8',
        'HPEXPIREAT h TIME FIELDS 1 e',
        'HDEL h g',
        'HPEXPIREAT h TIME FIELDS 1 b',
        'HPERSIST h FIELDS 2 b c',
        'HDEL h b',
        'HDEL h c',
        'HPEXPIREAT h TIME FIELDS 1 f',
        'HSET last x 1',
        'HPEXPIREAT last TIME FIELDS 1 x',
      ],
    );
  },
);
