/**
 * MurmurHash64A (Appleby, "MurmurHash2", the variant for 64-bit machines), on little-endian words. It decides which
 * registers a HyperLogLog sets, and files store these, so the hash must never be changed.
 *
 * 64-bit numbers are pairs of int32. Their product modulo 2^64 needs the upper half of one 32-bit product, which is
 * computed from products of 16 bits; V8 has a machine instruction for everything else.
 */

// The multiplier, 0xc6a4a7935bd1e995.
const MULTIPLIER_HIGH = 0xc6a4a793 | 0;
const MULTIPLIER_LOW = 0x5bd1e995;
const MULTIPLIER_LOW_HIGH16 = MULTIPLIER_LOW >>> 16;
const MULTIPLIER_LOW_LOW16 = MULTIPLIER_LOW & 0xffff;

/** The last hash: its low and its high half. */
export const murmurHash = new Int32Array(2);

/** The upper 32 bits of the product of `word` and the multiplier's lower half, both unsigned. */
function upperProduct(word: number): number {
  const low = word & 0xffff;
  const high = word >>> 16;
  const middle = (Math.imul(high, MULTIPLIER_LOW_LOW16) + (Math.imul(low, MULTIPLIER_LOW_LOW16) >>> 16)) | 0;
  const carry = (Math.imul(low, MULTIPLIER_LOW_HIGH16) + (middle & 0xffff)) | 0;
  return (Math.imul(high, MULTIPLIER_LOW_HIGH16) + (middle >>> 16) + (carry >>> 16)) | 0;
}

/** The upper half of a 64-bit product with the multiplier; the lower half is `Math.imul(low, MULTIPLIER_LOW)`. */
function upperHalf(low: number, high: number): number {
  return (upperProduct(low) + Math.imul(low, MULTIPLIER_HIGH) + Math.imul(high, MULTIPLIER_LOW)) | 0;
}

/** Hashes `lengthBytes` bytes at `offset` with a seed below 2^32; leaves the result in `murmurHash`. */
export function hashMurmur(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  lengthBytes: number,
  seed: number,
): void {
  let low = Math.imul(lengthBytes, MULTIPLIER_LOW) ^ seed;
  let high = upperHalf(lengthBytes, 0);
  const end = offset + lengthBytes;
  const endOfWords = offset + (lengthBytes & ~7);
  for (; offset < endOfWords; offset += 8) {
    let wordLow = view.getInt32(offset, true);
    let wordHigh = view.getInt32(offset + 4, true);
    wordHigh = upperHalf(wordLow, wordHigh);
    wordLow = Math.imul(wordLow, MULTIPLIER_LOW) ^ (wordHigh >>> 15);
    wordHigh = upperHalf(wordLow, wordHigh);
    low ^= Math.imul(wordLow, MULTIPLIER_LOW);
    high = upperHalf(low, high ^ wordHigh);
    low = Math.imul(low, MULTIPLIER_LOW);
  }
  if (offset < end) {
    for (let at = 0; offset < end; offset++, at += 8) {
      if (at < 32) low ^= bytes[offset] << at;
      else high ^= bytes[offset] << at;
    }
    high = upperHalf(low, high);
    low = Math.imul(low, MULTIPLIER_LOW);
  }
  low ^= high >>> 15;
  high = upperHalf(low, high);
  low = Math.imul(low, MULTIPLIER_LOW);
  murmurHash[0] = low ^ (high >>> 15);
  murmurHash[1] = high;
}
