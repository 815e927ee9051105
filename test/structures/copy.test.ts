/** Moving bytes within a buffer. */

import t from 'tap';
import { moveBytes } from '../../src/structures/copy.js';

const LENGTH_MAX = 210;
const DISTANCE_MAX = 9;

t.test('bytes move as copyWithin moves them, whichever way the ranges overlap', async (t) => {
  const start = DISTANCE_MAX;
  const before = Uint8Array.from({ length: LENGTH_MAX + 2 * DISTANCE_MAX }, (_, index) => index * 7);
  for (let distance = -DISTANCE_MAX; distance <= DISTANCE_MAX; distance++) {
    for (let length = 0; length <= LENGTH_MAX; length++) {
      const bytes = before.slice();
      moveBytes(bytes, new DataView(bytes.buffer), start + distance, start, start + length);
      const expected = before.slice().copyWithin(start + distance, start, start + length);
      if (!Buffer.from(bytes).equals(expected)) t.fail(`${length} bytes, ${distance} further`);
    }
  }
  t.pass('all lengths and distances');
});
