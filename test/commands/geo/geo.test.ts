/** What random scripts (test/compat) do not reach: polygons, large sets, destinations in other shards, watched keys. */

import type { Redis } from 'ioredis';
import t from 'tap';
import { exactDistance } from '../../../src/structures/geo/distance.js';
import { Random } from '../../tools/random.js';
import { sharedServers } from '../../tools/server.js';

const onServers = sharedServers(t);

const SEED = Date.now() % 1_000_000;

async function sicily(client: Redis): Promise<void> {
  await client.call(
    'GEOADD',
    'sicily',
    '13.361389',
    '38.115556',
    'Palermo',
    '15.087269',
    '37.502669',
    'Catania',
  );
  await client.call('GEOADD', 'sicily', '12.758489', '38.788135', 'edge1', '17.241510', '38.788135', 'edge2');
}

const NORTH = (
  '12.41098696654226 38.05033923003755 15.107936245794182 38.00616649901906 18.148439288534455 38.63804787603499 ' +
  '17.80831874257693 39.50316813110968 12.458468633214036 38.57719533463012'
).split(' ');

onServers('polygons', async (t, server) => {
  const client = server.client();
  await sicily(client);
  const search = (...words: string[]): Promise<unknown> => client.call('GEOSEARCH', 'sicily', ...words);
  t.same(await search('BYPOLYGON', '5', ...NORTH, 'ASC', 'WITHCOORD', 'WITHDIST'), [
    ['Palermo', '166482.0159', ['13.36138933897018433', '38.11555639549629859']],
    ['edge2', '180861.7725', ['17.24151045083999634', '38.78813451624225195']],
  ]);
  t.same(await search('COUNT', '1', 'BYPOLYGON', '5', ...NORTH, 'DESC'), ['edge2']);
  t.equal(await client.call('GEOSEARCHSTORE', 'found', 'sicily', 'BYPOLYGON', '5', ...NORTH, 'STOREDIST'), 2);
  t.equal(Number(await client.zscore('found', 'Palermo')).toFixed(4), '166482.0159');
  t.same(await client.call('GEOSEARCH', 'nosuch', 'BYPOLYGON', '5', ...NORTH), []);
  await t.rejects(search('BYPOLYGON', '2', ...NORTH), /must have at least 3 vertices/);
  await t.rejects(search('BYPOLYGON', '6', ...NORTH), /must have at least 3 vertices/);
  await t.rejects(search('BYPOLYGON', 'x', ...NORTH), /invalid number of vertices/);
  await t.rejects(search('BYPOLYGON', '3', '0', '0', '0', '86', '1', '1'), /invalid longitude,latitude pair/);
  for (const also of [
    ['FROMLONLAT', '15', '37'],
    ['FROMMEMBER', 'Palermo'],
    ['BYRADIUS', '1', 'km'],
    ['BYBOX', '1', '1', 'km'],
    ['BYPOLYGON', '3', '0', '0', '0', '1', '1', '1'],
  ]) {
    await t.rejects(search('BYPOLYGON', '5', ...NORTH, ...also), /syntax error/, also.join(' '));
    await t.rejects(search(...also, 'BYPOLYGON', '5', ...NORTH), /syntax error/);
  }
});

interface Place {
  name: string;
  longitude: number;
  latitude: number;
}

/** Adds many places around a point; returns them as the server has them. */
async function fill(client: Redis, key: string, count: number, random: Random): Promise<Place[]> {
  const names = Array.from({ length: count }, (_, index) => `place ${index}`);
  const near = (middle: number): string => (middle + (random.uint32() / 2 ** 32 - 0.5) * 2).toFixed(7);
  for (let first = 0; first < count; first += 500) {
    const words = names.slice(first, first + 500).flatMap((name) => [near(10), near(50), name]);
    await client.call('GEOADD', key, ...words);
  }
  const positions = (await client.call('GEOPOS', key, ...names)) as [string, string][];
  return names.map((name, index) => {
    const [longitude, latitude] = positions[index]!;
    return { name, longitude: Number(longitude), latitude: Number(latitude) };
  });
}

onServers('searches in many places find what is there', async (t, server) => {
  const random = new Random(SEED);
  const client = server.client();
  const places = await fill(client, 'many', 3000, random);
  let wrong = 0;
  for (let round = 0; round < 25; round++) {
    const center = random.pick(places);
    const radius = random.pick([10, 1000, 5000, 30_000, 1_000_000]);
    const distances = new Map(
      places.map(({ name, longitude, latitude }) => [
        name,
        exactDistance(center.longitude, center.latitude, longitude, latitude),
      ]),
    );
    const expected = [...distances]
      .filter(([, distance]) => distance <= radius)
      .sort(([, left], [, right]) => left - right)
      .map(([name]) => name);
    const from = ['FROMMEMBER', center.name, 'BYRADIUS', String(radius), 'm'];
    const search = async (...words: string[]): Promise<string[]> =>
      (await client.call('GEOSEARCH', 'many', ...from, ...words)) as string[];
    if ((await search('ASC')).join() !== expected.join()) wrong++;
    if ((await search('DESC')).join() !== expected.toReversed().join()) wrong++;
    const found = await search();
    if (found.toSorted().join() !== expected.toSorted().join()) wrong++;
    const count = random.between(1, 20);
    if ((await search('COUNT', String(count))).join() !== expected.slice(0, count).join()) wrong++;
    const some = await search('COUNT', String(count), 'ANY');
    if (some.length !== Math.min(count, expected.length)) wrong++;
    if (some.join() !== found.slice(0, count).join()) wrong++;
    const stored = Number(await client.call('GEOSEARCHSTORE', 'near', 'many', ...from, 'STOREDIST'));
    const scores = await client.zrange('near', '0', '-1', 'WITHSCORES');
    if (stored !== expected.length || scores.length !== 2 * expected.length) wrong++;
    for (let at = 0; at < scores.length; at += 2) {
      if (distances.get(scores[at]!) !== Number(scores[at + 1])) wrong++;
    }
  }
  t.equal(wrong, 0, `seed ${SEED}`);
  t.equal(await client.call('DEBUG', 'VERIFY').catch(String), 'OK');
});

onServers('destinations', async (t, server) => {
  const client = server.client();
  await sicily(client);
  const around = ['15', '37', '200', 'km'];
  // Of several the last one counts, wherever they are.
  for (let index = 0; index < 20; index++) {
    const reply = await client.call(
      'GEORADIUS',
      'sicily',
      ...around,
      'STORE',
      `one ${index}`,
      'STORE',
      `two ${index}`,
    );
    t.equal(reply, 2);
    t.same(await client.exists(`one ${index}`, `two ${index}`), 1);
  }
  t.same(await client.zrange('two 7', '0', '-1'), ['Palermo', 'Catania']);
  t.equal(await client.call('GEORADIUSBYMEMBER', 'sicily', 'Catania', '200', 'km', 'STOREDIST', 'two 7'), 2);
  t.same(await client.zrange('two 7', '0', '-1'), ['Catania', 'Palermo']);
  await client.set('text', 'x');
  t.equal(await client.call('GEORADIUS', 'sicily', ...around, 'STORE', 'text'), 2);
  t.equal(await client.type('text'), 'zset');
  t.equal(await client.call('GEORADIUS', 'sicily', '0', '0', '1', 'km', 'STORE', 'text'), 0);
  t.equal(await client.exists('text'), 0);
  t.equal(await client.call('GEORADIUS', 'sicily', ...around, 'STORE', 'sicily'), 2, 'onto the source');
  t.same(await client.zrange('sicily', '0', '-1'), ['Palermo', 'Catania']);
});

onServers('only a change touches a watched key', async (t, server) => {
  const client = await server.rawClient();
  const aborts = async (...request: string[]): Promise<boolean> => {
    const [, , , , reply] = await client.pipeline([['WATCH', 'k'], request, ['MULTI'], ['PING'], ['EXEC']]);
    return reply!.toString() === '*-1\r\n';
  };
  t.ok(await aborts('GEOADD', 'k', '1', '1', 'a'));
  t.notOk(await aborts('GEOADD', 'k', '1', '1', 'a'));
  t.notOk(await aborts('GEOADD', 'k', 'NX', '2', '2', 'a'));
  t.notOk(await aborts('GEOADD', 'k', 'XX', '2', '2', 'b'));
  t.notOk(await aborts('GEOSEARCH', 'k', 'FROMMEMBER', 'a', 'BYRADIUS', '1', 'm'));
  t.notOk(await aborts('GEOSEARCHSTORE', 'k', 'nosuch', 'FROMMEMBER', 'a', 'BYRADIUS', '-1', 'm'));
  t.ok(await aborts('GEOADD', 'k', 'CH', '2', '2', 'a'));
  t.ok(await aborts('GEOSEARCHSTORE', 'k', 'nosuch', 'FROMMEMBER', 'a', 'BYRADIUS', '1', 'm'));
  t.notOk(await aborts('GEOSEARCHSTORE', 'k', 'nosuch', 'FROMMEMBER', 'a', 'BYRADIUS', '1', 'm'));
});

onServers('GEOADD is all or nothing', async (t, server) => {
  const client = server.client();
  await t.rejects(
    client.call('GEOADD', 'g', '1', '1', 'a', '200', '1', 'b'),
    /invalid longitude,latitude pair 200.000000,1.000000/,
  );
  t.equal(await client.exists('g'), 0);
  const words = Array.from({ length: 5000 }, (_, index) => ['1', '1', `m${index}`]).flat();
  t.equal(await client.call('GEOADD', 'g', ...words), 5000);
  t.equal(await client.call('GEOADD', 'g', 'CH', ...words), 0);
  t.same(await client.call('GEOHASH', 'g', 'm0', 'nosuch'), ['s00twy01mt0', null]);
});
