/** The memory that the process has from the system, in bytes. */

let last = process.memoryUsage.rss();

/** What was read last if it can't be read now: that takes a descriptor, and there may be none. */
export function residentBytes(): number {
  try {
    last = process.memoryUsage.rss();
  } catch {
    // EMFILE or ENFILE: whoever asks must not fail for it.
  }
  return last;
}
