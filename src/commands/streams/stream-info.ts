/** XINFO: what there is to know of a stream, its groups and their consumers. */

import type { CommandContext } from '../../execution/context.js';
import { NO_SUCH_KEY } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { Consumer, Group, Pending } from '../../structures/stream-groups.js';
import { StreamId } from '../../structures/stream-id.js';
import { helpHandler } from '../connection/help.js';
import { replyId } from './stream-arguments.js';
import { replyConsumerName } from './stream-claims.js';
import { range, replyDeliveryCount, replyEntry, replyRange } from './stream-entries.js';
import { findGroup, noGroupOfKey, subcommandSyntaxError } from './stream-groups.js';

/** Entries that XINFO STREAM FULL shows without COUNT. */
const FULL_COUNT = 10;
const PRODUCER_FIELDS = 6;

const id = new StreamId();

/** Selects the key of argument 2; its stream's reference, or 0 after replying an error. */
function existingStream(context: CommandContext): number {
  const reference = context.readCollection(2, ValueType.Stream);
  if (reference === 0) context.reply.error(NO_SUCH_KEY);
  return Math.max(reference, 0);
}

/** An integer, or null for one that is unknown. */
function replyKnown(context: CommandContext, value: bigint | null): void {
  if (value === null) context.reply.nullBulk();
  else context.reply.integerBig(value);
}

/** How many entries a group has read, null if that is unknown. */
function entriesRead(context: CommandContext, group: number): bigint | null {
  const entries = context.shard.streams.entriesRead(group);
  return entries === -1n ? null : entries;
}

function replyGroupName(context: CommandContext, group: number): void {
  const { bytes, view, streams } = context.shard;
  const { groups } = streams.groups;
  context.reply.bulkCopy(bytes, view, groups.nameOffset(group), groups.nameLength(group));
}

/** What is known of a stream's entries, whether in full or not. */
function replyStream(context: CommandContext, reference: number): void {
  const { reply } = context;
  const { streams } = context.shard;
  reply.bulkString('length');
  reply.integer(streams.count(reference));
  reply.bulkString('radix-tree-keys');
  reply.integer(streams.blockCount(reference));
  reply.bulkString('radix-tree-nodes');
  reply.integer(streams.radixTreeNodes(reference));
  reply.bulkString('last-generated-id');
  streams.lastId(reference, id);
  replyId(context, id);
  reply.bulkString('max-deleted-entry-id');
  streams.maxDeletedId(reference, id);
  replyId(context, id);
  reply.bulkString('entries-added');
  reply.integerBig(streams.entriesAdded(reference));
  reply.bulkString('recorded-first-entry-id');
  streams.firstId(reference, id);
  replyId(context, id);
}

/** What is known of producers; Redis 8.6 has these fields for each stream. */
function replyProducers(context: CommandContext, known: number): void {
  const { reply } = context;
  const { producers } = context.shard.streams;
  for (const [name, value] of [
    ['idmp-duration', producers.seconds(known)],
    ['idmp-maxsize', producers.idsMax(known)],
    ['pids-tracked', producers.producers.count(producers.vector(known))],
    ['iids-tracked', producers.idCount(known)],
  ] as const) {
    reply.bulkString(name);
    reply.integer(value);
  }
  reply.bulkString('iids-added');
  reply.integerBig(producers.added(known));
  reply.bulkString('iids-duplicates');
  reply.integerBig(producers.duplicates(known));
}

function stream(context: CommandContext): void {
  const { argCount, reply, number } = context;
  const isFull = argCount > 3;
  let count = FULL_COUNT;
  const reference = existingStream(context);
  if (reference === 0) return;
  if (isFull) {
    const isSound =
      (argCount === 4 || argCount === 6) &&
      context.argIs(3, 'FULL') &&
      (argCount === 4 || context.argIs(4, 'COUNT'));
    if (!isSound) {
      reply.error(subcommandSyntaxError(context));
      return;
    }
    if (argCount === 6) {
      if (!context.integer(5)) return;
      count = number.value < 0 ? FULL_COUNT : number.value;
    }
  }
  const known = context.shard.streams.producersOf(reference);
  reply.map((isFull ? 9 : 10) + (known === 0 ? 0 : PRODUCER_FIELDS));
  replyStream(context, reference);
  if (known !== 0) replyProducers(context, known);
  if (isFull) replyInFull(context, reference, count);
  else replyEnds(context, reference);
}

function replyEnds(context: CommandContext, reference: number): void {
  const { reply } = context;
  const { streams } = context.shard;
  reply.bulkString('groups');
  reply.integer(streams.groupCount(reference));
  range.start.setMin();
  range.end.setMax();
  reply.bulkString('first-entry');
  streams.begin(range, reference, false);
  if (streams.next(range)) replyEntry(context, range.entry);
  else reply.nullBulk();
  reply.bulkString('last-entry');
  streams.begin(range, reference, true);
  if (streams.previous(range)) replyEntry(context, range.entry);
  else reply.nullBulk();
}

function replyInFull(context: CommandContext, reference: number, count: number): void {
  const { reply } = context;
  const { streams } = context.shard;
  reply.bulkString('entries');
  range.start.setMin();
  range.end.setMax();
  streams.begin(range, reference, false);
  replyRange(context, count, false);
  reply.bulkString('groups');
  reply.array(streams.groupCount(reference));
  for (let index = 0; index < streams.groupCount(reference) && !reply.overflowed; index++) {
    replyGroupInFull(context, reference, streams.groupAt(reference, index), count);
  }
}

function replyGroupInFull(context: CommandContext, reference: number, group: number, count: number): void {
  const { reply } = context;
  const { streams } = context.shard;
  const { groups } = streams;
  reply.map(8);
  reply.bulkString('name');
  replyGroupName(context, group);
  reply.bulkString('last-delivered-id');
  streams.lastDeliveredId(group, id);
  replyId(context, id);
  reply.bulkString('entries-read');
  replyKnown(context, entriesRead(context, group));
  reply.bulkString('lag');
  replyKnown(context, streams.lag(reference, group));
  reply.bulkString('pel-count');
  reply.integer(groups.pendingCount(group));
  reply.bulkString('pending');
  replyPending(context, (group >> 2) + Group.ById, count, true);
  reply.bulkString('consumers');
  const vector = groups.consumersOf(group);
  const consumers = groups.consumers.count(vector);
  reply.array(consumers);
  for (let index = 0; index < consumers; index++) {
    const consumer = groups.consumers.recordAt(vector, index);
    reply.map(5);
    reply.bulkString('name');
    replyConsumerName(context, consumer);
    reply.bulkString('seen-time');
    reply.integer(groups.seenAt(consumer));
    reply.bulkString('active-time');
    reply.integer(groups.activeAt(consumer));
    reply.bulkString('pel-count');
    reply.integer(groups.pendingOf(consumer));
    reply.bulkString('pending');
    replyPending(context, (consumer >> 2) + Consumer.ById, count, false);
  }
  reply.bulkString('nacked-count');
  reply.integer(groups.givenBackCount(group));
}

/** Replies with the first pending entries of a tree, at most `count` (0: all of them). */
function replyPending(context: CommandContext, tree: number, count: number, withConsumers: boolean): void {
  const { reply } = context;
  const { words, streams } = context.shard;
  const { groups } = streams;
  const position = reply.reserveAggregate();
  let emitted = 0;
  let pending = groups.byId.first(tree);
  while (pending !== 0 && (count === 0 || emitted < count) && !reply.overflowed) {
    reply.array(withConsumers ? 4 : 3);
    id.read(words, (pending >> 2) + Pending.Id);
    replyId(context, id);
    if (withConsumers) replyConsumerName(context, groups.consumerOf(pending));
    reply.integer(groups.deliveredAt(pending));
    replyDeliveryCount(context, pending);
    emitted++;
    pending = groups.byId.next();
  }
  reply.patchAggregate(position, 'array', emitted);
}

function infoGroups(context: CommandContext): void {
  const reference = existingStream(context);
  if (reference === 0) return;
  const { reply } = context;
  const { streams } = context.shard;
  const { groups } = streams;
  reply.array(streams.groupCount(reference));
  for (let index = 0; index < streams.groupCount(reference); index++) {
    const group = streams.groupAt(reference, index);
    reply.map(6);
    reply.bulkString('name');
    replyGroupName(context, group);
    reply.bulkString('consumers');
    reply.integer(groups.consumers.count(groups.consumersOf(group)));
    reply.bulkString('pending');
    reply.integer(groups.pendingCount(group));
    reply.bulkString('last-delivered-id');
    streams.lastDeliveredId(group, id);
    replyId(context, id);
    reply.bulkString('entries-read');
    replyKnown(context, entriesRead(context, group));
    reply.bulkString('lag');
    replyKnown(context, streams.lag(reference, group));
  }
}

function infoConsumers(context: CommandContext): void {
  const reference = existingStream(context);
  if (reference === 0) return;
  const { reply, nowMs } = context;
  const { groups } = context.shard.streams;
  const group = findGroup(context, reference, 3);
  if (group === 0) {
    reply.error(noGroupOfKey(context, 3, 2));
    return;
  }
  const vector = groups.consumersOf(group);
  const count = groups.consumers.count(vector);
  reply.array(count);
  for (let index = 0; index < count; index++) {
    const consumer = groups.consumers.recordAt(vector, index);
    const activeAt = groups.activeAt(consumer);
    reply.map(4);
    reply.bulkString('name');
    replyConsumerName(context, consumer);
    reply.bulkString('pending');
    reply.integer(groups.pendingOf(consumer));
    reply.bulkString('idle');
    reply.integer(Math.max(nowMs - groups.seenAt(consumer), 0));
    reply.bulkString('inactive');
    reply.integer(activeAt < 0 ? -1 : nowMs - activeAt);
  }
}

export const streamInfoHandlers: Readonly<Record<string, Handler>> = {
  'XINFO CONSUMERS': infoConsumers,
  'XINFO GROUPS': infoGroups,
  'XINFO HELP': helpHandler('XINFO', [
    'CONSUMERS <key> <group>',
    '    Show the consumers of a group.',
    'GROUPS <key>',
    '    Show the groups of a stream.',
    'STREAM <key> [FULL [COUNT <count>]]',
    '    Show what there is to know of a stream; in full with up to <count> entries',
    '    (default: 10, 0 means all) and with the groups.',
  ]),
  'XINFO STREAM': stream,
};
