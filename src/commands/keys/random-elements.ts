/** What SPOP, SRANDMEMBER, HRANDFIELD and ZRANDMEMBER have in common: counts, and drawing without repetition. */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import { INT64_MAX } from '../../memory/numbers.js';

/** Most elements that are repeated for a negative count. */
export const REPEATED_ELEMENTS_MAX = 2 ** 27;

const COUNT_OUT_OF_RANGE = `ERR value is out of range, value must between -${INT64_MAX} and ${INT64_MAX}`;

/** A collection whose elements have handles. */
interface Drawable {
  count(reference: number): number;
  begin(reference: number): void;
  next(): boolean;
  readonly handle: number;
  randomHandle(reference: number): number;
}

/**
 * Handles of `count` different elements, drawn uniformly, in the order of a walk or at random. `count` is less
 * than the number of elements.
 */
export function drawDistinct(collection: Drawable, reference: number, count: number): number[] {
  const total = collection.count(reference);
  const drawn: number[] = [];
  if (count * 3 > total) {
    // Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S): one walk, each subset equally likely.
    let left = total;
    for (collection.begin(reference); drawn.length < count && collection.next(); left--) {
      if (Math.random() * left < count - drawn.length) drawn.push(collection.handle);
    }
    return drawn;
  }
  const seen = new Set<number>();
  while (drawn.length < count) {
    const handle = collection.randomHandle(reference);
    if (seen.has(handle)) continue;
    seen.add(handle);
    drawn.push(handle);
  }
  return drawn;
}

export interface RandomOptions {
  /** Number of elements; below 0: as many, with repetition; null: a single element, not a list. */
  count: number | null;
  withValues: boolean;
}

/** Reads argument 2 as a count into `context.number`; replies with an error and returns false if it is none. */
export function readCount(context: CommandContext): boolean {
  if (!context.integer(2)) return false;
  const { number } = context;
  const isInRange = number.isSafe || number.big >= -INT64_MAX;
  if (!isInRange) context.reply.error(COUNT_OUT_OF_RANGE);
  return isInRange;
}

/** Reads `[count [WITHSCORES]]` or `[count [WITHVALUES]]`; replies with an error and returns null if it is wrong. */
export function readRandomOptions(context: CommandContext, word: string): RandomOptions | null {
  const { reply, number } = context;
  if (context.argCount === 2) return { count: null, withValues: false };
  if (!readCount(context)) return null;
  const withValues = context.argCount === 4 && context.argIs(3, word);
  if (context.argCount > 4 || (context.argCount === 4 && !withValues)) {
    reply.error(SYNTAX_ERROR);
    return null;
  }
  if (withValues && !number.isSafe && (number.big > INT64_MAX / 2n || number.big < -INT64_MAX / 2n)) {
    reply.error('ERR value is out of range');
    return null;
  }
  return { count: number.value, withValues };
}
