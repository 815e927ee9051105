/**
 * Time that only goes forward, for whatever is measured or waited for. The wall clock (`Date.now`) may be set; it is for
 * what clients call a time: when keys expire, TIME, and the stamps of logs.
 */

/** `performance.now` counts from the start of the thread; this is from a moment that all threads have in common. */
const threadOriginMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds, with a fraction, since some moment in the past: the same one in all threads of the process. */
export function monotonicMs(): number {
  return threadOriginMs + performance.now();
}
