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

/** The wall clock minus the monotonic one, as it was last looked at. */
let wallOriginMs = Date.now() - monotonicMs();

/**
 * The wall clock in microseconds since the epoch. `Date.now` tells whole milliseconds; what is between them comes from the
 * monotonic clock, as long as the two agree: once the wall clock has been set, this one follows.
 */
export function wallMicroseconds(): number {
  const nowMs = Date.now();
  const monotonic = monotonicMs();
  const guess = wallOriginMs + monotonic;
  // Date.now cuts off what is less than a millisecond.
  if (guess < nowMs || guess >= nowMs + 1) wallOriginMs = nowMs - monotonic;
  return Math.floor((wallOriginMs + monotonic) * 1000);
}
