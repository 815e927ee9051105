/**
 * Memory that only the start has needed. To read and compile the code of all threads takes some megabytes of the C library's
 * heap, and touches most of Node's executable and of the libraries, half of all that an empty server has in memory. Both are
 * given back: what is needed again comes back from the page cache, a few pages at a time.
 *
 * The heap gives memory back only from its end, behind the last block in use. So large blocks are kept out of it.
 */

import { readFileSync } from 'node:fs';
import { collectGarbage } from '../system/garbage.js';
import type { Libc } from '../system/libc.js';

const MADV_DONTNEED = 4;
const KIB = 1024;
/** Option of mallopt: blocks of this size and more are mapped by themselves. */
const M_MMAP_THRESHOLD = -3;

/**
 * Has large blocks of the C library mapped separately, and unmapped when they are freed. By default it does so only
 * until the first ones are freed, and then takes them from its heap. Call it before code is loaded.
 */
export function keepHeapSmall(libc: Libc): void {
  libc.setMallocOption(M_MMAP_THRESHOLD, 128 * KIB);
}

/** A mapped piece of a file that was never written to. */
export interface MappedFile {
  readonly address: number;
  readonly lengthBytes: number;
}

/** The mapped files in /proc/self/smaps that are not writable, were never written to, and take memory. */
export function unwrittenMappings(smaps: string): MappedFile[] {
  const found: MappedFile[] = [];
  let current: MappedFile | null = null;
  let residentBytes = 0;
  for (const line of smaps.split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line);
    if (head !== null) {
      const [, from, to, protection, name] = head;
      const address = Number.parseInt(from, 16);
      const isWanted = name.startsWith('/') && (protection === 'r-xp' || protection === 'r--p');
      current = isWanted ? { address, lengthBytes: Number.parseInt(to, 16) - address } : null;
      continue;
    }
    if (current === null) continue;
    const field = /^(Rss|Anonymous): +(\d+) kB$/.exec(line);
    if (field === null) continue;
    const bytes = Number(field[2]) * KIB;
    if (field[1] === 'Rss') {
      residentBytes = bytes;
    } else {
      // If the loader has written into the mapping, that would be lost.
      if (bytes === 0 && residentBytes > 0) found.push(current);
      current = null;
    }
  }
  return found;
}

/** Gives this memory back. If anything fails, it is just kept: nothing depends on it. */
export function giveBackStartMemory(libc: Libc): void {
  collectGarbage();
  libc.mallocTrim(0);
  let smaps: string;
  try {
    smaps = readFileSync('/proc/self/smaps', 'latin1');
  } catch {
    return;
  }
  for (const { address, lengthBytes } of unwrittenMappings(smaps)) {
    libc.madvise(address, lengthBytes, MADV_DONTNEED);
  }
}
