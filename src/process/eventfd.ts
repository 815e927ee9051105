/** Descriptors that wake threads which wait in poll, epoll or a ring. */

import type { Libc } from '../system/libc.js';

/** EFD_NONBLOCK | EFD_CLOEXEC */
const EVENTFD_FLAGS = 0x80800;

/** Throws an Error with one line. */
export function openEventfd(libc: Libc): number {
  const fd = libc.eventfd(0, EVENTFD_FLAGS);
  if (fd < 0) throw new Error(`can't open an eventfd: ${libc.errorText(libc.errno())}`);
  return fd;
}
