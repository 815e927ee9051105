/** All commands: the handlers of every family, joined with their rows. */

import { appendOnlyHandlers } from './append-only.js';
import { bitmapHandlers } from './bitmaps.js';
import { clientHandlers } from './client.js';
import { clientTrackingHandlers } from './client-tracking.js';
import { introspectionHandlers } from './command-introspection.js';
import { COMMAND_ROWS } from './command-rows.js';
import { CommandTable } from './command-table.js';
import { configHandlers } from './config.js';
import { connectionHandlers } from './connection.js';
import type { CommandContext } from './context.js';
import { debugHandlers } from './debug.js';
import { dumpHandlers } from './dump.js';
import { wrongArity } from './errors.js';
import { expiryHandlers } from './expiry.js';
import { hashExpiryHandlers } from './hash-expiry.js';
import { hashHandlers } from './hashes.js';
import { infoHandlers } from './info.js';
import { keyHandlers } from './keys.js';
import { latencyHandlers } from './latency.js';
import { listHandlers } from './lists.js';
import { memoryHandlers } from './memory.js';
import { migrateHandlers } from './migrate.js';
import { monitorHandlers } from './monitor.js';
import { objectHandlers } from './object.js';
import { saveHandlers } from './save.js';
import { serverHandlers } from './server.js';
import { setHandlers } from './sets.js';
import { slowLogHandlers } from './slowlog.js';
import { sortHandlers } from './sort.js';
import { sortedSetOperationHandlers } from './sorted-set-operations.js';
import { sortedSetRangeHandlers } from './sorted-set-ranges.js';
import { sortedSetHandlers } from './sorted-sets.js';
import { streamHandlers } from './streams/stream-commands.js';
import { stringHandlers } from './strings.js';
import { transactionHandlers } from './transactions.js';

/** A container command without a subcommand. */
function container(context: CommandContext): void {
  context.reply.error(wrongArity(context.command.fullName));
}

/** The table for a log, which may have commands under the names that clients use, or under their own. */
export function createReplayTable(renamed: readonly (readonly [from: string, to: string])[]): CommandTable {
  const table = createCommandTable();
  for (const [from, to] of renamed) table.addName(from, to);
  return table;
}

/**
 * The table of a server.
 * @param renamed `rename-command`: names and what the commands are called instead, '' for not at all
 * @throws Error with a one-line message if a name does not exist or is taken
 */
export function createCommandTable(
  renamed: readonly (readonly [from: string, to: string])[] = [],
): CommandTable {
  const table = new CommandTable(
    {
      ...stringHandlers,
      ...bitmapHandlers,
      ...keyHandlers,
      ...hashHandlers,
      ...hashExpiryHandlers,
      ...listHandlers,
      ...sortHandlers,
      ...setHandlers,
      ...sortedSetHandlers,
      ...sortedSetRangeHandlers,
      ...sortedSetOperationHandlers,
      ...streamHandlers,
      ...expiryHandlers,
      ...objectHandlers,
      ...dumpHandlers,
      ...migrateHandlers,
      ...debugHandlers,
      ...clientHandlers,
      ...clientTrackingHandlers,
      ...configHandlers,
      ...connectionHandlers,
      ...serverHandlers,
      ...saveHandlers,
      ...appendOnlyHandlers,
      ...infoHandlers,
      ...memoryHandlers,
      ...monitorHandlers,
      ...introspectionHandlers,
      ...slowLogHandlers,
      ...latencyHandlers,
      ...transactionHandlers,
    },
    container,
  );
  for (const [from, to] of renamed) {
    // Commands of Redis that are not there yet need no other name.
    if (table.byFullName(from) === null && COMMAND_ROWS.some(([name]) => name === from.toUpperCase()))
      continue;
    if (table.rename(from, to)) continue;
    const reason = table.byFullName(from) === null ? 'no such command' : 'the new name is taken';
    throw new Error(`'rename-command ${from} ${to}': ${reason}`);
  }
  return table;
}
