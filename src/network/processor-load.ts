/** How busy all processors of this machine are, from /proc/stat (proc_stat(5)). */

import { readFileSync } from 'node:fs';

const MEASURED_MS_MIN = 200;
/** Of the columns behind "cpu": the two that are idle, and those that count (guests are in `user` already). */
const IDLE = 3;
const WAITING = 4;
const COLUMNS = 8;

export class ProcessorLoad {
  private readonly path: string;
  private measuredMs = Number.NEGATIVE_INFINITY;
  private ticks = 0;
  private idleTicks = 0;
  private ratio = 1;

  constructor(path = '/proc/stat') {
    this.path = path;
  }

  /** The part of all processors' time that was idle lately, since one of the last calls; 1 where that is not known. */
  idleRatio(nowMs: number): number {
    if (nowMs - this.measuredMs >= MEASURED_MS_MIN) {
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

  /** The columns of the first line, which is about all processors together. Empty if there is no such file. */
  private readColumns(): number[] {
    let text: string;
    try {
      text = readFileSync(this.path, 'latin1');
    } catch {
      return [];
    }
    const words = text.slice(0, text.indexOf('\n')).split(/ +/);
    return words.slice(1, 1 + COLUMNS).map(Number);
  }
}
