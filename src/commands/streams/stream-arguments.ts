/** Ids in the arguments of stream commands, and in replies. */

import { ID_TEXT_BYTES_MAX, ID_WORDS, StreamId } from '../../structures/stream-id.js';
import type { CommandContext } from '../context.js';

export const INVALID_STREAM_ID = 'ERR Invalid stream ID specified as stream command argument';

const OPEN_PARENTHESIS = 0x28;

/** Room for an id, and for the bytes that a reply copies too many. */
const text = new Uint8Array(ID_TEXT_BYTES_MAX + 8);
const textView = new DataView(text.buffer);

/** A list of ids that grows. */
export class IdList {
  private words = new Int32Array(64 * ID_WORDS);
  count = 0;

  clear(): void {
    this.count = 0;
  }

  add(id: StreamId): void {
    if ((this.count + 1) * ID_WORDS > this.words.length) {
      const words = new Int32Array(2 * this.words.length);
      words.set(this.words);
      this.words = words;
    }
    id.write(this.words, this.count++ * ID_WORDS);
  }

  read(index: number, id: StreamId): void {
    id.read(this.words, index * ID_WORDS);
  }

  set(index: number, id: StreamId): void {
    id.write(this.words, index * ID_WORDS);
  }
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
 * Reads an argument as the beginning or the end of a range: an id, "-" or "+", or with "(" in front an id that does not
 * belong to the range. Replies with an error and returns false if it is nothing of that.
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
  context.reply.bulkCopy(text, textView, 0, id.writeText(text, 0));
}
