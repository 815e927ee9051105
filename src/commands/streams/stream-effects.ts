/**
 * What the journal records of stream commands whose effect depends on the time or on how entries are stored. All
 * functions work on the selected key.
 */

import type { CommandContext } from '../../execution/context.js';
import { recordKeyCommand } from '../../execution/effects.js';
import type { Journal } from '../../journal/journal.js';
import { Pending } from '../../structures/stream-groups.js';
import { IdList, IdText, StreamId, uint64ToBigInt } from '../../structures/stream-id.js';

const text = new IdText();
const id = new StreamId();
const single = new IdList();

export function recordId(journal: Journal, of: StreamId): void {
  journal.argument(text.bytes, text.view, 0, text.write(of));
}

/** Begins XGROUP with a subcommand; `argCount` arguments follow the selected key. Null if nothing is recorded. */
function recordGroupCommand(context: CommandContext, subcommand: string, argCount: number): Journal | null {
  const { journal } = context.keyspace;
  if (!journal.isOn) return null;
  journal.begin(context.keyDatabase, 3 + argCount);
  journal.word('XGROUP');
  journal.word(subcommand);
  journal.argument(context.bytes, context.view, context.keyOffset, context.keyLength);
  journal.settled();
  return journal;
}

function recordGroupName(context: CommandContext, journal: Journal, group: number): void {
  const { bytes, view, streams } = context.shard;
  const { groups } = streams.groups;
  journal.argument(bytes, view, groups.nameOffset(group), groups.nameLength(group));
}

function recordConsumerName(context: CommandContext, journal: Journal, consumer: number): void {
  const { bytes, view, streams } = context.shard;
  const { consumers } = streams.groups;
  journal.argument(bytes, view, consumers.nameOffset(consumer), consumers.nameLength(consumer));
}

/** Records how far a group has read. */
export function recordGroupPosition(context: CommandContext, group: number): void {
  const journal = recordGroupCommand(context, 'SETID', 4);
  if (journal === null) return;
  const { streams } = context.shard;
  recordGroupName(context, journal, group);
  streams.lastDeliveredId(group, id);
  recordId(journal, id);
  journal.word('ENTRIESREAD');
  journal.word(streams.entriesRead(group).toString());
}

/** Records a new consumer of a group. */
export function recordConsumer(context: CommandContext, group: number, consumer: number): void {
  const journal = recordGroupCommand(context, 'CREATECONSUMER', 2);
  if (journal === null) return;
  recordGroupName(context, journal, group);
  recordConsumerName(context, journal, consumer);
}

/**
 * Records that entries are pending for a consumer, all delivered at one time and equally often. To replay the command,
 * it is enough to check that each entry exists.
 */
export function recordDelivered(
  context: CommandContext,
  group: number,
  consumer: number,
  ids: IdList,
  deliveredAt: number,
  count: string,
): void {
  if (ids.count === 0) return;
  const journal = recordKeyCommand(context, 'XCLAIM', 9 + ids.count);
  if (journal === null) return;
  recordGroupName(context, journal, group);
  recordConsumerName(context, journal, consumer);
  journal.word('0');
  for (let index = 0; index < ids.count; index++) {
    ids.read(index, id);
    recordId(journal, id);
  }
  journal.word('TIME');
  journal.integer(deliveredAt);
  journal.word('RETRYCOUNT');
  journal.word(count);
  journal.word('FORCE');
  journal.word('JUSTID');
}

/** Records the present state of a pending entry. */
export function recordPending(context: CommandContext, group: number, pending: number): void {
  const { journal } = context.keyspace;
  if (!journal.isOn) return;
  const { words, streams } = context.shard;
  const { groups } = streams;
  id.read(words, (pending >> 2) + Pending.Id);
  single.clear();
  single.add(id);
  const count = deliveryCount(context, pending).toString();
  recordDelivered(context, group, groups.consumerOf(pending), single, groups.deliveredAt(pending), count);
}

/** How often an entry was delivered. */
export function deliveryCount(context: CommandContext, pending: number): bigint {
  const { words } = context.shard;
  const at = pending >> 2;
  return BigInt.asIntN(64, uint64ToBigInt(words[at + Pending.CountHigh], words[at + Pending.CountLow]));
}

/** Records that entries were deleted one by one. */
export function recordDeleted(context: CommandContext, ids: IdList): void {
  const journal = recordKeyCommand(context, 'XDEL', ids.count);
  if (journal === null) return;
  for (let index = 0; index < ids.count; index++) {
    ids.read(index, id);
    recordId(journal, id);
  }
}

/** Records that entries are no longer pending. */
export function recordAcknowledged(context: CommandContext, group: number, ids: IdList): void {
  if (ids.count === 0) return;
  const journal = recordKeyCommand(context, 'XACK', 1 + ids.count);
  if (journal === null) return;
  recordGroupName(context, journal, group);
  for (let index = 0; index < ids.count; index++) {
    ids.read(index, id);
    recordId(journal, id);
  }
}
