/**
 * HyperLogLog (Flajolet et al. 2007) as Redis keeps it in a string, byte for byte: 2^14 registers of 6 bits, each the
 * greatest number of trailing zeros, plus one, in the hashes that belong to it.
 *
 *   byte 0    "HYLL"
 *   byte 4    form: 0 dense, 1 sparse
 *   byte 5    3 bytes that are zero
 *   byte 8    the last estimate, 8 bytes with the lowest first; the highest bit says that it is out of date
 *   byte 16   dense: 12288 bytes, four registers in three of them, the first in the lowest 6 bits
 *             sparse: runs of equal registers (sparse-registers.ts)
 *
 * Several are merged in `RegisterMaxima`: a byte for each register, four registers in a step.
 */

import { hashMurmur, murmurHash } from './murmur-hash.js';

export const REGISTERS = 1 << 14;
const INDEX_BITS = 14;
/** The greatest value of a register: one more than the bits of the hash that are not its index. */
const RANK_MAX = 64 - INDEX_BITS + 1;
const HISTOGRAM_LENGTH = 64;
const HASH_SEED = 0xadc83b19 | 0;

export const HEADER_BYTES = 16;
export const DENSE_BYTES = HEADER_BYTES + (REGISTERS * 6) / 8;
const FORM_OFFSET = 4;
const ESTIMATE_OFFSET = 8;
/** "HYLL" as a little-endian word. */
const MAGIC = 0x4c4c5948;

export const enum Form {
  Dense = 0,
  Sparse = 1,
  /** No HyperLogLog. */
  None = 2,
}

/** Which form of HyperLogLog a string says that it has. A sparse one may still turn out to be damaged. */
export function formOf(bytes: Uint8Array, view: DataView, start: number, lengthBytes: number): Form {
  if (lengthBytes < HEADER_BYTES || view.getInt32(start, true) !== MAGIC) return Form.None;
  const form = bytes[start + FORM_OFFSET];
  if (form === Form.Sparse) return Form.Sparse;
  return form === Form.Dense && lengthBytes === DENSE_BYTES ? Form.Dense : Form.None;
}

/** Writes the header of an empty HyperLogLog, whose estimate is 0. */
export function writeHeader(bytes: Uint8Array, view: DataView, start: number, form: Form): void {
  bytes.fill(0, start, start + HEADER_BYTES);
  view.setInt32(start, MAGIC, true);
  bytes[start + FORM_OFFSET] = form;
}

export function setForm(bytes: Uint8Array, start: number, form: Form): void {
  bytes[start + FORM_OFFSET] = form;
}

/** The estimate in the header, -1 if it is out of date. Exact up to 2^53, which no estimate made here reaches. */
export function keptEstimate(view: DataView, start: number): number {
  const high = view.getUint32(start + ESTIMATE_OFFSET + 4, true);
  if (high >= 0x80000000) return -1;
  return high * 0x100000000 + view.getUint32(start + ESTIMATE_OFFSET, true);
}

/** The same, exactly. */
export function keptEstimateExactly(view: DataView, start: number): bigint {
  return view.getBigUint64(start + ESTIMATE_OFFSET, true);
}

/** Stores an estimate in the header. Infinity, which only damaged registers give, is stored as out of date. */
export function keepEstimate(view: DataView, start: number, estimate: number): void {
  if (estimate === Infinity) {
    view.setUint32(start + ESTIMATE_OFFSET, 0, true);
    view.setUint32(start + ESTIMATE_OFFSET + 4, 0x80000000, true);
    return;
  }
  view.setUint32(start + ESTIMATE_OFFSET, estimate % 0x100000000, true);
  view.setUint32(start + ESTIMATE_OFFSET + 4, Math.floor(estimate / 0x100000000), true);
}

/** Marks the estimate in the header as out of date. */
export function outdateEstimate(bytes: Uint8Array, start: number): void {
  bytes[start + ESTIMATE_OFFSET + 7] |= 0x80;
}

/** The index of an element's register, in the lower 14 bits, and above them the rank that the element gives it. */
export function placeOf(bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
  hashMurmur(bytes, view, offset, lengthBytes, HASH_SEED);
  const low = murmurHash[0];
  const high = murmurHash[1];
  const rest = (low >>> INDEX_BITS) | (high << (32 - INDEX_BITS));
  // The bit above the hash bounds the count of zeros.
  const upper = (high >>> INDEX_BITS) | (1 << (32 - INDEX_BITS));
  const zeros = rest !== 0 ? 31 - Math.clz32(rest & -rest) : 63 - Math.clz32(upper & -upper);
  return (low & (REGISTERS - 1)) | ((zeros + 1) << INDEX_BITS);
}

export function indexOf(place: number): number {
  return place & (REGISTERS - 1);
}

export function rankOf(place: number): number {
  return place >> INDEX_BITS;
}

/** Value of a register of a dense HyperLogLog at `start`. */
export function denseRegister(bytes: Uint8Array, start: number, index: number): number {
  const bit = index * 6;
  const at = start + HEADER_BYTES + (bit >> 3);
  const shift = bit & 7;
  if (shift <= 2) return (bytes[at] >> shift) & 63;
  return ((bytes[at] | (bytes[at + 1] << 8)) >> shift) & 63;
}

/** Raises a register of a dense HyperLogLog to `rank`; returns whether it was lower. */
export function raiseDense(bytes: Uint8Array, start: number, index: number, rank: number): boolean {
  const bit = index * 6;
  const at = start + HEADER_BYTES + (bit >> 3);
  const shift = bit & 7;
  if (shift <= 2) {
    const byte = bytes[at];
    if (((byte >> shift) & 63) >= rank) return false;
    bytes[at] = (byte & ~(63 << shift)) | (rank << shift);
    return true;
  }
  const pair = bytes[at] | (bytes[at + 1] << 8);
  if (((pair >> shift) & 63) >= rank) return false;
  const raised = (pair & ~(63 << shift)) | (rank << shift);
  bytes[at] = raised;
  bytes[at + 1] = raised >> 8;
  return true;
}

/** Four histograms, one for each byte of a word, so that the processor can do the increments in parallel. */
const rows = new Int32Array(4 * HISTOGRAM_LENGTH);
/** How many pairs of neighbouring registers have each pair of values. */
const pairs = new Int32Array(HISTOGRAM_LENGTH * HISTOGRAM_LENGTH);

/** A histogram of registers for `estimate`. */
export type Histogram = Int32Array;

export function createHistogram(): Histogram {
  return new Int32Array(HISTOGRAM_LENGTH);
}

/** Limit of x + x^2 + 2 x^4 + 4 x^8 … (Ertl's sigma). */
function sigma(x: number): number {
  if (x === 1) return Infinity;
  let factor = 1;
  let sum = x;
  for (let previous = -1; previous !== sum; factor += factor) {
    x *= x;
    previous = sum;
    sum += x * factor;
  }
  return sum;
}

/** A third of the limit of 1 - x - (1 - x^(1/2))^2 / 2 - (1 - x^(1/4))^2 / 4 … (Ertl's tau). */
function tau(x: number): number {
  if (x === 0 || x === 1) return 0;
  let factor = 1;
  let rest = 1 - x;
  for (let previous = -1; previous !== rest; ) {
    x = Math.sqrt(x);
    previous = rest;
    factor *= 0.5;
    rest -= (1 - x) * (1 - x) * factor;
  }
  return rest / 3;
}

/** 1 / (2 ln 2) */
const ALPHA = 0.7213475204444817;

/**
 * The estimate after Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6. Infinity
 * if the registers have values that no hash leads to.
 */
export function estimate(histogram: Histogram): number {
  let sum = REGISTERS * tau((REGISTERS - histogram[RANK_MAX]) / REGISTERS);
  for (let rank = RANK_MAX - 1; rank >= 1; rank--) sum = (sum + histogram[rank]) * 0.5;
  sum += REGISTERS * sigma(histogram[0] / REGISTERS);
  return Math.round((ALPHA * REGISTERS * REGISTERS) / sum);
}

/** Counts the registers of a dense HyperLogLog at `start` by value into `histogram`. */
export function countDense(histogram: Histogram, view: DataView, start: number): void {
  pairs.fill(0);
  const end = start + DENSE_BYTES;
  for (let at = start + HEADER_BYTES; at < end; at += 12) {
    const first = view.getInt32(at, true);
    const second = view.getInt32(at + 4, true);
    const third = view.getInt32(at + 8, true);
    pairs[first & 0xfff]++;
    pairs[(first >>> 12) & 0xfff]++;
    pairs[((first >>> 24) | (second << 8)) & 0xfff]++;
    pairs[(second >>> 4) & 0xfff]++;
    pairs[(second >>> 16) & 0xfff]++;
    pairs[((second >>> 28) | (third << 4)) & 0xfff]++;
    pairs[(third >>> 8) & 0xfff]++;
    pairs[third >>> 20]++;
  }
  histogram.fill(0);
  for (let pair = 0; pair < pairs.length; pair++) {
    const count = pairs[pair];
    if (count === 0) continue;
    histogram[pair & 63] += count;
    histogram[pair >> 6] += count;
  }
}

/** Spreads four registers of 6 bits over the four bytes of a word. */
function unpack(four: number): number {
  const two = (four & 0xfff) | ((four & 0xfff000) << 4);
  return (two & 0x003f003f) | ((two & 0x0fc00fc0) << 2);
}

/** The opposite of `unpack`. */
function pack(word: number): number {
  const two = (word & 0x003f003f) | ((word & 0x3f003f00) >>> 2);
  return (two & 0xfff) | ((two >>> 4) & 0xfff000);
}

/** The greater one of each pair of bytes, which are below 128. */
function maximumOfBytes(left: number, right: number): number {
  // The highest bit of each byte stays set if the left byte is not the smaller one.
  const flags = ((left | 0x80808080) - right) & 0x80808080;
  const mask = (flags - (flags >>> 7)) | 0;
  return right ^ ((left ^ right) & mask);
}

/** The greatest value of each register over several HyperLogLogs. */
export class RegisterMaxima {
  /** A byte for each register. */
  readonly registers: Uint8Array;
  private readonly words: Int32Array;
  private isClear = true;

  constructor() {
    this.registers = new Uint8Array(REGISTERS);
    this.words = new Int32Array(this.registers.buffer);
  }

  clear(): void {
    if (!this.isClear) this.words.fill(0);
    this.isClear = true;
  }

  /** Must be called when `registers` are written directly. */
  touched(): void {
    this.isClear = false;
  }

  /** Raises a register to `rank`; returns whether it was lower. */
  raise(index: number, rank: number): boolean {
    if (this.registers[index] >= rank) return false;
    this.registers[index] = rank;
    this.isClear = false;
    return true;
  }

  /** Takes in the registers of a dense HyperLogLog at `start`. */
  mergeDense(view: DataView, start: number): void {
    const { words } = this;
    const isFirst = this.isClear;
    this.isClear = false;
    let at = start + HEADER_BYTES;
    // Sixteen registers take three words in the dense form and four here.
    for (let word = 0; word < REGISTERS >> 2; word += 4, at += 12) {
      const first = view.getInt32(at, true);
      const second = view.getInt32(at + 4, true);
      const third = view.getInt32(at + 8, true);
      const four0 = unpack(first);
      const four1 = unpack((first >>> 24) | (second << 8));
      const four2 = unpack((second >>> 16) | (third << 16));
      const four3 = unpack(third >>> 8);
      if (isFirst) {
        words[word] = four0;
        words[word + 1] = four1;
        words[word + 2] = four2;
        words[word + 3] = four3;
      } else {
        words[word] = maximumOfBytes(words[word], four0);
        words[word + 1] = maximumOfBytes(words[word + 1], four1);
        words[word + 2] = maximumOfBytes(words[word + 2], four2);
        words[word + 3] = maximumOfBytes(words[word + 3], four3);
      }
    }
  }

  /** Writes the registers of a dense HyperLogLog at `start`, without its header. */
  writeDense(view: DataView, start: number): void {
    const { words } = this;
    let at = start + HEADER_BYTES;
    for (let word = 0; word < REGISTERS >> 2; word += 4, at += 12) {
      const four1 = pack(words[word + 1]);
      const four2 = pack(words[word + 2]);
      view.setInt32(at, pack(words[word]) | (four1 << 24), true);
      view.setInt32(at + 4, (four1 >>> 8) | (four2 << 16), true);
      view.setInt32(at + 8, (four2 >>> 16) | (pack(words[word + 3]) << 8), true);
    }
  }

  /** Counts the registers by value into `histogram`. */
  count(histogram: Histogram): void {
    const { words } = this;
    rows.fill(0);
    for (let at = 0; at < REGISTERS >> 2; at++) {
      const word = words[at];
      rows[word & 63]++;
      rows[HISTOGRAM_LENGTH + ((word >>> 8) & 63)]++;
      rows[2 * HISTOGRAM_LENGTH + ((word >>> 16) & 63)]++;
      rows[3 * HISTOGRAM_LENGTH + (word >>> 24)]++;
    }
    for (let rank = 0; rank < HISTOGRAM_LENGTH; rank++) {
      histogram[rank] =
        rows[rank] +
        rows[HISTOGRAM_LENGTH + rank] +
        rows[2 * HISTOGRAM_LENGTH + rank] +
        rows[3 * HISTOGRAM_LENGTH + rank];
    }
  }
}
