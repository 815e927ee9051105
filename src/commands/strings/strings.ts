/** The commands of strings. */

import type { CommandContext } from '../../execution/context.js';
import { recordBeginning, recordDelete, recordExpiry, recordString } from '../../execution/effects.js';
import {
  NOT_A_FLOAT,
  NOT_AN_INTEGER,
  OVERFLOW,
  STRING_TOO_LONG,
  SYNTAX_ERROR,
  wrongArity,
} from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { INT64_MAX, INT64_MIN, integerLength, writeInteger } from '../../memory/numbers.js';
import { addLongDoubles, formatLongDouble, parseLongDouble } from '../../protocol/long-double.js';
import { copyBytes, equalBytes } from '../../structures/copy.js';
import { readExpiry, TIME_UNITS } from '../keys/expiry-options.js';
import { digestOf } from './digest.js';
import { increx } from './increx.js';

const textEncoder = new TextEncoder();

/** Replies with the selected key's value. */
function replyValue(context: CommandContext): void {
  const { shard } = context;
  context.reply.bulkCopy(shard.bytes, shard.view, context.valueOffset, context.valueLength);
}

function get(context: CommandContext): void {
  if (context.findRead(1) === 0) context.reply.nullBulk();
  else if (context.isType(ValueType.String)) replyValue(context);
}

const enum Condition {
  None = 0,
  IfAbsent = 1,
  IfPresent = 2,
  IfEqual = 3,
  IfNotEqual = 4,
  IfDigestEqual = 5,
  IfDigestNotEqual = 6,
}

const CONDITION_WORDS: readonly [string, Condition][] = [
  ['IFEQ', Condition.IfEqual],
  ['IFNE', Condition.IfNotEqual],
  ['IFDEQ', Condition.IfDigestEqual],
  ['IFDNE', Condition.IfDigestNotEqual],
];

/** Options of SET, GETEX and MSETEX; one object, filled anew by each parse. */
const options = {
  condition: Condition.None as Condition,
  /** Argument that the condition compares with. */
  operand: 0,
  wantsOld: false,
  keepsExpiry: false,
  persist: false,
  expiresAt: -1,
  /** Argument of the time and its unit, 0 if there is none. */
  timeArgument: 0,
  timeUnit: '',
};

function resetOptions(): void {
  options.condition = Condition.None;
  options.operand = 0;
  options.wantsOld = false;
  options.keepsExpiry = false;
  options.persist = false;
  options.expiresAt = -1;
  options.timeArgument = 0;
  options.timeUnit = '';
}

/** Reads one time option at `index`; returns the index after it, or `index` if there is none there. */
function parseTimeOption(context: CommandContext, index: number): number {
  if (options.keepsExpiry || options.persist || index + 1 >= context.argCount) return index;
  for (const unit in TIME_UNITS) {
    if (!context.argIs(index, unit)) continue;
    // The same unit may be given again, and then the last one counts; two units contradict each other.
    if (options.timeArgument !== 0 && options.timeUnit !== unit) return index;
    options.timeArgument = index + 1;
    options.timeUnit = unit;
    return index + 2;
  }
  return index;
}

/** Reads the time that `parseTimeOption` found; false if it is not valid (the error is replied). */
function readTime(context: CommandContext): boolean {
  if (options.timeArgument === 0) return true;
  options.expiresAt = readExpiry(context, options.timeArgument, TIME_UNITS[options.timeUnit]);
  return options.expiresAt >= 0;
}

/** Reads a condition on the present value at `index`; returns the index after it, or `index`. */
function parseComparison(context: CommandContext, index: number): number {
  if (options.condition !== Condition.None || index + 1 >= context.argCount) return index;
  for (const [word, condition] of CONDITION_WORDS) {
    if (!context.argIs(index, word)) continue;
    options.condition = condition;
    options.operand = index + 1;
    return index + 2;
  }
  return index;
}

function parseSetOptions(context: CommandContext): boolean {
  resetOptions();
  for (let index = 3; index < context.argCount; ) {
    if (context.argIs(index, 'NX') && options.condition === Condition.None) {
      options.condition = Condition.IfAbsent;
      index++;
    } else if (context.argIs(index, 'XX') && options.condition === Condition.None) {
      options.condition = Condition.IfPresent;
      index++;
    } else if (
      (context.argIs(index, 'NX') && options.condition === Condition.IfAbsent) ||
      (context.argIs(index, 'XX') && options.condition === Condition.IfPresent)
    ) {
      index++;
    } else if (context.argIs(index, 'GET')) {
      options.wantsOld = true;
      index++;
    } else if (context.argIs(index, 'KEEPTTL') && options.timeArgument === 0) {
      options.keepsExpiry = true;
      index++;
    } else {
      let next = parseTimeOption(context, index);
      if (next === index) next = parseComparison(context, index);
      if (next === index) {
        context.reply.error(SYNTAX_ERROR);
        return false;
      }
      index = next;
    }
  }
  return readTime(context);
}

/** Whether the selected key (a string, or none) fulfils the condition. */
function holds(context: CommandContext): boolean {
  const { shard } = context;
  const exists = context.entry !== 0;
  switch (options.condition) {
    case Condition.IfAbsent:
      return !exists;
    case Condition.IfPresent:
      return exists;
    case Condition.IfEqual:
    case Condition.IfNotEqual: {
      const wantsEqual = options.condition === Condition.IfEqual;
      if (!exists) return !wantsEqual;
      const isEqual =
        context.valueLength === context.argLength(options.operand) &&
        equalBytes(
          shard.bytes,
          shard.view,
          context.valueOffset,
          context.bytes,
          context.view,
          context.argOffset(options.operand),
          context.valueLength,
        );
      return isEqual === wantsEqual;
    }
    case Condition.IfDigestEqual:
    case Condition.IfDigestNotEqual: {
      const wantsEqual = options.condition === Condition.IfDigestEqual;
      if (!exists) return !wantsEqual;
      return (digestOf(copyValue(context)) === context.argText(options.operand).toLowerCase()) === wantsEqual;
    }
    default:
      return true;
  }
}

/** A copy of the selected key's value. */
function copyValue(context: CommandContext): Uint8Array {
  const offset = context.valueOffset;
  return context.shard.bytes.slice(offset, offset + context.valueLength);
}

/** Replies with an error if a digest to compare with is not one. */
function checkDigest(context: CommandContext): boolean {
  if (options.condition < Condition.IfDigestEqual) return true;
  if (/^[0-9a-fA-F]{16}$/.test(context.argLatin1(options.operand))) return true;
  context.reply.error('ERR digest must be exactly 16 hexadecimal characters');
  return false;
}

function set(context: CommandContext): void {
  if (context.argCount === 3) {
    context.findWrite(1);
    if (!context.putString(2, -1)) return;
    context.overwritten();
    context.changed(KeyEvent.Set);
    context.reply.ok();
    return;
  }
  if (!parseSetOptions(context) || !checkDigest(context)) return;
  const { reply } = context;
  const replyStart = reply.hold();
  if (options.wantsOld) context.findReadWrite(1);
  else context.findWrite(1);
  if ((options.wantsOld || options.condition >= Condition.IfEqual) && !context.isType(ValueType.String))
    return;
  if (options.wantsOld) {
    if (context.entry === 0) reply.nullBulk();
    else replyValue(context);
  }
  if (!holds(context)) {
    if (!options.wantsOld) reply.nullBulk();
    return;
  }
  const expiresAt = options.keepsExpiry ? context.expiresAtMs : options.expiresAt;
  const oldLength = reply.length;
  reply.length = replyStart;
  if (!context.putString(2, expiresAt)) return;
  reply.length = oldLength;
  context.overwritten();
  context.changed(KeyEvent.Set);
  if (options.timeArgument !== 0) context.happened(KeyEvent.Expire);
  recordString(context);
  if (!options.wantsOld) reply.ok();
}

function setnx(context: CommandContext): void {
  if (context.findWrite(1) !== 0) {
    context.reply.integer(0);
    return;
  }
  if (!context.putString(2, -1)) return;
  context.changed(KeyEvent.Set);
  context.reply.integer(1);
}

function setWithExpiry(context: CommandContext, unit: string): void {
  const expiresAt = readExpiry(context, 2, TIME_UNITS[unit]);
  if (expiresAt < 0) return;
  context.findWrite(1);
  if (!context.putString(3, expiresAt)) return;
  context.overwritten();
  context.changed(KeyEvent.Set);
  context.happened(KeyEvent.Expire);
  recordString(context);
  context.reply.ok();
}

function getset(context: CommandContext): void {
  const { reply } = context;
  context.findReadWrite(1);
  if (!context.isType(ValueType.String)) return;
  const start = reply.hold();
  if (context.entry === 0) reply.nullBulk();
  else replyValue(context);
  const end = reply.length;
  reply.length = start;
  if (!context.putString(2, -1)) return;
  reply.length = end;
  context.overwritten();
  context.changed(KeyEvent.Set);
  recordString(context);
}

function getdel(context: CommandContext): void {
  if (context.findReadWrite(1) === 0) {
    context.reply.nullBulk();
    return;
  }
  if (!context.isType(ValueType.String)) return;
  replyValue(context);
  context.remove();
  context.changed(KeyEvent.Delete);
  recordDelete(context);
}

function getex(context: CommandContext): void {
  resetOptions();
  for (let index = 2; index < context.argCount; ) {
    let next = index;
    if (context.argIs(index, 'PERSIST') && options.timeArgument === 0) {
      options.persist = true;
      next++;
    } else {
      next = parseTimeOption(context, index);
    }
    if (next === index) {
      context.reply.error(SYNTAX_ERROR);
      return;
    }
    index = next;
  }
  if (context.findReadWrite(1) === 0) {
    // No key: null, even if the time is wrong.
    context.reply.nullBulk();
    return;
  }
  if (!context.isType(ValueType.String) || !readTime(context)) return;
  const { reply } = context;
  const start = reply.hold();
  replyValue(context);
  if (options.timeArgument !== 0) {
    if (context.isPast(options.expiresAt)) {
      context.remove();
      context.changed(KeyEvent.Delete);
      recordDelete(context);
      return;
    }
    const end = reply.length;
    reply.length = start;
    if (!context.setExpiry(options.expiresAt)) return;
    reply.length = end;
    context.changed(KeyEvent.Expire);
    recordExpiry(context);
  } else if (options.persist && context.expiresAtMs >= 0) {
    if (!context.setExpiry(-1)) return;
    context.changed(KeyEvent.Persist);
    recordExpiry(context);
  }
}

function mget(context: CommandContext): void {
  const { reply } = context;
  reply.array(context.argCount - 1);
  for (let index = 1; index < context.argCount; index++) {
    if (context.findRead(index) === 0 || context.entryType !== ValueType.String) reply.nullBulk();
    else replyValue(context);
  }
}

/** Reserves room for `count` pairs from argument `first` on in each of their shards; replies OOM if one lacks it. */
function promisePairs(context: CommandContext, first: number, count: number): boolean {
  const { database } = context;
  const expires = options.keepsExpiry || options.expiresAt >= 0;
  const pairBytes = context.argBytes(first);
  for (let index = first; index < first + 2 * count; index += 2) {
    context.selectKey(index);
    if (!context.promise(context.shard.roomForKeys(database, count, pairBytes, expires))) return false;
  }
  return true;
}

/**
 * Sets pairs for which room is reserved. Returns false, after replying OOM, if memory is missing nevertheless; the
 * pairs set until then stay and are recorded.
 */
function setPairs(
  context: CommandContext,
  first: number,
  count: number,
  expiresAt: number,
  isRewritten: boolean,
): boolean {
  let isComplete = true;
  for (let index = first; index < first + 2 * count && isComplete; index += 2) {
    context.findWrite(index);
    const wanted = options.keepsExpiry ? context.expiresAtMs : expiresAt;
    isComplete = context.putString(index + 1, wanted);
    if (isComplete) {
      context.overwritten();
      context.changed(KeyEvent.Set);
      if (expiresAt >= 0) context.happened(KeyEvent.Expire);
      if (isRewritten) recordString(context);
    } else if (!isRewritten && index > first) {
      recordBeginning(context, index);
    }
  }
  context.endPromises();
  return isComplete;
}

function countExisting(context: CommandContext, first: number, count: number): number {
  let existing = 0;
  for (let index = first; index < first + 2 * count; index += 2) if (context.peek(index) !== 0) existing++;
  return existing;
}

function mset(context: CommandContext): void {
  if ((context.argCount & 1) === 0) {
    context.reply.error(wrongArity(context.command.name));
    return;
  }
  const count = (context.argCount - 1) >> 1;
  resetOptions();
  if (promisePairs(context, 1, count) && setPairs(context, 1, count, -1, false)) context.reply.ok();
}

function msetnx(context: CommandContext): void {
  if ((context.argCount & 1) === 0) {
    context.reply.error(wrongArity(context.command.name));
    return;
  }
  const count = (context.argCount - 1) >> 1;
  if (countExisting(context, 1, count) > 0) {
    context.reply.integer(0);
    return;
  }
  resetOptions();
  if (promisePairs(context, 1, count) && setPairs(context, 1, count, -1, false)) context.reply.integer(1);
}

function msetex(context: CommandContext): void {
  const { reply } = context;
  if (!context.integer(1, 'ERR invalid numkeys value')) return;
  const count = context.number.value;
  if (count <= 0) {
    reply.error('ERR invalid numkeys value');
    return;
  }
  if (2 + 2 * count > context.argCount) {
    reply.error(wrongArity('msetex'));
    return;
  }
  resetOptions();
  for (let index = 2 + 2 * count; index < context.argCount; ) {
    let next = index;
    if (context.argIs(index, 'NX') && options.condition === Condition.None) {
      options.condition = Condition.IfAbsent;
      next++;
    } else if (context.argIs(index, 'XX') && options.condition === Condition.None) {
      options.condition = Condition.IfPresent;
      next++;
    } else if (context.argIs(index, 'KEEPTTL') && options.timeArgument === 0) {
      options.keepsExpiry = true;
      next++;
    } else {
      next = parseTimeOption(context, index);
    }
    if (next === index) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    index = next;
  }
  if (!readTime(context)) return;
  const existing = options.condition === Condition.None ? 0 : countExisting(context, 2, count);
  if (
    (options.condition === Condition.IfAbsent && existing > 0) ||
    (options.condition === Condition.IfPresent && existing < count)
  ) {
    reply.integer(0);
    return;
  }
  if (!promisePairs(context, 2, count)) return;
  if (setPairs(context, 2, count, options.expiresAt, true)) reply.integer(1);
}

function append(context: CommandContext): void {
  const { reply } = context;
  const addedBytes = context.argLength(2);
  if (context.findWrite(1) === 0) {
    if (!context.putString(2, -1)) return;
    context.changed(KeyEvent.Append);
    reply.integer(addedBytes);
    return;
  }
  if (!context.isType(ValueType.String)) return;
  const oldLength = context.valueLength;
  if (!isAllowedLength(context, oldLength + addedBytes)) return;
  if (!context.resizeString(oldLength + addedBytes)) return;
  writeArgument(context, 2, oldLength);
  context.changed(KeyEvent.Append);
  reply.integer(oldLength + addedBytes);
}

/** Copies an argument into the selected value at a position within it. */
function writeArgument(context: CommandContext, index: number, position: number): void {
  const { shard } = context;
  copyBytes(
    shard.bytes,
    shard.view,
    context.valueOffset + position,
    context.bytes,
    context.view,
    context.argOffset(index),
    context.argLength(index),
  );
}

function isAllowedLength(context: CommandContext, lengthBytes: number): boolean {
  if (lengthBytes <= context.services.maxBulkLengthBytes) return true;
  context.reply.error(STRING_TOO_LONG);
  return false;
}

function strlen(context: CommandContext): void {
  if (context.findRead(1) === 0) context.reply.integer(0);
  else if (context.isType(ValueType.String)) context.reply.integer(context.valueLength);
}

function setrange(context: CommandContext): void {
  const { reply } = context;
  if (!context.integer(2)) return;
  const offset = context.number.value;
  if (offset < 0) {
    reply.error('ERR offset is out of range');
    return;
  }
  const valueBytes = context.argLength(3);
  const exists = context.findWrite(1) !== 0;
  if (!context.isType(ValueType.String)) return;
  const oldLength = exists ? context.valueLength : 0;
  if (valueBytes === 0) {
    reply.integer(oldLength);
    return;
  }
  if (!isAllowedLength(context, offset + valueBytes)) return;
  if (!exists && !context.createEmptyString()) return;
  if (!context.resizeString(Math.max(oldLength, offset + valueBytes))) {
    if (!exists) context.remove();
    return;
  }
  writeArgument(context, 3, offset);
  context.changed(KeyEvent.SetRange);
  reply.integer(context.valueLength);
}

function getrange(context: CommandContext): void {
  const { reply } = context;
  if (!context.integer(2)) return;
  let start = context.number.value;
  if (!context.integer(3)) return;
  let end = context.number.value;
  if (context.findRead(1) === 0) {
    reply.bulkString('');
    return;
  }
  if (!context.isType(ValueType.String)) return;
  const length = context.valueLength;
  if (start < 0 && end < 0 && start > end) {
    reply.bulkString('');
    return;
  }
  if (start < 0) start = Math.max(0, length + start);
  if (end < 0) end = Math.max(0, length + end);
  end = Math.min(end, length - 1);
  if (start > end || length === 0) {
    reply.bulkString('');
    return;
  }
  const { shard } = context;
  reply.bulkCopy(shard.bytes, shard.view, context.valueOffset + start, end - start + 1);
}

/** Adds to the integer in the selected argument's key. */
function addInteger(context: CommandContext, delta: number, exactDelta: bigint | null): void {
  const { reply, number } = context;
  let value = 0;
  let exact: bigint | null = exactDelta;
  if (context.findWrite(1) !== 0) {
    if (!context.isType(ValueType.String)) return;
    if (!number.parse(context.shard.bytes, context.valueOffset, context.valueLength)) {
      reply.error(NOT_AN_INTEGER);
      return;
    }
    value = number.value;
    if (!number.isSafe) exact ??= BigInt(delta);
  } else {
    number.parse(ZERO, 0, 1);
  }
  let sum = value + delta;
  if (exact !== null || !Number.isSafeInteger(sum)) {
    const exactSum = number.toBigInt() + (exact ?? BigInt(delta));
    if (exactSum > INT64_MAX || exactSum < INT64_MIN) {
      reply.error(OVERFLOW);
      return;
    }
    sum = Number(exactSum);
    if (!Number.isSafeInteger(sum)) {
      if (putText(context, exactSum.toString())) {
        context.changed(KeyEvent.IncrementBy);
        reply.integerBig(exactSum);
      }
      return;
    }
  }
  const length = integerLength(sum);
  if (!context.putValue(ValueType.String, length, context.expiresAtMs)) return;
  writeInteger(context.shard.bytes, context.valueOffset, sum);
  context.changed(KeyEvent.IncrementBy);
  reply.integer(sum);
}

const ZERO = Uint8Array.of(0x30);

/** Gives the selected key an ASCII text as value, keeping its expiry. */
function putText(context: CommandContext, text: string): boolean {
  const encoded = textEncoder.encode(text);
  if (!context.putValue(ValueType.String, encoded.length, context.expiresAtMs)) return false;
  context.shard.bytes.set(encoded, context.valueOffset);
  return true;
}

function incrby(context: CommandContext): void {
  if (!context.integer(2)) return;
  const { number } = context;
  addInteger(context, number.value, number.isSafe ? null : number.big);
}

function decrby(context: CommandContext): void {
  if (!context.integer(2)) return;
  const { number } = context;
  if (!number.isSafe && number.big === INT64_MIN) {
    context.reply.error('ERR decrement would overflow');
    return;
  }
  addInteger(context, -number.value, number.isSafe ? null : -number.big);
}

function incrbyfloat(context: CommandContext): void {
  const { reply } = context;
  const exists = context.findWrite(1) !== 0;
  if (!context.isType(ValueType.String)) return;
  const old = parseLongDouble(exists ? Buffer.from(copyValue(context)).toString('latin1') : '0');
  const increment = old === null ? null : parseLongDouble(context.argLatin1(2));
  if (old === null || increment === null) {
    reply.error(NOT_A_FLOAT);
    return;
  }
  const sum = old === 'infinite' || increment === 'infinite' ? 'infinite' : addLongDoubles(old, increment);
  if (sum === 'infinite') {
    reply.error('ERR increment would produce NaN or Infinity');
    return;
  }
  const text = formatLongDouble(sum);
  if (!putText(context, text)) return;
  context.markText();
  context.changed(KeyEvent.IncrementByFloat);
  recordString(context);
  reply.bulkString(text);
}

function delex(context: CommandContext): void {
  const { reply } = context;
  resetOptions();
  if (context.argCount > 2 && parseComparison(context, 2) !== context.argCount) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (!checkDigest(context)) return;
  if (context.findWrite(1) === 0) {
    reply.integer(0);
    return;
  }
  if (options.condition !== Condition.None) {
    if (!context.isType(ValueType.String)) return;
    if (!holds(context)) {
      reply.integer(0);
      return;
    }
  }
  context.remove();
  context.changed(KeyEvent.Delete);
  recordDelete(context);
  reply.integer(1);
}

/** DELEX with IFEQ, under the name that Valkey has for it. */
function delifeq(context: CommandContext): void {
  resetOptions();
  options.condition = Condition.IfEqual;
  options.operand = 2;
  const exists = context.findWrite(1) !== 0;
  if (!context.isType(ValueType.String)) return;
  const isDeleted = exists && holds(context);
  if (isDeleted) {
    context.remove();
    context.changed(KeyEvent.Delete);
    recordDelete(context);
  }
  context.reply.integer(isDeleted ? 1 : 0);
}

function digest(context: CommandContext): void {
  if (context.findRead(1) === 0) context.reply.nullBulk();
  else if (context.isType(ValueType.String)) context.reply.bulkString(digestOf(copyValue(context)));
}

/** The value of a key for LCS: empty if it is absent, null if it is no string. */
function lcsOperand(context: CommandContext, index: number): Uint8Array | null {
  if (context.findRead(index) === 0) return new Uint8Array(0);
  return context.entryType === ValueType.String ? copyValue(context) : null;
}

/**
 * Longest common subsequence by dynamic programming; `table` cell (i, j) is the length for the first i
 * and j bytes. Walking back from the far corner yields the matches, last first.
 */
function lcs(context: CommandContext): void {
  const { reply } = context;
  const left = lcsOperand(context, 1);
  const right = lcsOperand(context, 2);
  if (left === null || right === null) {
    reply.error('ERR The specified keys must contain string values');
    return;
  }
  let wantsLength = false;
  let wantsIndexes = false;
  let withMatchLengths = false;
  let matchLengthMin = 0;
  for (let index = 3; index < context.argCount; index++) {
    if (context.argIs(index, 'IDX')) wantsIndexes = true;
    else if (context.argIs(index, 'LEN')) wantsLength = true;
    else if (context.argIs(index, 'WITHMATCHLEN')) withMatchLengths = true;
    else if (context.argIs(index, 'MINMATCHLEN') && index + 1 < context.argCount) {
      if (!context.integer(++index)) return;
      matchLengthMin = Math.max(0, context.number.value);
    } else {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }
  if (wantsLength && wantsIndexes) {
    reply.error('ERR If you want both the length and indexes, please just use IDX.');
    return;
  }
  const width = right.length + 1;
  const cells = (left.length + 1) * width;
  if (cells * 4 > context.services.maxBulkLengthBytes) {
    reply.error('ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len');
    return;
  }
  const table = new Uint32Array(cells);
  for (let i = 1; i <= left.length; i++) {
    for (let j = 1; j <= right.length; j++) {
      table[i * width + j] =
        left[i - 1] === right[j - 1]
          ? table[(i - 1) * width + j - 1] + 1
          : Math.max(table[(i - 1) * width + j], table[i * width + j - 1]);
    }
  }
  const length = table[cells - 1];
  if (wantsLength) {
    reply.integer(length);
    return;
  }
  const common = new Uint8Array(length);
  const matches: [number, number, number, number][] = [];
  let filled = length;
  let match: [number, number, number, number] | null = null;
  for (let i = left.length, j = right.length; i > 0 && j > 0; ) {
    if (left[i - 1] === right[j - 1]) {
      common[--filled] = left[i - 1];
      if (match !== null && match[0] === i && match[2] === j) {
        match[0]--;
        match[2]--;
      } else {
        match = [i - 1, i - 1, j - 1, j - 1];
        matches.push(match);
      }
      i--;
      j--;
    } else if (table[(i - 1) * width + j] > table[i * width + j - 1]) {
      i--;
    } else {
      j--;
    }
  }
  if (!wantsIndexes) {
    reply.bulkBuffer(common);
    return;
  }
  const shown = matches.filter(([start, end]) => matchLengthMin === 0 || end - start + 1 >= matchLengthMin);
  reply.map(2);
  reply.bulkString('matches');
  reply.array(shown.length);
  for (const [leftStart, leftEnd, rightStart, rightEnd] of shown) {
    reply.array(withMatchLengths ? 3 : 2);
    reply.array(2);
    reply.integer(leftStart);
    reply.integer(leftEnd);
    reply.array(2);
    reply.integer(rightStart);
    reply.integer(rightEnd);
    if (withMatchLengths) reply.integer(leftEnd - leftStart + 1);
  }
  reply.bulkString('len');
  reply.integer(length);
}

export const stringHandlers: Readonly<Record<string, Handler>> = {
  APPEND: append,
  DECR: (context) => addInteger(context, -1, null),
  DECRBY: decrby,
  DELEX: delex,
  DELIFEQ: delifeq,
  DIGEST: digest,
  GET: get,
  GETDEL: getdel,
  GETEX: getex,
  GETRANGE: getrange,
  GETSET: getset,
  INCR: (context) => addInteger(context, 1, null),
  INCRBY: incrby,
  INCRBYFLOAT: incrbyfloat,
  INCREX: increx,
  LCS: lcs,
  MGET: mget,
  MSET: mset,
  MSETEX: msetex,
  MSETNX: msetnx,
  PSETEX: (context) => setWithExpiry(context, 'PX'),
  SET: set,
  SETEX: (context) => setWithExpiry(context, 'EX'),
  SETNX: setnx,
  SETRANGE: setrange,
  STRLEN: strlen,
  SUBSTR: getrange,
};
