/**
 * Hashes of keys and members.
 *
 * `hashBytes` is HalfSipHash-1-3 (Aumasson and Bernstein's SipHash on 32-bit words, in the reduced form
 * that suits hash tables): keyed with a secret drawn at start, so a client can't choose keys that
 * collide, and made of 32-bit additions, rotations and xors, which V8 compiles to single instructions.
 * All threads of a process use one secret: a thread with another one would look for keys in the wrong places. It comes
 * with the keyspace's handle (keyspace/keyspace.ts), so no thread can open a keyspace without it, and one that has
 * none yet cannot hash at all.
 *
 * `keySlot` is the hash slot of Redis Cluster: CRC16 (XMODEM) of the key or of its {tag}, mod 16384.
 */

import { randomInt } from 'node:crypto';

/** The two words of the secret. */
export type HashSecret = readonly [number, number];

let secret0 = 0;
let secret1 = 0;
let hasSecret = false;

/** This thread's secret; draws one if it has none. For the thread that creates a keyspace. */
export function ownHashSecret(): HashSecret {
  if (!hasSecret) setHashSecret([randomInt(2 ** 32), randomInt(2 ** 32)]);
  return [secret0, secret1];
}

/** Gives this thread the secret of the keyspace that it opens. Throws if it has another one. */
export function setHashSecret([word0, word1]: HashSecret): void {
  if (hasSecret && (secret0 !== (word0 | 0) || secret1 !== (word1 | 0))) {
    throw new Error('this thread hashes with another secret');
  }
  secret0 = word0 | 0;
  secret1 = word1 | 0;
  hasSecret = true;
}

/** The keyed 32-bit hash (as int32) of `lengthBytes` bytes at `offset`. */
export function hashBytes(view: DataView, offset: number, lengthBytes: number): number {
  if (!hasSecret) throw new Error('this thread has no hash secret: it has not opened the keyspace');
  let v0 = secret0;
  let v1 = secret1;
  let v2 = secret0 ^ 0x6c796765;
  let v3 = secret1 ^ 0x74656462;
  const end = offset + (lengthBytes & ~3);
  for (; offset < end; offset += 4) {
    const word = view.getInt32(offset, true);
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  let last = lengthBytes << 24;
  switch (lengthBytes & 3) {
    case 3:
      last |= (view.getUint8(offset + 2) << 16) | view.getUint16(offset, true);
      break;
    case 2:
      last |= view.getUint16(offset, true);
      break;
    case 1:
      last |= view.getUint8(offset);
      break;
  }
  v3 ^= last;
  for (let round = 0; round < 4; round++) {
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    if (round === 0) {
      v0 ^= last;
      v2 ^= 0xff;
    }
  }
  return v1 ^ v3;
}

/** Four tables, so that four bytes cost four independent loads instead of a chain of four. */
const CRC_TABLES = ((): Uint16Array => {
  const tables = new Uint16Array(4 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    tables[byte] = crc;
  }
  for (let index = 256; index < tables.length; index++) {
    const previous = tables[index - 256];
    tables[index] = (previous << 8) ^ tables[previous >> 8];
  }
  return tables;
})();

/** CRC16 (XMODEM: polynomial 0x1021, initial value 0) of `lengthBytes` bytes at `offset`. */
export function crc16(bytes: Uint8Array, offset: number, lengthBytes: number): number {
  let crc = 0;
  const end = offset + lengthBytes;
  const endOfFours = offset + (lengthBytes & ~3);
  for (; offset < endOfFours; offset += 4) {
    crc =
      CRC_TABLES[768 + (bytes[offset] ^ (crc >> 8))] ^
      CRC_TABLES[512 + (bytes[offset + 1] ^ (crc & 0xff))] ^
      CRC_TABLES[256 + bytes[offset + 2]] ^
      CRC_TABLES[bytes[offset + 3]];
  }
  for (; offset < end; offset++) crc = ((crc << 8) & 0xffff) ^ CRC_TABLES[(crc >> 8) ^ bytes[offset]];
  return crc;
}

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The cluster hash slot, 0 to 16383, of a key; only its {tag} counts if it has a non-empty one. */
export function keySlot(bytes: Uint8Array, offset: number, lengthBytes: number): number {
  const end = offset + lengthBytes;
  for (let open = offset; open < end; open++) {
    if (bytes[open] !== OPEN_BRACE) continue;
    for (let close = open + 1; close < end; close++) {
      if (bytes[close] !== CLOSE_BRACE) continue;
      if (close > open + 1) return crc16(bytes, open + 1, close - open - 1) & 0x3fff;
      break;
    }
    break;
  }
  return crc16(bytes, offset, lengthBytes) & 0x3fff;
}
