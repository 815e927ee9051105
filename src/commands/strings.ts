/** The commands of strings. */

import { ValueType } from '../keyspace/entry.js';
import { KeyEvent } from '../keyspace/events.js';
import type { Handler } from './command-table.js';
import type { CommandContext } from './context.js';

function get(context: CommandContext): void {
  if (context.findRead(1) === 0) {
    context.reply.nullBulk();
    return;
  }
  if (!context.isType(ValueType.String)) return;
  const { shard } = context;
  context.reply.bulkCopy(shard.bytes, shard.view, context.valueOffset, context.valueLength);
}

function set(context: CommandContext): void {
  context.findWrite(1);
  if (!context.putString(2, -1)) return;
  context.changed(KeyEvent.Set);
  context.reply.ok();
}

export const stringHandlers: Readonly<Record<string, Handler>> = { GET: get, SET: set };
