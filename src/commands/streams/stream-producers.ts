/** XADD's IDMP and IDMPAUTO, XCFGSET, XIDMPRECORD: a message that a producer sends again is not added again. */

import { hash as hashOf } from 'node:crypto';
import type { CommandContext } from '../../execution/context.js';
import { recordKeyCommand } from '../../execution/effects.js';
import { NO_SUCH_KEY, OUT_OF_MEMORY, SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { ByteRange } from '../../structures/byte-range.js';
import { StreamId } from '../../structures/stream-id.js';
import { PRODUCER_IDS_MAX, PRODUCER_SECONDS_MAX } from '../../structures/stream-producers.js';
import { readId, setToArgument } from './stream-arguments.js';
import { recordId } from './stream-effects.js';

/** Bytes of an id that is computed from a message's content. */
const DIGEST_BYTES = 16;
const NO_BYTES = new Uint8Array(0);

const id = new StreamId();
const recorded = new StreamId();

/** The producer of a message, and the id that tells the message from the producer's others. */
export class MessageSource {
  readonly producer = new ByteRange(NO_BYTES, new DataView(NO_BYTES.buffer));
  readonly message = new ByteRange(NO_BYTES, new DataView(NO_BYTES.buffer));
  isGiven = false;
  /** The id is computed from the message's content. */
  isAutomatic = false;

  clear(): void {
    this.isGiven = false;
    this.isAutomatic = false;
  }

  /** Reads IDMP or IDMPAUTO at an argument; returns the index of its last argument, or 0 after replying an error. */
  read(context: CommandContext, index: number, isAutomatic: boolean): number {
    const { reply } = context;
    const last = index + (isAutomatic ? 1 : 2);
    if (this.isGiven || last >= context.argCount) {
      reply.error(SYNTAX_ERROR);
      return 0;
    }
    for (let argument = index + 1; argument <= last; argument++) {
      if (context.argLength(argument) > 0) continue;
      reply.error('ERR the ids of producers and messages must not be empty');
      return 0;
    }
    this.isGiven = true;
    this.isAutomatic = isAutomatic;
    setToArgument(this.producer, context, index + 1);
    if (!isAutomatic) setToArgument(this.message, context, index + 2);
    return last;
  }

  /** Takes an id from the fields and values in the arguments from `first` on, if it is to be automatic. */
  digest(context: CommandContext, first: number): void {
    if (!this.isAutomatic) return;
    let lengthBytes = 0;
    for (let index = first; index < context.argCount; index++) lengthBytes += 4 + context.argLength(index);
    const bytes = Buffer.allocUnsafe(lengthBytes);
    let at = 0;
    for (let index = first; index < context.argCount; index++) {
      const offset = context.argOffset(index);
      const length = context.argLength(index);
      at = bytes.writeUInt32LE(length, at);
      bytes.set(context.bytes.subarray(offset, offset + length), at);
      at += length;
    }
    const digest = hashOf('sha256', bytes, 'buffer');
    this.message.set(digest, new DataView(digest.buffer, digest.byteOffset), 0, DIGEST_BYTES);
  }
}

/** Whether a stream has the message already; the id of its entry is in `entryId` then. */
export function isDuplicate(
  context: CommandContext,
  reference: number,
  source: MessageSource,
  entryId: StreamId,
): boolean {
  const { streams, words } = context.shard;
  const { producers } = streams;
  const known = streams.producersOf(reference);
  if (known === 0) return false;
  producers.expire(known, source.producer, context.nowMs);
  const message = producers.find(known, source.producer, source.message);
  if (message === 0) return false;
  entryId.read(words, producers.entryIdOf(message));
  producers.noteDuplicate(known);
  return true;
}

/** Notes that a message has become the entry with an id. Without memory returns false: a repeat is then added again. */
export function noteMessage(
  context: CommandContext,
  reference: number,
  source: MessageSource,
  entryId: StreamId,
): boolean {
  const { streams } = context.shard;
  const known = streams.producersFor(reference);
  return known !== 0 && streams.producers.add(known, source.producer, source.message, entryId);
}

/** Records what `noteMessage` has noted, once the entry is recorded. */
export function recordMessage(context: CommandContext, source: MessageSource, entryId: StreamId): void {
  const journal = recordKeyCommand(context, 'XIDMPRECORD', 3);
  if (journal === null) return;
  for (const { bytes, view, offset, lengthBytes } of [source.producer, source.message]) {
    journal.argument(bytes, view, offset, lengthBytes);
  }
  recordId(journal, entryId);
}

/** Reads a number from 1 to `most`; replies with an error and returns 0 if it is none. */
function readSetting(context: CommandContext, index: number, name: string, most: number): number {
  const error = `ERR ${name} must be between 1 and ${most}`;
  if (!context.integer(index, error)) return 0;
  const { value } = context.number;
  if (value >= 1 && value <= most) return value;
  context.reply.error(error);
  return 0;
}

function xcfgset(context: CommandContext): void {
  const { reply, argCount } = context;
  let seconds = 0;
  let ids = 0;
  for (let index = 2; index < argCount; index += 2) {
    const hasNext = index + 1 < argCount;
    if (hasNext && context.argIs(index, 'IDMP-DURATION')) {
      seconds = readSetting(context, index + 1, 'IDMP-DURATION', PRODUCER_SECONDS_MAX);
      if (seconds === 0) return;
    } else if (hasNext && context.argIs(index, 'IDMP-MAXSIZE')) {
      ids = readSetting(context, index + 1, 'IDMP-MAXSIZE', PRODUCER_IDS_MAX);
      if (ids === 0) return;
    } else {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }
  if (seconds === 0 && ids === 0) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const reference = context.writeCollection(1, ValueType.Stream);
  if (reference <= 0) {
    if (reference === 0) reply.error(NO_SUCH_KEY);
    return;
  }
  const { streams } = context.shard;
  const known = streams.producersFor(reference);
  if (known === 0) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  const { producers } = streams;
  producers.configure(known, seconds || producers.seconds(known), ids || producers.idsMax(known));
  context.changed(KeyEvent.StreamProducers);
  reply.ok();
}

/** XIDMPRECORD, from the append-only file: notes a message whose entry exists already. */
function xidmprecord(context: CommandContext): void {
  const { reply } = context;
  const source = new MessageSource();
  setToArgument(source.producer, context, 2);
  setToArgument(source.message, context, 3);
  if (source.producer.lengthBytes === 0 || source.message.lengthBytes === 0) {
    reply.error('ERR the ids of producers and messages must not be empty');
    return;
  }
  if (!readId(context, 4, id)) return;
  const reference = context.writeCollection(1, ValueType.Stream);
  if (reference <= 0) {
    if (reference === 0) reply.error(NO_SUCH_KEY);
    return;
  }
  const { streams, words } = context.shard;
  if (!streams.find(reference, id)) {
    reply.error('ERR the stream has no entry with this ID');
    return;
  }
  const known = streams.producersOf(reference);
  const message = known === 0 ? 0 : streams.producers.find(known, source.producer, source.message);
  if (message !== 0) {
    recorded.read(words, streams.producers.entryIdOf(message));
    if (recorded.compare(id) === 0) reply.ok();
    else reply.error('ERR the message is another entry already');
    return;
  }
  if (!noteMessage(context, reference, source, id)) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  context.changed(KeyEvent.StreamProducers);
  reply.ok();
}

export const streamProducerHandlers: Readonly<Record<string, Handler>> = {
  XCFGSET: xcfgset,
  XIDMPRECORD: xidmprecord,
};
