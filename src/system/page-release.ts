/**
 * Gives the memory of large buffers back to the system as soon as nobody needs what is in them. The garbage collector
 * would do it some day: a thread that is idle makes no garbage, so nothing makes it collect any.
 */

import { loadLibc } from './libc.js';

const PAGE_BYTES = 4096;
const MADV_DONTNEED = 4;
/** The call costs more than it gives back below this. */
const RELEASED_BYTES_MIN = 64 * 1024;

/** Gives back the pages of a buffer whose content nobody reads again; it is full of zeros afterwards, or as it was. */
export function releasePages(bytes: Uint8Array): void {
  if (bytes.length < RELEASED_BYTES_MIN) return;
  const libc = loadLibc();
  if (libc === null) return;
  const address = libc.addressOf(bytes);
  // Only whole pages: what is around the buffer belongs to somebody else.
  const first = Math.ceil(address / PAGE_BYTES) * PAGE_BYTES;
  const end = Math.floor((address + bytes.length) / PAGE_BYTES) * PAGE_BYTES;
  if (end > first) libc.madvise(first, end - first, MADV_DONTNEED);
}
