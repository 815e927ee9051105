/** All commands: the handlers of every family, joined with their rows. */

import type { CommandContext } from '../execution/context.js';
import { wrongArity } from '../execution/errors.js';
import { COMMAND_ROWS } from '../execution/table/command-rows.js';
import { CommandTable } from '../execution/table/command-table.js';
import { aclHandlers } from './access/acl.js';
import { clientHandlers } from './connection/client.js';
import { clientTrackingHandlers } from './connection/client-tracking.js';
import { connectionHandlers } from './connection/connection.js';
import { transactionHandlers } from './connection/transactions.js';
import { geoHandlers } from './geo/geo.js';
import { geoSearchHandlers } from './geo/geo-search.js';
import { hashExpiryHandlers } from './hashes/hash-expiry.js';
import { hashHandlers } from './hashes/hashes.js';
import { dumpHandlers } from './keys/dump.js';
import { expiryHandlers } from './keys/expiry.js';
import { keyHandlers } from './keys/keys.js';
import { migrateHandlers } from './keys/migrate.js';
import { objectHandlers } from './keys/object.js';
import { sortHandlers } from './keys/sort.js';
import { blockingListHandlers, blockingLists } from './lists/blocking-lists.js';
import { listHandlers } from './lists/lists.js';
import { blockingMoves, moveManyHandlers } from './lists/move-many.js';
import { pubsubHandlers } from './pubsub/pubsub.js';
import { replicationHandlers } from './replication/replication.js';
import { evalHandlers } from './scripting/eval.js';
import { functionHandlers } from './scripting/functions.js';
import { scriptHandlers } from './scripting/script.js';
import { appendOnlyHandlers } from './server/append-only.js';
import { introspectionHandlers } from './server/command-introspection.js';
import { commandLogHandlers } from './server/commandlog.js';
import { configHandlers } from './server/config.js';
import { debugHandlers } from './server/debug.js';
import { infoHandlers } from './server/info.js';
import { latencyHandlers } from './server/latency.js';
import { memoryHandlers } from './server/memory.js';
import { monitorHandlers } from './server/monitor.js';
import { saveHandlers } from './server/save.js';
import { serverHandlers } from './server/server.js';
import { slowLogHandlers } from './server/slowlog.js';
import { setHandlers } from './sets/sets.js';
import { blockingSortedSetHandlers, blockingSortedSets } from './sorted-sets/blocking-sorted-sets.js';
import { sortedSetOperationHandlers } from './sorted-sets/sorted-set-operations.js';
import { sortedSetRangeHandlers } from './sorted-sets/sorted-set-ranges.js';
import { sortedSetHandlers } from './sorted-sets/sorted-sets.js';
import { streamHandlers } from './streams/stream-commands.js';
import { blockingStreams } from './streams/stream-reads.js';
import { bitmapHandlers } from './strings/bitmaps.js';
import { hyperLogLogHandlers } from './strings/hyperloglog.js';
import { stringHandlers } from './strings/strings.js';

/** A container command without a subcommand. */
function container(context: CommandContext): void {
  context.reply.error(wrongArity(context.command.fullName));
}

/** The table for replaying a log, which may name commands by their original or by their renamed names. */
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
      ...hyperLogLogHandlers,
      ...keyHandlers,
      ...hashHandlers,
      ...hashExpiryHandlers,
      ...listHandlers,
      ...moveManyHandlers,
      ...blockingListHandlers,
      ...sortHandlers,
      ...setHandlers,
      ...sortedSetHandlers,
      ...blockingSortedSetHandlers,
      ...sortedSetRangeHandlers,
      ...sortedSetOperationHandlers,
      ...geoHandlers,
      ...geoSearchHandlers,
      ...streamHandlers,
      ...expiryHandlers,
      ...objectHandlers,
      ...dumpHandlers,
      ...migrateHandlers,
      ...debugHandlers,
      ...aclHandlers,
      ...clientHandlers,
      ...clientTrackingHandlers,
      ...configHandlers,
      ...connectionHandlers,
      ...serverHandlers,
      ...replicationHandlers,
      ...saveHandlers,
      ...appendOnlyHandlers,
      ...infoHandlers,
      ...memoryHandlers,
      ...monitorHandlers,
      ...pubsubHandlers,
      ...introspectionHandlers,
      ...slowLogHandlers,
      ...commandLogHandlers,
      ...latencyHandlers,
      ...transactionHandlers,
      ...evalHandlers,
      ...scriptHandlers,
      ...functionHandlers,
    },
    container,
    { ...blockingLists, ...blockingMoves, ...blockingSortedSets, ...blockingStreams },
  );
  for (const [from, to] of renamed) {
    // A command of Redis that does not exist here needs no renaming.
    if (table.byFullName(from) === null && COMMAND_ROWS.some(([name]) => name === from.toUpperCase()))
      continue;
    if (table.rename(from, to)) continue;
    const reason = table.byFullName(from) === null ? 'no such command' : 'the new name is taken';
    throw new Error(`'rename-command ${from} ${to}': ${reason}`);
  }
  return table;
}
