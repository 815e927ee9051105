/** Commands on hashes. */

import type { CommandContext } from '../../execution/context.js';
import { recordBeginning, recordFieldExpiries, recordKeyCommand } from '../../execution/effects.js';
import { NOT_A_FLOAT, OUT_OF_MEMORY, OVERFLOW, wrongArity } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { INT64_MAX, INT64_MIN, IntegerParser, writeInteger } from '../../memory/numbers.js';
import { addLongDoubles, formatLongDouble, parseLongDouble } from '../../protocol/long-double.js';
import { HashSet, type HashValue } from '../../structures/hash-value.js';
import { scanElements } from '../keys/element-scan.js';
import { drawDistinct, REPEATED_ELEMENTS_MAX, readRandomOptions } from '../keys/random-elements.js';

/** The longest text of a number that HINCRBY or HINCRBYFLOAT stores. */
const NUMBER_BYTES_MAX = 5 * 1024;

const parser = new IntegerParser();
const numberText = new Uint8Array(NUMBER_BYTES_MAX);
const numberView = new DataView(numberText.buffer);

function replyField(context: CommandContext, { field }: HashValue): void {
  context.reply.bulkCopy(field.bytes, field.view, field.offset, field.lengthBytes);
}

function replyValue(context: CommandContext, { value }: HashValue): void {
  context.reply.bulkCopy(value.bytes, value.view, value.offset, value.lengthBytes);
}

/** The handle of the field that an argument names, 0 if there is none. */
export function findArgument(
  context: CommandContext,
  hashes: HashValue,
  reference: number,
  argument: number,
): number {
  const { bytes, view } = context;
  return hashes.find(reference, bytes, view, context.argOffset(argument), context.argLength(argument));
}

/**
 * Replies with the value of the field that an argument names, or with null. Returns the field's handle, 0 if there is
 * none. `reference` may be 0.
 */
export function replyValueOf(context: CommandContext, reference: number, argument: number): number {
  const { hashes } = context.shard;
  const handle = reference === 0 ? 0 : findArgument(context, hashes, reference, argument);
  if (handle === 0) {
    context.reply.nullBulk();
    return 0;
  }
  hashes.readValue(reference, handle);
  replyValue(context, hashes);
  return handle;
}

/** The reference of the hash to write to, made if there is none; 0 or below after replying with an error. */
function writeOrCreate(context: CommandContext): number {
  const reference = context.writeCollection(1, ValueType.Hash);
  return reference === 0 ? context.createCollection(ValueType.Hash) : reference;
}

/** Sets the field that argument `field` names to argument `field + 1`. */
export function setFromArguments(
  context: CommandContext,
  reference: number,
  field: number,
  keepsExpiry = false,
): HashSet {
  const { bytes, view } = context;
  return context.shard.hashes.set(
    reference,
    bytes,
    view,
    context.argOffset(field),
    context.argLength(field),
    bytes,
    view,
    context.argOffset(field + 1),
    context.argLength(field + 1),
    keepsExpiry,
  );
}

/** The length of the longest argument from one on. */
function longestArgument(context: CommandContext, first: number): number {
  let longest = 0;
  for (let index = first; index < context.argCount; index++) {
    longest = Math.max(longest, context.argLength(index));
  }
  return longest;
}

/** Sets all pairs of arguments; returns how many fields are new, or -1 after replying with an error. */
function setPairs(context: CommandContext): number {
  const { argCount, reply } = context;
  if (argCount % 2 === 1) {
    reply.error(wrongArity(context.command.fullName));
    return -1;
  }
  const reference = writeOrCreate(context);
  if (reference <= 0) return -1;
  const { hashes } = context.shard;
  const fields = (argCount - 2) >> 1;
  if (fields > 1 && !context.promise(hashes.roomFor(reference, fields, context.argBytes(2)))) {
    context.dropIfEmpty();
    return -1;
  }
  if (fields > 1) hashes.expectLong(reference, longestArgument(context, 2));
  let added = 0;
  let index = 2;
  for (; index < argCount; index += 2) {
    const result = setFromArguments(context, reference, index);
    if (result === HashSet.NoMemory) break;
    if (result === HashSet.Added) added++;
  }
  context.endPromises();
  if (hashes.isExpiring(reference)) context.fieldsChanged();
  if (index > 2) context.changed(KeyEvent.HashSet, (index - 2) >> 1);
  else context.dropIfEmpty();
  if (index === argCount) return added;
  if (index > 2) recordBeginning(context, index);
  reply.error(OUT_OF_MEMORY);
  return -1;
}

function hset(context: CommandContext): void {
  const added = setPairs(context);
  if (added >= 0) context.reply.integer(added);
}

function hmset(context: CommandContext): void {
  if (setPairs(context) >= 0) context.reply.ok();
}

function hsetnx(context: CommandContext): void {
  const { reply } = context;
  const reference = writeOrCreate(context);
  if (reference <= 0) return;
  if (findArgument(context, context.shard.hashes, reference, 2) !== 0) {
    reply.integer(0);
  } else if (setFromArguments(context, reference, 2) === HashSet.NoMemory) {
    context.dropIfEmpty();
    reply.error(OUT_OF_MEMORY);
  } else {
    context.changed(KeyEvent.HashSet);
    reply.integer(1);
  }
}

function hget(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Hash);
  if (reference >= 0) replyValueOf(context, reference, 2);
}

function hmget(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Hash);
  if (reference < 0) return;
  context.reply.array(context.argCount - 2);
  for (let index = 2; index < context.argCount; index++) replyValueOf(context, reference, index);
}

function hgetall(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const { reply } = context;
  if (reference === 0) {
    reply.map(0);
    return;
  }
  const { hashes } = context.shard;
  reply.map(hashes.count(reference));
  for (hashes.begin(reference); hashes.next(); ) {
    replyField(context, hashes);
    replyValue(context, hashes);
  }
}

/** HKEYS and HVALS. */
function replyEach(context: CommandContext, replyOne: typeof replyField): void {
  const reference = context.readCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const { hashes } = context.shard;
  context.reply.array(reference === 0 ? 0 : hashes.count(reference));
  if (reference === 0) return;
  for (hashes.begin(reference); hashes.next(); ) replyOne(context, hashes);
}

function hdel(context: CommandContext): void {
  const reference = context.writeCollection(1, ValueType.Hash);
  if (reference < 0) return;
  let removed = 0;
  if (reference !== 0) {
    const { bytes, view } = context;
    const { hashes } = context.shard;
    for (let index = 2; index < context.argCount; index++) {
      if (hashes.remove(reference, bytes, view, context.argOffset(index), context.argLength(index)))
        removed++;
    }
    if (removed > 0 && hashes.isExpiring(reference)) context.fieldsChanged();
    if (removed > 0) context.elementsRemoved(KeyEvent.HashDelete, removed);
  }
  context.reply.integer(removed);
}

function hexists(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const exists = reference !== 0 && findArgument(context, context.shard.hashes, reference, 2) !== 0;
  context.reply.integer(exists ? 1 : 0);
}

function hlen(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Hash);
  if (reference < 0) return;
  context.reply.integer(reference === 0 ? 0 : context.shard.hashes.count(reference));
}

function hstrlen(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const { hashes } = context.shard;
  const handle = reference === 0 ? 0 : findArgument(context, hashes, reference, 2);
  if (handle !== 0) hashes.readValue(reference, handle);
  context.reply.integer(handle === 0 ? 0 : hashes.value.lengthBytes);
}

/**
 * Sets the field that argument 2 names to the first bytes of `numberText`, keeping its expiry. Replies OOM and returns
 * false if there is no memory.
 */
function storeNumber(context: CommandContext, reference: number, lengthBytes: number): boolean {
  const { bytes, view } = context;
  const result = context.shard.hashes.set(
    reference,
    bytes,
    view,
    context.argOffset(2),
    context.argLength(2),
    numberText,
    numberView,
    0,
    lengthBytes,
    true,
  );
  if (result !== HashSet.NoMemory) return true;
  context.dropIfEmpty();
  context.reply.error(OUT_OF_MEMORY);
  return false;
}

function hincrby(context: CommandContext): void {
  if (!context.integer(3)) return;
  const { number, reply } = context;
  const reference = writeOrCreate(context);
  if (reference <= 0) return;
  const { hashes } = context.shard;
  const handle = findArgument(context, hashes, reference, 2);
  let isSafe = number.isSafe;
  let sum = number.value;
  if (handle !== 0) {
    hashes.readValue(reference, handle);
    const { value } = hashes;
    if (!parser.parse(value.bytes, value.offset, value.lengthBytes)) {
      reply.error('ERR hash value is not an integer');
      return;
    }
    sum += parser.value;
    isSafe &&= parser.isSafe && Number.isSafeInteger(sum);
  }
  if (isSafe) {
    if (!storeNumber(context, reference, writeInteger(numberText, 0, sum))) return;
    context.changed(KeyEvent.HashIncrementBy);
    reply.integer(sum);
    return;
  }
  const exactSum = number.toBigInt() + (handle === 0 ? 0n : parser.toBigInt());
  if (exactSum > INT64_MAX || exactSum < INT64_MIN) {
    reply.error(OVERFLOW);
    return;
  }
  if (!storeNumber(context, reference, Buffer.from(numberText.buffer).write(exactSum.toString()))) return;
  context.changed(KeyEvent.HashIncrementBy);
  reply.integerBig(exactSum);
}

function hincrbyfloat(context: CommandContext): void {
  const { reply } = context;
  const increment = parseLongDouble(context.argLatin1(3));
  if (increment === null) {
    reply.error(NOT_A_FLOAT);
    return;
  }
  if (increment === 'infinite') {
    reply.error('ERR value is NaN or Infinity');
    return;
  }
  const reference = writeOrCreate(context);
  if (reference <= 0) return;
  const { hashes } = context.shard;
  const handle = findArgument(context, hashes, reference, 2);
  let old = parseLongDouble('0');
  if (handle !== 0) {
    hashes.readValue(reference, handle);
    const { bytes, offset, lengthBytes } = hashes.value;
    old = parseLongDouble(Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1'));
  }
  if (old === null) {
    reply.error('ERR hash value is not a float');
    return;
  }
  const sum = old === 'infinite' ? old : addLongDoubles(old, increment);
  if (sum === 'infinite') {
    reply.error('ERR increment would produce NaN or Infinity');
    return;
  }
  const text = formatLongDouble(sum);
  if (!storeNumber(context, reference, Buffer.from(numberText.buffer).write(text))) return;
  context.changed(KeyEvent.HashIncrementByFloat);
  const expiresAt = hashes.expiresAt(reference, findArgument(context, hashes, reference, 2));
  const journal = recordKeyCommand(context, 'HSET', 2);
  journal?.argument(context.bytes, context.view, context.argOffset(2), context.argLength(2));
  journal?.word(text);
  if (expiresAt >= 0) recordFieldExpiries(context, [2], expiresAt);
  reply.bulkString(text);
}

/** Replies with the field that a handle names, and its value. */
function replyHandle(
  context: CommandContext,
  reference: number,
  handle: number,
  options: { withValues: boolean },
): void {
  const { hashes } = context.shard;
  const { reply } = context;
  hashes.readHandle(reference, handle);
  if (options.withValues && reply.protocol === 3) reply.array(2);
  replyField(context, hashes);
  if (options.withValues) replyValue(context, hashes);
}

function hrandfield(context: CommandContext): void {
  const { reply } = context;
  const options = readRandomOptions(context, 'WITHVALUES');
  if (options === null) return;
  const reference = context.readCollection(1, ValueType.Hash);
  if (reference < 0) return;
  const { hashes } = context.shard;
  const wanted = options.count;
  if (reference === 0 || hashes.count(reference) === 0) {
    if (wanted === null) reply.nullBulk();
    else reply.array(0);
    return;
  }
  if (wanted === null) {
    replyHandle(context, reference, hashes.randomHandle(reference), options);
    return;
  }
  const total = hashes.count(reference);
  const count = wanted < 0 ? Math.min(-wanted, REPEATED_ELEMENTS_MAX) : Math.min(wanted, total);
  reply.array(options.withValues && reply.protocol === 2 ? 2 * count : count);
  if (wanted < 0) {
    for (let left = count; left > 0 && !reply.overflowed; left--) {
      replyHandle(context, reference, hashes.randomHandle(reference), options);
    }
  } else if (count === total) {
    for (hashes.begin(reference); hashes.next(); ) replyHandle(context, reference, hashes.handle, options);
  } else {
    for (const handle of drawDistinct(hashes, reference, count)) {
      replyHandle(context, reference, handle, options);
    }
  }
}

function hscan(context: CommandContext): void {
  scanElements(
    context,
    ValueType.Hash,
    'NOVALUES',
    ({ hashes }) => [hashes, hashes.field],
    (hashes, { withValues }) => {
      replyField(context, hashes);
      if (!withValues) return 1;
      replyValue(context, hashes);
      return 2;
    },
  );
}

export const hashHandlers: Readonly<Record<string, Handler>> = {
  HDEL: hdel,
  HEXISTS: hexists,
  HGET: hget,
  HGETALL: hgetall,
  HINCRBY: hincrby,
  HINCRBYFLOAT: hincrbyfloat,
  HKEYS: (context) => replyEach(context, replyField),
  HLEN: hlen,
  HMGET: hmget,
  HMSET: hmset,
  HRANDFIELD: hrandfield,
  HSCAN: hscan,
  HSET: hset,
  HSETNX: hsetnx,
  HSTRLEN: hstrlen,
  HVALS: (context) => replyEach(context, replyValue),
};
