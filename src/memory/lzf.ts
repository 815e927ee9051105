/**
 * LZF, the compression of long strings in RDB files (the format of Marc Lehmann's LibLZF).
 *
 *   000LLLLL                     L + 1 bytes follow as they are
 *   LLLooooo oooooooo            L + 2 bytes from o + 1 bytes back; L is 1 to 6
 *   111ooooo LLLLLLLL oooooooo   the same with L + 9
 */

const LITERALS_MAX = 32;
const DISTANCE_MAX = 8192;
const MATCH_MAX = 264;
/** Bits of the hashes for long and for short texts: the part of the table for short ones stays in the L1 cache. */
const HASH_LOG2 = 14;
const SHORT_HASH_LOG2 = 10;
const SHORT_BYTES_MAX = 1024;

/** Where three bytes with this hash were last seen. Leftovers of earlier calls are harmless: each place is checked. */
const seen = new Int32Array(1 << HASH_LOG2);

function hashOf(three: number, shift: number): number {
  return Math.imul(three, 0x9e3779b1) >>> shift;
}

/** How many bytes are the same from `earlier` and from `at` on, up to `end`; three are known to be. */
function matchLength(source: Uint8Array, view: DataView, earlier: number, at: number, end: number): number {
  const distance = at - earlier;
  let to = at + 3;
  const endOfFours = end - 3;
  while (to < endOfFours && view.getInt32(to - distance, true) === view.getInt32(to, true)) to += 4;
  while (to < end && source[to - distance] === source[to]) to++;
  return to - at;
}

/**
 * Compresses `lengthBytes` bytes at `offset` into `target` at `targetOffset`, which has room for `roomBytes`.
 * Returns the compressed length, or 0 if it is more than that. The ranges must not overlap; `view` covers the same
 * bytes as `source`.
 */
export function lzfCompress(
  source: Uint8Array,
  view: DataView,
  offset: number,
  lengthBytes: number,
  target: Uint8Array,
  targetOffset: number,
  roomBytes: number,
): number {
  const hashShift = 32 - (lengthBytes <= SHORT_BYTES_MAX ? SHORT_HASH_LOG2 : HASH_LOG2);
  const end = offset + lengthBytes;
  // Three bytes are read as four, of which one is shifted out.
  const endOfFours = end - 3;
  const targetEnd = targetOffset + roomBytes;
  let out = targetOffset;
  let at = offset;
  let literalsFrom = offset;
  for (;;) {
    let earlier = 0;
    for (; at < endOfFours; at++) {
      const three = view.getInt32(at, true) << 8;
      const hash = hashOf(three, hashShift);
      earlier = seen[hash];
      seen[hash] = at;
      if (earlier < offset || earlier >= at || at - earlier > DISTANCE_MAX) continue;
      if (view.getInt32(earlier, true) << 8 === three) break;
    }
    const isMatch = at < endOfFours;
    if (!isMatch) at = end;
    while (literalsFrom < at) {
      const literals = Math.min(at - literalsFrom, LITERALS_MAX);
      if (out + 1 + literals > targetEnd) return 0;
      target[out++] = literals - 1;
      for (const stop = literalsFrom + literals; literalsFrom < stop; literalsFrom++)
        target[out++] = source[literalsFrom];
    }
    if (!isMatch) return out - targetOffset;
    if (out + 3 > targetEnd) return 0;
    const length = matchLength(source, view, earlier, at, Math.min(end, at + MATCH_MAX));
    const back = at - earlier - 1;
    if (length <= 8) {
      target[out++] = ((length - 2) << 5) | (back >> 8);
    } else {
      target[out++] = 0xe0 | (back >> 8);
      target[out++] = length - 9;
    }
    target[out++] = back;
    at += length;
    if (at <= endOfFours) seen[hashOf(view.getInt32(at - 1, true) << 8, hashShift)] = at - 1;
    literalsFrom = at;
  }
}

/**
 * Decompresses `lengthBytes` bytes at `offset` into exactly `targetBytes` bytes of `target` at `targetOffset`.
 * Returns false, whatever the input, if it is not the compressed form of so many bytes.
 */
export function lzfDecompress(
  source: Uint8Array,
  offset: number,
  lengthBytes: number,
  target: Uint8Array,
  targetOffset: number,
  targetBytes: number,
): boolean {
  const end = offset + lengthBytes;
  const targetEnd = targetOffset + targetBytes;
  let out = targetOffset;
  while (offset < end) {
    const control = source[offset++];
    if (control < LITERALS_MAX) {
      const literals = control + 1;
      if (offset + literals > end || out + literals > targetEnd) return false;
      for (const stop = offset + literals; offset < stop; offset++) target[out++] = source[offset];
      continue;
    }
    let length = control >> 5;
    if (length === 7) {
      if (offset >= end) return false;
      length += source[offset++];
    }
    length += 2;
    if (offset >= end) return false;
    let from = out - 1 - (((control & 31) << 8) | source[offset++]);
    if (from < targetOffset || out + length > targetEnd) return false;
    // Byte by byte: the copy may begin in what it has just written.
    for (const stop = out + length; out < stop; out++) target[out] = target[from++];
  }
  return out === targetEnd;
}
