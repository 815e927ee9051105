/** How busy all processors of this machine are, from /proc/stat (proc_stat(5)). */

import { closeSync, openSync, readSync } from 'node:fs';

const MEASURED_MS_MIN = 200;
/** More than the first line, which is about all processors together. */
const LINE_BYTES_MAX = 256;
/** Of the columns behind "cpu": the two that are idle, and those that count (guests are in `user` already). */
const IDLE = 3;
const WAITING = 4;
const COLUMNS = 8;

export class ProcessorLoad {
  private readonly path: string;
  private readonly line = new Uint8Array(LINE_BYTES_MAX);
  private measuredMs = Number.NEGATIVE_INFINITY;
  private ticks = 0;
  private idleTicks = 0;
  private ratio = 1;

  constructor(path = '/proc/stat') {
    this.path = path;
  }

  /** The part of all processors' time that was idle lately, since one of the last calls; 1 where that is not known. */
  idleRatio(nowMs: number): number {
    // The clock may have been set back.
    if (Math.abs(nowMs - this.measuredMs) >= MEASURED_MS_MIN) {
      this.measuredMs = nowMs;
      this.measure();
    }
    return this.ratio;
  }

  private measure(): void {
    const columns = this.readColumns();
    if (columns.length < COLUMNS) return;
    const ticks = columns.reduce((sum, column) => sum + column);
    const idleTicks = columns[IDLE]! + columns[WAITING]!;
    const passed = ticks - this.ticks;
    if (this.ticks > 0 && passed > 0) this.ratio = (idleTicks - this.idleTicks) / passed;
    this.ticks = ticks;
    this.idleTicks = idleTicks;
  }

  /** Empty where there is no such file. */
  private readColumns(): number[] {
    let fd: number;
    try {
      fd = openSync(this.path, 'r');
    } catch {
      return [];
    }
    try {
      const length = readSync(fd, this.line, 0, LINE_BYTES_MAX, 0);
      const text = Buffer.from(this.line.buffer, 0, length).toString('latin1');
      const words = text.slice(0, text.indexOf('\n')).split(/ +/);
      return words.slice(1, 1 + COLUMNS).map(Number);
    } finally {
      closeSync(fd);
    }
  }
}
