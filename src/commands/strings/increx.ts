/**
 * INCREX: adds to a number within bounds and changes its key's expiry, in one step, as rate limiters need it.
 *
 * A sum beyond a bound, or beyond the range of its type, is declined: nothing changes, and the reply says that 0 was
 * added. With SATURATE it becomes the bound instead.
 */

import type { CommandContext } from '../../execution/context.js';
import { recordDelete, recordString } from '../../execution/effects.js';
import { NOT_A_FLOAT, NOT_AN_INTEGER, SYNTAX_ERROR } from '../../execution/errors.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { INT64_MAX, INT64_MIN, integerLength, writeInteger } from '../../memory/numbers.js';
import {
  addLongDoubles,
  compareLongDoubles,
  formatLongDouble,
  LONG_DOUBLE_MAX,
  type LongDouble,
  negateLongDouble,
  parseLongDouble,
} from '../../protocol/long-double.js';
import { readExpiry, TIME_UNITS } from '../keys/expiry-options.js';

const LIMITS_CROSSED = "ERR LBOUND can't be greater than UBOUND";
const BAD_INTEGER_INCREMENT = 'ERR Increment is not an integer or out of range';
const BAD_INTEGER_LOWER_BOUND = 'ERR LBOUND is not an integer or out of range';
const BAD_INTEGER_UPPER_BOUND = 'ERR UBOUND is not an integer or out of range';

/** The options as arguments, 0 where one is not given. */
const options = {
  increment: 0,
  isFloat: false,
  lowerBound: 0,
  upperBound: 0,
  saturates: false,
  time: 0,
  timeUnit: '',
  persists: false,
  onlyWithoutExpiry: false,
};

/** A float that may be infinite. */
type Extended = LongDouble | 'inf' | '-inf';

/** What integer mode adds, and within which bounds. */
const integers = { increment: 0, lowerBound: 0, upperBound: 0, areSafe: true };

/** What floating-point mode adds, and within which bounds. */
const floats: { increment: LongDouble; lowerBound: Extended; upperBound: Extended } = {
  increment: LONG_DOUBLE_MAX,
  lowerBound: LONG_DOUBLE_MAX,
  upperBound: LONG_DOUBLE_MAX,
};

/** Result of an increment; as text where numbers are not exact. */
const result = {
  isDeclined: false,
  isText: false,
  value: 0,
  /** What was added, 0 if the sum was declined. */
  applied: 0,
  valueText: '',
  appliedText: '',
};

function setResult(value: number, applied: number, isDeclined: boolean): void {
  result.isText = false;
  result.value = value;
  result.applied = applied;
  result.isDeclined = isDeclined;
}

function setTextResult(value: string, applied: string, isDeclined: boolean): void {
  result.isText = true;
  result.valueText = value;
  result.appliedText = applied;
  result.isDeclined = isDeclined;
}

/** Reads one option; returns the index behind it, or 0 if it is none, is given again or contradicts another one. */
function readOption(context: CommandContext, index: number): number {
  const hasValue = index + 1 < context.argCount;
  if (context.argIs(index, 'SATURATE') && !options.saturates) {
    options.saturates = true;
  } else if (context.argIs(index, 'PERSIST') && !options.persists && options.time === 0) {
    options.persists = true;
  } else if (context.argIs(index, 'ENX') && !options.onlyWithoutExpiry) {
    options.onlyWithoutExpiry = true;
  } else if (!hasValue) {
    return 0;
  } else {
    return readValueOption(context, index) ? index + 2 : 0;
  }
  return index + 1;
}

function readValueOption(context: CommandContext, index: number): boolean {
  const value = index + 1;
  const isFloat = context.argIs(index, 'BYFLOAT');
  if ((isFloat || context.argIs(index, 'BYINT')) && options.increment === 0) {
    options.increment = value;
    options.isFloat = isFloat;
    return true;
  }
  if (context.argIs(index, 'LBOUND') && options.lowerBound === 0) {
    options.lowerBound = value;
    return true;
  }
  if (context.argIs(index, 'UBOUND') && options.upperBound === 0) {
    options.upperBound = value;
    return true;
  }
  if (options.time !== 0 || options.persists) return false;
  for (const unit in TIME_UNITS) {
    if (!context.argIs(index, unit)) continue;
    options.time = value;
    options.timeUnit = unit;
    return true;
  }
  return false;
}

/** Reads all options; replies with an error and returns false if something is wrong. */
function readOptions(context: CommandContext): boolean {
  options.increment = 0;
  options.isFloat = false;
  options.lowerBound = 0;
  options.upperBound = 0;
  options.saturates = false;
  options.time = 0;
  options.persists = false;
  options.onlyWithoutExpiry = false;
  for (let index = 2; index < context.argCount; ) {
    index = readOption(context, index);
    if (index === 0 || (options.persists && options.onlyWithoutExpiry)) {
      context.reply.error(SYNTAX_ERROR);
      return false;
    }
  }
  if (!options.onlyWithoutExpiry || options.time !== 0) return true;
  context.reply.error('ERR ENX flag requires an expiration');
  return false;
}

/** Reads an integer operand, or takes a default; NaN after replying with an error. */
function readOperand(context: CommandContext, index: number, absent: number, error: string): number {
  if (index === 0) return absent;
  const { number } = context;
  if (!context.integer(index, error)) return NaN;
  if (!number.isSafe) integers.areSafe = false;
  return number.value;
}

/** Reads the numbers of integer mode; replies with an error and returns false if something is wrong. */
function readIntegers(context: CommandContext): boolean {
  integers.areSafe = true;
  integers.increment = readOperand(context, options.increment, 1, BAD_INTEGER_INCREMENT);
  if (Number.isNaN(integers.increment)) return false;
  integers.lowerBound = readOperand(context, options.lowerBound, -Infinity, BAD_INTEGER_LOWER_BOUND);
  if (Number.isNaN(integers.lowerBound)) return false;
  integers.upperBound = readOperand(context, options.upperBound, Infinity, BAD_INTEGER_UPPER_BOUND);
  if (Number.isNaN(integers.upperBound)) return false;
  const areCrossed = integers.areSafe
    ? integers.lowerBound > integers.upperBound
    : exactOperand(context, options.lowerBound, INT64_MIN) >
      exactOperand(context, options.upperBound, INT64_MAX);
  if (areCrossed) context.reply.error(LIMITS_CROSSED);
  return !areCrossed;
}

/** An operand that was read before, now with all its digits, which a double may not hold. */
function exactOperand(context: CommandContext, index: number, absent: bigint): bigint {
  if (index === 0) return absent;
  context.number.parse(context.bytes, context.argOffset(index), context.argLength(index));
  return context.number.toBigInt();
}

/** Adds to the integer in the selected key; replies with an error and returns false if that can't be done. */
function addInteger(context: CommandContext): boolean {
  const { number, shard } = context;
  let old = 0;
  let isSafe = integers.areSafe;
  if (context.entry !== 0) {
    if (!number.parse(shard.bytes, context.valueOffset, context.valueLength)) {
      context.reply.error(NOT_AN_INTEGER);
      return false;
    }
    old = number.value;
    isSafe = isSafe && number.isSafe;
  }
  if (!isSafe) return addExactly(context, context.entry === 0 ? 0n : number.toBigInt());
  const { increment, lowerBound, upperBound } = integers;
  const sum = old + increment;
  const isInside = sum >= lowerBound && sum <= upperBound;
  const value = isInside ? sum : sum > upperBound ? upperBound : lowerBound;
  const applied = value - old;
  if (!isInside && !options.saturates) setResult(old, 0, true);
  else if (Number.isSafeInteger(value) && Number.isSafeInteger(applied)) setResult(value, applied, false);
  else return addExactly(context, BigInt(old));
  return true;
}

function addExactly(context: CommandContext, old: bigint): boolean {
  const sum = old + exactOperand(context, options.increment, 1n);
  const lowerBound = exactOperand(context, options.lowerBound, INT64_MIN);
  const upperBound = exactOperand(context, options.upperBound, INT64_MAX);
  const isInside = sum >= lowerBound && sum <= upperBound;
  const value = isInside ? sum : sum > upperBound ? upperBound : lowerBound;
  const applied = value - old;
  if (!isInside && !options.saturates) {
    setTextResult(`${old}`, '0', true);
  } else if (applied >= INT64_MIN && applied <= INT64_MAX) {
    setTextResult(`${value}`, `${applied}`, false);
  } else {
    context.reply.error('ERR applied increment would overflow');
    return false;
  }
  return true;
}

function compareExtended(left: Extended, right: Extended): number {
  if (left === right) return 0;
  if (left === '-inf' || right === 'inf') return -1;
  if (left === 'inf' || right === '-inf') return 1;
  return compareLongDoubles(left, right);
}

/** The sum, infinite on its side of zero if it is out of range. */
function sumOf(left: LongDouble, right: LongDouble): Extended {
  const sum = addLongDoubles(left, right);
  if (sum !== 'infinite') return sum;
  return left.mantissa < 0n ? '-inf' : 'inf';
}

function readFloat(context: CommandContext, index: number, name: string, absent: Extended): Extended | null {
  if (index === 0) return absent;
  const text = context.argLatin1(index);
  const value = parseLongDouble(text);
  if (value === 'infinite') return text.startsWith('-') ? '-inf' : 'inf';
  if (value !== null) return value;
  context.reply.error(`ERR ${name} is not a valid float`);
  return null;
}

/** Reads the numbers of floating-point mode; replies with an error and returns false if something is wrong. */
function readFloats(context: CommandContext): boolean {
  const { reply } = context;
  const increment = readFloat(context, options.increment, 'Increment', 'inf');
  if (increment === null) return false;
  if (increment === 'inf' || increment === '-inf') {
    reply.error('ERR BYFLOAT increment cannot be Infinity');
    return false;
  }
  const lowest = negateLongDouble(LONG_DOUBLE_MAX);
  const lower = readFloat(context, options.lowerBound, 'LBOUND', lowest);
  if (lower === null) return false;
  const upper = readFloat(context, options.upperBound, 'UBOUND', LONG_DOUBLE_MAX);
  if (upper === null) return false;
  if (compareExtended(lower, upper) > 0) {
    reply.error(LIMITS_CROSSED);
    return false;
  }
  floats.increment = increment;
  floats.lowerBound = lower;
  floats.upperBound = upper;
  return true;
}

/** Adds to the float in the selected key; replies with an error and returns false if that can't be done. */
function addFloat(context: CommandContext): boolean {
  const { reply, shard } = context;
  const text = context.entry === 0 ? '0' : latin1(shard.bytes, context.valueOffset, context.valueLength);
  const old = parseLongDouble(text);
  if (old === null || old === 'infinite') {
    reply.error(old === null ? NOT_A_FLOAT : 'ERR value cannot be Infinity');
    return false;
  }
  const { lowerBound, upperBound } = floats;
  const sum = sumOf(old, floats.increment);
  const isAbove = sum === 'inf' || compareExtended(sum, upperBound) > 0;
  const isInside = !isAbove && sum !== '-inf' && compareExtended(sum, lowerBound) >= 0;
  if (!isInside && !options.saturates) {
    setTextResult(formatLongDouble(old), '0', true);
    return true;
  }
  const value = isInside ? sum : isAbove ? upperBound : lowerBound;
  const applied = value === 'inf' || value === '-inf' ? value : sumOf(value, negateLongDouble(old));
  if (value === 'inf' || value === '-inf' || applied === 'inf' || applied === '-inf') {
    reply.error('ERR applied increment would be Infinity');
    return false;
  }
  setTextResult(formatLongDouble(value), formatLongDouble(applied), false);
  return true;
}

function latin1(bytes: Uint8Array, offset: number, lengthBytes: number): string {
  return Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1');
}

/** Stores the result, and the expiry that the options ask for. Replies OOM and returns false if there is no memory. */
function store(context: CommandContext, expiresAt: number): boolean {
  const present = context.expiresAtMs;
  const changesExpiry = options.time !== 0 && !(options.onlyWithoutExpiry && present >= 0);
  if (changesExpiry && context.isPast(expiresAt)) {
    if (context.entry === 0) return true;
    context.remove();
    context.changed(KeyEvent.Delete);
    recordDelete(context);
    return true;
  }
  const { isText, value, valueText } = result;
  const lengthBytes = isText ? valueText.length : integerLength(value);
  const wanted = options.persists ? -1 : changesExpiry ? expiresAt : present;
  if (!context.putValue(ValueType.String, lengthBytes, wanted)) return false;
  const { bytes } = context.shard;
  const offset = context.valueOffset;
  if (isText) {
    for (let at = 0; at < lengthBytes; at++) bytes[offset + at] = valueText.charCodeAt(at);
  } else {
    writeInteger(bytes, offset, value);
  }
  if (options.isFloat) context.markText();
  context.changed(options.isFloat ? KeyEvent.IncrementByFloat : KeyEvent.IncrementBy);
  if (changesExpiry) context.happened(KeyEvent.Expire);
  else if (options.persists && present >= 0) context.happened(KeyEvent.Persist);
  recordString(context);
  return true;
}

function replyText(context: CommandContext, text: string): void {
  const { reply } = context;
  if (!options.isFloat) {
    reply.integerBig(BigInt(text));
    return;
  }
  const encoded = Buffer.from(text, 'latin1');
  const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.length);
  reply.doubleCopy(encoded, view, 0, encoded.length);
}

export function increx(context: CommandContext): void {
  if (!readOptions(context)) return;
  if (!(options.isFloat ? readFloats(context) : readIntegers(context))) return;
  let expiresAt = -1;
  if (options.time !== 0) {
    expiresAt = readExpiry(context, options.time, TIME_UNITS[options.timeUnit]);
    if (expiresAt < 0) return;
  }
  context.findWrite(1);
  if (!context.isType(ValueType.String)) return;
  if (!(options.isFloat ? addFloat(context) : addInteger(context))) return;
  if (!result.isDeclined && !store(context, expiresAt)) return;
  const { reply } = context;
  reply.array(2);
  if (result.isText) {
    replyText(context, result.valueText);
    replyText(context, result.appliedText);
  } else {
    reply.integer(result.value);
    reply.integer(result.applied);
  }
}
