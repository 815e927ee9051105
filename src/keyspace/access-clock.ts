/**
 * The 24 bits that each entry keeps about its use.
 *
 * LRU: the time of the last access in seconds, mod 2^24.
 * LFU: 16 bits with the minute of the last decay, mod 2^16, then 8 bits of a logarithmic counter
 * (Morris, 1978): it goes up with a probability that falls as it grows, and down with time.
 */

import type { LfuSettings } from '../config/keyspace-settings.js';

const LFU_INITIAL = 5;

export function lruClock(nowMs: number): number {
  return Math.floor(nowMs / 1000) & 0xffffff;
}

/** Milliseconds since the access that `access` records. */
export function lruIdleMs(access: number, nowMs: number): number {
  return ((lruClock(nowMs) - access) & 0xffffff) * 1000;
}

/** The minute that an LFU clock notes beside its counter. */
export function lfuMinuteClock(nowMs: number): number {
  return Math.floor(nowMs / 60000) & 0xffff;
}

/** The 24 bits of a new key under LFU. */
export function lfuInitial(nowMs: number): number {
  return (lfuMinuteClock(nowMs) << 8) | LFU_INITIAL;
}

/** The counter, 0 to 255, after the decay that is due. */
export function lfuCounter(access: number, nowMs: number, settings: LfuSettings): number {
  const counter = access & 0xff;
  if (settings.decayTimeMinutes === 0) return counter;
  const elapsed = (lfuMinuteClock(nowMs) - (access >>> 8)) & 0xffff;
  return Math.max(0, counter - Math.floor(elapsed / settings.decayTimeMinutes));
}

/** The 24 bits after one more access. */
export function lfuAccessed(access: number, nowMs: number, settings: LfuSettings): number {
  let counter = lfuCounter(access, nowMs, settings);
  if (counter < 255) {
    const base = Math.max(0, counter - LFU_INITIAL);
    if (Math.random() * (base * settings.logFactor + 1) < 1) counter++;
  }
  return (lfuMinuteClock(nowMs) << 8) | counter;
}
