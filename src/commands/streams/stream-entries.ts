/** Replies with entries of streams. */

import type { CommandContext } from '../../execution/context.js';
import type { StreamEntry } from '../../structures/stream-block.js';
import { Pending } from '../../structures/stream-groups.js';
import { StreamId } from '../../structures/stream-id.js';
import { StreamRange } from '../../structures/stream-value.js';
import { replyId } from './stream-arguments.js';
import { deliveryCount } from './stream-effects.js';

const id = new StreamId();
/** The range of the command that is running. */
export const range = new StreamRange();

/** Replies with an entry's fields and values. */
export function replyFields(context: CommandContext, entry: StreamEntry): void {
  const { reply, shard } = context;
  const reader = shard.streams.elements;
  reply.array(2 * entry.fieldCount);
  let value = entry.valuesAt;
  if (entry.hasMasterFields) {
    let field = entry.fieldsAt;
    for (let left = entry.fieldCount; left > 0; left--) {
      field = reader.read(field);
      reply.bulkCopy(reader.bytes, reader.view, reader.offset, reader.lengthBytes);
      value = reader.read(value);
      reply.bulkCopy(reader.bytes, reader.view, reader.offset, reader.lengthBytes);
    }
    return;
  }
  for (let left = 2 * entry.fieldCount; left > 0; left--) {
    value = reader.read(value);
    reply.bulkCopy(reader.bytes, reader.view, reader.offset, reader.lengthBytes);
  }
}

/** Replies with an entry: its id, and its fields and values. */
export function replyEntry(context: CommandContext, entry: StreamEntry): void {
  context.reply.array(2);
  entry.copyIdTo(id);
  replyId(context, id);
  replyFields(context, entry);
}

/** Replies with at most `count` entries (0: any number) of a range that `begin` has begun with. */
export function replyRange(context: CommandContext, count: number, isReverse: boolean): void {
  const { reply } = context;
  const { streams } = context.shard;
  const position = reply.reserveAggregate();
  let emitted = 0;
  while ((isReverse ? streams.previous(range) : streams.next(range)) && !reply.overflowed) {
    replyEntry(context, range.entry);
    if (++emitted === count) break;
  }
  reply.patchAggregate(position, 'array', emitted);
}

/** Replies with how often an entry was delivered. */
export function replyDeliveryCount(context: CommandContext, pending: number): void {
  const { words } = context.shard;
  const at = pending >> 2;
  const high = words[at + Pending.CountHigh];
  if (high === 0) context.reply.integer(words[at + Pending.CountLow] >>> 0);
  else context.reply.integerBig(deliveryCount(context, pending));
}
