/** The commands of lists. */

import type { CommandContext } from '../../execution/context.js';
import { recordPop } from '../../execution/effects.js';
import {
  NO_SUCH_KEY,
  OUT_OF_MEMORY,
  OUT_OF_RANGE,
  SYNTAX_ERROR,
  wrongArity,
} from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { copyBytes } from '../../structures/copy.js';
import type { ListValue } from '../../structures/list-value.js';

const NEGATIVE = 'ERR value is out of range, must be positive';

/** An element on its way from one list to another; reallocated for longer ones. */
let carried = new Uint8Array(4096);
let carriedView = new DataView(carried.buffer);
let carriedBytes = 0;
const CARRIED_BYTES_KEPT_MAX = 1 << 20;

export function pushEvent(atTail: boolean): KeyEvent {
  return atTail ? KeyEvent.ListPushRight : KeyEvent.ListPushLeft;
}

export function popEvent(fromTail: boolean): KeyEvent {
  return fromTail ? KeyEvent.ListPopRight : KeyEvent.ListPopLeft;
}

/**
 * Adds the arguments from `first` on to a list, all of them or none; replies OOM and returns false if there is no
 * memory.
 */
function pushArguments(
  context: CommandContext,
  list: ListValue,
  reference: number,
  first: number,
  atTail: boolean,
): boolean {
  const { argCount, bytes, view } = context;
  let lengthBytes = 0;
  for (let index = first; index < argCount; index++) lengthBytes += context.argLength(index);
  if (list.prepare(reference, lengthBytes, argCount - first)) {
    let index = first;
    while (
      index < argCount &&
      list.push(reference, atTail, bytes, view, context.argOffset(index), context.argLength(index))
    ) {
      index++;
    }
    if (index === argCount) return true;
    list.drop(reference, atTail, index - first);
  }
  context.reply.error(OUT_OF_MEMORY);
  return false;
}

function push(context: CommandContext, atTail: boolean, mustExist: boolean): void {
  const { reply } = context;
  let reference = context.writeCollection(1, ValueType.List);
  if (reference < 0) return;
  const exists = reference !== 0;
  if (!exists) {
    if (mustExist) {
      reply.integer(0);
      return;
    }
    reference = context.createCollection(ValueType.List);
    if (reference === 0) return;
  }
  const list = context.shard.lists;
  if (pushArguments(context, list, reference, 2, atTail)) {
    reply.integer(list.count(reference));
    context.changed(pushEvent(atTail), context.argCount - 2);
  } else if (!exists) {
    context.dropIfEmpty();
  }
}

/** Replies with the element at a position. */
function replyElement(context: CommandContext, list: ListValue, position: number): void {
  list.read(position);
  const { element } = list;
  context.reply.bulkCopy(element.bytes, element.view, element.offset, element.lengthBytes);
}

/** Replies with `count` elements from `index` on, one after the other without a header. */
function replyElements(
  context: CommandContext,
  list: ListValue,
  reference: number,
  index: number,
  count: number,
): void {
  const { reply } = context;
  const { element } = list;
  let position = count === 0 ? 0 : list.seek(reference, index);
  for (let left = count; left > 0; left--) {
    position = list.readOn(position);
    reply.bulkCopy(element.bytes, element.view, element.offset, element.lengthBytes);
  }
}

/** Tells the gate that elements were taken from the selected list, and frees memory that the list no longer needs. */
export function elementsTaken(context: CommandContext, event: KeyEvent, count: number): void {
  const list = context.shard.lists;
  const reference = context.valueOffset;
  context.changed(event, count);
  if (list.count(reference) !== 0) list.shrink(reference);
  else if (context.dropIfEmpty()) context.happened(KeyEvent.Delete);
}

/** Takes one element from an end of the selected list, which has some, and replies with it. */
export function popOne(context: CommandContext, reference: number, fromTail: boolean): void {
  const list = context.shard.lists;
  const position = list.seek(reference, fromTail ? list.count(reference) - 1 : 0);
  replyElement(context, list, position);
  list.drop(reference, fromTail, 1);
  elementsTaken(context, popEvent(fromTail), 1);
}

/** Takes up to `count` elements from an end of the selected list, which has some, and replies with an array of them. */
export function popMany(context: CommandContext, reference: number, fromTail: boolean, count: number): void {
  const list = context.shard.lists;
  const length = list.count(reference);
  const taken = Math.min(count, length);
  context.reply.array(taken);
  if (fromTail) {
    let position = list.seek(reference, length - 1);
    for (let left = taken; ; position = list.previous(reference, position)) {
      replyElement(context, list, position);
      if (--left === 0) break;
    }
  } else {
    replyElements(context, list, reference, 0, taken);
  }
  list.drop(reference, fromTail, taken);
  elementsTaken(context, popEvent(fromTail), taken);
}

function pop(context: CommandContext, fromTail: boolean): void {
  const { reply, argCount } = context;
  if (argCount > 3) {
    reply.error(wrongArity(context.command.name));
    return;
  }
  let count = -1;
  if (argCount === 3) {
    if (!context.integer(2, NEGATIVE)) return;
    count = context.number.value;
    if (count < 0) {
      reply.error(NEGATIVE);
      return;
    }
  }
  const reference = context.writeCollection(1, ValueType.List);
  if (reference < 0) return;
  if (reference === 0) {
    if (count < 0) reply.nullBulk();
    else reply.nullArray();
  } else if (count < 0) {
    popOne(context, reference, fromTail);
  } else if (count === 0) {
    reply.array(0);
  } else {
    popMany(context, reference, fromTail, count);
  }
}

function llen(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.List);
  if (reference < 0) return;
  context.reply.integer(reference === 0 ? 0 : context.shard.lists.count(reference));
}

function lindex(context: CommandContext): void {
  const { reply } = context;
  const reference = context.readCollection(1, ValueType.List);
  if (reference < 0) return;
  if (reference === 0) {
    reply.nullBulk();
    return;
  }
  if (!context.integer(2)) return;
  const list = context.shard.lists;
  const index = elementIndex(context.number.value, list.count(reference));
  if (index < 0) reply.nullBulk();
  else replyElement(context, list, list.seek(reference, index));
}

/** Converts an index that may count from the end to one from the beginning; -1 if there is no such element. */
function elementIndex(index: number, count: number): number {
  if (index < 0) index += count;
  return index >= 0 && index < count ? index : -1;
}

/** Start and end of a range as arguments say it; filled by `readRange` and `clampRange`. */
const range = { start: 0, end: 0 };

function readRange(context: CommandContext): boolean {
  if (!context.integer(2)) return false;
  range.start = context.number.value;
  if (!context.integer(3)) return false;
  range.end = context.number.value;
  return true;
}

/** Makes the range one of indexes within a list of `count` elements; returns how many it covers. */
function clampRange(count: number): number {
  if (range.start < 0) range.start = Math.max(0, range.start + count);
  if (range.end < 0) range.end += count;
  range.end = Math.min(range.end, count - 1);
  return Math.max(0, range.end - range.start + 1);
}

function lrange(context: CommandContext): void {
  const { reply } = context;
  if (!readRange(context)) return;
  const reference = context.readCollection(1, ValueType.List);
  if (reference < 0) return;
  if (reference === 0) {
    reply.array(0);
    return;
  }
  const list = context.shard.lists;
  const count = clampRange(list.count(reference));
  reply.array(count);
  replyElements(context, list, reference, range.start, count);
}

function ltrim(context: CommandContext): void {
  const { reply } = context;
  if (!readRange(context)) return;
  const reference = context.writeCollection(1, ValueType.List);
  if (reference < 0) return;
  if (reference !== 0) {
    const list = context.shard.lists;
    const length = list.count(reference);
    const kept = clampRange(length);
    if (kept === 0) {
      list.drop(reference, false, length);
    } else {
      list.drop(reference, false, range.start);
      list.drop(reference, true, length - range.start - kept);
    }
    elementsTaken(context, KeyEvent.ListTrim, length - kept);
  }
  reply.ok();
}

function lset(context: CommandContext): void {
  const { reply, bytes, view } = context;
  const reference = context.writeCollection(1, ValueType.List);
  if (reference < 0) return;
  if (reference === 0) {
    reply.error(NO_SUCH_KEY);
    return;
  }
  if (!context.integer(2)) return;
  const list = context.shard.lists;
  const index = elementIndex(context.number.value, list.count(reference));
  if (index < 0) {
    reply.error(OUT_OF_RANGE);
    return;
  }
  const lengthBytes = context.argLength(3);
  if (
    // Prepared as for one more element: so Redis decides about the encoding.
    !list.prepare(reference, lengthBytes, 1) ||
    !list.replace(reference, list.seek(reference, index), bytes, view, context.argOffset(3), lengthBytes)
  ) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  list.shrink(reference);
  context.changed(KeyEvent.ListSet);
  reply.ok();
}

/** Position of the first element that has the text of an argument, from `position` on; 0 if there is none. */
function findForwards(context: CommandContext, list: ListValue, position: number, argument: number): number {
  const { bytes, view } = context;
  const offset = context.argOffset(argument);
  const lengthBytes = context.argLength(argument);
  while (position !== 0 && !list.equals(position, bytes, view, offset, lengthBytes)) {
    position = list.next(position);
  }
  return position;
}

function findBackwards(
  context: CommandContext,
  list: ListValue,
  reference: number,
  position: number,
  argument: number,
): number {
  const { bytes, view } = context;
  const offset = context.argOffset(argument);
  const lengthBytes = context.argLength(argument);
  while (position !== 0 && !list.equals(position, bytes, view, offset, lengthBytes)) {
    position = list.previous(reference, position);
  }
  return position;
}

function linsert(context: CommandContext): void {
  const { reply, bytes, view } = context;
  const isBehind = context.argIs(2, 'AFTER');
  if (!isBehind && !context.argIs(2, 'BEFORE')) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const reference = context.writeCollection(1, ValueType.List);
  if (reference < 0) return;
  if (reference === 0) {
    reply.integer(0);
    return;
  }
  const list = context.shard.lists;
  const lengthBytes = context.argLength(4);
  // Before the search, since `prepare` makes positions invalid.
  if (!list.prepare(reference, lengthBytes, 1)) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  const pivot = findForwards(context, list, list.seek(reference, 0), 3);
  if (pivot === 0) {
    reply.integer(-1);
  } else if (list.insert(reference, pivot, isBehind, bytes, view, context.argOffset(4), lengthBytes)) {
    context.changed(KeyEvent.ListInsert);
    reply.integer(list.count(reference));
  } else {
    reply.error(OUT_OF_MEMORY);
  }
}

function lrem(context: CommandContext): void {
  const { reply } = context;
  if (!context.integer(2)) return;
  const wanted = context.number.value;
  const isBackwards = wanted < 0;
  const reference = context.writeCollection(1, ValueType.List);
  if (reference < 0) return;
  if (reference === 0) {
    reply.integer(0);
    return;
  }
  const list = context.shard.lists;
  const { bytes, view } = context;
  if (!list.prepareRemoval(reference, bytes, view, context.argOffset(3), context.argLength(3))) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  const countMax = wanted === 0 ? Number.MAX_SAFE_INTEGER : Math.abs(wanted);
  let removed = 0;
  let position = list.seek(reference, isBackwards ? list.count(reference) - 1 : 0);
  while (removed < countMax) {
    position = isBackwards
      ? findBackwards(context, list, reference, position, 3)
      : findForwards(context, list, position, 3);
    if (position === 0) break;
    position = list.remove(reference, position, isBackwards);
    removed++;
  }
  reply.integer(removed);
  list.compact(reference);
  if (removed === 0) return;
  elementsTaken(context, KeyEvent.ListRemove, removed);
}

/** Options of LPOS. */
const search = { rank: 1, count: -1, lengthMax: 0 };

function parseSearch(context: CommandContext): boolean {
  const { reply, number } = context;
  search.rank = 1;
  search.count = -1;
  search.lengthMax = 0;
  for (let index = 3; index < context.argCount; index += 2) {
    const hasValue = index + 1 < context.argCount;
    if (hasValue && context.argIs(index, 'RANK')) {
      if (!context.integer(index + 1)) return false;
      if (!number.isSafe && number.big === -(2n ** 63n)) {
        reply.error(
          'ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807',
        );
        return false;
      }
      search.rank = number.value;
      if (search.rank === 0) {
        reply.error(
          "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
        );
        return false;
      }
    } else if (hasValue && context.argIs(index, 'COUNT')) {
      if (!context.integer(index + 1, "ERR COUNT can't be negative")) return false;
      search.count = number.value;
      if (search.count < 0) {
        reply.error("ERR COUNT can't be negative");
        return false;
      }
    } else if (hasValue && context.argIs(index, 'MAXLEN')) {
      if (!context.integer(index + 1, "ERR MAXLEN can't be negative")) return false;
      search.lengthMax = number.value;
      if (search.lengthMax < 0) {
        reply.error("ERR MAXLEN can't be negative");
        return false;
      }
    } else {
      reply.error(SYNTAX_ERROR);
      return false;
    }
  }
  return true;
}

function lpos(context: CommandContext): void {
  const { reply, bytes, view } = context;
  if (!parseSearch(context)) return;
  const wantsArray = search.count >= 0;
  const reference = context.readCollection(1, ValueType.List);
  if (reference < 0) return;
  if (reference === 0) {
    if (wantsArray) reply.array(0);
    else reply.nullBulk();
    return;
  }
  const list = context.shard.lists;
  const length = list.count(reference);
  const isBackwards = search.rank < 0;
  const steps = search.lengthMax === 0 ? length : Math.min(length, search.lengthMax);
  const countMax = search.count < 0 ? 1 : search.count === 0 ? length : search.count;
  const offset = context.argOffset(2);
  const lengthBytes = context.argLength(2);
  const header = wantsArray ? reply.reserveAggregate() : 0;
  let toSkip = Math.abs(search.rank) - 1;
  let found = 0;
  let position = list.seek(reference, isBackwards ? length - 1 : 0);
  for (let step = 0; step < steps && found < countMax; step++) {
    if (list.equals(position, bytes, view, offset, lengthBytes)) {
      if (toSkip > 0) {
        toSkip--;
      } else {
        reply.integer(isBackwards ? length - 1 - step : step);
        found++;
      }
    }
    position = isBackwards ? list.previous(reference, position) : list.next(position);
  }
  if (wantsArray) reply.patchAggregate(header, 'array', found);
  else if (found === 0) reply.nullBulk();
}

/** Reads LEFT or RIGHT: 0 or 1; -1 (and a syntax error is replied) if it is neither. */
export function readSide(context: CommandContext, index: number): number {
  if (context.argIs(index, 'LEFT')) return 0;
  if (context.argIs(index, 'RIGHT')) return 1;
  context.reply.error(SYNTAX_ERROR);
  return -1;
}

/** Copies the element at a position, so that it outlives changes of its list. */
function carry(list: ListValue, position: number): void {
  list.read(position);
  const { element } = list;
  carriedBytes = element.lengthBytes;
  const keepsTooMuch = carried.length > CARRIED_BYTES_KEPT_MAX && carriedBytes <= CARRIED_BYTES_KEPT_MAX;
  if (carriedBytes > carried.length || keepsTooMuch) {
    carried = new Uint8Array(Math.max(carriedBytes, 4096));
    carriedView = new DataView(carried.buffer);
  }
  copyBytes(carried, carriedView, 0, element.bytes, element.view, element.offset, carriedBytes);
}

/**
 * Moves an element from an end of the list that argument 1 names to an end of the one that argument 2 names, and
 * replies with it. Replies null through `nullBulk` if there is no source.
 */
export function move(context: CommandContext, fromTail: boolean, toTail: boolean): void {
  const { reply } = context;
  const source = context.writeCollection(1, ValueType.List);
  if (source < 0) return;
  if (source === 0) {
    reply.nullBulk();
    return;
  }
  const sourceList = context.shard.lists;
  carry(sourceList, sourceList.seek(source, fromTail ? sourceList.count(source) - 1 : 0));
  let target = context.writeCollection(2, ValueType.List);
  if (target < 0) return;
  const exists = target !== 0;
  if (!exists) {
    target = context.createCollection(ValueType.List);
    if (target === 0) return;
  }
  const list = context.shard.lists;
  // The push comes first: it may fail, and then nothing has changed.
  if (
    !list.prepare(target, carriedBytes, 1) ||
    !list.push(target, toTail, carried, carriedView, 0, carriedBytes)
  ) {
    if (!exists) context.dropIfEmpty();
    reply.error(OUT_OF_MEMORY);
    return;
  }
  context.changed(pushEvent(toTail));
  const reference = context.writeCollection(1, ValueType.List);
  context.shard.lists.drop(reference, fromTail, 1);
  elementsTaken(context, popEvent(fromTail), 0);
  reply.bulkCopy(carried, carriedView, 0, carriedBytes);
}

function lmove(context: CommandContext): void {
  const from = readSide(context, 3);
  const to = from < 0 ? -1 : readSide(context, 4);
  if (to >= 0) move(context, from === 1, to === 1);
}

/** What LMPOP and BLMPOP ask for behind their timeout. */
const popFromKeys = { firstKey: 0, keyCount: 0, fromTail: false, count: 1 };

/**
 * Reads what LMPOP and BLMPOP ask for, from the argument with the number of keys on. Returns null after replying an
 * error; otherwise an object that is valid until the next call.
 */
export function readPopFromKeys(context: CommandContext, keysArgument: number): typeof popFromKeys | null {
  const { reply, number } = context;
  const tooFew = 'ERR numkeys should be greater than 0';
  if (!context.integer(keysArgument, tooFew)) return null;
  const keyCount = number.value;
  const sideArgument = keysArgument + 1 + keyCount;
  if (keyCount < 1 || sideArgument >= context.argCount) {
    reply.error(keyCount < 1 ? tooFew : SYNTAX_ERROR);
    return null;
  }
  const side = readSide(context, sideArgument);
  if (side < 0) return null;
  let count = -1;
  for (let index = sideArgument + 1; index < context.argCount; index += 2) {
    if (count !== -1 || index + 1 >= context.argCount || !context.argIs(index, 'COUNT')) {
      reply.error(SYNTAX_ERROR);
      return null;
    }
    const tooSmall = 'ERR count should be greater than 0';
    if (!context.integer(index + 1, tooSmall)) return null;
    count = number.value;
    if (count < 1) {
      reply.error(tooSmall);
      return null;
    }
  }
  popFromKeys.firstKey = keysArgument + 1;
  popFromKeys.keyCount = keyCount;
  popFromKeys.fromTail = side === 1;
  popFromKeys.count = Math.max(1, count);
  return popFromKeys;
}

/** Replies with a key that is named by an argument, and takes up to `count` elements from its list, which has some. */
export function popFromKey(
  context: CommandContext,
  key: number,
  reference: number,
  fromTail: boolean,
  count: number,
): void {
  const { reply, bytes, view } = context;
  reply.array(2);
  reply.bulkCopy(bytes, view, context.argOffset(key), context.argLength(key));
  const taken = Math.min(context.shard.lists.count(reference), count);
  popMany(context, reference, fromTail, count);
  recordPop(context, fromTail ? 'RPOP' : 'LPOP', taken);
}

/** Pops from the first of these keys that holds a list. Returns false, with nothing replied, if none does. */
export function popFromFirst(context: CommandContext, wanted: typeof popFromKeys): boolean {
  const { firstKey, keyCount, fromTail, count } = wanted;
  for (let key = firstKey; key < firstKey + keyCount; key++) {
    const reference = context.writeCollection(key, ValueType.List);
    if (reference > 0) popFromKey(context, key, reference, fromTail, count);
    if (reference !== 0) return true;
  }
  return false;
}

function lmpop(context: CommandContext): void {
  const wanted = readPopFromKeys(context, 1);
  if (wanted !== null && !popFromFirst(context, wanted)) context.reply.nullArray();
}

export const listHandlers: Readonly<Record<string, Handler>> = {
  LINDEX: lindex,
  LINSERT: linsert,
  LLEN: llen,
  LMOVE: lmove,
  LMPOP: lmpop,
  LPOP: (context) => pop(context, false),
  LPOS: lpos,
  LPUSH: (context) => push(context, false, false),
  LPUSHX: (context) => push(context, false, true),
  LRANGE: lrange,
  LREM: lrem,
  LSET: lset,
  LTRIM: ltrim,
  RPOP: (context) => pop(context, true),
  RPOPLPUSH: (context) => move(context, true, false),
  RPUSH: (context) => push(context, true, false),
  RPUSHX: (context) => push(context, true, true),
};
