/**
 * A sample of the ordinary lives of a server: one way of each kind to save and to stop, and each value of all else. `npm run
 * test:lifecycle` tries all ways and every two values together, with more keys.
 *
 *   DAMSELFLY_LIFECYCLE_SEED   another sample (default 1)
 */

import t from 'tap';
import { Random } from '../tools/random.js';
import { Life, type LifeOptions } from './life.js';
import { type Dimensions, eachValue } from './matrix.js';
import { WAYS } from './ways.js';

const SEED = Number(process.env.DAMSELFLY_LIFECYCLE_SEED ?? 1);

const DIMENSIONS: Dimensions<LifeOptions> = {
  way: WAYS.filter(({ isSample }) => isSample),
  threads: [1, 2, 4],
  transport: ['io_uring', 'epoll', 'node'],
  keys: [10_000, 20_000],
  largest: [10, 10_000],
  expiry: ['none', 'keys', 'fields'],
  history: ['grown', 'changed'],
  load: ['rest', 'writers'],
};

t.setTimeout(0);
for (const [index, options] of eachValue(DIMENSIONS, new Random(SEED)).entries()) {
  const { way, ...rest } = options;
  t.test(`${way.name}, ${Object.values(rest).join(', ')}`, {}, async (t) => {
    t.same(await new Life(options, SEED + index).live(), [], `seed ${SEED}`);
  });
}
