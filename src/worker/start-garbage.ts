/** Collects what the start of a worker has left behind, once: as soon as the worker has nothing to do for a moment. */

import { collectGarbage } from '../system/garbage.js';

/** A worker that has run no command for so long is taken to be idle. */
const IDLE_MS = 500;

export class StartGarbage {
  private nextLookMs = 0;
  private commandCount = -1;

  /** Called at every tick, with the number of commands that the worker has run. */
  tick(nowMs: number, commandCount: number): void {
    if (nowMs < this.nextLookMs) return;
    if (commandCount !== this.commandCount) {
      this.commandCount = commandCount;
      this.nextLookMs = nowMs + IDLE_MS;
      return;
    }
    this.nextLookMs = Number.POSITIVE_INFINITY;
    collectGarbage();
  }
}
