/** Places: at the edges of the world and of cells, several at one spot, on sorted sets of all encodings. */

import type { CommandMaker, Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

const LONGITUDES: readonly string[] = ['180', '-180', '0', '-0', '179.9999999', '-179.9999999', '90', '1e-7'];
const LATITUDES: readonly string[] = ['85.05112878', '-85.05112878', '0', '85', '-85', '66', '80.5', '1e-7'];
const BAD_COORDINATES: readonly string[] = [
  '180.0000001',
  '-181',
  '86',
  '-85.06',
  'x',
  '',
  'nan',
  'inf',
  '1e300',
];
/** Scores that are none of places. */
const SCORES: readonly string[] = [
  '-1',
  '0.5',
  '1e17',
  '-3.7e15',
  'inf',
  '4503599627370496',
  '9007199254740993',
];

function key(v: Vocabulary): Word {
  return v.chance(0.93) ? v.pick(['g1', 'g2', '{g}3', 'world']) : v.key();
}

function member(v: Vocabulary): Word {
  return v.chance(0.9) ? v.pick(['a', 'b', 'p']) + String(v.below(40)) : v.value();
}

function fraction(v: Vocabulary): number {
  return v.below(1_000_000) / 1_000_000;
}

/** Somewhere in the world, or in a small region of it, so that searches find several. */
function place(v: Vocabulary): [longitude: Word, latitude: Word] {
  const dice = v.below(20);
  if (dice === 0) return [v.pick(LONGITUDES), v.pick(LATITUDES)];
  if (dice === 1)
    return v.pick(
      [v.pick(BAD_COORDINATES), '1'].map((word) => [word, v.pick(BAD_COORDINATES)] as [Word, Word]),
    );
  if (dice < 8) return [String(fraction(v) * 360 - 180), String(fraction(v) * 170 - 85)];
  if (dice < 10) return [v.pick(LONGITUDES), String(fraction(v) * 170 - 85)];
  // Few different ones: several members are at the same place.
  if (dice < 13) return [String(13 + v.below(4)), String(37 + v.below(3))];
  return [String(12 + fraction(v) * 4), String(36 + fraction(v) * 3)];
}

function places(v: Vocabulary, most: number): Word[] {
  return Array.from({ length: v.between(1, most) }, () => [...place(v), member(v)]).flat();
}

function unit(v: Vocabulary): string {
  return v.chance(0.96) ? v.spelled(v.pick(['M', 'KM', 'FT', 'MI'])) : v.pick(['cm', '', 'mm']);
}

function length(v: Vocabulary): Word {
  if (v.chance(0.06)) return v.chance(0.5) ? v.floatOrNot() : v.pick(['-1', 'x', '0', 'inf']);
  const scale = v.pick([1, 10, 100, 1000, 10_000, 100_000, 10_000_000]);
  return v.chance(0.5) ? String(v.below(10) * scale) : String(fraction(v) * 10 * scale);
}

function resultOptions(v: Vocabulary): (() => Word[])[] {
  return [
    () => ['ASC'],
    () => ['DESC'],
    () => ['COUNT', v.chance(0.9) ? String(v.between(1, 12)) : v.integerOrNot()],
    () => ['COUNT', String(v.between(1, 12)), 'ANY'],
  ];
}

function withOptions(v: Vocabulary): (() => Word[])[] {
  return [() => ['WITHDIST'], () => ['WITHCOORD'], () => ['WITHHASH'], ...resultOptions(v)];
}

function storeOptions(v: Vocabulary): (() => Word[])[] {
  return [...resultOptions(v), () => ['STORE', key(v)], () => ['STOREDIST', key(v)]];
}

function center(v: Vocabulary): Word[] {
  return v.chance(0.5) ? ['FROMMEMBER', member(v)] : ['FROMLONLAT', ...place(v)];
}

function outline(v: Vocabulary): Word[] {
  return v.chance(0.5) ? ['BYRADIUS', length(v), unit(v)] : ['BYBOX', length(v), length(v), unit(v)];
}

/** Shape and options, in any order; now and then a part twice or none. */
function searched(v: Vocabulary, options: (() => Word[])[]): Word[] {
  const parts = [center(v), outline(v), v.options(4, options)];
  if (v.chance(0.03)) parts.push(v.pick([center(v), outline(v), ['BOGUS'], ['ANY']]));
  if (v.chance(0.03)) parts.pop();
  return v.shuffle(parts).flat();
}

const radius: CommandMaker = (v) => {
  const isReadOnly = v.chance(0.3);
  const command = v.chance(0.5) ? 'GEORADIUS' : 'GEORADIUSBYMEMBER';
  return [
    isReadOnly ? `${command}_RO` : command,
    key(v),
    ...(command === 'GEORADIUS' ? place(v) : [member(v)]),
    length(v),
    unit(v),
    ...v.options(4, isReadOnly || v.chance(0.7) ? withOptions(v) : storeOptions(v)),
    ...(v.chance(0.03) ? v.options(2, storeOptions(v)) : []),
  ];
};

/** With one destination: of several, Redis names the first although it uses the last. */
const storedRadiusKeys: CommandMaker = (v) => {
  const around = v.chance(0.5)
    ? ['GEORADIUS', key(v), ...place(v)]
    : ['GEORADIUSBYMEMBER', key(v), member(v)];
  const store = [v.pick(['STORE', 'STOREDIST']), key(v)];
  return ['COMMAND', 'GETKEYS', ...around, '1', 'km', ...(v.chance(0.8) ? store : ['ASC'])];
};

export const geo: Family = {
  name: 'geo',
  commands: [
    [
      14,
      (v) => ['GEOADD', key(v), ...v.options(2, [() => ['NX'], () => ['XX'], () => ['CH']]), ...places(v, 4)],
    ],
    [3, (v) => ['GEOADD', key(v), ...places(v, 60)]],
    [6, (v) => ['GEOPOS', key(v), ...Array.from({ length: v.below(4) }, () => member(v))]],
    [4, (v) => ['GEOHASH', key(v), ...Array.from({ length: v.below(4) }, () => member(v))]],
    [8, (v) => ['GEODIST', key(v), member(v), member(v), ...(v.chance(0.5) ? [unit(v)] : [])]],
    [20, (v) => ['GEOSEARCH', key(v), ...searched(v, withOptions(v))]],
    [
      6,
      (v) => ['GEOSEARCHSTORE', key(v), key(v), ...searched(v, [...resultOptions(v), () => ['STOREDIST']])],
    ],
    [10, radius],
    [4, (v) => ['ZRANGE', key(v), '0', '-1', 'WITHSCORES']],
    [2, (v) => ['ZADD', key(v), v.pick(SCORES), member(v)]],
    [2, (v) => ['ZREM', key(v), member(v), member(v)]],
    [2, (v) => ['CONFIG', 'SET', 'zset-max-listpack-entries', v.pick(['0', '8', '128'])]],
    [1, (v) => ['OBJECT', 'ENCODING', key(v)]],
    [1, storedRadiusKeys],
    [1, (v) => ['DEL', key(v)]],
    [1, (v) => ['SET', key(v), v.value()]],
  ],
};
