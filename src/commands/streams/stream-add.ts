/** XADD and XTRIM, XSETID, XLEN: the entries of a stream. */

import type { CommandContext } from '../../execution/context.js';
import { recordKeyCommand } from '../../execution/effects.js';
import { NO_SUCH_KEY, OUT_OF_MEMORY, SYNTAX_ERROR, wrongArity } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { ENTRY_TEXT_BYTES_MAX } from '../../structures/stream-block.js';
import { compareUint64, StreamId } from '../../structures/stream-id.js';
import { References, Trim, TrimOptions } from '../../structures/stream-trim.js';
import { INVALID_STREAM_ID, isCharacter, readId, readReferences, replyId } from './stream-arguments.js';
import { recordDeleted, recordId } from './stream-effects.js';
import { isDuplicate, MessageSource, noteMessage, recordMessage } from './stream-producers.js';

const ID_TOO_SMALL = 'ERR The ID specified in XADD is equal or smaller than the target stream top item';
const IDS_EXHAUSTED = 'ERR The stream has exhausted the last possible ID, unable to add more items';

const STAR = 0x2a;
const TILDE = 0x7e;
const EQUALS = 0x3d;

/** Without LIMIT, approximate trimming stops after so many blocks, or entries. */
const LIMIT_BLOCKS = 100;
const LIMIT_ENTRIES = 10_000;
const LIMIT_MAX = 1_000_000;

/** Options of the running XADD or XTRIM. */
const trim = new TrimOptions();
const id = new StreamId();
const lastId = new StreamId();
const maxDeletedId = new StreamId();
let makesNoStream = false;
let isIdGiven = false;
let hasLimit = false;
const source = new MessageSource();

/**
 * Reads MAXLEN or MINID at an argument, with what follows. Returns the index of its last argument, or 0 after replying
 * an error.
 */
function readThreshold(context: CommandContext, index: number, by: Trim): number {
  const { reply, number } = context;
  if (trim.by !== Trim.None) {
    reply.error('ERR syntax error, MAXLEN and MINID options at the same time are not compatible');
    return 0;
  }
  trim.isApproximate = false;
  if (index + 2 < context.argCount) {
    if (isCharacter(context, index + 1, TILDE)) {
      trim.isApproximate = true;
      index++;
    } else if (isCharacter(context, index + 1, EQUALS)) {
      index++;
    }
  }
  index++;
  trim.by = by;
  if (by === Trim.MinId) return readId(context, index, trim.minId) ? index : 0;
  if (!context.integer(index)) return 0;
  if (number.value < 0) {
    reply.error('ERR The MAXLEN argument must be >= 0.');
    return 0;
  }
  trim.length = number.value;
  return index;
}

/** Reads LIMIT's number; returns its index, or 0 after replying an error. */
function readLimit(context: CommandContext, index: number): number {
  if (!context.integer(index + 1)) return 0;
  if (context.number.value < 0) {
    context.reply.error('ERR The LIMIT argument must be >= 0.');
    return 0;
  }
  trim.limit = context.number.value;
  hasLimit = true;
  return index + 1;
}

/**
 * Reads the options and the id of XADD, or the options of XTRIM. Returns the index of the argument after the options
 * (XADD: the id's), or 0 after replying an error.
 */
function readOptions(context: CommandContext, isAdd: boolean): number {
  const { reply, argCount } = context;
  trim.by = Trim.None;
  trim.isApproximate = false;
  trim.limit = 0;
  trim.references = References.Keep;
  makesNoStream = false;
  isIdGiven = false;
  hasLimit = false;
  source.clear();
  let hasReferences = false;
  let index = 2;
  for (; index < argCount; index++) {
    if (isAdd && isCharacter(context, index, STAR)) break;
    const references = readReferences(context, index);
    if (references !== -1) {
      if (hasReferences) {
        reply.error(SYNTAX_ERROR);
        return 0;
      }
      trim.references = references;
      hasReferences = true;
      continue;
    }
    const hasNext = index + 1 < argCount;
    if (hasNext && context.argIs(index, 'MAXLEN')) index = readThreshold(context, index, Trim.Length);
    else if (hasNext && context.argIs(index, 'MINID')) index = readThreshold(context, index, Trim.MinId);
    else if (hasNext && context.argIs(index, 'LIMIT')) index = readLimit(context, index);
    else if (isAdd && context.argIs(index, 'NOMKSTREAM')) makesNoStream = true;
    else if (isAdd && context.argIs(index, 'IDMP')) index = source.read(context, index, false);
    else if (isAdd && context.argIs(index, 'IDMPAUTO')) index = source.read(context, index, true);
    else if (isAdd) {
      if (!id.parse(context.bytes, context.argOffset(index), context.argLength(index), false, true)) {
        reply.error(INVALID_STREAM_ID);
        return 0;
      }
      isIdGiven = true;
      break;
    } else {
      reply.error(SYNTAX_ERROR);
      return 0;
    }
    if (index === 0) return 0;
  }
  return checkOptions(context, isAdd) ? index : 0;
}

/** Whether the options make sense together; replies with an error if not. Sets the limit where none was given. */
function checkOptions(context: CommandContext, isAdd: boolean): boolean {
  const { reply } = context;
  if (source.isGiven && isIdGiven) {
    reply.error('ERR IDMP and IDMPAUTO need an ID that is generated: *');
    return false;
  }
  if (trim.limit !== 0 && trim.by === Trim.None) {
    reply.error('ERR syntax error, LIMIT cannot be used without specifying a trimming strategy');
    return false;
  }
  if (!isAdd && trim.by === Trim.None) {
    reply.error('ERR syntax error, XTRIM must be called with a trimming strategy');
    return false;
  }
  if (hasLimit && !trim.isApproximate) {
    reply.error('ERR syntax error, LIMIT cannot be used without the special ~ option');
    return false;
  }
  if (!hasLimit && trim.isApproximate) {
    const limit = LIMIT_BLOCKS * context.shard.limits.streamNodeEntries;
    trim.limit = limit <= 0 ? LIMIT_ENTRIES : Math.min(limit, LIMIT_MAX);
  }
  return true;
}

/** Finds the id for a new entry of a stream whose last one is in `lastId`; replies with an error if there is none. */
function chooseId(context: CommandContext): boolean {
  const { reply } = context;
  if (lastId.isMax) {
    reply.error(IDS_EXHAUSTED);
    return false;
  }
  if (!isIdGiven) {
    id.setMs(context.nowMs);
    if (compareUint64(id.msHigh, id.msLow, lastId.msHigh, lastId.msLow) <= 0) {
      id.copyFrom(lastId);
      id.increment();
    }
    return true;
  }
  if (id.isSequenceOpen && id.msHigh === lastId.msHigh && id.msLow === lastId.msLow) {
    id.copyFrom(lastId);
    // The next id would be one of the next millisecond.
    if ((id.seqHigh & id.seqLow) === -1) {
      reply.error(ID_TOO_SMALL);
      return false;
    }
    id.increment();
  }
  if (id.compare(lastId) > 0) return true;
  reply.error(ID_TOO_SMALL);
  return false;
}

/** Adds the entry that was taken to the selected key's stream, which may have to be made. Replies OOM if it can't. */
function append(context: CommandContext, reference: number): number {
  const { shard, reply } = context;
  const { streams, draft } = shard;
  if (reference !== 0) {
    if (streams.append(reference, id)) return reference;
    reply.error(OUT_OF_MEMORY);
    return 0;
  }
  if (!streams.create(draft)) {
    reply.error(OUT_OF_MEMORY);
    return 0;
  }
  if (!streams.append(draft, id)) {
    streams.release(draft);
    reply.error(OUT_OF_MEMORY);
    return 0;
  }
  return context.putDraft(ValueType.Stream, -1) ? context.valueOffset : 0;
}

function xadd(context: CommandContext): void {
  const { reply, argCount } = context;
  context.selectKey(1);
  const idIndex = readOptions(context, true);
  if (idIndex === 0) return;
  const first = idIndex + 1;
  const texts = argCount - first;
  if (texts < 2 || (texts & 1) !== 0) {
    reply.error(wrongArity('xadd'));
    return;
  }
  if (isIdGiven && !id.isSequenceOpen && id.isMin) {
    reply.error('ERR The ID specified in XADD must be greater than 0-0');
    return;
  }
  const reference = context.writeCollection(1, ValueType.Stream);
  if (reference < 0) return;
  const { streams } = context.shard;
  if (reference === 0) {
    if (makesNoStream) {
      reply.nullBulk();
      return;
    }
    lastId.setMin();
  } else {
    streams.lastId(reference, lastId);
  }
  if (source.isGiven) {
    source.digest(context, first);
    if (reference !== 0 && isDuplicate(context, reference, source, id)) {
      replyId(context, id);
      return;
    }
  }
  if (!chooseId(context)) return;
  const { bytes, view, pairs, start } = context.request;
  streams.blocks.take(bytes, view, pairs, start + first, texts >> 1);
  if (streams.blocks.textBytes > ENTRY_TEXT_BYTES_MAX) {
    reply.error('ERR Elements are too large to be stored');
    return;
  }
  const stream = append(context, reference);
  if (stream === 0) return;
  context.changed(KeyEvent.StreamAdd);
  if (trimStream(context, stream) > 0) context.happened(KeyEvent.StreamTrim);
  const isNoted = source.isGiven && noteMessage(context, stream, source, id);
  recordAdded(context, stream, idIndex);
  if (isNoted && streams.find(stream, id)) recordMessage(context, source, id);
  replyId(context, id);
}

/** Records XADD with the entry's actual id, and with arguments that trim exactly as was done. */
function recordAdded(context: CommandContext, reference: number, idIndex: number): void {
  const { journal } = context.keyspace;
  if (!journal.isOn || (isIdGiven && !id.isSequenceOpen && trim.by === Trim.None)) return;
  const texts = context.argCount - idIndex - 1;
  const options = trimmingArguments();
  if (recordKeyCommand(context, 'XADD', options + 1 + texts) === null) return;
  if (options > 0) recordThreshold(context, reference);
  recordId(journal, id);
  for (let index = idIndex + 1; index < context.argCount; index++) {
    journal.argument(context.bytes, context.view, context.argOffset(index), context.argLength(index));
  }
  if (trim.by !== Trim.None && trim.deleted.count > 0) recordDeleted(context, trim.deleted);
}

/** Number of arguments that `recordThreshold` records; 0 if the deleted entries are recorded instead. */
function trimmingArguments(): number {
  if (trim.by === Trim.None || trim.references === References.Acknowledged) return 0;
  return trim.references === References.Keep ? 3 : 4;
}

/** Trims the selected key's stream as the options say; returns how many entries have gone. */
function trimStream(context: CommandContext, reference: number): number {
  const { streams } = context.shard;
  if (trim.by === Trim.None) return 0;
  if (streams.groupCount(reference) === 0) trim.references = References.Keep;
  const removed = streams.trim(reference, trim);
  return removed;
}

/** Records arguments that trim exactly to the entries that are left now. */
function recordThreshold(context: CommandContext, reference: number): void {
  const { journal } = context.keyspace;
  const { streams } = context.shard;
  if (trim.references === References.Delete) journal.word('DELREF');
  journal.word(trim.by === Trim.Length ? 'MAXLEN' : 'MINID');
  journal.word('=');
  if (trim.by === Trim.Length) {
    journal.integer(trim.isApproximate ? streams.count(reference) : trim.length);
  } else {
    if (trim.isApproximate) streams.firstEntryId(reference, trim.minId);
    recordId(journal, trim.minId);
  }
}

function xtrim(context: CommandContext): void {
  const { reply } = context;
  context.selectKey(1);
  if (readOptions(context, false) === 0) return;
  const reference = context.writeCollection(1, ValueType.Stream);
  if (reference < 0) return;
  const removed = reference === 0 ? 0 : trimStream(context, reference);
  if (removed > 0) context.changed(KeyEvent.StreamTrim, removed);
  if (removed > 0) {
    if (trim.deleted.count > 0) recordDeleted(context, trim.deleted);
    else if (recordKeyCommand(context, 'XTRIM', trimmingArguments()) !== null)
      recordThreshold(context, reference);
  }
  reply.integer(removed);
}

function xsetid(context: CommandContext): void {
  const { reply, number } = context;
  if (!readId(context, 2, id)) return;
  let entriesAdded = -1n;
  let hasMaxDeletedId = false;
  for (let index = 3; index < context.argCount; index += 2) {
    const hasNext = index + 1 < context.argCount;
    if (hasNext && context.argIs(index, 'ENTRIESADDED')) {
      if (!context.integer(index + 1)) return;
      entriesAdded = number.toBigInt();
      if (entriesAdded < 0n) {
        reply.error('ERR entries_added must be positive');
        return;
      }
    } else if (hasNext && context.argIs(index, 'MAXDELETEDID')) {
      if (!readId(context, index + 1, maxDeletedId)) return;
      if (id.compare(maxDeletedId) < 0) {
        reply.error('ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id');
        return;
      }
      hasMaxDeletedId = !maxDeletedId.isMin;
    } else {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }
  const reference = context.writeCollection(1, ValueType.Stream);
  if (reference < 0) return;
  if (reference === 0) {
    reply.error(NO_SUCH_KEY);
    return;
  }
  const { streams } = context.shard;
  if (streams.findLast(reference)) {
    if (streams.found.compareId(id) > 0) {
      reply.error('ERR The ID specified in XSETID is smaller than the target stream top item');
      return;
    }
    if (entriesAdded >= 0n && BigInt(streams.count(reference)) > entriesAdded) {
      reply.error('ERR The entries_added specified in XSETID is smaller than the target stream length');
      return;
    }
  }
  streams.setIds(reference, id, entriesAdded, hasMaxDeletedId ? maxDeletedId : null);
  context.changed(KeyEvent.StreamSetId);
  reply.ok();
}

function xlen(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Stream);
  if (reference >= 0) context.reply.integer(reference === 0 ? 0 : context.shard.streams.count(reference));
}

export const streamAddHandlers: Readonly<Record<string, Handler>> = {
  XADD: xadd,
  XLEN: xlen,
  XSETID: xsetid,
  XTRIM: xtrim,
};
