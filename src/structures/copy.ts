/**
 * Copying and comparing bytes between two buffers without allocating a view for short lengths.
 *
 * `TypedArray.prototype.set` needs a subarray, which costs about as much as copying a hundred bytes in
 * 4-byte steps; `copyWithin` costs a call into the runtime. In shared memory both copy byte by byte if source and
 * target are aligned differently, so that 64 KiB take 20 µs. The C library's memmove takes 0.8 µs, and calling it
 * less than 0.05 µs, so all but short ranges are copied with it.
 */

import { loadLibc } from '../system/libc.js';

/** Longer ranges are the C library's. Buffers of that size lie outside of the heap, so no GC moves them. */
const COPY_LOOP_BYTES_MAX = 192;

const libc = loadLibc();
/** Addresses of the buffers copied so far: asking for an address takes longer than most copies. */
const addresses = new WeakMap<Uint8Array, number>();

function addressOf(bytes: Uint8Array): number {
  const known = addresses.get(bytes);
  if (known !== undefined) return known;
  const address = libc === null ? 0 : libc.addressOf(bytes);
  addresses.set(bytes, address);
  return address;
}

/** Moves many bytes, by the C library; the ranges may overlap. For short ranges `copyBytes` is quicker. */
export function moveMany(
  target: Uint8Array,
  targetOffset: number,
  source: Uint8Array,
  sourceOffset: number,
  lengthBytes: number,
): void {
  if (libc === null) {
    target.set(source.subarray(sourceOffset, sourceOffset + lengthBytes), targetOffset);
    return;
  }
  // V8 checks these bounds; memmove does not.
  if (
    targetOffset < 0 ||
    sourceOffset < 0 ||
    targetOffset + lengthBytes > target.length ||
    sourceOffset + lengthBytes > source.length
  ) {
    throw new RangeError(
      `${lengthBytes} bytes from ${sourceOffset} to ${targetOffset} are not within the buffers`,
    );
  }
  libc.memmove(addressOf(target) + targetOffset, addressOf(source) + sourceOffset, lengthBytes);
}

/**
 * Copies `lengthBytes` bytes; each `view` covers the same bytes as its array. The ranges may overlap only if the
 * target begins first.
 */
export function copyBytes(
  target: Uint8Array,
  targetView: DataView,
  targetOffset: number,
  source: Uint8Array,
  sourceView: DataView,
  sourceOffset: number,
  lengthBytes: number,
): void {
  if (lengthBytes > COPY_LOOP_BYTES_MAX) {
    moveMany(target, targetOffset, source, sourceOffset, lengthBytes);
    return;
  }
  const end = sourceOffset + lengthBytes;
  const endOfFours = sourceOffset + (lengthBytes & ~3);
  for (; sourceOffset < endOfFours; sourceOffset += 4, targetOffset += 4) {
    targetView.setInt32(targetOffset, sourceView.getInt32(sourceOffset, true), true);
  }
  for (; sourceOffset < end; sourceOffset++, targetOffset++) target[targetOffset] = source[sourceOffset];
}

/** Moves the bytes from `start` to `end` to `target`, within one buffer; the ranges may overlap. */
export function moveBytes(
  bytes: Uint8Array,
  view: DataView,
  target: number,
  start: number,
  end: number,
): void {
  const lengthBytes = end - start;
  if (lengthBytes > COPY_LOOP_BYTES_MAX) {
    moveMany(bytes, target, bytes, start, lengthBytes);
  } else if (target < start) {
    copyBytes(bytes, view, target, bytes, view, start, lengthBytes);
  } else {
    target += lengthBytes;
    while (end - start >= 4) {
      end -= 4;
      target -= 4;
      view.setInt32(target, view.getInt32(end, true), true);
    }
    while (end > start) bytes[--target] = bytes[--end];
  }
}

/** Whether two ranges of `lengthBytes` bytes are equal. */
export function equalBytes(
  left: Uint8Array,
  leftView: DataView,
  leftOffset: number,
  right: Uint8Array,
  rightView: DataView,
  rightOffset: number,
  lengthBytes: number,
): boolean {
  const end = leftOffset + lengthBytes;
  const endOfFours = leftOffset + (lengthBytes & ~3);
  for (; leftOffset < endOfFours; leftOffset += 4, rightOffset += 4) {
    if (leftView.getInt32(leftOffset, true) !== rightView.getInt32(rightOffset, true)) return false;
  }
  for (; leftOffset < end; leftOffset++, rightOffset++) {
    if (left[leftOffset] !== right[rightOffset]) return false;
  }
  return true;
}
