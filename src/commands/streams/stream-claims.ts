/** XPENDING, XCLAIM and XAUTOCLAIM: what is pending, and giving it to another consumer. */

import type { CommandContext } from '../../execution/context.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { Pending } from '../../structures/stream-groups.js';
import { IdList, StreamId } from '../../structures/stream-id.js';
import { parseId, readId, readLimit, replyId } from './stream-arguments.js';
import { recordAcknowledged, recordConsumer, recordGroupPosition, recordPending } from './stream-effects.js';
import { replyDeliveryCount, replyEntry } from './stream-entries.js';
import { findConsumer, findGroup, findOrCreateConsumer, noKeyOrGroup } from './stream-groups.js';

/** Entries that XAUTOCLAIM claims without COUNT. */
const AUTOCLAIM_COUNT = 100;
const AUTOCLAIM_COUNT_MAX = (2n ** 63n - 1n) / 16n;
/** Larger counts are refused for lack of memory. */
const AUTOCLAIM_COUNT_ROOM = 2 ** 31;
/** Pending entries that XAUTOCLAIM examines, at most, per entry that it may claim. */
const AUTOCLAIM_ATTEMPTS = 10;

const id = new StreamId();
const start = new StreamId();
const end = new StreamId();
const ids = new IdList();
const deleted = new IdList();

/**
 * Selects the key of argument 1. Returns the group of its stream that argument 2 names, or 0 after replying an error.
 * The stream's reference is in `groupStream`.
 */
export function selectGroup(context: CommandContext, isWrite: boolean): number {
  return groupOf(
    context,
    isWrite ? context.readWriteCollection(1, ValueType.Stream) : context.readCollection(1, ValueType.Stream),
  );
}

/** The same for the key that is selected; a negative reference stands for an error that was replied. */
function groupOf(context: CommandContext, reference: number): number {
  if (reference < 0) return 0;
  groupStream = reference;
  const group = reference === 0 ? 0 : findGroup(context, reference, 2);
  if (group === 0) context.reply.error(noKeyOrGroup(context, 2, 1));
  return group;
}

/** The stream that `selectGroup` has found the group in. */
export let groupStream = 0;

/** Replies with the name of the consumer of a pending entry; it has none after XNACK. */
export function replyConsumerName(context: CommandContext, consumer: number): void {
  const { bytes, view, streams } = context.shard;
  const { consumers } = streams.groups;
  if (consumer === 0) context.reply.bulkString('');
  else context.reply.bulkCopy(bytes, view, consumers.nameOffset(consumer), consumers.nameLength(consumer));
}

function xpending(context: CommandContext): void {
  const { argCount, reply } = context;
  if (argCount !== 3 && (argCount < 6 || argCount > 9)) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  if (argCount === 3) pendingSummary(context);
  else pendingRange(context);
}

function pendingSummary(context: CommandContext): void {
  const group = selectGroup(context, false);
  if (group === 0) return;
  const { reply } = context;
  const { words, streams } = context.shard;
  const { groups } = streams;
  const count = groups.pendingCount(group);
  reply.array(4);
  reply.integer(count);
  if (count === 0) {
    reply.nullBulk();
    reply.nullBulk();
    reply.nullArray();
    return;
  }
  id.read(words, (groups.firstPending(group) >> 2) + Pending.Id);
  replyId(context, id);
  id.read(words, (groups.lastPending(group) >> 2) + Pending.Id);
  replyId(context, id);
  const position = reply.reserveAggregate();
  const vector = groups.consumersOf(group);
  let emitted = 0;
  for (let index = 0; index < groups.consumers.count(vector); index++) {
    const consumer = groups.consumers.recordAt(vector, index);
    const pending = groups.pendingOf(consumer);
    if (pending === 0) continue;
    reply.array(2);
    replyConsumerName(context, consumer);
    reply.bulkInteger(pending);
    emitted++;
  }
  reply.patchAggregate(position, 'array', emitted);
}

function pendingRange(context: CommandContext): void {
  const { argCount, reply, number, nowMs } = context;
  let first = 3;
  let minIdleMs = 0;
  if (context.argIs(3, 'IDLE')) {
    if (!context.integer(4)) return;
    minIdleMs = number.value;
    if (argCount < 8) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    first = 5;
  }
  if (!context.integer(first + 2)) return;
  let left = Math.max(number.value, 0);
  if (!readLimit(context, first, start, false) || !readLimit(context, first + 1, end, true)) return;
  const group = selectGroup(context, false);
  if (group === 0) return;
  const { words, streams } = context.shard;
  const { groups } = streams;
  const hasConsumer = first + 3 < argCount;
  const consumer = hasConsumer ? findConsumer(context, group, first + 3) : 0;
  if (hasConsumer && consumer === 0) {
    reply.array(0);
    return;
  }
  const position = reply.reserveAggregate();
  let emitted = 0;
  let pending = left === 0 ? 0 : hasConsumer ? groups.seekOf(consumer, start) : groups.seek(group, start);
  for (; pending !== 0 && left > 0 && !reply.overflowed; pending = groups.next()) {
    id.read(words, (pending >> 2) + Pending.Id);
    if (id.compare(end) > 0) break;
    const idleMs = nowMs - groups.deliveredAt(pending);
    if (minIdleMs !== 0 && idleMs < minIdleMs) continue;
    const owner = groups.consumerOf(pending);
    reply.array(4);
    replyId(context, id);
    replyConsumerName(context, owner);
    reply.integer(owner === 0 ? -1 : Math.max(idleMs, 0));
    replyDeliveryCount(context, pending);
    emitted++;
    left--;
  }
  reply.patchAggregate(position, 'array', emitted);
}

/** Options of the running XCLAIM. */
const claim = {
  deliveredAt: 0,
  /** Below 0: not given. */
  count: -1n,
  isForced: false,
  isJustIds: false,
  lastId: new StreamId(),
};

/** Reads XCLAIM's options from an argument on; replies with an error and returns false if they make no sense. */
function readClaimOptions(context: CommandContext, first: number): boolean {
  const { argCount, number, nowMs, reply } = context;
  claim.deliveredAt = -1;
  claim.count = -1n;
  claim.isForced = false;
  claim.isJustIds = false;
  claim.lastId.setMin();
  for (let index = first; index < argCount; index++) {
    const hasNext = index + 1 < argCount;
    if (context.argIs(index, 'FORCE')) {
      claim.isForced = true;
    } else if (context.argIs(index, 'JUSTID')) {
      claim.isJustIds = true;
    } else if (hasNext && context.argIs(index, 'IDLE')) {
      if (!context.integer(++index, 'ERR Invalid IDLE option argument for XCLAIM')) return false;
      claim.deliveredAt = nowMs - number.value;
    } else if (hasNext && context.argIs(index, 'TIME')) {
      if (!context.integer(++index, 'ERR Invalid TIME option argument for XCLAIM')) return false;
      claim.deliveredAt = number.value;
    } else if (hasNext && context.argIs(index, 'RETRYCOUNT')) {
      if (!context.integer(++index, 'ERR Invalid RETRYCOUNT option argument for XCLAIM')) return false;
      claim.count = number.toBigInt();
    } else if (hasNext && context.argIs(index, 'LASTID')) {
      if (!readId(context, ++index, claim.lastId)) return false;
    } else {
      reply.error(`ERR Unrecognized XCLAIM option '${context.argQuoted(index)}'`);
      return false;
    }
  }
  // A negative or future time counts as now: clients may have computed it from their own clock.
  if (claim.deliveredAt < 0 || claim.deliveredAt > nowMs) claim.deliveredAt = nowMs;
  return true;
}

/** Reads a time that something must have been idle; below 0 it counts as 0. Replies with an error and returns -1. */
function readMinIdle(context: CommandContext, name: string): number {
  if (!context.integer(4, `ERR Invalid min-idle-time argument for ${name}`)) return -1;
  return Math.max(context.number.value, 0);
}

/** The consumer that argument 3 names, which is made if need be; 0 after replying OOM. */
function claimingConsumer(context: CommandContext, group: number): number {
  const isKnown = findConsumer(context, group, 3) !== 0;
  const consumer = findOrCreateConsumer(context, group, 3);
  if (consumer === 0) {
    context.reply.error(OUT_OF_MEMORY);
    return 0;
  }
  if (!isKnown) recordConsumer(context, group, consumer);
  context.shard.streams.groups.setSeenAt(consumer, context.nowMs);
  return consumer;
}

function xclaim(context: CommandContext): void {
  const { argCount, reply } = context;
  const group = selectGroup(context, true);
  if (group === 0) return;
  const minIdleMs = readMinIdle(context, 'XCLAIM');
  if (minIdleMs < 0) return;
  ids.clear();
  let index = 5;
  for (; index < argCount && parseId(context, index, id); index++) ids.add(id);
  if (!readClaimOptions(context, index)) return;
  const { streams } = context.shard;
  streams.lastDeliveredId(group, id);
  const isAdvanced = claim.lastId.compare(id) > 0;
  const consumer = claimingConsumer(context, group);
  if (consumer === 0) return;
  if (isAdvanced) {
    streams.setLastDeliveredId(group, claim.lastId);
    recordGroupPosition(context, group);
  }
  deleted.clear();
  const position = reply.reserveAggregate();
  let emitted = 0;
  for (index = 0; index < ids.count; index++) {
    ids.read(index, id);
    if (claimOne(context, group, consumer, minIdleMs)) emitted++;
  }
  reply.patchAggregate(position, 'array', emitted);
  endClaim(context, group, consumer, emitted, isAdvanced);
}

/** Reports to the gate entries that were claimed or found deleted, or that the group has read on. */
function endClaim(
  context: CommandContext,
  group: number,
  consumer: number,
  claimed: number,
  isAdvanced: boolean,
): void {
  if (claimed > 0) context.shard.streams.groups.setActiveAt(consumer, context.nowMs);
  if (claimed > 0 || deleted.count > 0 || isAdvanced) context.changed(KeyEvent.StreamDelivery);
  recordAcknowledged(context, group, deleted);
  // Each claim was recorded by itself.
  context.keyspace.journal.settled();
}

/** Claims the entry with the id in `id`, if there is one to claim, and replies with it; returns whether it did. */
function claimOne(context: CommandContext, group: number, consumer: number, minIdleMs: number): boolean {
  const { nowMs } = context;
  const { streams } = context.shard;
  const { groups } = streams;
  let pending = groups.find(group, id);
  if (!streams.find(groupStream, id)) {
    if (pending !== 0) {
      groups.remove(group, pending);
      deleted.add(id);
    }
    return false;
  }
  if (pending === 0) {
    if (!claim.isForced) return false;
    pending = groups.add(group, consumer, id, claim.deliveredAt);
    if (pending === 0) return false;
  } else {
    const isOwned = groups.consumerOf(pending) !== 0;
    if (isOwned && minIdleMs > 0 && nowMs - groups.deliveredAt(pending) < minIdleMs) return false;
    if (!groups.deliver(group, pending, consumer, claim.deliveredAt)) return false;
  }
  if (claim.count >= 0n) {
    groups.setCountTo(group, pending, claim.count);
  } else if (!claim.isJustIds) {
    groups.increaseCount(group, pending);
  }
  recordPending(context, group, pending);
  if (claim.isJustIds) replyId(context, id);
  else replyEntry(context, streams.found);
  return true;
}

/** Reads XAUTOCLAIM's options. Returns the count, or 0 after replying an error. */
function readAutoclaimOptions(context: CommandContext): number {
  const { argCount, number, reply } = context;
  let count = AUTOCLAIM_COUNT;
  claim.isJustIds = false;
  for (let index = 6; index < argCount; index++) {
    if (index + 1 < argCount && context.argIs(index, 'COUNT')) {
      if (!context.integer(++index, 'ERR COUNT must be > 0')) return 0;
      if (number.value < 1 || number.toBigInt() > AUTOCLAIM_COUNT_MAX) {
        reply.error('ERR COUNT must be > 0');
        return 0;
      }
      count = number.value;
    } else if (context.argIs(index, 'JUSTID')) {
      claim.isJustIds = true;
    } else {
      reply.error(SYNTAX_ERROR);
      return 0;
    }
  }
  return count;
}

function xautoclaim(context: CommandContext): void {
  const { reply, nowMs } = context;
  // The lookup is counted even if the arguments are wrong.
  context.query(1);
  const minIdleMs = readMinIdle(context, 'XAUTOCLAIM');
  if (minIdleMs < 0 || !readLimit(context, 5, start, false)) return;
  let count = readAutoclaimOptions(context);
  if (count === 0) return;
  const group = groupOf(context, context.writeCollection(1, ValueType.Stream));
  if (group === 0) return;
  if (count > AUTOCLAIM_COUNT_ROOM) {
    reply.error('ERR Insufficient memory, failed allocating transient memory, COUNT too high.');
    return;
  }
  const consumer = claimingConsumer(context, group);
  if (consumer === 0) return;
  claim.deliveredAt = nowMs;
  claim.count = -1n;
  claim.isForced = false;
  deleted.clear();
  reply.array(3);
  const cursorPosition = reply.length;
  const position = reply.reserveAggregate();
  const { words, streams } = context.shard;
  const { groups } = streams;
  let emitted = 0;
  let hasMore = true;
  for (let attempts = count * AUTOCLAIM_ATTEMPTS; attempts > 0 && count > 0 && hasMore; attempts--) {
    const pending = groups.seek(group, start);
    if (pending === 0) {
      hasMore = false;
      break;
    }
    id.read(words, (pending >> 2) + Pending.Id);
    const deletedBefore = deleted.count;
    const isClaimed = claimOne(context, group, consumer, minIdleMs);
    if (isClaimed) emitted++;
    if (isClaimed || deleted.count > deletedBefore) count--;
    start.copyFrom(id);
    hasMore = start.increment();
  }
  reply.patchAggregate(position, 'array', emitted);
  const following = hasMore ? groups.seek(group, start) : 0;
  if (following === 0) id.setMin();
  else id.read(words, (following >> 2) + Pending.Id);
  const cursor = id.toString();
  reply.insert(cursorPosition, `$${cursor.length}\r\n${cursor}\r\n`);
  reply.array(deleted.count);
  for (let index = 0; index < deleted.count; index++) {
    deleted.read(index, id);
    replyId(context, id);
  }
  endClaim(context, group, consumer, emitted, false);
}

export const streamClaimHandlers: Readonly<Record<string, Handler>> = {
  XAUTOCLAIM: xautoclaim,
  XCLAIM: xclaim,
  XPENDING: xpending,
};
