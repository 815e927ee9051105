/** Moving bytes within a buffer. */

import t from 'tap';
import { copyBytes, moveBytes } from '../../src/structures/copy.js';

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

t.test('long ranges are copied and moved as V8 does it, in shared memory, too', async (t) => {
  const shared = new Uint8Array(new SharedArrayBuffer(8192));
  const own = Uint8Array.from({ length: 8192 }, (_, index) => index * 31);
  const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer);
  for (const length of [511, 512, 513, 1000, 4096]) {
    for (let shift = 0; shift < 9; shift++) {
      shared.fill(0xee);
      copyBytes(shared, view(shared), 100 + shift, own, view(own), 37, length);
      const expected = new Uint8Array(8192).fill(0xee);
      expected.set(own.subarray(37, 37 + length), 100 + shift);
      if (!Buffer.from(shared).equals(expected)) t.fail(`copied: ${length} bytes, to ${100 + shift}`);
      for (const target of [100, 100 + 3 * shift, 2000]) {
        moveBytes(shared, view(shared), target, 100 + shift, 100 + shift + length);
        expected.copyWithin(target, 100 + shift, 100 + shift + length);
        if (!Buffer.from(shared).equals(expected)) t.fail(`moved: ${length} bytes, to ${target}`);
      }
    }
  }
  for (const [target, source] of [
    [8192 - 999, 0],
    [0, 8192 - 999],
    [-1, 0],
    [0, -1],
  ]) {
    t.throws(() => copyBytes(shared, view(shared), target, own, view(own), source, 1000), 'out of bounds');
  }
});
