/**
 * Gives the memory of large buffers back to the system as soon as their contents are no longer needed. The garbage
 * collector might take very long: an idle thread makes no garbage, so nothing triggers a collection.
 */

import { loadLibc } from './libc.js';

const PAGE_BYTES = 4096;
const MADV_DONTNEED = 4;
/** For smaller buffers the call costs more than it gains. */
const RELEASED_BYTES_MIN = 64 * 1024;

/** Gives back the pages of a buffer whose contents are never read again: afterwards they are zeros, or unchanged. */
export function releasePages(bytes: Uint8Array): void {
  if (bytes.length < RELEASED_BYTES_MIN) return;
  const libc = loadLibc();
  if (libc === null) return;
  const address = libc.addressOf(bytes);
  // Only whole pages: the rest of the first and the last one belongs to other data.
  const first = Math.ceil(address / PAGE_BYTES) * PAGE_BYTES;
  const end = Math.floor((address + bytes.length) / PAGE_BYTES) * PAGE_BYTES;
  if (end > first) libc.madvise(first, end - first, MADV_DONTNEED);
}
