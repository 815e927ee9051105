/** Commands on the elements of a sorted set: adding, looking up, removing, popping. */

import type { CommandContext } from '../../execution/context.js';
import { recordBeginning, recordPop } from '../../execution/effects.js';
import { NOT_A_FLOAT, OUT_OF_MEMORY, SYNTAX_ERROR, wrongArity } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { formatDouble } from '../../memory/numbers.js';
import { readDouble } from '../../memory/scores.js';
import { Encoding } from '../../structures/collection-value.js';
import { SortedSetCursor, type SortedSetValue } from '../../structures/sorted-set-value.js';
import { readCursor, readScanOptions } from '../keys/keys.js';
import { REPEATED_ELEMENTS_MAX, readRandomOptions } from '../keys/random-elements.js';

const RESULT_IS_NAN = 'ERR resulting score is not a number (NaN)';
const NOT_POSITIVE = 'ERR value is out of range, must be positive';

/** Cursors of a scan within one sorted set are below this. */
const SCAN_CURSORS = 2 ** 30;
/** Lines of the table that ZSCAN looks at for each element wanted. */
const SCAN_STEPS_PER_ELEMENT = 10;

/** Whole scores below this are integers in a packed set of Redis. */
const PACKED_INTEGER_LIMIT = 2 ** 62;

/** Bits of ZADD's options. */
export const enum AddFlag {
  IfAbsent = 1,
  IfPresent = 2,
  IfGreater = 4,
  IfLess = 8,
  CountsChanged = 16,
  Increments = 32,
}

const enum AddOutcome {
  Nothing = 0,
  Unchanged = 1,
  Updated = 2,
  Added = 3,
  NotANumber = 4,
  NoMemory = 5,
}

const cursor = new SortedSetCursor();

/** The scores of a ZADD or GEOADD, read before anything changes. */
let scores = new Float64Array(64);
/** The element's score after the last `addElement`. */
let resultingScore = 0;

/** Replies with the member that a cursor is on. */
export function replyMember(context: CommandContext, at: SortedSetCursor): void {
  context.reply.bulkCopy(at.bytes, at.view, at.offset, at.lengthBytes);
}

/** Replies with a member and its score: a pair in RESP3, two elements of the same array in RESP2. */
export function replyElement(context: CommandContext, at: SortedSetCursor): void {
  if (context.reply.protocol === 3) context.reply.array(2);
  replyMember(context, at);
  context.reply.double(at.score);
}

/** Starts an array of `count` elements that `replyElement` writes. */
export function replyElementCount(context: CommandContext, count: number): void {
  context.reply.array(context.reply.protocol === 3 ? count : 2 * count);
}

function findArgument(
  context: CommandContext,
  sets: SortedSetValue,
  reference: number,
  argument: number,
): boolean {
  const { bytes, view } = context;
  return sets.find(reference, bytes, view, context.argOffset(argument), context.argLength(argument));
}

function optionFlag(context: CommandContext, index: number): number {
  if (context.argIs(index, 'NX')) return AddFlag.IfAbsent;
  if (context.argIs(index, 'XX')) return AddFlag.IfPresent;
  if (context.argIs(index, 'GT')) return AddFlag.IfGreater;
  if (context.argIs(index, 'LT')) return AddFlag.IfLess;
  if (context.argIs(index, 'CH')) return AddFlag.CountsChanged;
  return context.argIs(index, 'INCR') ? AddFlag.Increments : 0;
}

/** Whether options of ZADD contradict each other; replies with the error. */
function areContradictory(context: CommandContext, flags: number, count: number): boolean {
  const conditions = flags & (AddFlag.IfAbsent | AddFlag.IfGreater | AddFlag.IfLess);
  if ((flags & AddFlag.IfAbsent) !== 0 && (flags & AddFlag.IfPresent) !== 0) {
    context.reply.error('ERR XX and NX options at the same time are not compatible');
    return true;
  }
  // More than one bit.
  if ((conditions & (conditions - 1)) !== 0) {
    context.reply.error('ERR GT, LT, and/or NX options at the same time are not compatible');
    return true;
  }
  if ((flags & AddFlag.Increments) !== 0 && count > 1) {
    context.reply.error('ERR INCR option supports a single increment-element pair');
    return true;
  }
  return false;
}

/** Room for `count` scores that `addScored` is to use. */
export function scoresFor(count: number): Float64Array {
  if (count > scores.length) scores = new Float64Array(2 * count);
  return scores;
}

/** Reads the scores of `count` pairs from argument `first` on; replies an error and returns false if one is wrong. */
function readScores(context: CommandContext, first: number, count: number): boolean {
  scoresFor(count);
  const { bytes } = context;
  for (let pair = 0; pair < count; pair++) {
    const index = first + 2 * pair;
    const score = readDouble(bytes, context.argOffset(index), context.argLength(index));
    if (Number.isNaN(score)) {
      context.reply.error(NOT_A_FLOAT);
      return false;
    }
    scores[pair] = score;
  }
  return true;
}

/** Adds or changes one element as the options say. */
function addElement(
  context: CommandContext,
  sets: SortedSetValue,
  reference: number,
  flags: number,
  wanted: number,
  argument: number,
): AddOutcome {
  const { bytes, view } = context;
  const offset = context.argOffset(argument);
  const length = context.argLength(argument);
  if (!sets.find(reference, bytes, view, offset, length)) {
    if ((flags & AddFlag.IfPresent) !== 0) return AddOutcome.Nothing;
    resultingScore = wanted;
    const isAdded = sets.add(reference, wanted, bytes, view, offset, length);
    return isAdded ? AddOutcome.Added : AddOutcome.NoMemory;
  }
  if ((flags & AddFlag.IfAbsent) !== 0) return AddOutcome.Nothing;
  const current = sets.score;
  let score = wanted;
  if ((flags & AddFlag.Increments) !== 0) {
    score += current;
    if (Number.isNaN(score)) return AddOutcome.NotANumber;
  }
  if ((flags & AddFlag.IfGreater) !== 0 && score <= current) return AddOutcome.Nothing;
  if ((flags & AddFlag.IfLess) !== 0 && score >= current) return AddOutcome.Nothing;
  resultingScore = score;
  if (score === current) return AddOutcome.Unchanged;
  return sets.setScore(reference, score, bytes, view, offset, length)
    ? AddOutcome.Updated
    : AddOutcome.NoMemory;
}

/** ZADD and ZINCRBY once the options are read: pairs of score and member from argument `first` on. */
function addPairs(context: CommandContext, flags: number, first: number, count: number): void {
  if (!readScores(context, first, count)) return;
  const applied = addScored(context, flags, first + 1, 2, count);
  if (applied > 0 && applied < count) recordBeginning(context, first + 2 * applied);
}

/**
 * Adds members, `count` arguments from `first` on of which each is `step` behind the one before, with the scores in
 * `scoresFor(count)`. Returns 0 if nothing has changed, else how many were applied: all, unless memory ran out.
 */
export function addScored(
  context: CommandContext,
  flags: number,
  first: number,
  step: number,
  count: number,
): number {
  const { reply } = context;
  const increments = (flags & AddFlag.Increments) !== 0;
  let reference = context.writeCollection(1, ValueType.SortedSet);
  if (reference < 0) return 0;
  if (reference === 0) {
    if ((flags & AddFlag.IfPresent) !== 0) {
      if (increments) reply.nullBulk();
      else reply.integer(0);
      return 0;
    }
    reference = context.createCollection(ValueType.SortedSet);
    if (reference === 0) return 0;
  }
  const { sortedSets } = context.shard;
  if (count > 1 && !context.promise(sortedSets.roomFor(reference, count, context.argBytes(first)))) {
    context.dropIfEmpty();
    return 0;
  }
  let added = 0;
  let updated = 0;
  let applied = 0;
  let outcome = AddOutcome.Nothing;
  for (; applied < count; applied++) {
    outcome = addElement(context, sortedSets, reference, flags, scores[applied], first + step * applied);
    if (outcome >= AddOutcome.NotANumber) break;
    if (outcome === AddOutcome.Added) added++;
    else if (outcome === AddOutcome.Updated) updated++;
  }
  context.endPromises();
  const hasChanged = added + updated > 0;
  if (hasChanged) {
    context.changed(increments ? KeyEvent.SortedSetIncrement : KeyEvent.SortedSetAdd, added + updated);
  } else if (outcome === AddOutcome.NoMemory) {
    context.dropIfEmpty();
  }
  if (outcome === AddOutcome.NotANumber) reply.error(RESULT_IS_NAN);
  else if (outcome === AddOutcome.NoMemory) reply.error(OUT_OF_MEMORY);
  else if (!increments) reply.integer((flags & AddFlag.CountsChanged) !== 0 ? added + updated : added);
  else if (outcome === AddOutcome.Nothing) reply.nullBulk();
  else reply.double(resultingScore);
  return hasChanged ? applied : 0;
}

function zadd(context: CommandContext): void {
  let flags = 0;
  let first = 2;
  for (; first < context.argCount; first++) {
    const flag = optionFlag(context, first);
    if (flag === 0) break;
    flags |= flag;
  }
  const left = context.argCount - first;
  if (left === 0 || (left & 1) !== 0) {
    context.reply.error(SYNTAX_ERROR);
    return;
  }
  if (!areContradictory(context, flags, left >> 1)) addPairs(context, flags, first, left >> 1);
}

function zincrby(context: CommandContext): void {
  addPairs(context, AddFlag.Increments, 2, 1);
}

function zcard(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference >= 0) context.reply.integer(reference === 0 ? 0 : context.shard.sortedSets.count(reference));
}

function zscore(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  const { sortedSets } = context.shard;
  if (reference === 0 || !findArgument(context, sortedSets, reference, 2)) context.reply.nullBulk();
  else context.reply.double(sortedSets.score);
}

function zmscore(context: CommandContext): void {
  const { reply } = context;
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  const { sortedSets } = context.shard;
  reply.array(context.argCount - 2);
  for (let index = 2; index < context.argCount; index++) {
    if (reference === 0 || !findArgument(context, sortedSets, reference, index)) reply.nullBulk();
    else reply.double(sortedSets.score);
  }
}

function zrank(context: CommandContext, isReverse: boolean): void {
  const { reply, bytes, view } = context;
  if (context.argCount > 4) {
    reply.error(wrongArity(context.command.name));
    return;
  }
  const withScore = context.argCount === 4;
  if (withScore && !context.argIs(3, 'WITHSCORE')) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  const { sortedSets } = context.shard;
  const rank =
    reference === 0
      ? -1
      : sortedSets.rank(reference, bytes, view, context.argOffset(2), context.argLength(2));
  if (rank < 0) {
    if (withScore) reply.nullArray();
    else reply.nullBulk();
    return;
  }
  if (withScore) reply.array(2);
  reply.integer(isReverse ? sortedSets.count(reference) - 1 - rank : rank);
  if (withScore) reply.double(sortedSets.score);
}

function zrem(context: CommandContext): void {
  const reference = context.writeCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  let removed = 0;
  if (reference !== 0) {
    const { bytes, view } = context;
    const { sortedSets } = context.shard;
    for (let index = 2; index < context.argCount; index++) {
      if (sortedSets.remove(reference, bytes, view, context.argOffset(index), context.argLength(index))) {
        removed++;
      }
    }
    if (removed > 0) context.elementsRemoved(KeyEvent.SortedSetRemove, removed);
  }
  context.reply.integer(removed);
}

/**
 * Removes up to `count` elements with the lowest (or highest) scores from the selected sorted set and writes each
 * of them: as pairs, each an array of its own, or one after the other. The array around them is the caller's.
 */
export function popElements(
  context: CommandContext,
  reference: number,
  isMax: boolean,
  count: number,
  asPairs: boolean,
): void {
  const { reply } = context;
  const { sortedSets } = context.shard;
  const length = sortedSets.count(reference);
  const popped = Math.min(count, length);
  if (popped === 0) return;
  sortedSets.seek(cursor, reference, isMax ? length - 1 : 0);
  for (let left = popped; ; ) {
    if (asPairs) reply.array(2);
    replyMember(context, cursor);
    reply.double(cursor.score);
    if (--left === 0) break;
    if (isMax) sortedSets.previous(cursor);
    else sortedSets.next(cursor);
  }
  sortedSets.removeRange(reference, isMax ? length - popped : 0, popped);
  context.elementsRemoved(isMax ? KeyEvent.SortedSetPopMax : KeyEvent.SortedSetPopMin, popped);
}

function zpop(context: CommandContext, isMax: boolean): void {
  const { reply } = context;
  if (context.argCount > 3) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  let count = 1;
  const hasCount = context.argCount === 3;
  if (hasCount) {
    if (!context.integer(2, NOT_POSITIVE)) return;
    count = context.number.value;
    if (count < 0) {
      reply.error(NOT_POSITIVE);
      return;
    }
  }
  const reference = context.writeCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  if (reference === 0 || count === 0) {
    reply.array(0);
    return;
  }
  const popped = Math.min(count, context.shard.sortedSets.count(reference));
  const asPairs = hasCount && reply.protocol === 3;
  reply.array(asPairs ? popped : 2 * popped);
  popElements(context, reference, isMax, popped, asPairs);
}

/** Reads a number that has to be above 0; replies with `error` and returns 0 if it is not. */
function readPositive(context: CommandContext, index: number, error: string): number {
  if (!context.integer(index, error)) return 0;
  if (context.number.value > 0) return context.number.value;
  context.reply.error(error);
  return 0;
}

/** Replies with a key and what is popped from it, which are up to `count` elements. */
export function replyPoppedFromKey(
  context: CommandContext,
  reference: number,
  isMax: boolean,
  count: number,
): void {
  const { reply } = context;
  const popped = Math.min(count, context.shard.sortedSets.count(reference));
  reply.array(2);
  reply.bulkCopy(context.bytes, context.view, context.keyOffset, context.keyLength);
  reply.array(popped);
  popElements(context, reference, isMax, popped, true);
  recordPop(context, isMax ? 'ZPOPMAX' : 'ZPOPMIN', popped);
}

/** What ZMPOP and BZMPOP ask for behind their timeout. */
const popFromKeys = { firstKey: 0, keyCount: 0, isMax: false, count: 1 };

/**
 * Reads what ZMPOP and BZMPOP ask for, from the argument with the number of keys on. Returns null after replying an
 * error; otherwise an object that is valid until the next call.
 */
export function readPopFromKeys(context: CommandContext, keysArgument: number): typeof popFromKeys | null {
  const { reply } = context;
  const keyCount = readPositive(context, keysArgument, 'ERR numkeys should be greater than 0');
  if (keyCount === 0) return null;
  const where = keysArgument + 1 + keyCount;
  const isMax = where < context.argCount && context.argIs(where, 'MAX');
  if (where >= context.argCount || (!isMax && !context.argIs(where, 'MIN'))) {
    reply.error(SYNTAX_ERROR);
    return null;
  }
  let count = 0;
  for (let index = where + 1; index < context.argCount; index += 2) {
    if (count !== 0 || !context.argIs(index, 'COUNT') || index + 1 >= context.argCount) {
      reply.error(SYNTAX_ERROR);
      return null;
    }
    count = readPositive(context, index + 1, 'ERR count should be greater than 0');
    if (count === 0) return null;
  }
  popFromKeys.firstKey = keysArgument + 1;
  popFromKeys.keyCount = keyCount;
  popFromKeys.isMax = isMax;
  popFromKeys.count = Math.max(1, count);
  return popFromKeys;
}

/** Pops from the first of these keys that holds a sorted set. Returns false, with nothing replied, if none does. */
export function popFromFirst(context: CommandContext, wanted: typeof popFromKeys): boolean {
  const { firstKey, keyCount, isMax, count } = wanted;
  for (let key = firstKey; key < firstKey + keyCount; key++) {
    const reference = context.writeCollection(key, ValueType.SortedSet);
    if (reference > 0) replyPoppedFromKey(context, reference, isMax, count);
    if (reference !== 0) return true;
  }
  return false;
}

function zmpop(context: CommandContext): void {
  const wanted = readPopFromKeys(context, 1);
  if (wanted !== null && !popFromFirst(context, wanted)) context.reply.nullArray();
}

/** `count` different ranks below `length`, in ascending order unless they are few. */
function* distinctRanks(length: number, count: number): Generator<number> {
  if (count * 3 > length) {
    // Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S).
    for (let rank = 0, left = count; left > 0; rank++) {
      if (Math.random() * (length - rank) >= left) continue;
      left--;
      yield rank;
    }
    return;
  }
  // Floyd's algorithm (Bentley and Floyd, "A Sample of Brilliance", 1987).
  const chosen = new Set<number>();
  for (let bound = length - count; bound < length; bound++) {
    const rank = Math.floor(Math.random() * (bound + 1));
    const taken = chosen.has(rank) ? bound : rank;
    chosen.add(taken);
    yield taken;
  }
}

function replyRandom(context: CommandContext, reference: number, wanted: number, withScores: boolean): void {
  const { reply } = context;
  const { sortedSets } = context.shard;
  const length = sortedSets.count(reference);
  const count = wanted < 0 ? Math.min(-wanted, REPEATED_ELEMENTS_MAX) : Math.min(wanted, length);
  if (withScores) replyElementCount(context, count);
  else reply.array(count);
  const replyAt = (rank: number) => {
    sortedSets.seek(cursor, reference, rank);
    if (withScores) replyElement(context, cursor);
    else replyMember(context, cursor);
  };
  if (wanted < 0) {
    for (let left = count; left > 0 && !reply.overflowed; left--) replyAt(Math.floor(Math.random() * length));
  } else {
    for (const rank of distinctRanks(length, count)) replyAt(rank);
  }
}

function zrandmember(context: CommandContext): void {
  const { reply } = context;
  const options = readRandomOptions(context, 'WITHSCORES');
  if (options === null) return;
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  if (options.count !== null) {
    if (reference === 0) reply.array(0);
    else replyRandom(context, reference, options.count, options.withValues);
    return;
  }
  if (reference === 0) {
    reply.nullBulk();
    return;
  }
  const { sortedSets } = context.shard;
  sortedSets.seek(cursor, reference, Math.floor(Math.random() * sortedSets.count(reference)));
  replyMember(context, cursor);
}

/** A score as ZSCAN replies it. Packed sets of Redis store whole numbers as integers, so these have no exponent. */
function scannedScore(score: number, isPacked: boolean): string {
  const isWhole = isPacked && Number.isInteger(score) && Math.abs(score) < PACKED_INTEGER_LIMIT;
  return isWhole ? BigInt(score).toString() : formatDouble(score);
}

function zscan(context: CommandContext): void {
  const { reply } = context;
  const start = readCursor(context, 2);
  if (start < 0) return;
  const reference = context.readCollection(1, ValueType.SortedSet);
  if (reference < 0) return;
  const position = reply.hold();
  let next = 0;
  let count = 0;
  if (reference !== 0) {
    const options = readScanOptions(context, 3, '');
    if (options === null) return;
    const { pattern } = options;
    const { sortedSets } = context.shard;
    const isPacked = sortedSets.encoding(reference) === Encoding.Packed;
    const emit = () => {
      if (pattern !== null && !pattern.matches(cursor.bytes, cursor.offset, cursor.lengthBytes)) return;
      replyMember(context, cursor);
      reply.bulkString(scannedScore(cursor.score, isPacked));
      count++;
    };
    if (isPacked) {
      for (let more = sortedSets.seek(cursor, reference, 0); more; more = sortedSets.next(cursor)) emit();
    } else if (start < SCAN_CURSORS) {
      next = start;
      let steps = Math.min(options.count, 2 ** 31) * SCAN_STEPS_PER_ELEMENT;
      let seen = 0;
      do {
        next = sortedSets.scan(reference, next);
        const { scannedCount } = sortedSets;
        for (let index = 0; index < scannedCount; index++) {
          sortedSets.readScanned(cursor, index);
          emit();
        }
        seen += scannedCount;
      } while (next !== 0 && seen < options.count && --steps > 0);
    }
  }
  reply.insert(position, `*2\r\n$${String(next).length}\r\n${next}\r\n*${2 * count}\r\n`);
}

export const sortedSetHandlers: Readonly<Record<string, Handler>> = {
  ZADD: zadd,
  ZCARD: zcard,
  ZINCRBY: zincrby,
  ZMPOP: zmpop,
  ZMSCORE: zmscore,
  ZPOPMAX: (context) => zpop(context, true),
  ZPOPMIN: (context) => zpop(context, false),
  ZRANDMEMBER: zrandmember,
  ZRANK: (context) => zrank(context, false),
  ZREM: zrem,
  ZREVRANK: (context) => zrank(context, true),
  ZSCAN: zscan,
  ZSCORE: zscore,
};
