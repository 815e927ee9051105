/**
 * A HyperLogLog that is built outside of a shard. A command that changes a sparse one builds the new value here, so
 * that the key gets all of the changes or none. The draft is sparse while that is short enough, then dense.
 */

import { copyBytes } from './copy.js';
import {
  DENSE_BYTES,
  Form,
  HEADER_BYTES,
  REGISTERS,
  type RegisterMaxima,
  setForm,
  writeHeader,
} from './hyperloglog.js';
import { mergeSparse, Plan, SPARSE_RANK_MAX, SparseRegisters, writeEmptyRuns } from './sparse-registers.js';

/** A sparse form that covers each register once is never longer. */
export const SPARSE_BYTES_MAX = HEADER_BYTES + 2 * REGISTERS;
/** Room behind the runs: changes of damaged runs may write beyond their end. */
const SPARE_BYTES = 8;

export class HyperLogLogDraft {
  private readonly bytes = new Uint8Array(SPARSE_BYTES_MAX + SPARE_BYTES);
  private readonly view = new DataView(this.bytes.buffer);
  private readonly sparse = new SparseRegisters();
  /** The registers once it is dense. */
  private readonly maxima: RegisterMaxima;
  private sparseBytes = 0;
  private isDense = false;
  /** Registers that were raised one by one. */
  raisedCount = 0;

  /** `maxima` holds the registers once the draft is dense; they must not be used for anything else meanwhile. */
  constructor(maxima: RegisterMaxima) {
    this.maxima = maxima;
  }

  get lengthBytes(): number {
    return this.isDense ? DENSE_BYTES : this.sparseBytes;
  }

  /** Begins with an empty one. */
  beginEmpty(): void {
    this.isDense = false;
    this.raisedCount = 0;
    writeHeader(this.bytes, this.view, 0, Form.Sparse);
    this.sparseBytes = writeEmptyRuns(this.bytes, HEADER_BYTES);
    this.sparse.beginSeries();
  }

  /** Begins with a copy of a sparse one; false if it is too long to be one. */
  beginWith(bytes: Uint8Array, view: DataView, start: number, lengthBytes: number): boolean {
    if (lengthBytes > SPARSE_BYTES_MAX) return false;
    this.isDense = false;
    this.raisedCount = 0;
    copyBytes(this.bytes, this.view, 0, bytes, view, start, lengthBytes);
    this.sparseBytes = lengthBytes;
    this.sparse.beginSeries();
    return true;
  }

  /** Raises a register to `rank`, unless it has that already. Returns false if the runs are damaged. */
  raise(index: number, rank: number, sparseBytesMax: number): boolean {
    const { maxima } = this;
    if (!this.isDense) {
      if (rank <= SPARSE_RANK_MAX) {
        const plan = this.sparse.plan(this.bytes, HEADER_BYTES, this.sparseBytes, index, rank);
        if (plan !== Plan.Changes) return plan === Plan.Unchanged;
        if (this.applyWithin(sparseBytesMax)) {
          this.raisedCount++;
          return true;
        }
      }
      maxima.clear();
      this.isDense = true;
      if (!mergeSparse(maxima, this.bytes, HEADER_BYTES, this.sparseBytes)) return false;
    }
    if (maxima.raise(index, rank)) this.raisedCount++;
    return true;
  }

  /** Raises the draft's registers to those of its maxima, into which they must have been merged before. */
  takeMaxima(sparseBytesMax: number): void {
    const { registers } = this.maxima;
    for (let index = 0; index < REGISTERS && !this.isDense; index++) {
      const rank = registers[index];
      if (rank === 0) continue;
      const plan = this.sparse.planNext(this.bytes, HEADER_BYTES, this.sparseBytes, index, rank);
      if (plan === Plan.Changes && !this.applyWithin(sparseBytesMax)) this.isDense = true;
    }
  }

  /** Makes the draft dense; its registers are those of its maxima. */
  takeMaximaDense(): void {
    this.isDense = true;
  }

  /** Carries out what was planned; false, with nothing changed, if that would be too long. */
  private applyWithin(sparseBytesMax: number): boolean {
    const end = this.sparseBytes;
    const { growthBytes } = this.sparse;
    if (growthBytes > 0 && end + growthBytes > Math.min(sparseBytesMax, SPARSE_BYTES_MAX)) return false;
    this.sparseBytes = this.sparse.apply(this.bytes, this.view, HEADER_BYTES, end);
    return true;
  }

  /** Writes the draft, with its old estimate, to `start`, where there is room for `lengthBytes` bytes. */
  copyTo(bytes: Uint8Array, view: DataView, start: number): void {
    if (!this.isDense) {
      copyBytes(bytes, view, start, this.bytes, this.view, 0, this.sparseBytes);
      return;
    }
    copyBytes(bytes, view, start, this.bytes, this.view, 0, HEADER_BYTES);
    setForm(bytes, start, Form.Dense);
    this.maxima.writeDense(view, start);
  }
}
