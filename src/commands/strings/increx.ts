/**
 * INCREX: adds to a number within bounds and changes its key's expiry, in one step, which is what limiting a rate takes.
 *
 * A sum beyond a bound, or beyond the range of its type, is declined: nothing changes, and the reply says that 0 was
 * added. With SATURATE it becomes the bound instead.
 */

import type { CommandContext } from '../../execution/context.js';
import { recordDelete, recordString } from '../../execution/effects.js';
import { NOT_A_FLOAT, NOT_AN_INTEGER, SYNTAX_ERROR } from '../../execution/errors.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { INT64_MAX, INT64_MIN } from '../../memory/numbers.js';
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

/** What an increment has led to, as text. */
interface Result {
  readonly value: string;
  /** What was added, '0' if the sum was declined. */
  readonly applied: string;
  readonly isDeclined: boolean;
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

/** Reads an int64 that is called `name`, or takes a default; null after replying with an error. */
function readInteger(context: CommandContext, index: number, name: string, absent: bigint): bigint | null {
  if (index === 0) return absent;
  if (!context.integer(index, `ERR ${name} is not an integer or out of range`)) return null;
  return context.number.toBigInt();
}

/** A float that may be infinite. */
type Extended = LongDouble | 'inf' | '-inf';

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

type Increment = (context: CommandContext) => Result | null;

/** Reads the numbers of integer mode; null after replying with an error, else what does the work on the selected key. */
function integerIncrement(context: CommandContext): Increment | null {
  const increment = readInteger(context, options.increment, 'Increment', 1n);
  const lower = increment === null ? null : readInteger(context, options.lowerBound, 'LBOUND', INT64_MIN);
  const upper = lower === null ? null : readInteger(context, options.upperBound, 'UBOUND', INT64_MAX);
  if (increment === null || lower === null || upper === null) return null;
  if (lower > upper) {
    context.reply.error(LIMITS_CROSSED);
    return null;
  }
  return ({ reply, number, shard, entry, valueOffset, valueLength }) => {
    if (entry !== 0 && !number.parse(shard.bytes, valueOffset, valueLength)) {
      reply.error(NOT_AN_INTEGER);
      return null;
    }
    const old = entry === 0 ? 0n : number.toBigInt();
    const sum = old + increment;
    const isInside = sum >= lower && sum <= upper;
    if (!isInside && !options.saturates) return { value: `${old}`, applied: '0', isDeclined: true };
    const value = isInside ? sum : sum > upper ? upper : lower;
    const applied = value - old;
    if (applied >= INT64_MIN && applied <= INT64_MAX) {
      return { value: `${value}`, applied: `${applied}`, isDeclined: false };
    }
    reply.error('ERR applied increment would overflow');
    return null;
  };
}

/** The same for floats. */
function floatIncrement(context: CommandContext): Increment | null {
  const lowest = negateLongDouble(LONG_DOUBLE_MAX);
  const increment = readFloat(context, options.increment, 'Increment', 'inf');
  if (increment === 'inf' || increment === '-inf') {
    context.reply.error('ERR BYFLOAT increment cannot be Infinity');
    return null;
  }
  const lower = increment === null ? null : readFloat(context, options.lowerBound, 'LBOUND', lowest);
  const upper = lower === null ? null : readFloat(context, options.upperBound, 'UBOUND', LONG_DOUBLE_MAX);
  if (increment === null || lower === null || upper === null) return null;
  if (compareExtended(lower, upper) > 0) {
    context.reply.error(LIMITS_CROSSED);
    return null;
  }
  return ({ reply, shard, entry, valueOffset, valueLength }) => {
    const text = entry === 0 ? '0' : latin1(shard.bytes, valueOffset, valueLength);
    const old = parseLongDouble(text);
    if (old === null || old === 'infinite') {
      reply.error(old === null ? NOT_A_FLOAT : 'ERR value cannot be Infinity');
      return null;
    }
    const sum = sumOf(old, increment);
    const isAbove = sum === 'inf' || compareExtended(sum, upper) > 0;
    const isInside = !isAbove && sum !== '-inf' && compareExtended(sum, lower) >= 0;
    if (!isInside && !options.saturates) {
      return { value: formatLongDouble(old), applied: '0', isDeclined: true };
    }
    const value = isInside ? sum : isAbove ? upper : lower;
    const applied = value === 'inf' || value === '-inf' ? value : sumOf(value, negateLongDouble(old));
    if (value !== 'inf' && value !== '-inf' && applied !== 'inf' && applied !== '-inf') {
      return { value: formatLongDouble(value), applied: formatLongDouble(applied), isDeclined: false };
    }
    reply.error('ERR applied increment would be Infinity');
    return null;
  };
}

function latin1(bytes: Uint8Array, offset: number, lengthBytes: number): string {
  return Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1');
}

/** Stores the sum, and the expiry that the options ask for. Replies OOM and returns false if there is no memory. */
function store(context: CommandContext, text: string, expiresAt: number): boolean {
  const present = context.expiresAtMs;
  const changesExpiry = options.time !== 0 && !(options.onlyWithoutExpiry && present >= 0);
  if (changesExpiry && context.isPast(expiresAt)) {
    if (context.entry === 0) return true;
    context.remove();
    context.changed(KeyEvent.Delete);
    recordDelete(context);
    return true;
  }
  const wanted = options.persists ? -1 : changesExpiry ? expiresAt : present;
  if (!context.putValue(ValueType.String, text.length, wanted)) return false;
  const { bytes } = context.shard;
  const offset = context.valueOffset;
  for (let at = 0; at < text.length; at++) bytes[offset + at] = text.charCodeAt(at);
  if (options.isFloat) context.markText();
  context.changed(options.isFloat ? KeyEvent.IncrementByFloat : KeyEvent.IncrementBy);
  if (changesExpiry) context.changed(KeyEvent.Expire);
  else if (options.persists && present >= 0) context.changed(KeyEvent.Persist);
  recordString(context);
  return true;
}

function replyNumber(context: CommandContext, text: string): void {
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
  const increment = options.isFloat ? floatIncrement(context) : integerIncrement(context);
  if (increment === null) return;
  let expiresAt = -1;
  if (options.time !== 0) {
    expiresAt = readExpiry(context, options.time, TIME_UNITS[options.timeUnit]);
    if (expiresAt < 0) return;
  }
  context.findWrite(1);
  if (!context.isType(ValueType.String)) return;
  const result = increment(context);
  if (result === null) return;
  if (!result.isDeclined && !store(context, result.value, expiresAt)) return;
  context.reply.array(2);
  replyNumber(context, result.value);
  replyNumber(context, result.applied);
}
