/**
 * Counting, searching and combining the bits of byte ranges, a word at a time.
 *
 * Bit 0 of a range is the most significant bit of its first byte. Byte offsets are absolute; bit numbers
 * are relative to the start of a range and may exceed 2^31, since a range may be longer than 256 MiB.
 */

/** The byte of a range that holds a bit. */
export function byteOfBit(bit: number): number {
  return bit <= 0x7fffffff ? bit >> 3 : Math.floor(bit / 8);
}

function countWord(word: number): number {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Set bits of a byte. */
export function countByte(byte: number): number {
  return countWord(byte & 0xff);
}

/**
 * Set bits in [start, end). The bulk goes through carry-save adders, eight words for one count (Harley and
 * Seal, in Warren, "Hacker's Delight", 5-1).
 */
export function countBits(bytes: Uint8Array, words: Int32Array, start: number, end: number): number {
  let total = 0;
  let at = start;
  for (; at < end && (at & 3) !== 0; at++) total += countWord(bytes[at]);
  let word = at >> 2;
  const endWord = end >> 2;
  let ones = 0;
  let twos = 0;
  let fours = 0;
  let eights = 0;
  for (; word + 8 <= endWord; word += 8) {
    let left = words[word];
    let right = words[word + 1];
    let sum = ones ^ left;
    let twosLeft = (ones & left) | (sum & right);
    ones = sum ^ right;
    left = words[word + 2];
    right = words[word + 3];
    sum = ones ^ left;
    let twosRight = (ones & left) | (sum & right);
    ones = sum ^ right;
    sum = twos ^ twosLeft;
    const foursLeft = (twos & twosLeft) | (sum & twosRight);
    twos = sum ^ twosRight;
    left = words[word + 4];
    right = words[word + 5];
    sum = ones ^ left;
    twosLeft = (ones & left) | (sum & right);
    ones = sum ^ right;
    left = words[word + 6];
    right = words[word + 7];
    sum = ones ^ left;
    twosRight = (ones & left) | (sum & right);
    ones = sum ^ right;
    sum = twos ^ twosLeft;
    const foursRight = (twos & twosLeft) | (sum & twosRight);
    twos = sum ^ twosRight;
    sum = fours ^ foursLeft;
    eights += countWord((fours & foursLeft) | (sum & foursRight));
    fours = sum ^ foursRight;
  }
  total += 8 * eights + 4 * countWord(fours) + 2 * countWord(twos) + countWord(ones);
  for (; word < endWord; word++) total += countWord(words[word]);
  // In a range without a whole word, `at` is already at the end.
  if (at < word << 2) at = word << 2;
  for (; at < end; at++) total += countWord(bytes[at]);
  return total;
}

/**
 * The first bit with the value `wanted` (0 or 1) among bits `firstBit` to `lastBit`, both included, of the
 * range that starts at `start`; -1 if there is none.
 */
export function findBit(
  bytes: Uint8Array,
  words: Int32Array,
  start: number,
  firstBit: number,
  lastBit: number,
  wanted: number,
): number {
  // To find a 0, all bits are inverted, so that the search is always for a set bit.
  const flip = wanted === 0 ? -1 : 0;
  const firstByte = start + byteOfBit(firstBit);
  const lastByte = start + byteOfBit(lastBit);
  const lastMask = (0xff00 >> ((lastBit & 7) + 1)) & 0xff;
  let found = (bytes[firstByte] ^ flip) & (0xff >> (firstBit & 7));
  let at = firstByte;
  if (firstByte === lastByte) {
    found &= lastMask;
  } else if (found === 0) {
    for (at++; at < lastByte && (at & 3) !== 0 && ((bytes[at] ^ flip) & 0xff) === 0; ) at++;
    if ((at & 3) === 0) {
      while (at + 4 <= lastByte && words[at >> 2] === flip) at += 4;
    }
    while (at < lastByte && ((bytes[at] ^ flip) & 0xff) === 0) at++;
    found = (bytes[at] ^ flip) & (at === lastByte ? lastMask : 0xff);
  }
  return found === 0 ? -1 : (at - start) * 8 + Math.clz32(found) - 24;
}

/** Reads `count` bits (1 to 32) from `bit` on as an unsigned number; bits beyond `lengthBytes` read as zero. */
export function readBits(
  bytes: Uint8Array,
  start: number,
  lengthBytes: number,
  bit: number,
  count: number,
): number {
  let at = byteOfBit(bit);
  let room = 8 - (bit & 7);
  let left = count;
  let value = 0;
  while (left > 0) {
    const taken = left < room ? left : room;
    const byte = at < lengthBytes ? bytes[start + at] : 0;
    value = (value << taken) | ((byte >> (room - taken)) & ((1 << taken) - 1));
    left -= taken;
    room = 8;
    at++;
  }
  return value >>> 0;
}

/** Writes the low `count` bits (1 to 32) of `value` from `bit` on; the range must be long enough. */
export function writeBits(bytes: Uint8Array, start: number, bit: number, count: number, value: number): void {
  let at = start + byteOfBit(bit);
  let room = 8 - (bit & 7);
  let left = count;
  while (left > 0) {
    const taken = left < room ? left : room;
    const shift = room - taken;
    const ones = (1 << taken) - 1;
    bytes[at] = (bytes[at] & ~(ones << shift)) | (((value >>> (left - taken)) & ones) << shift);
    left -= taken;
    room = 8;
    at++;
  }
}

/** How two ranges are combined; the numbers are those of BITOP's operations in bitmaps.ts. */
export const enum BitOperation {
  And = 0,
  Or = 1,
  Xor = 2,
  Not = 3,
}

/**
 * Combines `lengthBytes` bytes of the target, in place, with as many bytes of a source; Not replaces the target
 * by the complement of the source. Each view covers the same bytes as its array. The ranges are disjoint
 * or the same.
 */
export function combineBits(
  operation: BitOperation,
  target: Uint8Array,
  targetView: DataView,
  targetOffset: number,
  source: Uint8Array,
  sourceView: DataView,
  sourceOffset: number,
  lengthBytes: number,
): void {
  const end = targetOffset + lengthBytes;
  const endOfFours = targetOffset + (lengthBytes & ~3);
  let at = targetOffset;
  let from = sourceOffset;
  switch (operation) {
    case BitOperation.And:
      for (; at < endOfFours; at += 4, from += 4)
        targetView.setInt32(at, targetView.getInt32(at, true) & sourceView.getInt32(from, true), true);
      for (; at < end; at++, from++) target[at] &= source[from];
      return;
    case BitOperation.Or:
      for (; at < endOfFours; at += 4, from += 4)
        targetView.setInt32(at, targetView.getInt32(at, true) | sourceView.getInt32(from, true), true);
      for (; at < end; at++, from++) target[at] |= source[from];
      return;
    case BitOperation.Xor:
      for (; at < endOfFours; at += 4, from += 4)
        targetView.setInt32(at, targetView.getInt32(at, true) ^ sourceView.getInt32(from, true), true);
      for (; at < end; at++, from++) target[at] ^= source[from];
      return;
    default:
      for (; at < endOfFours; at += 4, from += 4)
        targetView.setInt32(at, ~sourceView.getInt32(from, true), true);
      for (; at < end; at++, from++) target[at] = ~source[from];
  }
}
