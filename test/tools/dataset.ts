/** Random data of all types, put in by commands; and everything that a server holds, for comparing. */

import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Random } from './random.js';

export type DataType = 'string' | 'list' | 'set' | 'zset' | 'hash' | 'stream';
export const DATA_TYPES: readonly DataType[] = ['string', 'list', 'set', 'zset', 'hash', 'stream'];

/** Elements sent with one command. */
const ELEMENTS_PER_COMMAND = 200;
const KEYS_AT_ONCE = 100;

function randomText(random: Random): Buffer {
  switch (random.below(6)) {
    case 0:
      return Buffer.from(String(random.below(300) - 150));
    case 1:
      return Buffer.from(
        random.pick([
          '32767',
          '-32769',
          '2147483648',
          '9007199254740993',
          '-9223372036854775808',
          '007',
          '-0',
        ]),
      );
    case 2:
      return Buffer.from('abc'.repeat(random.below(60)));
    case 3:
      return Buffer.from(Array.from({ length: random.below(100) }, () => random.below(256)));
    default:
      return Buffer.from(`element ${random.below(1_000_000)}`);
  }
}

function randomScore(random: Random): string {
  return random.pick([
    '1',
    '-5',
    '0',
    'inf',
    '-inf',
    '1e300',
    '3.141592653589793',
    String(random.below(1000)),
    '0.1',
  ]);
}

function size(random: Random): number {
  return random.pick([1, 3, 20, 120, 130, 600, 2000]);
}

/** The arguments of a command, after the key, that gives a key of a type `count` random elements. */
function elements(random: Random, type: DataType, count: number, isOfIntegers: boolean): (string | Buffer)[] {
  const args: (string | Buffer)[] = [];
  const text = () =>
    isOfIntegers ? Buffer.from(String(random.below(1 << 30) - (1 << 29))) : randomText(random);
  for (let element = 0; element < count; element++) {
    if (type === 'zset') args.push(randomScore(random));
    args.push(text());
    if (type === 'hash') args.push(text());
  }
  return args;
}

const ADD_COMMANDS: Readonly<Record<Exclude<DataType, 'string' | 'stream'>, string>> = {
  list: 'RPUSH',
  set: 'SADD',
  zset: 'ZADD',
  hash: 'HSET',
};

const GROUPS = ['g1', 'group two'];
const CONSUMERS = ['c1', 'c2', 'consumer three'];

/** A stream with entries, some of them deleted, and groups that have read and acknowledged some of the others. */
async function fillStream(client: Redis, random: Random, key: Buffer): Promise<void> {
  const ids: string[] = [];
  const pipeline = client.pipeline();
  let ms = random.pick([1, 1_795_958_974_818]);
  for (let left = size(random); left > 0; left--) {
    ms += random.below(3);
    const id = `${ms}-${ids.length}`;
    ids.push(id);
    const fields = random.chance(0.9) ? ['field', 'g'] : ['other', 'field', '12'];
    pipeline.call('XADD', key, id, ...fields.flatMap((field) => [field, randomText(random)]));
  }
  for (const group of random.chance(0.7) ? GROUPS : []) {
    pipeline.call('XGROUP', 'CREATE', key, group, random.chance(0.7) ? '0' : random.pick(ids));
    for (const consumer of CONSUMERS) {
      const count = String(1 + random.below(40));
      pipeline.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', key, '>');
    }
    pipeline.call('XACK', key, group, ...Array.from({ length: 10 }, () => random.pick(ids)));
    pipeline.call('XCLAIM', key, group, 'c1', '0', random.pick(ids), 'RETRYCOUNT', '7');
    pipeline.call('XGROUP', 'CREATECONSUMER', key, group, 'idle');
  }
  if (random.chance(0.5)) pipeline.call('XDEL', key, ...Array.from({ length: 5 }, () => random.pick(ids)));
  if (random.chance(0.3)) pipeline.call('XTRIM', key, 'MAXLEN', String(random.below(ids.length)));
  await pipeline.exec();
}

/** Creates `count` keys in a few databases. */
export async function fillRandomly(
  client: Redis,
  random: Random,
  count: number,
  types: readonly DataType[],
): Promise<void> {
  for (let number = 0; number < count; number++) {
    if (number % 20 === 0) await client.select(random.pick([0, 0, 3, 15]));
    const type = random.pick(types);
    const key = Buffer.concat([Buffer.from(`${type}:${number}:`), randomText(random)]);
    if (type === 'string') {
      const value = random.chance(0.05)
        ? Buffer.alloc(200_000, randomText(random).toString('latin1') || 'x')
        : randomText(random);
      await client.set(key, value);
    } else if (type === 'stream') {
      await fillStream(client, random, key);
    } else {
      const isOfIntegers = random.chance(0.4);
      for (let left = size(random); left > 0; left -= ELEMENTS_PER_COMMAND) {
        const args = elements(random, type, Math.min(left, ELEMENTS_PER_COMMAND), isOfIntegers);
        await client.call(ADD_COMMANDS[type], key, ...args);
      }
      if (type === 'list' && random.chance(0.1))
        await client.rpush(key, Buffer.alloc(20_000, 'long element'));
    }
    if (random.chance(0.3)) await client.pexpireat(key, 4_000_000_000_000 + random.below(1_000_000));
  }
  await client.select(0);
}

function hex(values: readonly Buffer[]): string[] {
  return values.map((value) => value.toString('hex'));
}

/** The value of a key of the selected database as text. */
async function valueText(client: Redis, key: Buffer, type: string): Promise<string> {
  switch (type) {
    case 'string':
      return (await client.getBuffer(key))!.toString('hex');
    case 'list':
      return hex(await client.lrangeBuffer(key, 0, -1)).join(',');
    case 'set':
      return hex((await client.smembersBuffer(key)) as Buffer[])
        .sort()
        .join(',');
    case 'zset':
      return hex((await client.callBuffer('ZRANGE', key, '0', '-1', 'WITHSCORES')) as Buffer[]).join(',');
    case 'stream':
      return streamText(client, key);
    default: {
      const flat = hex((await client.callBuffer('HGETALL', key)) as Buffer[]);
      const pairs: string[] = [];
      for (let at = 0; at < flat.length; at += 2) pairs.push(`${flat[at]}=${flat[at + 1]}`);
      return pairs.sort().join(',');
    }
  }
}

type Reply = Buffer | number | null | Reply[];

/** The values of a map that is a flat array in RESP2, by name. */
function mapOf(reply: Reply): Map<string, Reply> {
  const flat = reply as Reply[];
  return new Map(flat.flatMap((name, at) => (at % 2 === 0 ? [[String(name), flat[at + 1]!] as const] : [])));
}

function textOf(reply: Reply | undefined): string {
  if (Array.isArray(reply)) return `[${reply.map(textOf).join(' ')}]`;
  return Buffer.isBuffer(reply) ? reply.toString('hex') : String(reply);
}

/**
 * A stream with its groups. What is pending but deleted is left out, since commands that make a stream can't tell it, and so
 * are the times when consumers were seen.
 */
async function streamText(client: Redis, key: Buffer): Promise<string> {
  const info = mapOf((await client.callBuffer('XINFO', 'STREAM', key, 'FULL', 'COUNT', '0')) as Reply);
  const parts = [
    'last-generated-id',
    'max-deleted-entry-id',
    'entries-added',
    'recorded-first-entry-id',
    'entries',
  ];
  const lines = parts.map((part) => textOf(info.get(part)));
  const ids = new Set((info.get('entries') as Reply[]).map((entry) => textOf((entry as Reply[])[0])));
  for (const reply of info.get('groups') as Reply[]) {
    const group = mapOf(reply);
    lines.push(
      ['name', 'last-delivered-id', 'entries-read'].map((part) => textOf(group.get(part))).join(' '),
    );
    const pending = group.get('pending') as Reply[];
    lines.push(...pending.filter((entry) => ids.has(textOf((entry as Reply[])[0]))).map(textOf));
    lines.push(...(group.get('consumers') as Reply[]).map((consumer) => textOf(mapOf(consumer).get('name'))));
  }
  return lines.join(',');
}

async function describeKey(client: Redis, key: Buffer): Promise<string> {
  const [type, expiresAt] = await Promise.all([client.type(key), client.call('PEXPIRETIME', key)]);
  const value = await valueText(client, key, type);
  const short = value.length < 1000 ? value : createHash('sha1').update(value).digest('hex');
  return `${type} ${expiresAt} ${short}`;
}

/** Everything in a server: type, expiry and value by database and key. */
export async function readDataset(client: Redis): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  const sizes = (await client.info('keyspace')).matchAll(/^db(\d+):/gm);
  for (const [, database] of sizes) {
    await client.select(Number(database));
    const keys = await client.keysBuffer('*');
    for (let first = 0; first < keys.length; first += KEYS_AT_ONCE) {
      const some = keys.slice(first, first + KEYS_AT_ONCE);
      const texts = await Promise.all(some.map((key) => describeKey(client, key)));
      for (const [index, key] of some.entries()) all.set(`${database} ${key.toString('hex')}`, texts[index]!);
    }
  }
  await client.select(0);
  return all;
}

const DIFFERENCES_MAX = 5;

/** The first few differences between two datasets, for messages. */
export function differences(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): string[] {
  const lines: string[] = [];
  for (const key of new Set([...found.keys(), ...expected.keys()])) {
    if (lines.length === DIFFERENCES_MAX) break;
    if (found.get(key) !== expected.get(key))
      lines.push(`${key}: ${found.get(key)}, not ${expected.get(key)}`);
  }
  return lines;
}
