/** Streams as plain objects: what tests compare the structures in shared memory with. */

import type { Shard } from '../../src/keyspace/shard.js';
import type { ShardMemory } from '../../src/memory/shard-memory.js';
import { ElementReader } from '../../src/structures/packed-element.js';
import type { StreamEntry } from '../../src/structures/stream-block.js';
import { Pending } from '../../src/structures/stream-groups.js';
import { StreamId, uint64ToBigInt } from '../../src/structures/stream-id.js';
import { StreamRange, type StreamValue } from '../../src/structures/stream-value.js';

export type Bytes = [bytes: Uint8Array, view: DataView, offset: number, length: number];

export function bytesOf(text: string): Bytes {
  const bytes = new Uint8Array(Buffer.from(`x${text}`, 'latin1'));
  return [bytes, new DataView(bytes.buffer), 1, text.length];
}

export function idOf(text: string): StreamId {
  const id = new StreamId();
  const [bytes, , offset, length] = bytesOf(text);
  if (!id.parse(bytes, offset, length)) throw new Error(`${text} is no id`);
  return id;
}

/** Says which entry is to be added next: fields and values in turn. */
export function takeEntry(streams: StreamValue, texts: readonly string[]): void {
  const bytes = new Uint8Array(Buffer.from(texts.join(''), 'latin1'));
  // Some pairs come before those of the entry.
  const pairs = new Int32Array(2 * texts.length + 4);
  let offset = 0;
  texts.forEach((text, index) => {
    pairs[2 * index + 4] = offset;
    pairs[2 * index + 5] = text.length;
    offset += text.length;
  });
  streams.blocks.take(bytes, new DataView(bytes.buffer), pairs, 2, texts.length / 2);
}

/** An entry's fields and values in turn. */
export function textsOf(memory: ShardMemory, entry: StreamEntry): string[] {
  const reader = new ElementReader(memory);
  const texts: string[] = [];
  const read = (at: number): number => {
    const following = reader.read(at);
    const { bytes, offset, lengthBytes } = reader;
    texts.push(Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1'));
    return following;
  };
  let field = entry.fieldsAt;
  let value = entry.valuesAt;
  for (let left = entry.fieldCount; left > 0; left--) {
    field = read(entry.hasMasterFields ? field : value);
    value = read(entry.hasMasterFields ? value : field);
  }
  return texts;
}

/** "id field value field value" of the entries from one id to another. */
export function entriesOf(
  memory: ShardMemory,
  streams: StreamValue,
  reference: number,
  isReverse = false,
  start: StreamId | null = null,
  end: StreamId | null = null,
): string[] {
  const range = new StreamRange();
  const id = new StreamId();
  if (start !== null) range.start.copyFrom(start);
  if (end === null) range.end.setMax();
  else range.end.copyFrom(end);
  const entries: string[] = [];
  streams.begin(range, reference, isReverse);
  while (isReverse ? streams.previous(range) : streams.next(range)) {
    range.entry.copyIdTo(id);
    entries.push([id.toString(), ...textsOf(memory, range.entry)].join(' '));
  }
  return entries;
}

/** All there is to know of a stream, as lines of text. `withActivity`: when consumers were last active, too. */
export function describeStream(shard: Shard, reference: number, withActivity = true): string[] {
  const { streams, words, bytes, memory } = shard;
  const { groups } = streams;
  const id = new StreamId();
  const text = (offset: number, length: number) =>
    Buffer.from(bytes.slice(offset, offset + length)).toString('latin1');
  const lines = [`length ${streams.count(reference)}, added ${streams.entriesAdded(reference)}`];
  streams.lastId(reference, id);
  lines.push(`last ${id}`);
  streams.firstId(reference, id);
  lines.push(`first ${id}`);
  streams.maxDeletedId(reference, id);
  lines.push(`deleted ${id}`);
  lines.push(...entriesOf(memory, streams, reference));
  for (let index = 0; index < streams.groupCount(reference); index++) {
    const group = streams.groupAt(reference, index);
    streams.lastDeliveredId(group, id);
    const name = text(groups.groups.nameOffset(group), groups.groups.nameLength(group));
    lines.push(`group ${name} at ${id}, read ${streams.entriesRead(group)}`);
    const nameOf = (consumer: number) =>
      text(groups.consumers.nameOffset(consumer), groups.consumers.nameLength(consumer));
    const vector = groups.consumersOf(group);
    for (let number = 0; number < groups.consumers.count(vector); number++) {
      const consumer = groups.consumers.recordAt(vector, number);
      const activeAt = withActivity ? ` ${groups.activeAt(consumer)}` : '';
      lines.push(
        `consumer ${nameOf(consumer)} ${groups.seenAt(consumer)}${activeAt}: ${groups.pendingOf(consumer)}`,
      );
    }
    id.setMin();
    for (let pending = groups.seek(group, id); pending !== 0; pending = groups.next()) {
      const at = pending >> 2;
      id.read(words, at + Pending.Id);
      const count = uint64ToBigInt(words[at + Pending.CountHigh]!, words[at + Pending.CountLow]!);
      const consumer = groups.consumerOf(pending);
      const owner = consumer === 0 ? '-' : nameOf(consumer);
      lines.push(`pending ${id} of ${owner} at ${groups.deliveredAt(pending)}, ${count} times`);
    }
    const order: string[] = [];
    for (let pending = groups.idlest(group); pending !== 0; pending = groups.nextIdlest()) {
      id.read(words, (pending >> 2) + Pending.Id);
      order.push(id.toString());
    }
    lines.push(`longest idle first: ${order.join(' ')}`);
  }
  return lines;
}
