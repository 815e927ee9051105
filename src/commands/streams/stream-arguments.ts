/** Ids in the arguments of stream commands, and in replies. */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import type { ByteRange } from '../../structures/byte-range.js';
import { type IdList, IdText, StreamId } from '../../structures/stream-id.js';
import { References } from '../../structures/stream-trim.js';

export const INVALID_STREAM_ID = 'ERR Invalid stream ID specified as stream command argument';

const OPEN_PARENTHESIS = 0x28;

const text = new IdText();

/** Lets a range be an argument, until the next request is read. */
export function setToArgument(range: ByteRange, context: CommandContext, index: number): void {
  range.set(context.bytes, context.view, context.argOffset(index), context.argLength(index));
}

/** Reads an argument as an id, "ms" or "ms-seq"; false if it is none. */
export function parseId(context: CommandContext, index: number, id: StreamId): boolean {
  return id.parse(context.bytes, context.argOffset(index), context.argLength(index));
}

/** The same; replies with an error if the argument is no id. */
export function readId(context: CommandContext, index: number, id: StreamId): boolean {
  if (parseId(context, index, id)) return true;
  context.reply.error(INVALID_STREAM_ID);
  return false;
}

/** Reads the arguments from `first` to before `end` as ids; replies with an error and returns false if one is none. */
export function readIds(context: CommandContext, first: number, end: number, ids: IdList): boolean {
  ids.clear();
  for (let index = first; index < end; index++) {
    if (!readId(context, index, listed)) return false;
    ids.add(listed);
  }
  return true;
}

const listed = new StreamId();

/**
 * Reads "IDS number id ..." at an argument. Returns the index of its last argument, or 0 after replying an error.
 */
export function readIdBlock(context: CommandContext, index: number, ids: IdList): number {
  const { reply, number } = context;
  if (index + 1 >= context.argCount) {
    reply.error(SYNTAX_ERROR);
    return 0;
  }
  if (!context.integer(index + 1, 'ERR Number of IDs must be a positive integer')) return 0;
  if (number.value < 1) {
    reply.error('ERR Number of IDs must be a positive integer');
    return 0;
  }
  const end = index + 2 + number.value;
  if (end > context.argCount) {
    reply.error('ERR The `numids` parameter must match the number of arguments');
    return 0;
  }
  return readIds(context, index + 2, end, ids) ? end - 1 : 0;
}

/** What an argument says about references to deleted entries: KEEPREF, DELREF or ACKED; -1 for other arguments. */
export function readReferences(context: CommandContext, index: number): References | -1 {
  if (context.argIs(index, 'KEEPREF')) return References.Keep;
  if (context.argIs(index, 'DELREF')) return References.Delete;
  return context.argIs(index, 'ACKED') ? References.Acknowledged : -1;
}

/**
 * Reads an argument as the beginning or the end of a range: an id, "-" or "+", or with "(" in front an id that does not
 * belong to the range. Replies with an error and returns false if it is none of these.
 */
export function readLimit(context: CommandContext, index: number, id: StreamId, isEnd: boolean): boolean {
  const { bytes, reply } = context;
  const offset = context.argOffset(index);
  const lengthBytes = context.argLength(index);
  const isOpen = lengthBytes > 1 && bytes[offset] === OPEN_PARENTHESIS;
  const isId = isOpen
    ? id.parse(bytes, offset + 1, lengthBytes - 1, isEnd)
    : id.parseLimit(bytes, offset, lengthBytes, isEnd);
  if (!isId) {
    reply.error(INVALID_STREAM_ID);
    return false;
  }
  if (!isOpen || (isEnd ? id.decrement() : id.increment())) return true;
  reply.error(`ERR invalid ${isEnd ? 'end' : 'start'} ID for the interval`);
  return false;
}

/** Whether an argument is this one character (or goes on with a zero byte, where C's strings end). */
export function isCharacter(context: CommandContext, index: number, character: number): boolean {
  const offset = context.argOffset(index);
  const lengthBytes = context.argLength(index);
  if (lengthBytes === 0 || context.bytes[offset] !== character) return false;
  return lengthBytes === 1 || context.bytes[offset + 1] === 0;
}

export function replyId(context: CommandContext, id: StreamId): void {
  context.reply.bulkCopy(text.bytes, text.view, 0, text.write(id));
}
