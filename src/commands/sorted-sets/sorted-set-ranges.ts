/**
 * Commands on ranges of a sorted set, by rank, by score or by member. Every range is turned into ranks first;
 * what is done with it then is the same for all.
 */

import type { CommandContext } from '../../execution/context.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { readLimit } from '../../memory/scores.js';
import { Encoding } from '../../structures/collection-value.js';
import { SortedSetCursor, type SortedSetValue } from '../../structures/sorted-set-value.js';
import { replyElement, replyElementCount, replyMember } from './sorted-sets.js';

const NOT_A_SCORE = 'ERR min or max is not a float';
const NOT_A_MEMBER_LIMIT = 'ERR min or max not valid string range item';
const LIMIT_WITHOUT_ORDER =
  'ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX';
const SCORES_WITH_MEMBERS = 'ERR syntax error, WITHSCORES not supported in combination with BYLEX';

const enum By {
  Unknown = 0,
  Rank = 1,
  Score = 2,
  Member = 3,
}

const enum Direction {
  Unknown = 0,
  Forward = 1,
  Reverse = 2,
}

const enum LimitKind {
  Lowest = -1,
  Member = 0,
  Highest = 1,
}

/** One end of a range by member: "-", "+", or an argument without its first character. */
class MemberLimit {
  kind = LimitKind.Member;
  isExclusive = false;
  offset = 0;
  lengthBytes = 0;

  read(context: CommandContext, index: number): boolean {
    const { bytes } = context;
    const offset = context.argOffset(index);
    const lengthBytes = context.argLength(index);
    const first = lengthBytes === 0 ? 0 : bytes[offset];
    this.kind = LimitKind.Member;
    this.offset = offset + 1;
    this.lengthBytes = lengthBytes - 1;
    this.isExclusive = first === 0x28;
    if (first === 0x28 || first === 0x5b) return true;
    this.kind = first === 0x2b ? LimitKind.Highest : LimitKind.Lowest;
    // Bytes behind a zero byte are ignored.
    return (first === 0x2b || first === 0x2d) && (lengthBytes === 1 || bytes[offset + 1] === 0);
  }
}

/** A range as the arguments say it, filled anew by each command. */
const range = {
  by: By.Rank as By,
  isReverse: false,
  // By rank.
  first: 0,
  last: 0,
  // By score.
  minimum: 0,
  maximum: 0,
  excludesMinimum: false,
  excludesMaximum: false,
  // The part of it that LIMIT selects.
  skipped: 0,
  limit: -1,
  withScores: false,
};

const lowest = new MemberLimit();
const highest = new MemberLimit();

/** The range as ranks: `start` up to but not including `end`. */
let start = 0;
let end = 0;

const cursor = new SortedSetCursor();

function readScoreLimit(context: CommandContext, index: number): number {
  const offset = context.argOffset(index);
  const length = context.argLength(index);
  const isExclusive = length > 0 && context.bytes[offset] === 0x28;
  return isExclusive
    ? readLimit(context.bytes, offset + 1, length - 1)
    : readLimit(context.bytes, offset, length);
}

function isExclusive(context: CommandContext, index: number): boolean {
  return context.argLength(index) > 0 && context.bytes[context.argOffset(index)] === 0x28;
}

/** Reads a range whose two ends are the arguments `low` and `high`; replies with an error if they are none. */
function readRange(context: CommandContext, by: By, low: number, high: number): boolean {
  range.by = by;
  switch (by) {
    case By.Score:
      range.minimum = readScoreLimit(context, low);
      range.maximum = readScoreLimit(context, high);
      range.excludesMinimum = isExclusive(context, low);
      range.excludesMaximum = isExclusive(context, high);
      if (!Number.isNaN(range.minimum) && !Number.isNaN(range.maximum)) return true;
      context.reply.error(NOT_A_SCORE);
      return false;
    case By.Member:
      if (lowest.read(context, low) && highest.read(context, high)) return true;
      context.reply.error(NOT_A_MEMBER_LIMIT);
      return false;
    default:
      if (!context.integer(low)) return false;
      range.first = context.number.value;
      if (!context.integer(high)) return false;
      range.last = context.number.value;
      return true;
  }
}

/** Turns the range into ranks of a sorted set, without regard to LIMIT. */
function resolve(context: CommandContext, sets: SortedSetValue, reference: number): void {
  const count = sets.count(reference);
  switch (range.by) {
    case By.Score:
      start = sets.countBelowScore(reference, range.minimum, range.excludesMinimum);
      end = sets.countBelowScore(reference, range.maximum, !range.excludesMaximum);
      break;
    case By.Member:
      resolveMembers(context, sets, reference, count);
      break;
    default: {
      const first = range.first < 0 ? Math.max(0, range.first + count) : range.first;
      const last = Math.min(range.last < 0 ? range.last + count : range.last, count - 1);
      start = range.isReverse ? count - 1 - last : first;
      end = range.isReverse ? count - first : last + 1;
    }
  }
  if (start >= end) end = start;
}

/** Order of the cursor's member and a limit. */
function compareToLimit(context: CommandContext, limit: MemberLimit): number {
  if (limit.kind !== LimitKind.Member) return -limit.kind;
  const { bytes } = context;
  const length = Math.min(cursor.lengthBytes, limit.lengthBytes);
  for (let at = 0; at < length; at++) {
    const difference = cursor.bytes[cursor.offset + at] - bytes[limit.offset + at];
    if (difference !== 0) return difference;
  }
  return cursor.lengthBytes - limit.lengthBytes;
}

function isAboveLowest(context: CommandContext): boolean {
  const order = compareToLimit(context, lowest);
  return lowest.isExclusive ? order > 0 : order >= 0;
}

function isBelowHighest(context: CommandContext): boolean {
  const order = compareToLimit(context, highest);
  return highest.isExclusive ? order < 0 : order <= 0;
}

/**
 * Ranges by member are meant for sets whose scores are all the same. For other sets the result is what a search
 * finds that starts at one end, at the first element inside the range, and stops at the first one outside.
 */
function resolveMembers(
  context: CommandContext,
  sets: SortedSetValue,
  reference: number,
  count: number,
): void {
  start = 0;
  end = 0;
  if (!sets.seek(cursor, reference, count - 1) || !isAboveLowest(context)) return;
  if (!sets.seek(cursor, reference, 0) || !isBelowHighest(context)) return;
  if (range.isReverse && sets.encoding(reference) === Encoding.Packed) {
    end = count;
    sets.seek(cursor, reference, count - 1);
    while (!isBelowHighest(context)) {
      end--;
      sets.previous(cursor);
    }
    start = end;
    do {
      if (!isAboveLowest(context)) break;
      start--;
    } while (sets.previous(cursor));
    return;
  }
  const { bytes, view } = context;
  if (lowest.kind === LimitKind.Highest || highest.kind === LimitKind.Lowest) return;
  if (lowest.kind === LimitKind.Member) {
    start = sets.countBelowMember(
      reference,
      0,
      bytes,
      view,
      lowest.offset,
      lowest.lengthBytes,
      lowest.isExclusive,
    );
  }
  if (highest.kind === LimitKind.Highest) {
    end = count;
    return;
  }
  const length = sets.countBelowMember(
    reference,
    start,
    bytes,
    view,
    highest.offset,
    highest.lengthBytes,
    !highest.isExclusive,
  );
  end = start + length;
}

/** Narrows the range to what LIMIT takes of it. */
function applyLimit(): void {
  if (range.skipped < 0) {
    end = start;
    return;
  }
  const count = Math.max(0, end - start - range.skipped);
  const taken = range.limit < 0 ? count : Math.min(count, range.limit);
  if (range.isReverse) start = end - Math.min(end - start, range.skipped) - taken;
  else start += Math.min(end - start, range.skipped);
  end = start + taken;
}

/**
 * Reads the options and ends of a range whose key is argument `keyArgument`; options may set `by` and
 * `direction` if they are `Unknown`. Replies with an error and returns false if something is wrong.
 */
function readOptions(
  context: CommandContext,
  keyArgument: number,
  by: By,
  direction: Direction,
  stores: boolean,
): boolean {
  const { reply } = context;
  range.skipped = 0;
  range.limit = -1;
  range.withScores = false;
  for (let index = keyArgument + 3; index < context.argCount; index++) {
    if (!stores && context.argIs(index, 'WITHSCORES')) {
      range.withScores = true;
    } else if (context.argIs(index, 'LIMIT') && index + 2 < context.argCount) {
      if (!context.integer(index + 1)) return false;
      range.skipped = context.number.value;
      if (!context.integer(index + 2)) return false;
      range.limit = context.number.value;
      index += 2;
    } else if (direction === Direction.Unknown && context.argIs(index, 'REV')) {
      direction = Direction.Reverse;
    } else if (by === By.Unknown && context.argIs(index, 'BYLEX')) {
      by = By.Member;
    } else if (by === By.Unknown && context.argIs(index, 'BYSCORE')) {
      by = By.Score;
    } else {
      reply.error(SYNTAX_ERROR);
      return false;
    }
  }
  if (by === By.Unknown) by = By.Rank;
  range.isReverse = direction === Direction.Reverse;
  if (range.limit !== -1 && by === By.Rank) {
    reply.error(LIMIT_WITHOUT_ORDER);
    return false;
  }
  if (range.withScores && by === By.Member) {
    reply.error(SCORES_WITH_MEMBERS);
    return false;
  }
  if (by === By.Rank) range.skipped = 0;
  // By score and by member, the higher end comes first in reverse.
  const isTurned = range.isReverse && by !== By.Rank;
  const low = keyArgument + (isTurned ? 2 : 1);
  return readRange(context, by, low, keyArgument + (isTurned ? 1 : 2));
}

/** Replies with the elements of the range. */
function replyRange(context: CommandContext, sets: SortedSetValue, reference: number): void {
  const { reply } = context;
  const { isReverse, withScores } = range;
  const count = end - start;
  if (withScores) replyElementCount(context, count);
  else reply.array(count);
  if (count === 0) return;
  sets.seek(cursor, reference, isReverse ? end - 1 : start);
  for (let left = count; ; ) {
    if (withScores) replyElement(context, cursor);
    else replyMember(context, cursor);
    if (--left === 0) return;
    if (isReverse) sets.previous(cursor);
    else sets.next(cursor);
  }
}

function zrange(context: CommandContext, by: By, direction: Direction): void {
  if (!readOptions(context, 1, by, direction, false)) return;
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  if (reference === 0) {
    context.reply.array(0);
    return;
  }
  const { sortedSets } = context.shard;
  resolve(context, sortedSets, reference);
  applyLimit();
  replyRange(context, sortedSets, reference);
}

/** Copies the range into the draft of the selected key's shard; false, with nothing kept, if there is no memory. */
function draftRange(context: CommandContext, source: SortedSetValue, reference: number): boolean {
  const { shard } = context;
  const { sortedSets, draft } = shard;
  if (!sortedSets.create(draft)) return false;
  let left = end - start;
  for (let more = source.seek(cursor, reference, start); more && left > 0; left--) {
    const { bytes, view, offset, lengthBytes, score } = cursor;
    sortedSets.find(draft, bytes, view, offset, lengthBytes);
    if (!sortedSets.add(draft, score, bytes, view, offset, lengthBytes)) {
      sortedSets.release(draft);
      return false;
    }
    more = source.next(cursor);
  }
  return true;
}

/**
 * Ends a command that stores a sorted set: makes the draft the value of argument 1, in place of any other, or
 * deletes that key if the draft is empty; replies with the number of elements.
 */
export function storeDraft(context: CommandContext, event: KeyEvent, changes = 1): void {
  const { sortedSets, draft } = context.shard;
  const count = sortedSets.count(draft);
  if (count === 0) {
    sortedSets.release(draft);
    deleteTarget(context);
    return;
  }
  if (!context.putDraft(ValueType.SortedSet, -1)) return;
  context.overwritten();
  context.changed(event, changes);
  context.reply.integer(count);
}

/** Deletes the selected key, if there is one, and replies 0. */
export function deleteTarget(context: CommandContext): void {
  if (context.entry !== 0) {
    context.remove();
    context.changed(KeyEvent.Delete);
  }
  context.reply.integer(0);
}

function zrangestore(context: CommandContext): void {
  if (!readOptions(context, 2, By.Unknown, Direction.Unknown, true)) return;
  const reference = context.readCollection(2, ValueType.SortedSet);
  if (reference < 0) return;
  const source = context.shard.sortedSets;
  if (reference !== 0) {
    resolve(context, source, reference);
    applyLimit();
  }
  context.findWrite(1);
  if (reference === 0 || start === end) deleteTarget(context);
  else if (draftRange(context, source, reference)) storeDraft(context, KeyEvent.SortedSetRangeStore);
  else context.reply.error(OUT_OF_MEMORY);
}

/** ZCOUNT and ZLEXCOUNT. */
function countRange(context: CommandContext, by: By): void {
  range.isReverse = false;
  if (!readRange(context, by, 2, 3)) return;
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  if (reference === 0) {
    context.reply.integer(0);
    return;
  }
  resolve(context, context.shard.sortedSets, reference);
  context.reply.integer(end - start);
}

function removeRange(context: CommandContext, by: By, event: KeyEvent): void {
  range.isReverse = false;
  if (!readRange(context, by, 2, 3)) return;
  const reference = context.writeCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  if (reference === 0) {
    context.reply.integer(0);
    return;
  }
  const { sortedSets } = context.shard;
  resolve(context, sortedSets, reference);
  const removed = end - start;
  if (removed > 0) {
    sortedSets.removeRange(reference, start, removed);
    context.elementsRemoved(event, removed);
  }
  context.reply.integer(removed);
}

export const sortedSetRangeHandlers: Readonly<Record<string, Handler>> = {
  ZCOUNT: (context) => countRange(context, By.Score),
  ZLEXCOUNT: (context) => countRange(context, By.Member),
  ZRANGE: (context) => zrange(context, By.Unknown, Direction.Unknown),
  ZRANGEBYLEX: (context) => zrange(context, By.Member, Direction.Forward),
  ZRANGEBYSCORE: (context) => zrange(context, By.Score, Direction.Forward),
  ZRANGESTORE: zrangestore,
  ZREMRANGEBYLEX: (context) => removeRange(context, By.Member, KeyEvent.SortedSetRemoveRangeByLex),
  ZREMRANGEBYRANK: (context) => removeRange(context, By.Rank, KeyEvent.SortedSetRemoveRangeByRank),
  ZREMRANGEBYSCORE: (context) => removeRange(context, By.Score, KeyEvent.SortedSetRemoveRangeByScore),
  ZREVRANGE: (context) => zrange(context, By.Rank, Direction.Reverse),
  ZREVRANGEBYLEX: (context) => zrange(context, By.Member, Direction.Reverse),
  ZREVRANGEBYSCORE: (context) => zrange(context, By.Score, Direction.Reverse),
};
