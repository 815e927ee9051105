/**
 * The head of the block of a hash with fields that expire. It holds what the keyspace needs to know of the key, so
 * that entries of other keys need no room for that.
 *
 *   +----------------------------+------------+----------------------------+
 *   | cell in the field calendar | list       | expiry of the key (2), low |   words; 0 / -1: none
 *   | (keyspace/)                | (a packed  | half first                 |
 *   |                            | hash only) |                            |
 *   +----------------------------+------------+----------------------------+
 *
 * Two encodings have it: PackedExpiring and TableExpiring (hash-value.ts).
 */

import { Encoding } from './collection-value.js';

export const enum ExpiringHead {
  CalendarCell = 0,
  List = 1,
  KeyExpiryLow = 2,
  KeyExpiryHigh = 3,
  WORDS = 4,
}

/** Word index of the head of the hash that a reference names, 0 if it has none. */
export function expiringHead(words: Int32Array, reference: number): number {
  const encoding = (words[reference >> 2] >>> ((reference & 3) << 3)) & 0xff;
  if (encoding !== Encoding.PackedExpiring && encoding !== Encoding.TableExpiring) return 0;
  const at = reference + 1;
  const shift = (at & 3) << 3;
  const low = words[at >> 2];
  return (shift === 0 ? low : (low >>> shift) | (words[(at >> 2) + 1] << (32 - shift))) >> 2;
}

/** The expiry of the key, -1 for none. */
export function headKeyExpiry(words: Int32Array, head: number): number {
  return (
    words[head + ExpiringHead.KeyExpiryHigh] * 0x100000000 + (words[head + ExpiringHead.KeyExpiryLow] >>> 0)
  );
}

export function setHeadKeyExpiry(words: Int32Array, head: number, expiresAtMs: number): void {
  const high = Math.floor(expiresAtMs / 0x100000000);
  words[head + ExpiringHead.KeyExpiryLow] = expiresAtMs - high * 0x100000000;
  words[head + ExpiringHead.KeyExpiryHigh] = high;
}

/** Initialises the head of a hash that no key has yet. */
export function clearHead(words: Int32Array, head: number): void {
  words[head + ExpiringHead.CalendarCell] = 0;
  words[head + ExpiringHead.List] = 0;
  setHeadKeyExpiry(words, head, -1);
}
