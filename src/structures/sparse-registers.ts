/**
 * The sparse form of a HyperLogLog's registers: runs. An empty HyperLogLog is a single run.
 *
 *   00zzzzzz            z + 1 registers of value 0
 *   01zzzzzz zzzzzzzz   z + 1 registers of value 0, the higher bits first
 *   1vvvvvnn            n + 1 registers of value v + 1
 *
 * The runs depend on the order in which registers were raised, since after each change only a few runs from there on
 * are joined, and only in pairs. Redis's runs are visible in its files, so exactly the same are made here.
 *
 * A register is raised in two steps, `plan` and `apply`, since the string may have to grow in between. Offsets `start`
 * and `end` are those of the runs, behind the header.
 */

import { moveBytes } from './copy.js';
import { createHistogram, type Histogram, REGISTERS, type RegisterMaxima } from './hyperloglog.js';

/** The greatest value that a run can have. */
export const SPARSE_RANK_MAX = 32;
const ZERO_RUN_MAX = 64;
const VALUE_RUN_MAX = 4;
/** How many runs, from the one before the change on, are checked for joining. */
const JOINED_RUNS = 5;

const LONG_ZERO_FLAG = 0x40;
const VALUE_FLAG = 0x80;

/** Registers of a run by its first byte; 0 for a long run, whose length is in two bytes. */
const RUN_LENGTHS = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= VALUE_FLAG) return (byte & 3) + 1;
  return byte < LONG_ZERO_FLAG ? byte + 1 : 0;
});

function valueRun(rank: number, length: number): number {
  return VALUE_FLAG | ((rank - 1) << 2) | (length - 1);
}

function rankOfRun(byte: number): number {
  return ((byte >> 2) & 31) + 1;
}

/** Length of a long run of zeros; of a damaged one, whose second byte is missing, as if that were 0. */
function longRun(bytes: Uint8Array, at: number, end: number): number {
  return (((bytes[at] & 63) << 8) | (at + 1 < end ? bytes[at + 1] : 0)) + 1;
}

export const enum Plan {
  /** The runs do not cover the register: the value is damaged. */
  Damaged = -1,
  /** The register has that value or a higher one. */
  Unchanged = 0,
  /** `apply` raises it, once there is room for `growthBytes` more. */
  Changes = 1,
}

export class SparseRegisters {
  /** How many bytes longer the runs that were planned last are, from -1 to 3, before some are joined. */
  growthBytes = 0;

  // What `plan` has found; positions are relative to the beginning of the runs.
  private at = 0;
  private oldBytes = 0;
  private previous = 0;
  /** The runs that take the place of the one at `at`. */
  private readonly replacement = new Uint8Array(5);
  private replacementBytes = 0;

  // Where the search begins: a run, and how many registers come before it.
  private resumeAt = 0;
  private resumeFirst = 0;

  /** Begins a series of changes to the same runs, whose registers ascend. */
  beginSeries(): void {
    this.resumeAt = 0;
    this.resumeFirst = 0;
  }

  /** Finds out what raises register `index` to `rank`, at most SPARSE_RANK_MAX. */
  plan(bytes: Uint8Array, start: number, end: number, index: number, rank: number): Plan {
    this.beginSeries();
    return this.search(bytes, start, end, index, rank);
  }

  /** Like `plan`, within a series, where a search need not begin with the first run. */
  planNext(bytes: Uint8Array, start: number, end: number, index: number, rank: number): Plan {
    this.resumeNear(bytes, start, end, index);
    return this.search(bytes, start, end, index, rank);
  }

  /**
   * Moves the start of the search forward to a run that does not reach register `index` and never will, since joined
   * runs have four registers at most. So the search always sees the run before the one that it looks for.
   */
  private resumeNear(bytes: Uint8Array, start: number, end: number, index: number): void {
    for (;;) {
      const at = start + this.resumeAt;
      if (at >= end) return;
      const length = RUN_LENGTHS[bytes[at]];
      const next = at + (length === 0 ? 2 : 1);
      if (next >= end) return;
      const first = this.resumeFirst + (length === 0 ? longRun(bytes, at, end) : length);
      const nextLength = RUN_LENGTHS[bytes[next]] || longRun(bytes, next, end);
      if (first + Math.max(nextLength, VALUE_RUN_MAX) > index) return;
      this.resumeAt = next - start;
      this.resumeFirst = first;
    }
  }

  private search(bytes: Uint8Array, start: number, end: number, index: number, rank: number): Plan {
    let at = start + this.resumeAt;
    let next = this.resumeFirst;
    let first = next;
    let previous = at;
    let runBytes = 1;
    for (; at < end; at += runBytes) {
      let length = RUN_LENGTHS[bytes[at]];
      runBytes = 1;
      if (length === 0) {
        length = longRun(bytes, at, end);
        runBytes = 2;
      }
      first = next;
      next += length;
      if (index < next) break;
      previous = at;
    }
    if (at >= end) return Plan.Damaged;
    const byte = bytes[at];
    const isValue = byte >= VALUE_FLAG;
    if (isValue && rankOfRun(byte) >= rank) return Plan.Unchanged;
    this.at = at - start;
    this.previous = previous - start;
    this.oldBytes = runBytes;
    this.replacementBytes = 0;
    if (isValue) {
      const old = rankOfRun(byte);
      if (index > first) this.addToReplacement(valueRun(old, index - first));
      this.addToReplacement(valueRun(rank, 1));
      if (index < next - 1) this.addToReplacement(valueRun(old, next - 1 - index));
    } else {
      this.addZeros(index - first);
      this.addToReplacement(valueRun(rank, 1));
      this.addZeros(next - 1 - index);
    }
    this.growthBytes = this.replacementBytes - runBytes;
    return Plan.Changes;
  }

  private addToReplacement(byte: number): void {
    this.replacement[this.replacementBytes++] = byte;
  }

  private addZeros(count: number): void {
    if (count > ZERO_RUN_MAX) {
      this.addToReplacement(LONG_ZERO_FLAG | ((count - 1) >> 8));
      this.addToReplacement((count - 1) & 0xff);
    } else if (count > 0) {
      this.addToReplacement(count - 1);
    }
  }

  /**
   * Applies the last plan. `end` is that of the old runs; behind it there must be room for `growthBytes` and one more
   * byte: if the last run is damaged and lacks its second byte, its replacement is longer by that byte. Returns the end
   * of the new ones.
   */
  apply(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    const { replacement, replacementBytes, growthBytes } = this;
    const at = start + this.at;
    const behind = at + this.oldBytes;
    if (growthBytes !== 0) moveBytes(bytes, view, behind + growthBytes, behind, end);
    for (let index = 0; index < replacementBytes; index++) bytes[at + index] = replacement[index];
    return this.join(bytes, view, start + this.previous, end + growthBytes);
  }

  /** Joins runs of the same value that follow each other, of the few that begin at `at`. Returns the new end. */
  private join(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    for (let left = JOINED_RUNS; at < end && left > 0; left--) {
      const byte = bytes[at];
      if (byte < VALUE_FLAG) {
        at += byte < LONG_ZERO_FLAG ? 1 : 2;
        continue;
      }
      const next = at + 1 < end ? bytes[at + 1] : 0;
      // Runs of the same value differ at most in the two bits of the length.
      if (next >= VALUE_FLAG && (byte ^ next) < 4) {
        const length = RUN_LENGTHS[byte] + RUN_LENGTHS[next];
        if (length <= VALUE_RUN_MAX) {
          bytes[at + 1] = valueRun(rankOfRun(byte), length);
          moveBytes(bytes, view, at, at + 1, end);
          end--;
          continue;
        }
      }
      at++;
    }
    return end;
  }
}

/** Writes the runs of an empty HyperLogLog at `start`; returns their end. */
export function writeEmptyRuns(bytes: Uint8Array, start: number): number {
  bytes[start] = LONG_ZERO_FLAG | ((REGISTERS - 1) >> 8);
  bytes[start + 1] = (REGISTERS - 1) & 0xff;
  return start + 2;
}

/** Takes the registers into the maxima; false if the runs do not cover all registers exactly. */
export function mergeSparse(maxima: RegisterMaxima, bytes: Uint8Array, start: number, end: number): boolean {
  const { registers } = maxima;
  maxima.touched();
  let index = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    const length = RUN_LENGTHS[byte];
    if (byte >= VALUE_FLAG) {
      if (index + length > REGISTERS) return false;
      const rank = rankOfRun(byte);
      for (const last = index + length; index < last; index++) {
        if (registers[index] < rank) registers[index] = rank;
      }
    } else if (length !== 0) {
      index += length;
    } else {
      index += longRun(bytes, at++, end);
    }
  }
  return index === REGISTERS;
}

/** Counts the registers by value; null if the runs do not cover all registers exactly. */
export function countSparse(bytes: Uint8Array, start: number, end: number): Histogram | null {
  sparseHistogram.fill(0);
  let count = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    let length = RUN_LENGTHS[byte];
    if (length === 0) length = longRun(bytes, at++, end);
    sparseHistogram[byte >= VALUE_FLAG ? rankOfRun(byte) : 0] += length;
    count += length;
  }
  return count === REGISTERS ? sparseHistogram : null;
}

const sparseHistogram = createHistogram();

/** The runs as PFDEBUG DECODE shows them: "Z" a long run of zeros, "z" a short one, "v" a run of a value. */
export function describeRuns(bytes: Uint8Array, start: number, end: number): string {
  const runs: string[] = [];
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte >= VALUE_FLAG) runs.push(`v:${rankOfRun(byte)},${RUN_LENGTHS[byte]}`);
    else if (byte < LONG_ZERO_FLAG) runs.push(`z:${RUN_LENGTHS[byte]}`);
    else runs.push(`Z:${longRun(bytes, at++, end)}`);
  }
  return runs.join(' ');
}
