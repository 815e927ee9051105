/**
 * Chooses which combinations of many dimensions are tried: so few that all of them can be, and so that every two values of
 * two dimensions meet in at least one of them. (A covering array of strength two, made greedily as in Cohen, Dalal,
 * Fredman and Patton's AETG, 1997.) Most faults need no more than two things to meet.
 */

import type { Random } from '../tools/random.js';

/** The values of each dimension. */
export type Dimensions<T> = { readonly [Name in keyof T]: readonly T[Name][] };

/** One number a dimension: the place of its value. */
type Places = number[];

/** Every value of every dimension is in one of the combinations; nothing else is promised. */
export function eachValue<T extends object>(dimensions: Dimensions<T>, random: Random): T[] {
  const names = Object.keys(dimensions) as (keyof T)[];
  const count = Math.max(...names.map((name) => dimensions[name].length));
  const columns = names.map((name) => {
    const places: number[] = [];
    while (places.length < count) places.push(...random.shuffle(dimensions[name].map((_, place) => place)));
    return places;
  });
  return Array.from({ length: count }, (_, row) =>
    combination(
      dimensions,
      columns.map((places) => places[row]!),
    ),
  );
}

/**
 * Every two values of two dimensions are in one of the combinations. Where it does not matter which, a value is drawn;
 * of the dimensions in `costly` the first one is taken, which should be the one that costs least.
 */
export function eachPair<T extends object>(
  dimensions: Dimensions<T>,
  random: Random,
  costly: readonly (keyof T)[] = [],
): T[] {
  const names = Object.keys(dimensions) as (keyof T)[];
  const sizes = names.map((name) => dimensions[name].length);
  const missing = new Pairs(sizes);
  const rows: Places[] = [];
  for (let pair = missing.any(); pair !== null; pair = missing.any()) {
    const row: Places = sizes.map(() => -1);
    row[pair.one] = pair.oneValue;
    row[pair.other] = pair.otherValue;
    const open = sizes.map((_, dimension) => dimension).filter((dimension) => row[dimension] === -1);
    for (const dimension of random.shuffle(open)) {
      const values = dimensions[names[dimension]!].map((_, value) => value);
      const gains = values.map((value) => missing.gain(row, dimension, value));
      const best = values.filter((value) => gains[value] === Math.max(...gains));
      row[dimension] = costly.includes(names[dimension]!) ? best[0]! : random.pick(best);
    }
    missing.remove(row);
    rows.push(row);
  }
  return rows.map((row) => combination(dimensions, row));
}

function combination<T extends object>(dimensions: Dimensions<T>, row: Places): T {
  const names = Object.keys(dimensions) as (keyof T)[];
  return Object.fromEntries(names.map((name, at) => [name, dimensions[name][row[at]!]])) as T;
}

interface Pair {
  one: number;
  oneValue: number;
  other: number;
  otherValue: number;
}

/** The pairs of values that no combination has yet. */
class Pairs {
  private readonly missing = new Set<string>();
  private readonly all: Pair[] = [];

  constructor(sizes: readonly number[]) {
    for (let one = 0; one < sizes.length; one++) {
      for (let other = one + 1; other < sizes.length; other++) {
        for (let oneValue = 0; oneValue < sizes[one]!; oneValue++) {
          for (let otherValue = 0; otherValue < sizes[other]!; otherValue++) {
            this.all.push({ one, oneValue, other, otherValue });
            this.missing.add(key(one, oneValue, other, otherValue));
          }
        }
      }
    }
  }

  any(): Pair | null {
    const found = this.all.findIndex((pair) =>
      this.missing.has(key(pair.one, pair.oneValue, pair.other, pair.otherValue)),
    );
    if (found < 0) return null;
    this.all.splice(0, found);
    return this.all[0]!;
  }

  /** How many missing pairs a value would make with those that a row has. */
  gain(row: Places, dimension: number, value: number): number {
    let gain = 0;
    for (const [other, otherValue] of row.entries()) {
      if (
        otherValue >= 0 &&
        other !== dimension &&
        this.missing.has(key(dimension, value, other, otherValue))
      )
        gain++;
    }
    return gain;
  }

  remove(row: Places): void {
    for (let one = 0; one < row.length; one++) {
      for (let other = one + 1; other < row.length; other++) {
        this.missing.delete(key(one, row[one]!, other, row[other]!));
      }
    }
  }
}

function key(one: number, oneValue: number, other: number, otherValue: number): string {
  return one < other
    ? `${one} ${oneValue} ${other} ${otherValue}`
    : `${other} ${otherValue} ${one} ${oneValue}`;
}
