import t from 'tap';
import { Random } from '../tools/random.js';
import { type Dimensions, eachPair, eachValue } from './matrix.js';

interface Combination {
  shape: string;
  size: number;
  colour: string;
  isOpen: boolean;
}

const DIMENSIONS: Dimensions<Combination> = {
  shape: ['circle', 'square', 'triangle', 'hexagon', 'star'],
  size: [1, 10, 100],
  colour: ['red', 'green', 'blue'],
  isOpen: [false, true],
};
const NAMES = Object.keys(DIMENSIONS) as (keyof Combination)[];

t.test('every two values meet', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const rows = eachPair(DIMENSIONS, new Random(seed));
    for (const one of NAMES) {
      for (const other of NAMES) {
        if (one === other) continue;
        const pairs = new Set(rows.map((row) => `${row[one]} ${row[other]}`));
        t.equal(pairs.size, DIMENSIONS[one].length * DIMENSIONS[other].length, `${one} and ${other}`);
      }
    }
    t.ok(rows.length >= 15 && rows.length <= 22, `${rows.length} rows, 15 at least`);
    t.same(eachPair(DIMENSIONS, new Random(seed)), rows, 'a seed always gives the same');
  }
});

t.test('every value is there', async (t) => {
  const rows = eachValue(DIMENSIONS, new Random(7));
  t.equal(rows.length, 5);
  for (const name of NAMES) {
    t.equal(new Set(rows.map((row) => row[name])).size, DIMENSIONS[name].length, name);
  }
});
