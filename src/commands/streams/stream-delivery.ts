/**
 * Serves readers of streams: with the entries after an id, or for a consumer of a group with what the group has not
 * read yet, or what is pending for the consumer. Clients that wait (BLOCK) are served by commands that add entries.
 */

import type { CommandContext } from '../../execution/context.js';
import { KeyEvent } from '../../keyspace/events.js';
import { ByteRange } from '../../structures/byte-range.js';
import { Pending } from '../../structures/stream-groups.js';
import { IdList, StreamId } from '../../structures/stream-id.js';
import { replyId } from './stream-arguments.js';
import {
  recordAcknowledged,
  recordConsumer,
  recordDelivered,
  recordGroupPosition,
  recordPending,
} from './stream-effects.js';
import { range, replyDeliveryCount, replyEntry, replyFields } from './stream-entries.js';

/** Where reading a stream begins. */
export const enum ReadFrom {
  /** After an id. */
  Id = 0,
  /** After what the group has read. */
  Group = 1,
  /** With the last entry. */
  Last = 2,
}

/** What is wanted of one stream. */
export class StreamDemand {
  /** Maximum number of entries; 0: any number. */
  count = 0;
  from = ReadFrom.Id;
  readonly after = new StreamId();
  /** Whether a consumer of a group reads, and their names. */
  isGroup = false;
  readonly group = new ByteRange(new Uint8Array(0), new DataView(new ArrayBuffer(0)));
  readonly consumer = new ByteRange(new Uint8Array(0), new DataView(new ArrayBuffer(0)));
  /** New entries count as acknowledged as soon as they are delivered. */
  isAcknowledged = false;
  /** Entries of the group that have been pending for this long, in ms, are claimed first; -1: none are claimed. */
  claimIdleMs = -1;
  /** Maximum of entries, and of bytes in the reply, for all streams together; 0: any number. */
  maxCount = 0;
  maxBytes = 0;
  /** For all streams together: entries served, beginning of the reply, and whether it has reached its limit. */
  served = 0;
  replyStart = 0;
  isExhausted = false;
}

export const enum Served {
  /** There is nothing yet; nothing was written. */
  Nothing = 0,
  Entries = 1,
  /** There was no memory for anything; nothing was written. */
  NoMemory = 2,
  /** The group is gone; nothing was written. */
  NoGroup = 3,
}

const id = new StreamId();
const delivered = new IdList();
const claimable = new IdList();
const missing = new IdList();

/** Least size of a claimed entry in a reply. */
const CLAIMED_BYTES_MIN = 32;
/** At most this many pending entries that were deleted are dropped by one command. */
const MISSING_MAX = 1000;

/** Begins the part of a reply that is about the selected key. */
function replyKey(context: CommandContext): void {
  const { reply } = context;
  if (reply.protocol === 2) reply.array(2);
  reply.bulkCopy(context.bytes, context.view, context.keyOffset, context.keyLength);
}

/**
 * Replies with the selected key and entries of its stream as demanded: a pair, in RESP2 an array of two. A consumer's
 * deliveries are noted and recorded. Nothing is written unless Served.Entries is returned.
 */
export function serve(context: CommandContext, reference: number, demand: StreamDemand): Served {
  return demand.isGroup ? serveConsumer(context, reference, demand) : serveReader(context, reference, demand);
}

/** How many more entries one stream may give; 0: any number. */
function entryLimit(demand: StreamDemand): number {
  if (demand.maxCount === 0) return demand.count;
  const left = demand.maxCount - demand.served;
  return demand.count === 0 ? left : Math.min(demand.count, left);
}

/** Whether the entry just written makes the reply too long; if so, removes it. The first entry always stays. */
function isTooMuch(
  context: CommandContext,
  demand: StreamDemand,
  entryStart: number,
  emitted: number,
): boolean {
  const { reply } = context;
  if (demand.maxBytes === 0 || demand.served + emitted === 0) return false;
  if (reply.length - demand.replyStart <= demand.maxBytes) return false;
  reply.length = entryStart;
  demand.isExhausted = true;
  return true;
}

/** Ends the part of a reply for one stream; a part without entries is removed. Returns whether it has entries. */
function endPart(
  context: CommandContext,
  demand: StreamDemand,
  start: number,
  position: number,
  emitted: number,
): boolean {
  const { reply } = context;
  if (emitted === 0) {
    reply.length = start;
    return false;
  }
  reply.patchAggregate(position, 'array', emitted);
  demand.served += emitted;
  if (demand.served === demand.maxCount) demand.isExhausted = true;
  return true;
}

/** Whether a stream has entries after an id. */
export function hasEntriesAfter(context: CommandContext, reference: number, after: StreamId): boolean {
  const { streams } = context.shard;
  return streams.count(reference) > 0 && streams.findLast(reference) && streams.found.compareId(after) > 0;
}

/** Whether a stream has entries that a group has not read yet. */
export function hasNewEntries(context: CommandContext, reference: number, group: number): boolean {
  context.shard.streams.lastDeliveredId(group, id);
  return hasEntriesAfter(context, reference, id);
}

function serveReader(context: CommandContext, reference: number, demand: StreamDemand): Served {
  const { reply } = context;
  const { streams } = context.shard;
  if (demand.from === ReadFrom.Last) {
    if (streams.count(reference) === 0 || !streams.findLast(reference)) return Served.Nothing;
    streams.found.copyIdTo(range.start);
  } else {
    if (!hasEntriesAfter(context, reference, demand.after)) return Served.Nothing;
    range.start.copyFrom(demand.after);
    range.start.increment();
  }
  range.end.setMax();
  const start = reply.length;
  replyKey(context);
  const position = reply.reserveAggregate();
  const limit = entryLimit(demand);
  let emitted = 0;
  streams.begin(range, reference, false);
  while (!reply.overflowed && streams.next(range)) {
    const entryStart = reply.length;
    replyEntry(context, range.entry);
    if (isTooMuch(context, demand, entryStart, emitted) || ++emitted === limit) break;
  }
  return endPart(context, demand, start, position, emitted) ? Served.Entries : Served.Nothing;
}

function serveConsumer(context: CommandContext, reference: number, demand: StreamDemand): Served {
  const { streams } = context.shard;
  const { group: name, consumer: consumerName } = demand;
  const group = streams.findGroup(reference, name.bytes, name.offset, name.lengthBytes);
  if (group === 0) return Served.NoGroup;
  const { groups } = streams;
  let consumer = groups.findConsumer(
    group,
    consumerName.bytes,
    consumerName.offset,
    consumerName.lengthBytes,
  );
  if (consumer === 0) {
    const { bytes, view, offset, lengthBytes } = consumerName;
    consumer = groups.createConsumer(group, bytes, view, offset, lengthBytes, context.nowMs);
    if (consumer === 0) return Served.NoMemory;
    context.changed(KeyEvent.StreamGroupCreateConsumer);
    recordConsumer(context, group, consumer);
  }
  groups.setSeenAt(consumer, context.nowMs);
  if (demand.from !== ReadFrom.Group) return serveHistory(context, reference, demand, group, consumer);
  const hasNew = beginNew(context, reference, group);
  if (!hasNew && (demand.claimIdleMs < 0 || groups.pendingCount(group) === 0)) return Served.Nothing;
  return serveGroup(context, reference, demand, group, consumer, hasNew);
}

/** Begins with what a group has not read yet, in `range`; false if there is nothing. */
function beginNew(context: CommandContext, reference: number, group: number): boolean {
  const { streams } = context.shard;
  if (!hasNewEntries(context, reference, group)) return false;
  range.start.copyFrom(id);
  range.start.increment();
  range.end.setMax();
  streams.begin(range, reference, false);
  return true;
}

/** Replies with what is claimed for a consumer, and with what is new to its group. */
function serveGroup(
  context: CommandContext,
  reference: number,
  demand: StreamDemand,
  group: number,
  consumer: number,
  hasNew: boolean,
): Served {
  const { reply } = context;
  const start = reply.length;
  replyKey(context);
  const position = reply.reserveAggregate();
  const limit = entryLimit(demand);
  const claimed = demand.claimIdleMs < 0 ? 0 : claimIdle(context, reference, demand, group, consumer, limit);
  let emitted = claimed;
  if (hasNew && !demand.isExhausted && (limit === 0 || claimed < limit)) {
    emitted = deliver(context, reference, demand, group, consumer, claimed, limit);
  }
  if (emitted > 0) {
    context.shard.streams.groups.setActiveAt(consumer, context.nowMs);
    context.changed(KeyEvent.StreamDelivery);
  }
  if (endPart(context, demand, start, position, emitted)) return Served.Entries;
  return hasNew && !demand.isExhausted ? Served.NoMemory : Served.Nothing;
}

/** Delivers the entries of `range`, which are new to the group, after `before` others. Returns the sum of both. */
function deliver(
  context: CommandContext,
  reference: number,
  demand: StreamDemand,
  group: number,
  consumer: number,
  before: number,
  limit: number,
): number {
  const { reply, nowMs } = context;
  const { streams } = context.shard;
  let emitted = before;
  delivered.clear();
  while (!reply.overflowed && streams.next(range)) {
    const entryStart = reply.length;
    replyEntry(context, range.entry);
    if (isTooMuch(context, demand, entryStart, emitted)) break;
    range.entry.copyIdTo(id);
    if (!demand.isAcknowledged && !makePending(context, group, consumer)) {
      reply.length = entryStart;
      break;
    }
    streams.advance(reference, group, id);
    delivered.add(id);
    if (++emitted === limit) break;
  }
  if (delivered.count > 0 && context.keyspace.journal.isOn) {
    if (!demand.isAcknowledged) recordDelivered(context, group, consumer, delivered, nowMs, '1');
    recordGroupPosition(context, group);
  }
  return emitted;
}

/** Claims for a consumer entries of its group that are pending long enough, longest first. Returns their number. */
function claimIdle(
  context: CommandContext,
  reference: number,
  demand: StreamDemand,
  group: number,
  consumer: number,
  limit: number,
): number {
  const { reply, nowMs } = context;
  const { streams } = context.shard;
  const { groups } = streams;
  listIdle(context, reference, demand, group, limit);
  let emitted = 0;
  for (let index = 0; index < claimable.count && !reply.overflowed; index++) {
    claimable.read(index, id);
    const pending = groups.find(group, id);
    streams.find(reference, id);
    const entryStart = reply.length;
    reply.array(4);
    replyId(context, id);
    replyFields(context, streams.found);
    reply.integer(groups.consumerOf(pending) === 0 ? -1 : Math.max(nowMs - groups.deliveredAt(pending), 0));
    replyDeliveryCount(context, pending);
    if (isTooMuch(context, demand, entryStart, emitted)) break;
    if (!groups.deliver(group, pending, consumer, nowMs)) {
      reply.length = entryStart;
      break;
    }
    groups.increaseCount(group, pending);
    recordPending(context, group, pending);
    emitted++;
  }
  for (let index = 0; index < missing.count; index++) {
    missing.read(index, id);
    groups.remove(group, groups.find(group, id));
  }
  if (missing.count > 0) context.changed(KeyEvent.StreamDelivery);
  recordAcknowledged(context, group, missing);
  return emitted;
}

/**
 * Lists in `claimable` the entries of a group that may be claimed, in `missing` those that could be but are deleted.
 */
function listIdle(
  context: CommandContext,
  reference: number,
  demand: StreamDemand,
  group: number,
  limit: number,
): void {
  const { words, streams } = context.shard;
  const { groups } = streams;
  const latest = context.nowMs - demand.claimIdleMs;
  const bytes = demand.maxBytes === 0 ? Number.MAX_SAFE_INTEGER : 1 + demand.maxBytes / CLAIMED_BYTES_MIN;
  const most = Math.min(limit === 0 ? Number.MAX_SAFE_INTEGER : limit, bytes);
  claimable.clear();
  missing.clear();
  let pending = groups.idlest(group);
  while (pending !== 0 && claimable.count < most && missing.count < MISSING_MAX) {
    if (groups.consumerOf(pending) !== 0 && groups.deliveredAt(pending) > latest) return;
    id.read(words, (pending >> 2) + Pending.Id);
    if (streams.find(reference, id)) claimable.add(id);
    else missing.add(id);
    pending = groups.nextIdlest();
  }
}

/** Makes the entry with the id in `id` pending for a consumer, delivered once; false if there is no memory. */
function makePending(context: CommandContext, group: number, consumer: number): boolean {
  const { groups } = context.shard.streams;
  const { nowMs } = context;
  const pending = groups.find(group, id);
  if (pending === 0) return groups.add(group, consumer, id, nowMs) !== 0;
  // The group's position was set back, so the entry is pending already.
  if (!groups.deliver(group, pending, consumer, nowMs)) return false;
  groups.setCount(group, pending, 0, 1);
  return true;
}

/** Replies with what is pending for a consumer after an id; it counts as delivered once more. */
function serveHistory(
  context: CommandContext,
  reference: number,
  demand: StreamDemand,
  group: number,
  consumer: number,
): Served {
  const { reply, nowMs } = context;
  const { words, streams } = context.shard;
  const { groups } = streams;
  const start = reply.length;
  replyKey(context);
  const position = reply.reserveAggregate();
  const limit = entryLimit(demand);
  let emitted = 0;
  let isChanged = false;
  id.copyFrom(demand.after);
  while (!reply.overflowed && id.increment()) {
    const pending = groups.seekOf(consumer, id);
    if (pending === 0) break;
    id.read(words, (pending >> 2) + Pending.Id);
    const entryStart = reply.length;
    const isThere = streams.find(reference, id);
    reply.array(2);
    replyId(context, id);
    if (isThere) replyFields(context, streams.found);
    else reply.nullArray();
    if (isTooMuch(context, demand, entryStart, emitted)) break;
    if (isThere) {
      // Without memory for the new time, the entry keeps its old one.
      groups.setDeliveredAt(group, pending, nowMs);
      groups.increaseCount(group, pending);
      recordPending(context, group, pending);
      isChanged = true;
    }
    if (++emitted === limit) break;
  }
  if (isChanged) context.changed(KeyEvent.StreamDelivery);
  // Nothing is pending: reply an empty array.
  if (emitted === 0 && !demand.isExhausted) {
    reply.patchAggregate(position, 'array', 0);
    return Served.Entries;
  }
  return endPart(context, demand, start, position, emitted) ? Served.Entries : Served.Nothing;
}
