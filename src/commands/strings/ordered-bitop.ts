/**
 * The operations of BITOP for which the order of the operands counts, or how many of them have a bit: DIFF, DIFF1,
 * ANDOR and ONE, which Redis has since version 8.2. They are computed in steps, in buffers of this thread.
 */

import type { CommandContext } from '../../execution/context.js';
import { recordDelete, recordString } from '../../execution/effects.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { copyBytes } from '../../structures/copy.js';

export const enum OrderedOperation {
  None = 0,
  /** Bits of the first operand that no other one has. */
  Difference = 1,
  /** Bits of others that the first operand does not have. */
  ReverseDifference = 2,
  /** Bits of the first operand that another one has. */
  AndOr = 3,
  /** Bits that exactly one operand has. */
  One = 4,
}

const STEP_BYTES = 16 * 1024;
const STEP_WORDS = STEP_BYTES / 4;

interface Operand {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly offset: number;
  readonly lengthBytes: number;
}

const EMPTY: Operand = {
  bytes: new Uint8Array(0),
  view: new DataView(new ArrayBuffer(0)),
  offset: 0,
  lengthBytes: 0,
};

/** A piece of an operand, and what is computed from several. */
class Piece {
  readonly words = new Int32Array(STEP_WORDS);
  readonly bytes = new Uint8Array(this.words.buffer);
  readonly view = new DataView(this.words.buffer);

  /** Loads the bytes from `from` on; what lies behind the operand's end is zero. */
  load({ bytes, view, offset, lengthBytes }: Operand, from: number): void {
    const count = Math.max(0, Math.min(STEP_BYTES, lengthBytes - from));
    copyBytes(this.bytes, this.view, 0, bytes, view, offset + from, count);
    this.bytes.fill(0, count);
  }
}

const first = new Piece();
const other = new Piece();
/** Bits that at least one operand after the first has; for One, at least one of all operands. */
const some = new Piece();
/** Bits that more than one operand has. */
const several = new Piece();

export function readOrderedOperation(context: CommandContext): OrderedOperation {
  if (context.argIs(1, 'DIFF')) return OrderedOperation.Difference;
  if (context.argIs(1, 'DIFF1')) return OrderedOperation.ReverseDifference;
  if (context.argIs(1, 'ANDOR')) return OrderedOperation.AndOr;
  return context.argIs(1, 'ONE') ? OrderedOperation.One : OrderedOperation.None;
}

/** The strings that the arguments from the third on name; null after replying WRONGTYPE. The target's own is a copy. */
function readOperands(context: CommandContext): Operand[] | null {
  const target = context.peek(2);
  const targetShard = context.shard;
  const operands: Operand[] = [];
  for (let index = 3; index < context.argCount; index++) {
    const entry = context.findRead(index);
    if (!context.isType(ValueType.String)) return null;
    if (entry === 0) {
      operands.push(EMPTY);
      continue;
    }
    const { shard, valueOffset, valueLength } = context;
    if (entry === target && shard === targetShard) {
      const bytes = shard.bytes.slice(valueOffset, valueOffset + valueLength);
      operands.push({ bytes, view: new DataView(bytes.buffer), offset: 0, lengthBytes: valueLength });
    } else {
      operands.push({ bytes: shard.bytes, view: shard.view, offset: valueOffset, lengthBytes: valueLength });
    }
  }
  return operands;
}

/** Computes the bytes from `from` on into `first`. */
function computeStep(operation: OrderedOperation, operands: readonly Operand[], from: number): void {
  first.load(operands[0], from);
  some.words.set(operation === OrderedOperation.One ? first.words : ZEROS);
  several.words.fill(0);
  for (let index = 1; index < operands.length; index++) {
    other.load(operands[index], from);
    for (let word = 0; word < STEP_WORDS; word++) {
      const bits = other.words[word];
      several.words[word] |= some.words[word] & bits;
      some.words[word] |= bits;
    }
  }
  for (let word = 0; word < STEP_WORDS; word++) {
    first.words[word] = combine(operation, first.words[word], some.words[word], several.words[word]);
  }
}

const ZEROS = new Int32Array(STEP_WORDS);

function combine(
  operation: OrderedOperation,
  firstBits: number,
  someBits: number,
  severalBits: number,
): number {
  switch (operation) {
    case OrderedOperation.Difference:
      return firstBits & ~someBits;
    case OrderedOperation.ReverseDifference:
      return someBits & ~firstBits;
    case OrderedOperation.AndOr:
      return firstBits & someBits;
    default:
      return someBits & ~severalBits;
  }
}

/** BITOP with one of these operations. */
export function orderedBitop(context: CommandContext, operation: OrderedOperation): void {
  const { reply } = context;
  if (operation !== OrderedOperation.One && context.argCount < 5) {
    const name = context.argQuoted(1).toUpperCase();
    reply.error(`ERR BITOP ${name} must be called with at least two source keys.`);
    return;
  }
  const operands = readOperands(context);
  if (operands === null) return;
  const lengthBytes = operands.reduce((longest, operand) => Math.max(longest, operand.lengthBytes), 0);
  const exists = context.findWrite(2) !== 0;
  if (lengthBytes === 0) {
    if (exists) {
      context.remove();
      context.changed(KeyEvent.Delete);
      recordDelete(context);
    }
  } else {
    if (!context.putValue(ValueType.String, lengthBytes, -1)) return;
    const { bytes, view } = context.shard;
    for (let from = 0; from < lengthBytes; from += STEP_BYTES) {
      computeStep(operation, operands, from);
      const count = Math.min(STEP_BYTES, lengthBytes - from);
      copyBytes(bytes, view, context.valueOffset + from, first.bytes, first.view, 0, count);
    }
    context.markRaw();
    context.changed(KeyEvent.Set);
    recordString(context);
  }
  reply.integer(lengthBytes);
}
