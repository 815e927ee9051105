/** All commands: the handlers of every family, joined with their rows. */

import { clientHandlers } from './client.js';
import { CommandTable } from './command-table.js';
import { configHandlers } from './config.js';
import { connectionHandlers } from './connection.js';
import type { CommandContext } from './context.js';
import { debugHandlers } from './debug.js';
import { wrongArity } from './errors.js';
import { expiryHandlers } from './expiry.js';
import { keyHandlers } from './keys.js';
import { latencyHandlers } from './latency.js';
import { objectHandlers } from './object.js';
import { slowLogHandlers } from './slowlog.js';
import { stringHandlers } from './strings.js';
import { transactionHandlers } from './transactions.js';

/** A container command without a subcommand. */
function container(context: CommandContext): void {
  context.reply.error(wrongArity(context.command.fullName));
}

export function createCommandTable(): CommandTable {
  return new CommandTable(
    {
      ...stringHandlers,
      ...keyHandlers,
      ...expiryHandlers,
      ...objectHandlers,
      ...debugHandlers,
      ...clientHandlers,
      ...configHandlers,
      ...connectionHandlers,
      ...slowLogHandlers,
      ...latencyHandlers,
      ...transactionHandlers,
    },
    container,
  );
}
