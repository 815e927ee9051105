/** Logs connections that can't be accepted, at a limited rate: a lasting reason would fill the log. */

import type { Log } from '../system/log.js';

const INTERVAL_MS = 10_000;

export class AcceptFailures {
  private readonly log: Log;
  private nextMs = Number.NEGATIVE_INFINITY;

  constructor(log: Log) {
    this.log = log;
  }

  /** `reason`: the call that has failed, and the system's text. */
  note(reason: string): void {
    const nowMs = performance.now();
    if (nowMs < this.nextMs) return;
    this.nextMs = nowMs + INTERVAL_MS;
    this.log(`Accepting client connection: ${reason}`, 'warning');
  }
}
