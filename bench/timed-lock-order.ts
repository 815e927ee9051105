/** Stands in for src/memory/lock-order.ts as timed-lock.ts does for the locks: one that was waited for is timed, too. */

import * as plain from '../src/memory/lock-order.js';
import { holdBegins } from './timed-lock.js';

export * from '../src/memory/lock-order.js';

export class LockOrder extends plain.LockOrder {
  override acquire(words: Int32Array, index: number, holdsOthers: boolean): boolean {
    if (!super.acquire(words, index, holdsOthers)) return false;
    holdBegins(words, index);
    return true;
  }
}
