/**
 * Collects garbage at a chosen time. V8 does so by itself when memory is allocated, but what is left of a start would
 * stay in a thread that allocates nothing.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Takes some 40 ms, in which the thread does nothing else. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  // Only contexts that are made from now on have the function.
  const collect = runInNewContext('globalThis.gc') as (() => void) | undefined;
  if (collect === undefined) return;
  collect();
  // The second collection has the young generation shrink, too, and moves what is left together.
  setFlagsFromString('--compact-on-every-full-gc');
  collect();
  setFlagsFromString('--no-compact-on-every-full-gc');
}
