/** The memory that the process has from the system, in bytes. */

let last = process.memoryUsage.rss();

/** Returns the last known value if reading fails: it needs a descriptor, and there may be none left. */
export function residentBytes(): number {
  try {
    last = process.memoryUsage.rss();
  } catch {
    // EMFILE or ENFILE: the caller must not fail because of it.
  }
  return last;
}
