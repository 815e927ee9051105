/** The commands on the bits of strings. */

import type { CommandContext } from '../../execution/context.js';
import { recordRequest } from '../../execution/effects.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import type { Shard } from '../../keyspace/shard.js';
import {
  BitOperation,
  byteOfBit,
  combineBits,
  countBits,
  countByte,
  findBit,
  readBits,
  writeBits,
} from '../../structures/bits.js';
import { copyBytes } from '../../structures/copy.js';
import { OrderedOperation, orderedBitop, readOrderedOperation } from './ordered-bitop.js';

const BAD_OFFSET = 'ERR bit offset is not an integer or out of range';
const BAD_BIT = 'ERR bit is not an integer or out of range';
const BAD_FIELD_TYPE =
  'ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.';

const HASH_SIGN = 0x23;
const LETTER_I = 0x69;
const LETTER_U = 0x75;

/**
 * Reads a bit offset; -1 if it is none (the error is replied). With `fieldBits` > 0 an offset "#n" counts
 * in fields of so many bits.
 */
function readBitOffset(context: CommandContext, index: number, fieldBits: number): number {
  const { number, bytes } = context;
  let offset = context.argOffset(index);
  let lengthBytes = context.argLength(index);
  const inFields = fieldBits > 0 && lengthBytes > 0 && bytes[offset] === HASH_SIGN;
  if (inFields) {
    offset++;
    lengthBytes--;
  }
  if (number.parse(bytes, offset, lengthBytes)) {
    let bit = number.value;
    if (inFields) {
      bit *= fieldBits;
      // The product wraps around at 64 bits.
      if (!Number.isSafeInteger(bit)) bit = Number(BigInt.asIntN(64, number.toBigInt() * BigInt(fieldBits)));
    }
    if (bit >= 0 && byteOfBit(bit) < context.services.maxBulkLengthBytes) return bit;
  }
  context.reply.error(BAD_OFFSET);
  return -1;
}

/**
 * Selects the string of argument 1, which is going to be written up to `lastBit`; grows or creates it. Returns
 * 1 if its length changed, 0 if not, -1 if it failed (the error is replied).
 */
function selectForWrite(context: CommandContext, lastBit: number): number {
  const lengthBytes = byteOfBit(lastBit) + 1;
  if (context.findWrite(1) === 0) {
    if (!context.putValue(ValueType.String, lengthBytes, -1)) return -1;
    const { shard, valueOffset } = context;
    shard.bytes.fill(0, valueOffset, valueOffset + lengthBytes);
    context.markRaw();
    return 1;
  }
  if (!context.isType(ValueType.String)) return -1;
  if (lengthBytes <= context.valueLength) {
    context.markRaw();
    return 0;
  }
  return context.resizeString(lengthBytes) ? 1 : -1;
}

function setbit(context: CommandContext): void {
  const bit = readBitOffset(context, 2, 0);
  if (bit < 0 || !context.integer(3, BAD_BIT)) return;
  const value = context.number.value;
  if (value !== 0 && value !== 1) {
    context.reply.error(BAD_BIT);
    return;
  }
  const resized = selectForWrite(context, bit);
  if (resized < 0) return;
  const { bytes } = context.shard;
  const at = context.valueOffset + byteOfBit(bit);
  const shift = 7 - (bit & 7);
  const old = (bytes[at] >> shift) & 1;
  bytes[at] = (bytes[at] & ~(1 << shift)) | (value << shift);
  if (resized > 0 || old !== value) context.changed(KeyEvent.SetBit);
  context.reply.integer(old);
}

function getbit(context: CommandContext): void {
  const bit = readBitOffset(context, 2, 0);
  if (bit < 0) return;
  if (context.findRead(1) === 0) {
    context.reply.integer(0);
    return;
  }
  if (!context.isType(ValueType.String)) return;
  const at = byteOfBit(bit);
  const byte = at < context.valueLength ? context.shard.bytes[context.valueOffset + at] : 0;
  context.reply.integer((byte >> (7 - (bit & 7))) & 1);
}

/** A range as BITCOUNT and BITPOS take it, both ends included; one object, filled anew by each. */
const range = { first: 0, last: 0, inBits: false };

/** Reads BYTE or BIT; replies with an error and returns false if it is something else. */
function readUnit(context: CommandContext, index: number): boolean {
  range.inBits = context.argIs(index, 'BIT');
  if (range.inBits || context.argIs(index, 'BYTE')) return true;
  context.reply.error(SYNTAX_ERROR);
  return false;
}

/** Resolves negative ends of the range, turns it into bits; false if it is empty. */
function resolveRange(lengthBytes: number): boolean {
  const length = range.inBits ? lengthBytes * 8 : lengthBytes;
  if (range.first < 0) range.first = Math.max(0, length + range.first);
  if (range.last < 0) range.last = Math.max(0, length + range.last);
  if (range.last >= length) range.last = length - 1;
  if (range.first > range.last) return false;
  if (!range.inBits) {
    range.first *= 8;
    range.last = range.last * 8 + 7;
  }
  return true;
}

function bitcount(context: CommandContext): void {
  const { reply, argCount } = context;
  if (context.findRead(1) === 0) {
    reply.integer(0);
    return;
  }
  if (!context.isType(ValueType.String)) return;
  range.first = 0;
  range.last = -1;
  range.inBits = false;
  if (argCount === 4 || argCount === 5) {
    if (!context.integer(2)) return;
    range.first = context.number.value;
    if (!context.integer(3)) return;
    range.last = context.number.value;
    if (range.first < 0 && range.last < 0 && range.first > range.last) {
      reply.integer(0);
      return;
    }
    if (argCount === 5 && !readUnit(context, 4)) return;
  } else if (argCount !== 2) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (!resolveRange(context.valueLength)) {
    reply.integer(0);
    return;
  }
  const { bytes, words } = context.shard;
  const start = context.valueOffset;
  const firstByte = start + byteOfBit(range.first);
  const lastByte = start + byteOfBit(range.last);
  let count = countBits(bytes, words, firstByte, lastByte + 1);
  // The bits of the outer bytes that are not in the range.
  count -= countByte(bytes[firstByte] & ~(0xff >> (range.first & 7)));
  count -= countByte(bytes[lastByte] & (0x7f >> (range.last & 7)));
  reply.integer(count);
}

function bitpos(context: CommandContext): void {
  const { reply, argCount } = context;
  if (!context.integer(2)) return;
  const wanted = context.number.value;
  if (wanted !== 0 && wanted !== 1) {
    reply.error('ERR The bit argument must be 1 or 0.');
    return;
  }
  if (context.findRead(1) === 0) {
    // An absent key is a string of zeros without end.
    reply.integer(wanted === 0 ? 0 : -1);
    return;
  }
  if (!context.isType(ValueType.String)) return;
  range.first = 0;
  range.last = -1;
  range.inBits = false;
  if (argCount > 6) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (argCount > 3) {
    if (!context.integer(3)) return;
    range.first = context.number.value;
    if (argCount === 6 && !readUnit(context, 5)) return;
    if (argCount > 4) {
      if (!context.integer(4)) return;
      range.last = context.number.value;
    }
  }
  if (!resolveRange(context.valueLength)) {
    reply.integer(-1);
    return;
  }
  const { shard } = context;
  const bit = findBit(shard.bytes, shard.words, context.valueOffset, range.first, range.last, wanted);
  // A string without given end is followed by zeros.
  reply.integer(bit < 0 && wanted === 0 && argCount <= 4 ? range.last + 1 : bit);
}

/** BITOP processes its operands in steps of this size, so that the result stays in the cache. */
const BITOP_STEP_BYTES = 16 * 1024;

/** The operands of the running BITOP that are not empty, without the target itself. */
const operands = {
  count: 0,
  shards: [] as Shard[],
  offsets: new Int32Array(16),
  lengths: new Int32Array(16),
};

function addOperand(shard: Shard, offset: number, lengthBytes: number): void {
  if (operands.count === operands.offsets.length) {
    const { offsets, lengths } = operands;
    operands.offsets = new Int32Array(operands.count * 2);
    operands.offsets.set(offsets);
    operands.lengths = new Int32Array(operands.count * 2);
    operands.lengths.set(lengths);
  }
  operands.shards[operands.count] = shard;
  operands.offsets[operands.count] = offset;
  operands.lengths[operands.count++] = lengthBytes;
}

function readBitOperation(context: CommandContext): number {
  if (context.argIs(1, 'AND')) return BitOperation.And;
  if (context.argIs(1, 'OR')) return BitOperation.Or;
  if (context.argIs(1, 'XOR')) return BitOperation.Xor;
  return context.argIs(1, 'NOT') ? BitOperation.Not : -1;
}

function bitop(context: CommandContext): void {
  const { reply, argCount } = context;
  const operation = readBitOperation(context);
  if (operation < 0) {
    const ordered = readOrderedOperation(context);
    if (ordered !== OrderedOperation.None) {
      orderedBitop(context, ordered);
      return;
    }
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (operation === BitOperation.Not && argCount !== 4) {
    reply.error('ERR BITOP NOT must be called with a single source key.');
    return;
  }
  context.peek(2);
  const target = context.entry;
  const targetShard = context.shard;
  operands.count = 0;
  let lengthMax = 0;
  let lengthMin = 0x7fffffff;
  let targetUses = 0;
  for (let index = 3; index < argCount; index++) {
    const entry = context.findRead(index);
    if (!context.isType(ValueType.String)) return;
    const lengthBytes = entry === 0 ? 0 : context.valueLength;
    if (lengthBytes > lengthMax) lengthMax = lengthBytes;
    if (lengthBytes < lengthMin) lengthMin = lengthBytes;
    if (lengthBytes === 0) continue;
    if (entry === target && context.shard === targetShard) targetUses++;
    else addOperand(context.shard, context.valueOffset, lengthBytes);
  }
  if (context.findWrite(2) !== 0 && lengthMax === 0) {
    context.remove();
    context.changed(KeyEvent.Delete);
  } else if (lengthMax > 0) {
    if (!combine(context, operation, targetUses, lengthMin, lengthMax)) return;
    context.markRaw();
    context.overwritten();
    context.changed(KeyEvent.Set);
  }
  reply.integer(lengthMax);
}

const NOTHING = new Uint8Array(0);

/**
 * Stores the combination of the operands, and of the selected key's own value if it is used, in the selected
 * key. Returns false, with nothing changed, if there is no memory (the error is replied).
 */
function combine(
  context: CommandContext,
  operation: BitOperation,
  targetUses: number,
  lengthMin: number,
  lengthMax: number,
): boolean {
  const { shard } = context;
  // For And and Or the second use of the target's own value changes nothing, for Xor it undoes the first.
  const usesOwn = operation === BitOperation.Xor ? (targetUses & 1) !== 0 : targetUses > 0;
  const staysInPlace = usesOwn && context.valueLength === lengthMax && context.expiresAtMs < 0;
  let own = NOTHING;
  if (usesOwn && !staysInPlace) {
    const offset = context.valueOffset;
    own = shard.bytes.slice(offset, offset + context.valueLength);
  }
  if (staysInPlace) context.replacedType = ValueType.String;
  else if (!context.putValue(ValueType.String, lengthMax, -1)) return false;
  const target = context.valueOffset;
  if (!staysInPlace && own.length > 0) {
    shard.bytes.set(own, target);
    shard.bytes.fill(0, target + own.length, target + lengthMax);
  }
  if (operation === BitOperation.Not) {
    complement(shard, target, lengthMax);
    return true;
  }
  const commonBytes = operation === BitOperation.And ? lengthMin : lengthMax;
  for (let from = 0; from < commonBytes; from += BITOP_STEP_BYTES) {
    combineStep(operation, shard, target, from, Math.min(commonBytes, from + BITOP_STEP_BYTES), usesOwn);
  }
  if (commonBytes < lengthMax) shard.bytes.fill(0, target + commonBytes, target + lengthMax);
  return true;
}

/** Complements the operand into the target; without an operand, the target itself. */
function complement(shard: Shard, target: number, lengthBytes: number): void {
  const source = operands.count === 0 ? shard : operands.shards[0];
  combineBits(
    BitOperation.Not,
    shard.bytes,
    shard.view,
    target,
    source.bytes,
    source.view,
    operands.count === 0 ? target : operands.offsets[0],
    lengthBytes,
  );
}

/** Combines bytes `from` to `to` of all operands into the target, whose bytes count as one of them if `usesOwn`. */
function combineStep(
  operation: BitOperation,
  shard: Shard,
  target: number,
  from: number,
  to: number,
  usesOwn: boolean,
): void {
  let isFirst = !usesOwn;
  if (isFirst && (operands.count === 0 || operands.lengths[0] < to)) {
    shard.bytes.fill(0, target + from, target + to);
  }
  for (let index = 0; index < operands.count; index++) {
    const source = operands.shards[index];
    const lengthBytes = Math.min(operands.lengths[index], to) - from;
    const sourceOffset = operands.offsets[index] + from;
    if (lengthBytes > 0 && isFirst) {
      copyBytes(shard.bytes, shard.view, target + from, source.bytes, source.view, sourceOffset, lengthBytes);
    } else if (lengthBytes > 0) {
      combineBits(
        operation,
        shard.bytes,
        shard.view,
        target + from,
        source.bytes,
        source.view,
        sourceOffset,
        lengthBytes,
      );
    }
    isFirst = false;
  }
}

const enum FieldAction {
  Get = 0,
  Set = 1,
  IncrementBy = 2,
  Overflow = 3,
}

const enum Overflow {
  Wrap = 0,
  Saturate = 1,
  Fail = 2,
}

/** Result of an attempt to change a field. */
const enum Outcome {
  /** It has the value that it had. */
  Same = 0,
  Changed = 1,
  /** OVERFLOW FAIL left it alone. */
  Failed = 2,
}

/** One step of BITFIELD as it was read last. */
const step = {
  action: FieldAction.Get as FieldAction,
  overflow: Overflow.Wrap as Overflow,
  isSigned: false,
  bits: 0,
  bit: 0,
  /** Value of Set and IncrementBy, as IntegerParser has it. */
  operand: 0,
  isSafe: true,
  big: 0n,
};

/** 2^0 to 2^64. */
const POWERS = Float64Array.from({ length: 65 }, (_, exponent) => 2 ** exponent);

/** Up to this many bits, a field, its increment and their sum are exact in doubles. */
const DOUBLE_BITS_MAX = 52;

/** Reads a field's type, "i" or "u" and its bits, into `step`; replies with an error if it is none. */
function readFieldType(context: CommandContext, index: number): boolean {
  const { bytes, number } = context;
  const offset = context.argOffset(index);
  const end = offset + context.argLength(index);
  // The text ends at a zero byte.
  let textEnd = offset;
  while (textEnd < end && bytes[textEnd] !== 0) textEnd++;
  const letter = textEnd > offset ? bytes[offset] : 0;
  if (letter === LETTER_I || letter === LETTER_U) {
    step.isSigned = letter === LETTER_I;
    if (number.parse(bytes, offset + 1, textEnd - offset - 1)) {
      step.bits = number.value;
      if (number.value >= 1 && number.value <= (step.isSigned ? 64 : 63)) return true;
    }
  }
  context.reply.error(BAD_FIELD_TYPE);
  return false;
}

function readOverflow(context: CommandContext, index: number): boolean {
  if (context.argIs(index, 'WRAP')) step.overflow = Overflow.Wrap;
  else if (context.argIs(index, 'SAT')) step.overflow = Overflow.Saturate;
  else if (context.argIs(index, 'FAIL')) step.overflow = Overflow.Fail;
  else {
    context.reply.error('ERR Invalid OVERFLOW type specified');
    return false;
  }
  return true;
}

/** Reads the step of BITFIELD at `index`; returns the index after it, or 0 (the error is replied). */
function readStep(context: CommandContext, index: number): number {
  const following = context.argCount - index - 1;
  if (following >= 2 && context.argIs(index, 'GET')) step.action = FieldAction.Get;
  else if (following >= 3 && context.argIs(index, 'SET')) step.action = FieldAction.Set;
  else if (following >= 3 && context.argIs(index, 'INCRBY')) step.action = FieldAction.IncrementBy;
  else if (following >= 1 && context.argIs(index, 'OVERFLOW')) {
    step.action = FieldAction.Overflow;
    return readOverflow(context, index + 1) ? index + 2 : 0;
  } else {
    context.reply.error(SYNTAX_ERROR);
    return 0;
  }
  if (!readFieldType(context, index + 1)) return 0;
  step.bit = readBitOffset(context, index + 2, step.bits);
  if (step.bit < 0) return 0;
  if (step.action === FieldAction.Get) return index + 3;
  if (!context.integer(index + 3)) return 0;
  const { number } = context;
  step.operand = number.value;
  step.isSafe = number.isSafe;
  if (!number.isSafe) step.big = number.big;
  return index + 4;
}

/**
 * BITFIELD and BITFIELD_RO read their arguments twice: once for errors and for the last bit that is
 * written, so that nothing happens before both are known, and once to carry them out.
 */
function bitfield(context: CommandContext, isReadOnly: boolean): void {
  const { reply, argCount } = context;
  let lastBit = -1;
  let replies = 0;
  step.overflow = Overflow.Wrap;
  for (let index = 2; index < argCount; ) {
    index = readStep(context, index);
    if (index === 0) return;
    if (step.action === FieldAction.Overflow) continue;
    replies++;
    if (step.action !== FieldAction.Get) lastBit = Math.max(lastBit, step.bit + step.bits - 1);
  }
  let resized = 0;
  if (lastBit < 0) {
    context.findRead(1);
    if (!context.isType(ValueType.String)) return;
  } else if (isReadOnly) {
    reply.error('ERR BITFIELD_RO only supports the GET subcommand');
    return;
  } else {
    resized = selectForWrite(context, lastBit);
    if (resized < 0) return;
  }
  const { bytes } = context.shard;
  const start = context.entry === 0 ? 0 : context.valueOffset;
  const lengthBytes = context.entry === 0 ? 0 : context.valueLength;
  reply.array(replies);
  // As in Redis, a string that has grown does not count as changed if all writes to it failed, but the command is
  // recorded.
  let changes = 0;
  step.overflow = Overflow.Wrap;
  for (let index = 2; index < argCount; ) {
    index = readStep(context, index);
    if (step.action === FieldAction.Overflow) continue;
    if (step.action === FieldAction.Get) {
      getField(context, bytes, start, lengthBytes);
      continue;
    }
    const isNarrow = step.bits <= DOUBLE_BITS_MAX && Math.abs(step.operand) <= POWERS[DOUBLE_BITS_MAX];
    const outcome = isNarrow
      ? changeField(context, bytes, start, lengthBytes)
      : changeWideField(context, bytes, start, lengthBytes);
    if (outcome === Outcome.Changed || (outcome === Outcome.Same && resized > 0)) changes++;
  }
  if (changes > 0) context.changed(KeyEvent.SetBit, changes);
  else if (resized > 0) recordRequest(context);
}

/** The part of the step's field above its low 32 bits, with the sign of a signed field. */
function readHigh(bytes: Uint8Array, start: number, lengthBytes: number): number {
  const count = step.bits - 32;
  const high = readBits(bytes, start, lengthBytes, step.bit, count);
  return step.isSigned && high >= POWERS[count - 1] ? high - POWERS[count] : high;
}

/** The step's field; exact if it has at most 53 bits or is small enough. */
function readField(bytes: Uint8Array, start: number, lengthBytes: number): number {
  const { bits, bit } = step;
  if (bits > 32) {
    const low = readBits(bytes, start, lengthBytes, bit + bits - 32, 32);
    return readHigh(bytes, start, lengthBytes) * 0x100000000 + low;
  }
  const value = readBits(bytes, start, lengthBytes, bit, bits);
  return step.isSigned && value >= POWERS[bits - 1] ? value - POWERS[bits] : value;
}

function readWideField(bytes: Uint8Array, start: number, lengthBytes: number): bigint {
  const { bits, bit } = step;
  const low = readBits(bytes, start, lengthBytes, bit + Math.max(0, bits - 32), Math.min(32, bits));
  if (bits > 32) return (BigInt(readHigh(bytes, start, lengthBytes)) << 32n) | BigInt(low);
  return step.isSigned ? BigInt.asIntN(bits, BigInt(low)) : BigInt(low);
}

function getField(context: CommandContext, bytes: Uint8Array, start: number, lengthBytes: number): void {
  const value = readField(bytes, start, lengthBytes);
  if (Number.isSafeInteger(value)) context.reply.integer(value);
  else context.reply.integerBig(readWideField(bytes, start, lengthBytes));
}

/** Carries out Set or IncrementBy where doubles are exact. */
function changeField(
  context: CommandContext,
  bytes: Uint8Array,
  start: number,
  lengthBytes: number,
): Outcome {
  const { bits, bit, isSigned, overflow } = step;
  const old = readField(bytes, start, lengthBytes);
  const max = isSigned ? POWERS[bits - 1] - 1 : POWERS[bits] - 1;
  const min = isSigned ? -POWERS[bits - 1] : 0;
  const isSet = step.action === FieldAction.Set;
  let value = isSet ? step.operand : old + step.operand;
  if (value > max || value < min) {
    if (overflow === Overflow.Fail) {
      context.reply.nullBulk();
      return Outcome.Failed;
    }
    if (overflow === Overflow.Wrap) {
      value -= Math.floor(value / POWERS[bits]) * POWERS[bits];
      if (value > max) value -= POWERS[bits];
    } else {
      // A negative number that an unsigned field is set to counts as a huge one.
      value = value > max || (isSet && !isSigned) ? max : min;
    }
  }
  context.reply.integer(isSet ? old : value);
  if (bits > 32) writeBits(bytes, start, bit, bits - 32, Math.floor(value / 0x100000000));
  writeBits(bytes, start, bit + Math.max(0, bits - 32), Math.min(32, bits), value);
  return value === old ? Outcome.Same : Outcome.Changed;
}

/** The same for any field and operand. */
function changeWideField(
  context: CommandContext,
  bytes: Uint8Array,
  start: number,
  lengthBytes: number,
): Outcome {
  const { bits, bit, isSigned, overflow } = step;
  const old = readWideField(bytes, start, lengthBytes);
  const operand = step.isSafe ? BigInt(step.operand) : step.big;
  const max = (1n << BigInt(isSigned ? bits - 1 : bits)) - 1n;
  const min = isSigned ? -max - 1n : 0n;
  const isSet = step.action === FieldAction.Set;
  let value = isSet ? operand : old + operand;
  if (value > max || value < min) {
    if (overflow === Overflow.Fail) {
      context.reply.nullBulk();
      return Outcome.Failed;
    }
    if (overflow === Overflow.Wrap)
      value = isSigned ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
    else value = saturatesAtMax(value, max, isSet) ? max : min;
  }
  context.reply.integerBig(isSet ? old : value);
  if (bits > 32) {
    writeBits(bytes, start, bit, bits - 32, Number(BigInt.asUintN(bits - 32, value >> 32n)));
  }
  const low = Number(BigInt.asUintN(32, value));
  writeBits(bytes, start, bit + Math.max(0, bits - 32), Math.min(32, bits), low);
  return value === old ? Outcome.Same : Outcome.Changed;
}

/**
 * On which side a value is out of range. Redis compares distances in 64 bits, which wrap around: a signed
 * field that is set to a number very far below its least one gets its greatest.
 */
function saturatesAtMax(value: bigint, max: bigint, isSet: boolean): boolean {
  if (value > max) return true;
  if (!isSet) return false;
  return !step.isSigned || (step.bits !== 64 && BigInt.asIntN(64, max - value) < 0n);
}

export const bitmapHandlers: Readonly<Record<string, Handler>> = {
  BITCOUNT: bitcount,
  BITFIELD: (context) => bitfield(context, false),
  BITFIELD_RO: (context) => bitfield(context, true),
  BITOP: bitop,
  BITPOS: bitpos,
  GETBIT: getbit,
  SETBIT: setbit,
};
