/**
 * The checksum of RDB files and of DUMP: CRC-64 with Jones's polynomial, reflected, from 0, without a final
 * inversion.
 *
 * JavaScript has no fast 64-bit integers, so the register is two int32 halves, and the tables hold both halves
 * of an entry side by side. Eight bytes are taken in at once by eight tables ("slicing by 8": Kounavis
 * and Berry, 2005).
 */

/** The polynomial 0xad93d23594c935a9 with its bits reversed, in halves. */
const POLYNOMIAL_HIGH = 0x95ac9329;
const POLYNOMIAL_LOW = 0xac4bc9b5;

const TABLE_INTS = 512;

/** Entry `byte` of table `table`: low half at 2 * byte + TABLE_INTS * table, high half behind it. */
const TABLES = ((): Int32Array => {
  const tables = new Int32Array(8 * TABLE_INTS);
  for (let byte = 0; byte < 256; byte++) {
    let low = byte;
    let high = 0;
    for (let bit = 0; bit < 8; bit++) {
      const isSet = (low & 1) !== 0;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (isSet) {
        low ^= POLYNOMIAL_LOW;
        high ^= POLYNOMIAL_HIGH;
      }
    }
    tables[2 * byte] = low;
    tables[2 * byte + 1] = high;
  }
  for (let at = TABLE_INTS; at < tables.length; at += 2) {
    const low = tables[at - TABLE_INTS];
    const high = tables[at - TABLE_INTS + 1];
    const first = 2 * (low & 0xff);
    tables[at] = ((low >>> 8) | (high << 24)) ^ tables[first];
    tables[at + 1] = (high >>> 8) ^ tables[first + 1];
  }
  return tables;
})();

export class Crc64 {
  /** The two halves of the checksum so far. */
  low = 0;
  high = 0;

  reset(): void {
    this.low = 0;
    this.high = 0;
  }

  /** Takes in `lengthBytes` bytes; `view` covers the same bytes as `bytes`. */
  update(bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): void {
    let { low, high } = this;
    const end = offset + lengthBytes;
    for (const endOfEights = offset + (lengthBytes & ~7); offset < endOfEights; offset += 8) {
      low ^= view.getInt32(offset, true);
      high ^= view.getInt32(offset + 4, true);
      const a = 7 * TABLE_INTS + ((low << 1) & 0x1fe);
      const b = 6 * TABLE_INTS + ((low >>> 7) & 0x1fe);
      const c = 5 * TABLE_INTS + ((low >>> 15) & 0x1fe);
      const d = 4 * TABLE_INTS + ((low >>> 23) & 0x1fe);
      const e = 3 * TABLE_INTS + ((high << 1) & 0x1fe);
      const f = 2 * TABLE_INTS + ((high >>> 7) & 0x1fe);
      const g = TABLE_INTS + ((high >>> 15) & 0x1fe);
      const h = (high >>> 23) & 0x1fe;
      low = TABLES[a] ^ TABLES[b] ^ TABLES[c] ^ TABLES[d] ^ TABLES[e] ^ TABLES[f] ^ TABLES[g] ^ TABLES[h];
      high =
        TABLES[a + 1] ^
        TABLES[b + 1] ^
        TABLES[c + 1] ^
        TABLES[d + 1] ^
        TABLES[e + 1] ^
        TABLES[f + 1] ^
        TABLES[g + 1] ^
        TABLES[h + 1];
    }
    for (; offset < end; offset++) {
      const entry = 2 * ((low ^ bytes[offset]) & 0xff);
      low = ((low >>> 8) | (high << 24)) ^ TABLES[entry];
      high = (high >>> 8) ^ TABLES[entry + 1];
    }
    this.low = low;
    this.high = high;
  }
}
