/**
 * Serving whoever reads a stream: the entries after an id, or for a consumer of a group what the group has not got yet, or
 * what is pending for the consumer. Commands serve themselves; with BLOCK, whoever adds an entry serves those who wait.
 */

import { KeyEvent } from '../../keyspace/events.js';
import { ByteRange } from '../../structures/byte-range.js';
import { Pending } from '../../structures/stream-groups.js';
import { StreamId } from '../../structures/stream-id.js';
import type { CommandContext } from '../context.js';
import { IdList, replyId } from './stream-arguments.js';
import { recordConsumer, recordDelivered, recordGroupPosition, recordPending } from './stream-effects.js';
import { range, replyEntry, replyFields, replyRange } from './stream-entries.js';

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
  /** At most so many entries; 0: any number. */
  count = 0;
  from = ReadFrom.Id;
  readonly after = new StreamId();
  /** Whether a consumer of a group reads, and their names. */
  isGroup = false;
  readonly group = new ByteRange(new Uint8Array(0), new DataView(new ArrayBuffer(0)));
  readonly consumer = new ByteRange(new Uint8Array(0), new DataView(new ArrayBuffer(0)));
  /** Entries count as acknowledged as soon as they are delivered. */
  isAcknowledged = false;
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

function serveReader(context: CommandContext, reference: number, demand: StreamDemand): Served {
  const { streams } = context.shard;
  if (streams.count(reference) === 0 || !streams.findLast(reference)) return Served.Nothing;
  if (demand.from === ReadFrom.Last) {
    streams.found.copyIdTo(range.start);
  } else {
    if (streams.found.compareId(demand.after) <= 0) return Served.Nothing;
    range.start.copyFrom(demand.after);
    range.start.increment();
  }
  range.end.setMax();
  replyKey(context);
  streams.begin(range, reference, false);
  replyRange(context, demand.count, false);
  return Served.Entries;
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
  if (streams.count(reference) === 0) return Served.Nothing;
  streams.lastDeliveredId(group, range.start);
  streams.lastId(reference, id);
  if (id.compare(range.start) <= 0) return Served.Nothing;
  if (!streams.findLast(reference) || streams.found.compareId(range.start) <= 0) return Served.Nothing;
  range.start.increment();
  range.end.setMax();
  streams.begin(range, reference, false);
  return deliver(context, reference, demand, group, consumer);
}

/** Delivers the entries of `range`, which are new to the group. */
function deliver(
  context: CommandContext,
  reference: number,
  demand: StreamDemand,
  group: number,
  consumer: number,
): Served {
  const { reply, nowMs } = context;
  const { streams } = context.shard;
  const start = reply.length;
  replyKey(context);
  const position = reply.reserveAggregate();
  let emitted = 0;
  delivered.clear();
  while (!reply.overflowed && streams.next(range)) {
    range.entry.copyIdTo(id);
    if (!demand.isAcknowledged && !makePending(context, group, consumer)) break;
    streams.advance(reference, group, id);
    delivered.add(id);
    replyEntry(context, range.entry);
    if (++emitted === demand.count) break;
  }
  if (emitted === 0) {
    reply.length = start;
    return Served.NoMemory;
  }
  streams.groups.setActiveAt(consumer, nowMs);
  reply.patchAggregate(position, 'array', emitted);
  context.changed(KeyEvent.StreamDelivery);
  if (context.keyspace.journal.isOn) {
    if (!demand.isAcknowledged) recordDelivered(context, group, consumer, delivered, nowMs, '1');
    recordGroupPosition(context, group);
  }
  return Served.Entries;
}

/** Makes the entry with the id in `id` pending for a consumer, delivered once; false if there is no memory. */
function makePending(context: CommandContext, group: number, consumer: number): boolean {
  const { groups } = context.shard.streams;
  const { nowMs } = context;
  const pending = groups.find(group, id);
  if (pending === 0) return groups.add(group, consumer, id, nowMs) !== 0;
  // The group was set back: the entry is somebody's already.
  if (!groups.assign(group, pending, consumer) || !groups.setDeliveredAt(group, pending, nowMs)) return false;
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
  replyKey(context);
  const position = reply.reserveAggregate();
  let emitted = 0;
  let isChanged = false;
  id.copyFrom(demand.after);
  while (!reply.overflowed && id.increment()) {
    const pending = groups.seekOf(consumer, id);
    if (pending === 0) break;
    id.read(words, (pending >> 2) + Pending.Id);
    reply.array(2);
    replyId(context, id);
    if (streams.find(reference, id)) {
      replyFields(context, streams.found);
      // Without memory for that, it keeps its time.
      groups.setDeliveredAt(group, pending, nowMs);
      groups.increaseCount(group, pending);
      recordPending(context, group, pending);
      isChanged = true;
    } else {
      reply.nullArray();
    }
    if (++emitted === demand.count) break;
  }
  if (isChanged) context.changed(KeyEvent.StreamDelivery);
  reply.patchAggregate(position, 'array', emitted);
  return Served.Entries;
}
