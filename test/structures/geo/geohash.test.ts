import t from 'tap';
import { formatFixed } from '../../../src/memory/numbers.js';
import { writeCoordinate, writeDistance } from '../../../src/structures/geo/coordinate-text.js';
import {
  exactDistance,
  haversine,
  roundDistance,
  roundedDistance,
  toRadians,
} from '../../../src/structures/geo/distance.js';
import {
  cell,
  columnOf,
  geohashText,
  latitudeOf,
  longitudeOf,
  readScore,
  rowOf,
  STEPS_MAX,
  scoreBehind,
  scoreOf,
  toUnsigned64,
} from '../../../src/structures/geo/geohash.js';
import { Random } from '../../tools/random.js';

const SEED = Date.now() % 1_000_000;

/** Bits of the column and of the row in turn, the row's lowest bit last. */
function interleave(column: number, row: number): bigint {
  let score = 0n;
  for (let bit = 31; bit >= 0; bit--) {
    score = (score << 2n) | (BigInt((column >>> bit) & 1) << 1n) | BigInt((row >>> bit) & 1);
  }
  return score;
}

t.test('scores alternate the bits of columns and rows', async (t) => {
  const random = new Random(SEED);
  let wrong = 0;
  for (let round = 0; round < 20_000; round++) {
    const column = random.chance(0.05) ? 2 ** 26 : random.below(2 ** 26);
    const row = random.chance(0.05) ? 2 ** 26 : random.below(2 ** 26);
    const score = scoreOf(column, row);
    if (score !== Number(interleave(column, row))) wrong++;
    if (scoreBehind(column, row) !== Number(interleave(column, row) + 1n)) wrong++;
    if (score > Number.MAX_SAFE_INTEGER) continue;
    readScore(score);
    if (cell.column !== column || cell.row !== row) wrong++;
    const [longitude, latitude] = [longitudeOf(column), latitudeOf(row)];
    if (column < 2 ** 26 && columnOf(longitude, STEPS_MAX) !== column) wrong++;
    if (row < 2 ** 26 && rowOf(latitude, STEPS_MAX) !== row) wrong++;
  }
  t.equal(wrong, 0, `seed ${SEED}`);
});

t.test('scores that are none of places are read as C reads them', async (t) => {
  t.equal(toUnsigned64(-1.5), 2n ** 64n - 1n);
  t.equal(toUnsigned64(2 ** 63), 2n ** 63n);
  t.equal(toUnsigned64(2 ** 64), 0n);
  t.equal(toUnsigned64(Infinity), 0n);
  t.equal(toUnsigned64(-(2 ** 70)), 2n ** 63n);
  t.equal(toUnsigned64(-Infinity), 2n ** 63n);
  for (const score of [-1, -5.5, 2 ** 52, 1e17, 1e300, 0.5, -0]) {
    readScore(score);
    t.equal(interleave(cell.column, cell.row), toUnsigned64(score), String(score));
  }
  readScore(-1);
  t.equal(longitudeOf(cell.column), 180, 'the next column is the first');
});

t.test('geohashes as text', async (t) => {
  t.equal(geohashText(13.361389338970184, 38.1155563954963), 'sqc8b49rny0');
  t.equal(geohashText(15.087267458438873, 37.50266842333162), 'sqdtr74hyu0');
});

/** A number with so many decimals, half to even, by exact arithmetic. */
function exactDecimals(value: number, decimals: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const exponent = Number(bits >> 52n);
  let numerator = bits & 0xfffffffffffffn;
  if (exponent > 0) numerator |= 1n << 52n;
  numerator *= 10n ** BigInt(decimals);
  let shift = 1075 - Math.max(exponent, 1);
  if (shift < 0) {
    numerator <<= BigInt(-shift);
    shift = 0;
  }
  const divisor = 1n << BigInt(shift);
  let quotient = numerator / divisor;
  const rest = (numerator % divisor) * 2n;
  if (rest > divisor || (rest === divisor && quotient % 2n === 1n)) quotient++;
  const digits = quotient.toString().padStart(decimals + 1, '0');
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  return `${sign}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

function randomCoordinate(random: Random): number {
  switch (random.below(6)) {
    case 0:
      return longitudeOf(random.below(2 ** 26));
    case 1:
      return latitudeOf(random.below(2 ** 26));
    case 2:
      // Ties at the last decimal.
      return (2 * random.below(2 ** 22) + 1) / 2 ** 18;
    case 3:
      return (random.uint32() / 2 ** 32) * 10 ** -random.below(25);
    case 4:
      return random.pick([0, -0, 180, -180, 85.05112878, -85.05112878, 1e-17, -4e-18, 5e-324]);
    default:
      return (random.uint32() / 2 ** 32 - 0.5) * 360;
  }
}

t.test('coordinates are printed exactly', async (t) => {
  const random = new Random(SEED);
  const bytes = new Uint8Array(64);
  let wrong = 0;
  for (let round = 0; round < 50_000; round++) {
    const value = randomCoordinate(random);
    const fixed = exactDecimals(value, 17);
    const trimmed = fixed.replace(/\.?0+$/, '');
    const expected = trimmed === '-0' || trimmed === '' ? '0' : trimmed;
    const length = writeCoordinate(bytes, 3, value);
    const actual = Buffer.from(bytes.subarray(3, 3 + length)).toString();
    if (actual !== expected) {
      wrong++;
      if (wrong < 5) t.equal(actual, expected, String(value));
    }
    const six = exactDecimals(value * 1000, 6);
    if (formatFixed(value * 1000, 6) !== six) wrong++;
  }
  t.equal(wrong, 0, `seed ${SEED}`);
  t.equal(formatFixed(1e300, 6), `${BigInt(1e300)}.000000`);
  t.equal(formatFixed(-Infinity, 6), '-inf');
});

t.test('distances are printed with four decimals', async (t) => {
  const bytes = new Uint8Array(64);
  for (const [tenThousandths, text] of [
    [0, '0.0000'],
    [7, '0.0007'],
    [12345, '1.2345'],
    [1662741516, '166274.1516'],
    [656_680_000_000_001, '65668000000.0001'],
  ] as const) {
    const length = writeDistance(bytes, 0, tenThousandths);
    t.equal(Buffer.from(bytes.subarray(0, length)).toString(), text);
  }
});

t.test('what is rounded without the exact distance is right', async (t) => {
  const random = new Random(SEED);
  let wrong = 0;
  let undecided = 0;
  for (let round = 0; round < 100_000; round++) {
    const spread = 10 ** random.between(-6, 2);
    const [longitude, latitude] = [random.below(2 ** 26), random.below(2 ** 26)].map((at, axis) =>
      axis === 0 ? longitudeOf(at) : latitudeOf(at),
    ) as [number, number];
    const otherLongitude = longitude + (random.below(3) - 1) * spread * random.below(2);
    const otherLatitude = Math.max(-85, Math.min(85, latitude + spread * (random.uint32() / 2 ** 32 - 0.5)));
    const value = haversine(
      toRadians(longitude),
      toRadians(latitude),
      Math.cos(toRadians(latitude)),
      toRadians(otherLongitude),
      toRadians(otherLatitude),
    );
    const unitMeters = random.pick([1, 1000, 0.3048, 1609.34]);
    const rounded = roundedDistance(value, unitMeters);
    const exact = roundDistance(
      exactDistance(longitude, latitude, otherLongitude, otherLatitude),
      unitMeters,
    );
    if (rounded < 0) undecided++;
    else if (rounded !== exact) wrong++;
  }
  t.equal(wrong, 0, `seed ${SEED}`);
  t.ok(undecided < 10_000, `${undecided} undecided`);
  t.equal(roundDistance(0.00025, 1), 2, 'half to even');
  t.equal(roundDistance(0.00035, 1), roundDistance(0.000351, 1));
});
