/**
 * The commands of bitmaps: strings as arrays of bits. Bit 0 is the most significant one of byte 0.
 */

import { ValueType } from '../keyspace/entry.js';
import { KeyEvent } from '../keyspace/events.js';
import { copyBytes } from '../structures/copy.js';
import type { Handler } from './command-table.js';
import type { CommandContext } from './context.js';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from './errors.js';

const BIT_OFFSET_ERROR = 'ERR bit offset is not an integer or out of range';
const BIT_VALUE_ERROR = 'ERR bit is not an integer or out of range';
const FIELD_TYPE_ERROR =
  'ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.';

/** Bits set in each byte. */
const BIT_COUNTS = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

/**
 * Reads a bit offset; `#N` (if allowed) counts in units of `fieldBits`. Replies with an error and returns
 * -1 if it is none or beyond the longest string.
 */
function readBitOffset(context: CommandContext, index: number, fieldBits: number): number {
  let offset = context.argOffset(index);
  let length = context.argLength(index);
  const isScaled = fieldBits > 0 && length > 0 && context.bytes[offset] === 0x23;
  if (isScaled) {
    offset++;
    length--;
  }
  const { number } = context;
  if (number.parse(context.bytes, offset, length) && number.isSafe) {
    const bit = isScaled ? number.value * fieldBits : number.value;
    if (bit >= 0 && Math.floor(bit / 8) < context.services.maxBulkLengthBytes) return bit;
  }
  context.reply.error(BIT_OFFSET_ERROR);
  return -1;
}

/** Makes the selected string, which may be absent, at least so long; false if it can't (the error is replied). */
function growTo(context: CommandContext, lengthBytes: number): boolean {
  const exists = context.entry !== 0;
  if (exists && context.valueLength >= lengthBytes) {
    context.markRaw();
    return true;
  }
  if (!exists && !context.createEmptyString()) return false;
  if (context.resizeString(lengthBytes)) return true;
  if (!exists) context.remove();
  return false;
}

function setbit(context: CommandContext): void {
  const { reply } = context;
  const bit = readBitOffset(context, 2, 0);
  if (bit < 0) return;
  if (!context.integer(3, BIT_VALUE_ERROR)) return;
  const { value } = context.number;
  if (value !== 0 && value !== 1) {
    reply.error(BIT_VALUE_ERROR);
    return;
  }
  context.findWrite(1);
  if (!context.isType(ValueType.String)) return;
  const byte = Math.floor(bit / 8);
  if (!growTo(context, byte + 1)) return;
  const at = context.valueOffset + byte;
  const mask = 0x80 >> (bit % 8);
  const { bytes } = context.shard;
  reply.integer((bytes[at] & mask) === 0 ? 0 : 1);
  if (value === 1) bytes[at] |= mask;
  else bytes[at] &= ~mask;
  context.changed(KeyEvent.SetBit);
}

function getbit(context: CommandContext): void {
  const bit = readBitOffset(context, 2, 0);
  if (bit < 0) return;
  context.findRead(1);
  if (!context.isType(ValueType.String)) return;
  const byte = Math.floor(bit / 8);
  const isSet =
    context.entry !== 0 &&
    byte < context.valueLength &&
    (context.shard.bytes[context.valueOffset + byte] & (0x80 >> (bit % 8))) !== 0;
  context.reply.integer(isSet ? 1 : 0);
}

/** A range of bits within the selected value; one that selects nothing has `last` below `first`. */
const range = { first: 0, last: -1 };

/** Turns start and end, in bits or in bytes and negative from the end of the value, into `range`. */
function setRange(lengthBytes: number, start: number, end: number, isBits: boolean): void {
  const length = isBits ? lengthBytes * 8 : lengthBytes;
  range.first = 0;
  range.last = -1;
  if (start < 0) start = Math.max(0, length + start);
  if (end < 0) end = Math.max(0, length + end);
  end = Math.min(end, length - 1);
  if (start > end) return;
  range.first = isBits ? start : start * 8;
  range.last = isBits ? end : end * 8 + 7;
}

/** Whether the unit at an argument is BYTE or BIT; replies with an error if it is neither. */
function isUnit(context: CommandContext, index: number): boolean {
  if (context.argIs(index, 'BIT') || context.argIs(index, 'BYTE')) return true;
  context.reply.error(SYNTAX_ERROR);
  return false;
}

function countBits(bytes: Uint8Array, start: number, first: number, last: number): number {
  if (last < first) return 0;
  const firstByte = start + Math.floor(first / 8);
  const lastByte = start + Math.floor(last / 8);
  let count = 0;
  for (let at = firstByte; at <= lastByte; at++) count += BIT_COUNTS[bytes[at]];
  count -= BIT_COUNTS[bytes[firstByte] & ~(0xff >> (first % 8))];
  return count - BIT_COUNTS[bytes[lastByte] & (0x7f >> (last % 8))];
}

function bitcount(context: CommandContext): void {
  const { reply, argCount } = context;
  if (context.findRead(1) === 0) {
    reply.integer(0);
    return;
  }
  if (!context.isType(ValueType.String)) return;
  let start = 0;
  let end = -1;
  if (argCount === 4 || argCount === 5) {
    if (!context.integer(2)) return;
    start = context.number.value;
    if (!context.integer(3)) return;
    end = context.number.value;
    if (start < 0 && end < 0 && start > end) {
      reply.integer(0);
      return;
    }
    if (argCount === 5 && !isUnit(context, 4)) return;
  } else if (argCount !== 2) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  setRange(context.valueLength, start, end, argCount === 5 && context.argIs(4, 'BIT'));
  reply.integer(countBits(context.shard.bytes, context.valueOffset, range.first, range.last));
}

/** The first bit of a value within `range`, -1 if there is none. */
function findBit(bytes: Uint8Array, start: number, isSet: boolean): number {
  const skip = isSet ? 0 : 0xff;
  for (let bit = range.first; bit <= range.last; ) {
    const byte = bytes[start + Math.floor(bit / 8)];
    if (bit % 8 === 0 && byte === skip) {
      bit += 8;
      continue;
    }
    if (((byte & (0x80 >> (bit % 8))) !== 0) === isSet) return bit;
    bit++;
  }
  return -1;
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
    reply.integer(wanted === 1 ? -1 : 0);
    return;
  }
  if (!context.isType(ValueType.String)) return;
  let start = 0;
  let end = -1;
  if (argCount > 6) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (argCount > 3) {
    if (!context.integer(3)) return;
    start = context.number.value;
    if (argCount === 6 && !isUnit(context, 5)) return;
    if (argCount > 4) {
      if (!context.integer(4)) return;
      end = context.number.value;
    }
  }
  setRange(context.valueLength, start, end, argCount === 6 && context.argIs(5, 'BIT'));
  if (range.last < range.first) {
    reply.integer(-1);
    return;
  }
  const found = findBit(context.shard.bytes, context.valueOffset, wanted === 1);
  // Without an end the string counts as followed by zeros.
  reply.integer(found < 0 && wanted === 0 && argCount < 5 ? range.last + 1 : found);
}

const enum Operation {
  And = 0,
  Or = 1,
  Xor = 2,
  Not = 3,
}

function operationAt(context: CommandContext, index: number): Operation | -1 {
  if (context.argIs(index, 'AND')) return Operation.And;
  if (context.argIs(index, 'OR')) return Operation.Or;
  if (context.argIs(index, 'XOR')) return Operation.Xor;
  return context.argIs(index, 'NOT') ? Operation.Not : -1;
}

/** Combines `source` into `result`; what a shorter source lacks is zero. */
function combine(
  operation: Operation,
  result: Uint8Array,
  source: Uint8Array,
  start: number,
  length: number,
): void {
  switch (operation) {
    case Operation.And:
      for (let at = 0; at < length; at++) result[at] &= source[start + at];
      result.fill(0, length);
      break;
    case Operation.Or:
      for (let at = 0; at < length; at++) result[at] |= source[start + at];
      break;
    case Operation.Xor:
      for (let at = 0; at < length; at++) result[at] ^= source[start + at];
      break;
    case Operation.Not:
      for (let at = 0; at < length; at++) result[at] = ~source[start + at];
      break;
  }
}

function bitop(context: CommandContext): void {
  const { reply, argCount } = context;
  const operation = operationAt(context, 1);
  if (operation < 0) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (operation === Operation.Not && argCount !== 4) {
    reply.error('ERR BITOP NOT must be called with a single source key.');
    return;
  }
  let lengthBytes = 0;
  for (let index = 3; index < argCount; index++) {
    if (context.findRead(index) === 0) continue;
    if (!context.isType(ValueType.String)) return;
    lengthBytes = Math.max(lengthBytes, context.valueLength);
  }
  if (lengthBytes === 0) {
    if (context.findWrite(2) !== 0) {
      context.remove();
      context.changed(KeyEvent.Delete);
    }
    reply.integer(0);
    return;
  }
  const result = new Uint8Array(lengthBytes);
  for (let index = 3; index < argCount; index++) {
    const exists = context.peek(index) !== 0;
    const length = exists ? context.valueLength : 0;
    const source = exists ? context.shard.bytes : result;
    const start = exists ? context.valueOffset : 0;
    const isFirst = index === 3 && operation !== Operation.Not;
    combine((isFirst ? Operation.Or : operation) as Operation, result, source, start, length);
  }
  context.findWrite(2);
  if (!context.putValue(ValueType.String, lengthBytes, -1)) return;
  const { shard } = context;
  copyBytes(
    shard.bytes,
    shard.view,
    context.valueOffset,
    result,
    new DataView(result.buffer),
    0,
    lengthBytes,
  );
  context.markRaw();
  context.changed(KeyEvent.Set);
  reply.integer(lengthBytes);
}

const enum Overflow {
  Wrap = 0,
  Saturate = 1,
  Fail = 2,
}

interface FieldOperation {
  readonly kind: 'get' | 'set' | 'incrby';
  readonly isSigned: boolean;
  readonly bits: number;
  readonly offset: number;
  readonly operand: bigint;
  readonly overflow: Overflow;
}

/** Reads a field type such as i16 or u8 into [signed, bits]; null (and an error is replied) if it is none. */
function readFieldType(context: CommandContext, index: number): [boolean, number] | null {
  const match = /^([iu])(\d{1,3})$/.exec(context.argLatin1(index));
  const bits = match === null ? 0 : Number(match[2]);
  if (match !== null && bits >= 1 && bits <= (match[1] === 'i' ? 64 : 63) && !match[2].startsWith('0')) {
    return [match[1] === 'i', bits];
  }
  context.reply.error(FIELD_TYPE_ERROR);
  return null;
}

/** Reads all operations of BITFIELD; null (and an error is replied) if one is wrong. */
function readOperations(context: CommandContext, isReadOnly: boolean): FieldOperation[] | null {
  const { reply, argCount } = context;
  const operations: FieldOperation[] = [];
  let overflow = Overflow.Wrap;
  for (let index = 2; index < argCount; ) {
    const left = argCount - index - 1;
    let kind: FieldOperation['kind'];
    if (context.argIs(index, 'GET') && left >= 2) kind = 'get';
    else if (context.argIs(index, 'SET') && left >= 3) kind = 'set';
    else if (context.argIs(index, 'INCRBY') && left >= 3) kind = 'incrby';
    else if (context.argIs(index, 'OVERFLOW') && left >= 1) {
      if (context.argIs(index + 1, 'WRAP')) overflow = Overflow.Wrap;
      else if (context.argIs(index + 1, 'SAT')) overflow = Overflow.Saturate;
      else if (context.argIs(index + 1, 'FAIL')) overflow = Overflow.Fail;
      else {
        reply.error('ERR Invalid OVERFLOW type specified');
        return null;
      }
      index += 2;
      continue;
    } else {
      reply.error(SYNTAX_ERROR);
      return null;
    }
    const type = readFieldType(context, index + 1);
    if (type === null) return null;
    const offset = readBitOffset(context, index + 2, type[1]);
    if (offset < 0) return null;
    let operand = 0n;
    if (kind !== 'get') {
      if (!context.integer(index + 3, NOT_AN_INTEGER)) return null;
      operand = context.number.toBigInt();
    }
    operations.push({ kind, isSigned: type[0], bits: type[1], offset, operand, overflow });
    index += kind === 'get' ? 3 : 4;
  }
  if (isReadOnly && operations.some(({ kind }) => kind !== 'get')) {
    reply.error('ERR BITFIELD_RO only supports the GET subcommand');
    return null;
  }
  return operations;
}

/** Reads a field of the selected value; what lies beyond its end is zero. */
function readField(context: CommandContext, field: FieldOperation): bigint {
  const exists = context.entry !== 0;
  const length = exists ? context.valueLength : 0;
  const start = exists ? context.valueOffset : 0;
  let value = 0n;
  for (let bit = field.offset; bit < field.offset + field.bits; bit++) {
    const byte = Math.floor(bit / 8);
    const isSet = byte < length && (context.shard.bytes[start + byte] & (0x80 >> (bit % 8))) !== 0;
    value = (value << 1n) | (isSet ? 1n : 0n);
  }
  return field.isSigned ? BigInt.asIntN(field.bits, value) : value;
}

function writeField(context: CommandContext, field: FieldOperation, value: bigint): void {
  const { bytes } = context.shard;
  const start = context.valueOffset;
  for (let index = 0; index < field.bits; index++) {
    const bit = field.offset + index;
    const at = start + Math.floor(bit / 8);
    const mask = 0x80 >> (bit % 8);
    if (((value >> BigInt(field.bits - 1 - index)) & 1n) === 1n) bytes[at] |= mask;
    else bytes[at] &= ~mask;
  }
}

/** -1, 0 or 1: whether value + increment lies below, in or above the field's range. */
function overflowOf(field: FieldOperation, value: bigint, increment: bigint): number {
  const { bits, isSigned } = field;
  if (!isSigned) {
    const highest = (1n << BigInt(bits)) - 1n;
    if (value > highest || (increment > 0n && increment > highest - value)) return 1;
    return increment < 0n && increment < -value ? -1 : 0;
  }
  const highest = (1n << BigInt(bits - 1)) - 1n;
  const lowest = -highest - 1n;
  // The distances are 64-bit integers that wrap around, so the lowest int64 counts as too high.
  const upwards = BigInt.asIntN(64, highest - value);
  const downwards = BigInt.asIntN(64, lowest - value);
  if (value > highest || (bits !== 64 && increment > upwards)) return 1;
  if (value >= 0n && increment > 0n && increment > upwards) return 1;
  if (value < lowest || (bits !== 64 && increment < downwards)) return -1;
  return value < 0n && increment < 0n && increment < downwards ? -1 : 0;
}

/** Fits value + increment into its field; null if it does not fit and overflow is to fail. */
function fit(field: FieldOperation, value: bigint, increment: bigint): bigint | null {
  const { bits, isSigned, overflow } = field;
  const sum = value + increment;
  const direction = overflowOf(field, value, increment);
  if (direction === 0 || overflow === Overflow.Wrap) {
    return isSigned ? BigInt.asIntN(bits, sum) : BigInt.asUintN(bits, sum);
  }
  if (overflow === Overflow.Fail) return null;
  if (direction > 0) return (1n << BigInt(isSigned ? bits - 1 : bits)) - 1n;
  return isSigned ? -(1n << BigInt(bits - 1)) : 0n;
}

/**
 * The new value that SET asks for. An operand is a 64-bit integer: for an unsigned field a negative one
 * stands for its two's complement, which is far too large and saturates or wraps as such.
 */
function operandOf(field: FieldOperation): bigint {
  return field.isSigned ? field.operand : BigInt.asUintN(64, field.operand);
}

function replyBig(context: CommandContext, value: bigint): void {
  const small = Number(value);
  if (Number.isSafeInteger(small)) context.reply.integer(small);
  else context.reply.integerBig(value);
}

function bitfield(context: CommandContext, isReadOnly: boolean): void {
  const { reply } = context;
  const operations = readOperations(context, isReadOnly);
  if (operations === null) return;
  let lengthBytes = 0;
  for (const { kind, offset, bits } of operations) {
    if (kind !== 'get') lengthBytes = Math.max(lengthBytes, Math.floor((offset + bits - 1) / 8) + 1);
  }
  if (lengthBytes === 0) {
    context.findRead(1);
    if (!context.isType(ValueType.String)) return;
  } else {
    context.findWrite(1);
    if (!context.isType(ValueType.String) || !growTo(context, lengthBytes)) return;
  }
  reply.array(operations.length);
  let changes = 0;
  for (const field of operations) {
    const old = readField(context, field);
    if (field.kind === 'get') {
      replyBig(context, old);
      continue;
    }
    const value = field.kind === 'set' ? fit(field, operandOf(field), 0n) : fit(field, old, field.operand);
    if (value === null) {
      reply.nullBulk();
      continue;
    }
    writeField(context, field, value);
    replyBig(context, field.kind === 'set' ? old : value);
    changes++;
  }
  if (changes > 0) context.changed(KeyEvent.SetBit);
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
