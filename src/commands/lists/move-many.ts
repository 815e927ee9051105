/**
 * LMOVEM and BLMOVEM: move several elements from an end of a list to an end of another, or of the same one. They are
 * copied, added to the destination, and only then taken from the source.
 */

import { type Blocking, readTimeout, waitForKeys } from '../../execution/blocking.js';
import type { CommandContext } from '../../execution/context.js';
import { recordKeyCommand, recordPop } from '../../execution/effects.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { WaitKind } from '../../keyspace/waiters.js';
import { copyBytes } from '../../structures/copy.js';
import type { ListValue } from '../../structures/list-value.js';
import { elementsTaken, popEvent, pushEvent, readSide } from './lists.js';

const KEPT_BYTES_MAX = 1 << 20;
/** Bytes that an element may take besides its text, and that a list may need besides its elements. */
const ELEMENT_ROOM_BYTES = 16;
const LIST_ROOM_BYTES = 64 * 1024;

/** How many elements are moved, and in which order they arrive. */
interface MoveRequest {
  fromTail: boolean;
  toTail: boolean;
  count: number;
  /** All of `count`, or none. */
  isExact: boolean;
  /** As if each element were moved by itself; otherwise they keep their order in the source. */
  isOneByOne: boolean;
}

/** Elements on their way, in the order that they have in the destination. */
class CarriedElements {
  count = 0;
  totalBytes = 0;
  bytes = new Uint8Array(4096);
  view = new DataView(this.bytes.buffer);
  offsets: number[] = [];

  /** Copies `count` elements, from an end of a list towards its other end. */
  take(list: ListValue, reference: number, fromTail: boolean, count: number, isTurned: boolean): void {
    this.count = 0;
    this.totalBytes = 0;
    this.offsets = [0];
    if (this.bytes.length > KEPT_BYTES_MAX) this.resize(4096);
    const first = fromTail ? list.count(reference) - count : 0;
    const last = first + count - 1;
    let position = list.seek(reference, isTurned ? last : first);
    for (let left = count; left > 0; left--) {
      list.read(position);
      const { bytes, view, offset, lengthBytes } = list.element;
      if (this.totalBytes + lengthBytes > this.bytes.length) this.resize(2 * (this.totalBytes + lengthBytes));
      copyBytes(this.bytes, this.view, this.totalBytes, bytes, view, offset, lengthBytes);
      this.totalBytes += lengthBytes;
      this.offsets.push(this.totalBytes);
      this.count++;
      if (left > 1) position = isTurned ? list.previous(reference, position) : list.next(position);
    }
  }

  private resize(lengthBytes: number): void {
    const resized = new Uint8Array(lengthBytes);
    resized.set(this.bytes.subarray(0, Math.min(this.totalBytes, lengthBytes)));
    this.bytes = resized;
    this.view = new DataView(resized.buffer);
  }

  lengthOf(index: number): number {
    return this.offsets[index + 1] - this.offsets[index];
  }
}

const carried = new CarriedElements();

/** Adds the carried elements to an end of a list; false, with nothing changed, if there is no memory. */
function pushCarried(list: ListValue, reference: number, toTail: boolean): boolean {
  const { count, bytes, view, offsets } = carried;
  if (!list.prepare(reference, carried.totalBytes, count)) return false;
  for (let pushed = 0; pushed < count; pushed++) {
    const index = toTail ? pushed : count - 1 - pushed;
    if (list.push(reference, toTail, bytes, view, offsets[index], carried.lengthOf(index))) continue;
    list.drop(reference, toTail, pushed);
    return false;
  }
  return true;
}

/** Records the carried elements as arguments of a push on the selected key. */
function recordPush(context: CommandContext, toTail: boolean): void {
  const { count, bytes, view, offsets } = carried;
  const journal = recordKeyCommand(context, toTail ? 'RPUSH' : 'LPUSH', count);
  for (let pushed = 0; pushed < count; pushed++) {
    const index = toTail ? pushed : count - 1 - pushed;
    journal?.argument(bytes, view, offsets[index], carried.lengthOf(index));
  }
}

/** Moves elements of the selected list to its other end, or changes their order at this one. */
function moveWithin(context: CommandContext, reference: number, request: MoveRequest): boolean {
  const { fromTail, toTail } = request;
  const { lists, arena } = context.shard;
  const { count, totalBytes } = carried;
  if (!arena.hasRoom(2 * totalBytes + count * ELEMENT_ROOM_BYTES + LIST_ROOM_BYTES)) return false;
  lists.drop(reference, fromTail, count);
  if (!pushCarried(lists, reference, toTail)) throw new Error('arena: promised room is missing');
  context.changed(pushEvent(toTail), count);
  context.happened(popEvent(fromTail));
  if (fromTail === toTail) recordOrder(context, toTail);
  else {
    recordPush(context, toTail);
    recordPop(context, fromTail ? 'RPOP' : 'LPOP', count);
  }
  lists.shrink(context.valueOffset);
  return true;
}

/** Records the new order at an end of the selected list, whose length stays, as LSET commands. */
function recordOrder(context: CommandContext, atTail: boolean): void {
  const { count, bytes, view, offsets } = carried;
  for (let index = 0; index < count; index++) {
    const journal = recordKeyCommand(context, 'LSET', 2);
    journal?.integer(atTail ? index - count : index);
    journal?.argument(bytes, view, offsets[index], carried.lengthOf(index));
  }
}

/** Adds the carried elements to the list that argument 2 names and takes them from that of argument 1. */
function moveAcross(context: CommandContext, request: MoveRequest): boolean {
  const { fromTail, toTail } = request;
  let target = context.writeCollection(2, ValueType.List);
  const exists = target !== 0;
  if (!exists) {
    target = context.createCollection(ValueType.List);
    if (target === 0) return true;
  }
  if (!pushCarried(context.shard.lists, target, toTail)) {
    if (!exists) context.dropIfEmpty();
    return false;
  }
  context.changed(pushEvent(toTail), carried.count);
  recordPush(context, toTail);
  const source = context.writeCollection(1, ValueType.List);
  context.shard.lists.drop(source, fromTail, carried.count);
  recordPop(context, fromTail ? 'RPOP' : 'LPOP', carried.count);
  elementsTaken(context, popEvent(fromTail), 0);
  return true;
}

/**
 * Moves elements from the list that argument 1 names to the one that argument 2 names, and replies with them in the
 * order that they have there. Returns false, with nothing replied, if there are none, or fewer than EXACTLY demands.
 */
function moveMany(context: CommandContext, request: MoveRequest): boolean {
  const { reply } = context;
  const source = context.writeCollection(1, ValueType.List);
  if (source < 0) return true;
  const length = source === 0 ? 0 : context.shard.lists.count(source);
  if (length === 0 || (request.isExact && length < request.count)) return false;
  const sourceShard = context.shard;
  const { entry } = context;
  if (context.writeCollection(2, ValueType.List) < 0) return true;
  const isSame = context.entry === entry && context.shard === sourceShard;
  const count = Math.min(length, request.count);
  // Taking one by one from the tail reverses the order, and so does adding to the head; both together keep it.
  const isTurned = request.isOneByOne && request.fromTail === request.toTail;
  context.writeCollection(1, ValueType.List);
  carried.take(sourceShard.lists, context.valueOffset, request.fromTail, count, isTurned);
  const errorsBefore = reply.errors;
  const isMoved = isSame ? moveWithin(context, context.valueOffset, request) : moveAcross(context, request);
  if (!isMoved) reply.error(OUT_OF_MEMORY);
  if (reply.errors !== errorsBefore) return true;
  reply.array(count);
  for (let index = 0; index < count; index++) {
    reply.bulkCopy(carried.bytes, carried.view, carried.offsets[index], carried.lengthOf(index));
  }
  return true;
}

/**
 * Reads the ends of both lists, and the arguments from `first` on: none, or how many elements in which order. Null after
 * replying an error.
 */
function readMoveRequest(context: CommandContext, first: number): MoveRequest | null {
  const { reply, argCount } = context;
  const from = readSide(context, 3);
  const to = from < 0 ? -1 : readSide(context, 4);
  if (to < 0) return null;
  const request = { fromTail: from === 1, toTail: to === 1, count: 1, isExact: false, isOneByOne: true };
  if (argCount === first) return request;
  request.isExact = argCount === first + 3 && context.argIs(first, 'EXACTLY');
  request.isOneByOne = argCount === first + 3 && context.argIs(first + 2, 'OBO');
  const hasCount = argCount === first + 3 && (request.isExact || context.argIs(first, 'COUNT'));
  if (!hasCount || (!request.isOneByOne && !context.argIs(first + 2, 'BULK'))) {
    reply.error(SYNTAX_ERROR);
    return null;
  }
  const tooSmall = 'ERR count should be greater than 0';
  if (!context.integer(first + 1, tooSmall)) return null;
  request.count = context.number.value;
  if (request.count > 0) return request;
  reply.error(tooSmall);
  return null;
}

function lmovem(context: CommandContext): void {
  const request = readMoveRequest(context, 5);
  if (request === null || moveMany(context, request)) return;
  if (request.isExact) context.reply.nullArray();
  else context.reply.array(0);
}

/** The first of BLMOVEM's arguments after the timeout. */
const BLOCKING_FIRST = 6;

/** COUNT waits for an element, EXACTLY for as many as it demands. */
function blmovem(context: CommandContext): void {
  const request = readMoveRequest(context, BLOCKING_FIRST);
  const timeoutMs = request === null ? -1 : readTimeout(context, BLOCKING_FIRST - 1);
  if (request === null || timeoutMs < 0 || moveMany(context, request)) return;
  if (!waitForKeys(context, 1, 1, timeoutMs)) context.reply.nullArray();
}

/** The request of a client that waits; it has been read without an error before. */
function waitingRequest(context: CommandContext): MoveRequest {
  const request = readMoveRequest(context, BLOCKING_FIRST);
  if (request === null) throw new Error('a client waits with a request that is wrong');
  return request;
}

function hasEnough(context: CommandContext): boolean {
  const { isExact, count } = waitingRequest(context);
  const source = context.writeCollection(1, ValueType.List);
  return !isExact || context.shard.lists.count(source) >= count;
}

export const moveManyHandlers: Readonly<Record<string, Handler>> = {
  BLMOVEM: blmovem,
  LMOVEM: lmovem,
};

/** How clients that wait are served. */
export const blockingMoves: Readonly<Record<string, Blocking>> = {
  BLMOVEM: {
    kind: WaitKind.List,
    type: ValueType.List,
    destination: 2,
    isReady: hasEnough,
    serve: (context) => {
      if (!moveMany(context, waitingRequest(context))) throw new Error('a client is served too early');
    },
  },
};
