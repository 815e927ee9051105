import t from 'tap';
import { exactDistance, latitudeDistance } from '../../../src/structures/geo/distance.js';
import {
  columnOf,
  latitudeOf,
  longitudeOf,
  rowOf,
  STEPS_MAX,
  scoreOf,
} from '../../../src/structures/geo/geohash.js';
import { SearchArea } from '../../../src/structures/geo/search-area.js';
import { Circle, Polygon, Rectangle, type Shape } from '../../../src/structures/geo/shape.js';
import { Random } from '../../tools/random.js';

const SEED = Date.now() % 1_000_000;

type Inside = (longitude: number, latitude: number) => boolean;

interface Sample {
  shape: Shape;
  isInside: Inside;
  /** Degrees around the center where places are tried. */
  spread: number;
}

function between(random: Random, low: number, high: number): number {
  return low + (random.uint32() / 2 ** 32) * (high - low);
}

function randomCenter(random: Random): [longitude: number, latitude: number] {
  if (random.chance(0.1)) return [random.pick([180, -180, 179.9999, 0]), between(random, -85, 85)];
  return [between(random, -180, 180), between(random, -85, 85)];
}

function randomCircle(random: Random): Sample {
  const [longitude, latitude] = randomCenter(random);
  const radius = random.chance(0.05) ? random.pick([0, 3e7, 1e-300]) : 10 ** between(random, -1, 7.3);
  return {
    shape: new Circle(longitude, latitude, radius),
    isInside: (x, y) => exactDistance(longitude, latitude, x, y) <= radius,
    spread: radius / 80_000,
  };
}

function randomRectangle(random: Random): Sample {
  const [longitude, latitude] = randomCenter(random);
  const unit = random.pick([1, 1000, 0.3048]);
  const width = 10 ** between(random, -1, 7.3) / unit;
  const height = 10 ** between(random, -1, 7) / unit;
  return {
    shape: new Rectangle(longitude, latitude, width, height, unit),
    isInside: (x, y) =>
      latitudeDistance(y, latitude) <= (height * unit) / 2 &&
      exactDistance(x, y, longitude, y) <= (width * unit) / 2,
    spread: (Math.max(width, height) * unit) / 150_000,
  };
}

/** A convex polygon: an ellipse's corners. */
function randomPolygon(random: Random): Sample {
  const [longitude, latitude] = [between(random, -170, 170), between(random, -75, 75)];
  const spread = 10 ** between(random, -4, 1);
  const count = random.between(3, 12);
  const angles = Array.from({ length: count }, () => between(random, 0, 2 * Math.PI)).sort((a, b) => a - b);
  const xs = Float64Array.from(angles, (angle) => longitude + (Math.cos(angle) * spread) / 2);
  const ys = Float64Array.from(angles, (angle) => latitude + (Math.sin(angle) * spread) / 3);
  return {
    shape: Polygon.of(xs, ys),
    // To the left of all edges, which go around against the clock.
    isInside: (x, y) =>
      angles.every((_, index) => {
        const next = (index + 1) % count;
        const cross =
          (xs[next]! - xs[index]!) * (y - ys[index]!) - (ys[next]! - ys[index]!) * (x - xs[index]!);
        return cross > 0;
      }),
    spread,
  };
}

function clamp(value: number, most: number): number {
  return Math.max(-most, Math.min(most, value));
}

t.test('shapes have the places that they should', async (t) => {
  const random = new Random(SEED);
  for (const make of [randomCircle, randomRectangle, randomPolygon]) {
    let wrong = 0;
    let inside = 0;
    for (let round = 0; round < 300; round++) {
      const { shape, isInside, spread } = make(random);
      for (let place = 0; place < 60; place++) {
        const isNear = random.chance(0.9);
        const wanted = isNear
          ? [
              shape.longitude + between(random, -spread, spread),
              shape.latitude + between(random, -spread, spread),
            ]
          : randomCenter(random);
        const column = Math.min(2 ** 26 - 1, columnOf(clamp(wanted[0]!, 180), STEPS_MAX));
        const row = Math.min(2 ** 26 - 1, rowOf(clamp(wanted[1]!, 85.05), STEPS_MAX));
        const expected = isInside(longitudeOf(column), latitudeOf(row));
        if (expected) inside++;
        if (shape.contains(column, row) !== expected) wrong++;
      }
    }
    t.equal(wrong, 0, `${make.name}, seed ${SEED}`);
    t.ok(inside > 500, `${inside} places inside`);
  }
});

t.test('at the very edge the exact distance decides', async (t) => {
  const random = new Random(SEED);
  let wrong = 0;
  for (let round = 0; round < 2000; round++) {
    const [longitude, latitude] = randomCenter(random);
    const column = random.below(2 ** 26);
    const row = random.below(2 ** 26);
    const distance = exactDistance(longitude, latitude, longitudeOf(column), latitudeOf(row));
    const shorter = distance * (1 - 2 ** -52);
    if (!new Circle(longitude, latitude, distance).contains(column, row)) wrong++;
    if (shorter < distance && new Circle(longitude, latitude, shorter).contains(column, row)) wrong++;
  }
  t.equal(wrong, 0, `seed ${SEED}`);
});

t.test('the ranges that are searched do not overlap and cover the shape', async (t) => {
  const random = new Random(SEED);
  const area = new SearchArea();
  let wrong = 0;
  let missed = 0;
  let inside = 0;
  for (let round = 0; round < 1000; round++) {
    const [longitude, latitude] = [between(random, -170, 170), between(random, -60, 60)];
    const radius = 10 ** between(random, 0, 5.5);
    const shape = new Circle(longitude, latitude, radius);
    area.cover(shape);
    const ranges = Array.from({ length: area.count }, (_, index) => [area.first[index]!, area.end[index]!]);
    ranges.sort((left, right) => left[0]! - right[0]!);
    for (const [index, [first, end]] of ranges.entries()) {
      if (first! >= end!) wrong++;
      if (index > 0 && first! < ranges[index - 1]![1]!) wrong++;
    }
    for (let place = 0; place < 30; place++) {
      const spread = radius / 100_000;
      const column = columnOf(longitude + between(random, -spread, spread), STEPS_MAX);
      const row = rowOf(latitude + between(random, -spread, spread), STEPS_MAX);
      if (!shape.contains(column, row)) continue;
      inside++;
      const score = scoreOf(column, row);
      if (!ranges.some(([first, end]) => score >= first! && score < end!)) missed++;
    }
  }
  t.equal(wrong, 0, `seed ${SEED}`);
  t.equal(missed, 0, `seed ${SEED}`);
  t.ok(inside > 5000);
});
