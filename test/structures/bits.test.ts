import t from 'tap';
import {
  BitOperation,
  combineBits,
  countBits,
  findBit,
  readBits,
  writeBits,
} from '../../src/structures/bits.js';
import { Random } from '../tools/random.js';

const BYTES = 512;

function bitOf(bytes: Uint8Array, start: number, bit: number): number {
  return (bytes[start + Math.floor(bit / 8)]! >> (7 - (bit % 8))) & 1;
}

/** Random bytes in runs, so that searches have something to skip. */
function fillWithRuns(bytes: Uint8Array, random: Random): void {
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + random.below(40));
    const byte = random.pick([0, 0xff, -1]);
    for (; at < end; at++) bytes[at] = byte < 0 ? random.uint32() : byte;
  }
}

t.test('counting and searching agree with a bit-by-bit loop', async (t) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const words = new Int32Array(new SharedArrayBuffer(BYTES));
  const bytes = new Uint8Array(words.buffer);
  let wrong = 0;
  for (let round = 0; round < 20_000; round++) {
    if (round % 10 === 0) fillWithRuns(bytes, random);
    const start = random.below(BYTES);
    const end = random.between(start, BYTES);
    let count = 0;
    for (let bit = 0; bit < (end - start) * 8; bit++) count += bitOf(bytes, start, bit);
    if (countBits(bytes, words, start, end) !== count) wrong++;
    if (end === start) continue;
    const firstBit = random.below((end - start) * 8);
    const lastBit = random.between(firstBit, (end - start) * 8 - 1);
    for (const wanted of [0, 1]) {
      let found = firstBit;
      while (found <= lastBit && bitOf(bytes, start, found) !== wanted) found++;
      if (found > lastBit) found = -1;
      if (findBit(bytes, words, start, firstBit, lastBit, wanted) !== found) wrong++;
    }
  }
  t.equal(wrong, 0, `seed ${seed}`);
});

t.test('fields are read and written anywhere, and nothing beside them', async (t) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const bytes = new Uint8Array(64);
  let wrong = 0;
  for (let round = 0; round < 50_000; round++) {
    const start = random.below(8);
    const lengthBytes = random.between(5, 56);
    const count = random.between(1, 32);
    const bit = random.below(lengthBytes * 8 - count + 1);
    const value = random.uint32() >>> (32 - count);
    const before = bytes.slice();
    writeBits(bytes, start, bit, count, value);
    for (let at = 0; at < bytes.length * 8; at++) {
      const within = at - start * 8 - bit;
      const expected =
        within >= 0 && within < count ? (value >>> (count - 1 - within)) & 1 : bitOf(before, 0, at);
      if (bitOf(bytes, 0, at) !== expected) wrong++;
    }
    if (readBits(bytes, start, lengthBytes, bit, count) !== value) wrong++;
    // Only the part of a field that lies before the end counts.
    const shorter = random.below(lengthBytes);
    let expected = 0;
    for (let at = bit; at < bit + count; at++)
      expected = expected * 2 + (at < shorter * 8 ? bitOf(bytes, start, at) : 0);
    if (readBits(bytes, start, shorter, bit, count) !== expected) wrong++;
  }
  t.equal(wrong, 0, `seed ${seed}`);
});

t.test('combining ranges at any alignment', async (t) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const target = new Uint8Array(128);
  const source = new Uint8Array(128);
  const targetView = new DataView(target.buffer);
  const sourceView = new DataView(source.buffer);
  const combined = [
    (left: number, right: number) => left & right,
    (left: number, right: number) => left | right,
    (left: number, right: number) => left ^ right,
    (_: number, right: number) => ~right & 0xff,
  ];
  for (let round = 0; round < 20_000; round++) {
    for (let at = 0; at < 128; at++) {
      target[at] = random.uint32();
      source[at] = random.uint32();
    }
    const lengthBytes = random.below(100);
    const targetOffset = random.below(129 - lengthBytes);
    const sourceOffset = random.below(129 - lengthBytes);
    const operation = random.below(4) as BitOperation;
    const expected = target.slice();
    for (let at = 0; at < lengthBytes; at++) {
      expected[targetOffset + at] = combined[operation]!(
        target[targetOffset + at]!,
        source[sourceOffset + at]!,
      );
    }
    combineBits(operation, target, targetView, targetOffset, source, sourceView, sourceOffset, lengthBytes);
    if (Buffer.compare(target, expected) !== 0) {
      t.fail(`operation ${operation} over ${lengthBytes} bytes, seed ${seed}`);
      return;
    }
  }
  combineBits(BitOperation.Xor, target, targetView, 3, target, targetView, 3, 50);
  t.ok(target.subarray(3, 53).every((byte) => byte === 0));
});
