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
const HASH_LOG2 = 14;

/** Where three bytes with this hash were last seen; what is left of earlier calls is checked like the rest. */
const seen = new Int32Array(1 << HASH_LOG2);

function hashOf(bytes: Uint8Array, at: number): number {
  const three = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
  return Math.imul(three, 0x9e3779b1) >>> (32 - HASH_LOG2);
}

/**
 * Compresses `lengthBytes` bytes at `offset` into `target` at `targetOffset`, which has room for `roomBytes`.
 * Returns the compressed length, or 0 if it is more than that. The ranges must not overlap.
 */
export function lzfCompress(
  source: Uint8Array,
  offset: number,
  lengthBytes: number,
  target: Uint8Array,
  targetOffset: number,
  roomBytes: number,
): number {
  const end = offset + lengthBytes;
  const targetEnd = targetOffset + roomBytes;
  let out = targetOffset;
  let at = offset;
  let literalsFrom = offset;
  while (at < end) {
    let length = 0;
    let distance = 0;
    if (at + 2 < end) {
      const hash = hashOf(source, at);
      const earlier = seen[hash];
      seen[hash] = at;
      distance = at - earlier;
      if (
        earlier >= offset &&
        distance > 0 &&
        distance <= DISTANCE_MAX &&
        source[earlier] === source[at] &&
        source[earlier + 1] === source[at + 1] &&
        source[earlier + 2] === source[at + 2]
      ) {
        const max = end - at < MATCH_MAX ? end - at : MATCH_MAX;
        length = 3;
        while (length < max && source[earlier + length] === source[at + length]) length++;
      }
    }
    if (length === 0) {
      at++;
      if (at - literalsFrom < LITERALS_MAX && at < end) continue;
    }
    const literals = at - literalsFrom;
    if (literals > 0) {
      if (out + 1 + literals > targetEnd) return 0;
      target[out++] = literals - 1;
      for (let from = literalsFrom; from < at; from++) target[out++] = source[from];
    }
    if (length > 0) {
      if (out + 3 > targetEnd) return 0;
      const back = distance - 1;
      if (length <= 8) {
        target[out++] = ((length - 2) << 5) | (back >> 8);
      } else {
        target[out++] = 0xe0 | (back >> 8);
        target[out++] = length - 9;
      }
      target[out++] = back;
      at += length;
      if (at + 1 < end) seen[hashOf(source, at - 1)] = at - 1;
    }
    literalsFrom = at;
  }
  return out - targetOffset;
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
