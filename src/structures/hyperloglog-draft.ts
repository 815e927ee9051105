/**
 * A HyperLogLog that is built outside of a shard: what a command changes of a sparse one, so that either all of it comes
 * to be the key's value or nothing. It is sparse as long as that is short enough, and dense from then on.
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

/** No sparse form that covers each register once is longer. */
export const SPARSE_BYTES_MAX = HEADER_BYTES + 2 * REGISTERS;
/** Behind the runs, for what the end of damaged ones may need. */
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

  /** `maxima` serves for the registers of a draft that becomes dense; nobody else may use it meanwhile. */
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

  /** Gives the draft, whose own registers are among them, the registers of the maxima that it was created with. */
  takeMaxima(sparseBytesMax: number): void {
    const { registers } = this.maxima;
    for (let index = 0; index < REGISTERS && !this.isDense; index++) {
      const rank = registers[index];
      if (rank === 0) continue;
      const plan = this.sparse.planNext(this.bytes, HEADER_BYTES, this.sparseBytes, index, rank);
      if (plan === Plan.Changes && !this.applyWithin(sparseBytesMax)) this.isDense = true;
    }
  }

  /** Makes it dense, with the registers of the maxima that it was created with. */
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

  /** Writes it to `start`, where `lengthBytes` bytes are its own, with the estimate that it has had. */
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
