/** The buffers for input that comes in pieces. */

import t from 'tap';
import { inputBuffers } from '../../src/network/input-buffers.js';

const KIB = 1024;

t.test('a buffer that was given back serves who wants about as much', async (t) => {
  const first = inputBuffers.take(100 * KIB);
  t.ok(first.bytes.length >= 100 * KIB);
  inputBuffers.give(first);
  t.not(inputBuffers.take(10 * KIB), first, 'not one that is much too large');
  t.not(inputBuffers.take(200 * KIB), first, 'nor one that is too small');
  t.equal(inputBuffers.take(90 * KIB), first);
  t.not(inputBuffers.take(90 * KIB), first, 'nobody else gets it');
});

t.test('what is not needed for a while is given up', async (t) => {
  inputBuffers.trim(true);
  const buffers = [1, 2, 3].map(() => inputBuffers.take(64 * KIB));
  for (const buffer of buffers) inputBuffers.give(buffer);
  inputBuffers.trim(false);
  t.ok(buffers.includes(inputBuffers.take(64 * KIB)), 'kept, since it has just come');
  inputBuffers.trim(false);
  t.notOk(buffers.includes(inputBuffers.take(64 * KIB)), 'the two others have not been needed');
});

t.test('very large buffers and too many are not kept', async (t) => {
  inputBuffers.trim(true);
  const large = inputBuffers.take(5 * KIB * KIB);
  inputBuffers.give(large);
  t.not(inputBuffers.take(5 * KIB * KIB), large);
  const many = Array.from({ length: 10 }, () => inputBuffers.take(4 * KIB * KIB));
  for (const buffer of many) inputBuffers.give(buffer);
  const again = Array.from({ length: 10 }, () => inputBuffers.take(4 * KIB * KIB));
  t.equal(again.filter((buffer) => many.includes(buffer)).length, 8);
});
