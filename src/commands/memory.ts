/** MEMORY USAGE, PURGE and DOCTOR. */

import { entryBytes } from '../keyspace/entry.js';
import type { Handler } from './command-table.js';
import type { CommandContext } from './context.js';
import { SYNTAX_ERROR } from './errors.js';

/** The key's slot in the dictionary. */
const SLOT_BYTES = 8;

function usage(context: CommandContext): void {
  const { reply } = context;
  for (let index = 3; index < context.argCount; index += 2) {
    if (!context.argIs(index, 'SAMPLES') || index + 1 === context.argCount) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    if (!context.integer(index + 1)) return;
    if (context.number.value < 0) {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }
  const entry = context.peek(2);
  if (entry === 0) reply.nullBulk();
  else reply.integer(entryBytes(context.shard.words, entry) + SLOT_BYTES);
}

/** Free pages go back to the operating system by themselves. */
function purge(context: CommandContext): void {
  context.reply.ok();
}

function doctor(context: CommandContext): void {
  const { keyspace, reply } = context;
  const { maxMemoryBytes } = keyspace.settings;
  const used = keyspace.usedBytes();
  const isNearLimit = maxMemoryBytes > 0 && used > 0.95 * maxMemoryBytes;
  reply.verbatim(
    isNearLimit
      ? `The data takes ${used} of the ${maxMemoryBytes} bytes that maxmemory allows.\n`
      : 'No memory problem has been found.\n',
    'txt',
  );
}

export const memoryHandlers: Readonly<Record<string, Handler>> = {
  'MEMORY DOCTOR': doctor,
  'MEMORY PURGE': purge,
  'MEMORY USAGE': usage,
};
