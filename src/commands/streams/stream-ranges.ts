/** XRANGE and XREVRANGE. */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { readLimit } from './stream-arguments.js';
import { range, replyRange } from './stream-entries.js';

function xrange(context: CommandContext, isReverse: boolean): void {
  const { reply, number } = context;
  if (!readLimit(context, isReverse ? 3 : 2, range.start, false)) return;
  if (!readLimit(context, isReverse ? 2 : 3, range.end, true)) return;
  let count = -1;
  for (let index = 4; index < context.argCount; index += 2) {
    if (!context.argIs(index, 'COUNT') || index + 1 >= context.argCount) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    if (!context.integer(index + 1)) return;
    count = Math.max(number.value, 0);
  }
  const reference = context.readCollection(1, ValueType.Stream);
  if (reference < 0) return;
  if (reference === 0) {
    reply.array(0);
    return;
  }
  if (count === 0) {
    reply.nullArray();
    return;
  }
  context.shard.streams.begin(range, reference, isReverse);
  replyRange(context, Math.max(count, 0), isReverse);
}

export const streamRangeHandlers: Readonly<Record<string, Handler>> = {
  XRANGE: (context) => xrange(context, false),
  XREVRANGE: (context) => xrange(context, true),
};
