/** The commands of the connection itself. */

import type { Handler } from './command-table.js';
import type { CommandContext } from './context.js';
import { wrongArity } from './errors.js';

function ping(context: CommandContext): void {
  const { reply } = context;
  if (context.argCount > 2) reply.error(wrongArity('ping'));
  else if (context.argCount === 1) reply.simple('PONG');
  else reply.bulkCopy(context.bytes, context.view, context.argOffset(1), context.argLength(1));
}

export const connectionHandlers: Readonly<Record<string, Handler>> = { PING: ping };
