/**
 * An entry: one block of a shard's arena that holds a key, its value and what is known about both.
 *
 *   byte 0   word   access clock (24 bits) | done in the snapshot (1 bit) | type (3 bits) | flags (4 bits)
 *   byte 4   word   key length (12 bits) | value length (20 bits); in a wide entry unused
 *            ---- 16 bytes, only in a wide entry (a long key or value, or room to grow) ----
 *            word   key length
 *            word   value length
 *            word   value capacity: the bytes set aside for the value
 *            word   unused
 *            ---- 12 bytes, only with EntryFlag.Expires ----
 *            word   deadline, milliseconds since the epoch, low half
 *            word   deadline, high half
 *            word   the entry's cell in the expiry calendar (expiry-calendar.ts); 0: the key does not expire
 *   then     key, then value
 *
 * The deadline is the key's expiry. If a hash has fields that expire, the deadline is at or before both the key's
 * expiry and the next field's, and the key's own expiry is stored with the hash (structures/expiring-head.ts). So a
 * lookup compares one time only, whether the key or a field may have expired.
 *
 * A small string thus costs 8 bytes more than its key and value. Strings are kept as the bytes that
 * the client sent, also when they are numbers: replies are copies, and parsing for INCR takes less time than the cache
 * miss of a lookup. Whether a string reads as an integer is checked only when OBJECT ENCODING asks.
 */

import { expiringHead, headKeyExpiry } from '../structures/expiring-head.js';

/** Kinds of values; the numbers are those of the RDB format's object types. */
export const enum ValueType {
  String = 0,
  List = 1,
  Set = 2,
  SortedSet = 3,
  Hash = 4,
  Stream = 6,
}

export const enum EntryFlag {
  /** The entry has a deadline. */
  Expires = 1,
  Wide = 2,
  /** A string that was changed in place: OBJECT ENCODING says "raw" whatever its length. */
  Raw = 4,
  /** A string that counts as text although it may read as an integer: what INCRBYFLOAT leaves. */
  Text = 8,
  /** The flags that describe a string's encoding. */
  ENCODING = 12,
  MASK = 15,
}

export const WIDE_BYTES = 16;
export const EXPIRY_BYTES = 12;
const ENTRY_HEADER_BYTES = 8;

export const SHORT_KEY_BYTES_MAX = 0xfff;
export const SHORT_VALUE_BYTES_MAX = 0xfffff;

export function entryFlags(words: Int32Array, entry: number): number {
  return words[entry >> 2] & EntryFlag.MASK;
}

export function entryType(words: Int32Array, entry: number): number {
  return (words[entry >> 2] >> 4) & 7;
}

/** The 24 bits of the access clock (LRU seconds, or LFU minutes and counter). */
export function entryAccess(words: Int32Array, entry: number): number {
  return words[entry >> 2] >>> 8;
}

export function setEntryAccess(words: Int32Array, entry: number, access: number): void {
  words[entry >> 2] = (words[entry >> 2] & 0xff) | (access << 8);
}

/** Bytes before the key of an entry with these flags. */
export function headerBytes(flags: number): number {
  return (
    ENTRY_HEADER_BYTES +
    ((flags & EntryFlag.Wide) !== 0 ? WIDE_BYTES : 0) +
    ((flags & EntryFlag.Expires) !== 0 ? EXPIRY_BYTES : 0)
  );
}

export function keyOffset(words: Int32Array, entry: number): number {
  return entry + headerBytes(words[entry >> 2]);
}

export function keyLength(words: Int32Array, entry: number): number {
  const at = entry >> 2;
  return (words[at] & EntryFlag.Wide) !== 0 ? words[at + 2] : words[at + 1] >>> 20;
}

export function valueOffset(words: Int32Array, entry: number): number {
  return keyOffset(words, entry) + keyLength(words, entry);
}

export function valueLength(words: Int32Array, entry: number): number {
  const at = entry >> 2;
  return (words[at] & EntryFlag.Wide) !== 0 ? words[at + 3] : words[at + 1] & SHORT_VALUE_BYTES_MAX;
}

/** Sets the length of the value; it must fit into the entry's block. */
export function setValueLength(words: Int32Array, entry: number, lengthBytes: number): void {
  const at = entry >> 2;
  if ((words[at] & EntryFlag.Wide) !== 0) words[at + 3] = lengthBytes;
  else words[at + 1] = (words[at + 1] & ~SHORT_VALUE_BYTES_MAX) | lengthBytes;
}

export function valueCapacity(words: Int32Array, entry: number): number {
  const at = entry >> 2;
  return (words[at] & EntryFlag.Wide) !== 0 ? words[at + 4] : words[at + 1] & SHORT_VALUE_BYTES_MAX;
}

/** Bytes that were allocated for the entry. */
export function entryBytes(words: Int32Array, entry: number): number {
  return headerBytes(words[entry >> 2]) + keyLength(words, entry) + valueCapacity(words, entry);
}

function expiryWord(words: Int32Array, entry: number): number {
  return (entry >> 2) + ((words[entry >> 2] & EntryFlag.Wide) !== 0 ? 6 : 2);
}

/** The deadline of a hash none of whose fields expires any more, and whose key does not either. */
export const NEVER_MS = Number.MAX_SAFE_INTEGER;

/** When the key expires in milliseconds since the epoch, or -1 if it does not. Exact up to 2^53. */
export function expiresAtMs(words: Int32Array, entry: number): number {
  if ((words[entry >> 2] & EntryFlag.Expires) === 0) return -1;
  const at = expiryWord(words, entry);
  if (words[at + 2] === 0) return -1;
  if (entryType(words, entry) === ValueType.Hash) {
    const head = expiringHead(words, valueOffset(words, entry));
    if (head !== 0) return headKeyExpiry(words, head);
  }
  return words[at + 1] * 0x100000000 + (words[at] >>> 0);
}

/** Sets the deadline; only with EntryFlag.Expires. */
export function setDeadlineMs(words: Int32Array, entry: number, deadline: number): void {
  const at = expiryWord(words, entry);
  const high = Math.floor(deadline / 0x100000000);
  words[at] = deadline - high * 0x100000000;
  words[at + 1] = high;
}

/** Whether the key has an expiry. */
export function hasExpiry(words: Int32Array, entry: number): boolean {
  return (words[entry >> 2] & EntryFlag.Expires) !== 0 && words[expiryWord(words, entry) + 2] !== 0;
}

/** The entry's cell in the expiry calendar; only with EntryFlag.Expires. */
export function calendarCell(words: Int32Array, entry: number): number {
  return words[expiryWord(words, entry) + 2];
}

export function setCalendarCell(words: Int32Array, entry: number, cell: number): void {
  words[expiryWord(words, entry) + 2] = cell;
}

/** Whether the deadline has come: of the key, or maybe of fields. */
export function isDue(words: Int32Array, entry: number, nowMs: number): boolean {
  if ((words[entry >> 2] & EntryFlag.Expires) === 0) return false;
  const at = expiryWord(words, entry);
  return words[at + 1] * 0x100000000 + (words[at] >>> 0) <= nowMs;
}
