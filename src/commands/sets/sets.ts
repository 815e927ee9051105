/** Commands on sets. */

import type { CommandContext } from '../../execution/context.js';
import { recordBeginning, recordDelete, recordKeyCommand } from '../../execution/effects.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import type { Journal } from '../../journal/journal.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import type { Shard } from '../../keyspace/shard.js';
import {
  createHistogram,
  estimate,
  indexOf,
  placeOf,
  RegisterMaxima,
  rankOf,
} from '../../structures/hyperloglog.js';
import { KeyIndex } from '../../structures/key-index.js';
import { SetAdd, type SetValue } from '../../structures/set-value.js';
import { scanElements } from '../keys/element-scan.js';
import { drawDistinct, REPEATED_ELEMENTS_MAX, readCount } from '../keys/random-elements.js';

const NOT_POSITIVE = 'ERR value is out of range, must be positive';

/** Indexes of the sets that a command looks up many members in. */
const indexes: KeyIndex[] = [];
const INDEXES_MAX = 8;
let indexesUsed = 0;
/** For fewer lookups in a set, an index would cost more than it saves. */
const LOOKUPS_INDEXED_MIN = 10;

/** A set that a command reads. */
class Source {
  readonly sets: SetValue;
  /** 0 if there is no such key. */
  readonly reference: number;
  readonly count: number;
  private index: KeyIndex | null = null;

  constructor(sets: SetValue, reference: number) {
    this.sets = sets;
    this.reference = reference;
    this.count = reference === 0 ? 0 : sets.count(reference);
  }

  /** Indexes it, if it can be, for so many lookups. */
  prepare(lookups: number): void {
    if (this.reference === 0 || lookups < LOOKUPS_INDEXED_MIN || indexesUsed === INDEXES_MAX) return;
    if (indexesUsed === indexes.length) indexes.push(new KeyIndex());
    const index = indexes[indexesUsed];
    if (!this.sets.indexMembers(this.reference, index)) return;
    indexesUsed++;
    this.index = index;
  }

  /** Whether it has the member that `holder` has read last. */
  has(holder: SetValue): boolean {
    const { sets, reference, index } = this;
    const { bytes, view, offset, lengthBytes } = holder.member;
    if (index !== null) return index.find(holder.fingerprint, bytes, view, offset, lengthBytes) !== 0;
    return reference !== 0 && sets.contains(reference, bytes, view, offset, lengthBytes);
  }
}

function replyMember(context: CommandContext, sets: SetValue): void {
  const { member } = sets;
  context.reply.bulkCopy(member.bytes, member.view, member.offset, member.lengthBytes);
}

function recordMember(journal: Journal, sets: SetValue): void {
  const { member } = sets;
  journal.argument(member.bytes, member.view, member.offset, member.lengthBytes);
}

/** Replies with all members of a set. */
function replyAll(context: CommandContext, sets: SetValue, reference: number): void {
  context.reply.set(sets.count(reference));
  for (sets.begin(reference); sets.next(); ) replyMember(context, sets);
}

function containsArgument(
  context: CommandContext,
  sets: SetValue,
  reference: number,
  argument: number,
): boolean {
  const { bytes, view } = context;
  return sets.contains(reference, bytes, view, context.argOffset(argument), context.argLength(argument));
}

function sadd(context: CommandContext): void {
  let reference = context.writeCollection(1, ValueType.Set);
  if (reference < 0) return;
  if (reference === 0) {
    reference = context.createCollection(ValueType.Set);
    if (reference === 0) return;
  }
  const { sets } = context.shard;
  const { bytes, view, argCount } = context;
  if (argCount > 3 && !context.promise(sets.roomFor(reference, argCount - 2, context.argBytes(2)))) {
    context.dropIfEmpty();
    return;
  }
  let added = 0;
  let index = 2;
  for (; index < argCount; index++) {
    const result = sets.add(reference, bytes, view, context.argOffset(index), context.argLength(index));
    if (result === SetAdd.NoMemory) break;
    if (result === SetAdd.Added) added++;
  }
  context.endPromises();
  if (added > 0) context.changed(KeyEvent.SetAdd, added);
  else context.dropIfEmpty();
  if (index === argCount) {
    context.reply.integer(added);
    return;
  }
  if (added > 0) recordBeginning(context, index);
  context.reply.error(OUT_OF_MEMORY);
}

function srem(context: CommandContext): void {
  const reference = context.writeCollection(1, ValueType.Set);
  if (reference < 0) return;
  let removed = 0;
  if (reference !== 0) {
    const { bytes, view } = context;
    const { sets } = context.shard;
    for (let index = 2; index < context.argCount; index++) {
      if (sets.remove(reference, bytes, view, context.argOffset(index), context.argLength(index))) removed++;
    }
    if (removed > 0) context.elementsRemoved(KeyEvent.SetRemove, removed);
  }
  context.reply.integer(removed);
}

function smove(context: CommandContext): void {
  const { reply, bytes, view } = context;
  const offset = context.argOffset(3);
  const length = context.argLength(3);
  const source = context.writeCollection(1, ValueType.Set);
  if (source <= 0) {
    // The target is looked up all the same, which deletes it if it has expired.
    context.findWrite(2);
    if (source === 0) reply.integer(0);
    return;
  }
  const { sets } = context.shard;
  let target = context.writeCollection(2, ValueType.Set);
  if (target < 0) return;
  const targetShard = context.shard;
  const isSame = target === source && targetShard.sets === sets;
  if (isSame || !sets.contains(source, bytes, view, offset, length)) {
    reply.integer(isSame && sets.contains(source, bytes, view, offset, length) ? 1 : 0);
    return;
  }
  if (target === 0) {
    target = context.createCollection(ValueType.Set);
    if (target === 0) return;
  }
  const result = targetShard.sets.add(target, bytes, view, offset, length);
  if (result === SetAdd.NoMemory) {
    context.dropIfEmpty();
    reply.error(OUT_OF_MEMORY);
    return;
  }
  sets.remove(context.writeCollection(1, ValueType.Set), bytes, view, offset, length);
  context.elementsRemoved(KeyEvent.SetRemove);
  if (result === SetAdd.Added) context.argumentChanged(2, context.database, KeyEvent.SetAdd);
  reply.integer(1);
}

function sismember(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Set);
  if (reference < 0) return;
  const isMember = reference !== 0 && containsArgument(context, context.shard.sets, reference, 2);
  context.reply.integer(isMember ? 1 : 0);
}

function smismember(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Set);
  if (reference < 0) return;
  context.reply.array(context.argCount - 2);
  for (let index = 2; index < context.argCount; index++) {
    const isMember = reference !== 0 && containsArgument(context, context.shard.sets, reference, index);
    context.reply.integer(isMember ? 1 : 0);
  }
}

function scard(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Set);
  if (reference < 0) return;
  context.reply.integer(reference === 0 ? 0 : context.shard.sets.count(reference));
}

function smembers(context: CommandContext): void {
  const reference = context.readCollection(1, ValueType.Set);
  if (reference < 0) return;
  if (reference === 0) context.reply.set(0);
  else replyAll(context, context.shard.sets, reference);
}

function popOne(context: CommandContext): void {
  const reference = context.writeCollection(1, ValueType.Set);
  if (reference < 0) return;
  if (reference === 0) {
    context.reply.nullBulk();
    return;
  }
  const { sets } = context.shard;
  const handle = sets.randomHandle(reference);
  sets.readHandle(reference, handle);
  replyMember(context, sets);
  const journal = recordKeyCommand(context, 'SREM', 1);
  if (journal !== null) recordMember(journal, sets);
  sets.removeHandle(reference, handle);
  context.elementsRemoved(KeyEvent.SetPop);
}

function spop(context: CommandContext): void {
  if (context.argCount === 2) {
    popOne(context);
    return;
  }
  if (context.argCount > 3) {
    context.reply.error(SYNTAX_ERROR);
    return;
  }
  if (!context.integer(2, NOT_POSITIVE)) return;
  const count = context.number.value;
  if (count < 0) {
    context.reply.error(NOT_POSITIVE);
    return;
  }
  const reference = context.writeCollection(1, ValueType.Set);
  if (reference < 0) return;
  if (reference === 0 || count === 0) {
    context.reply.set(0);
    return;
  }
  const { sets } = context.shard;
  const members = sets.count(reference);
  if (count >= members) {
    replyAll(context, sets, reference);
    context.remove();
    context.changed(KeyEvent.SetPop, members);
    context.happened(KeyEvent.Delete);
    recordDelete(context);
    return;
  }
  const handles = drawDistinct(sets, reference, count);
  context.reply.set(handles.length);
  const journal = recordKeyCommand(context, 'SREM', handles.length);
  for (const handle of handles) {
    sets.readHandle(reference, handle);
    replyMember(context, sets);
    if (journal !== null) recordMember(journal, sets);
  }
  // From the greatest handle on: in a small set, removing a member moves the members after it.
  handles.sort((left, right) => right - left);
  for (const handle of handles) sets.removeHandle(reference, handle);
  context.changed(KeyEvent.SetPop, handles.length);
}

function srandmember(context: CommandContext): void {
  const { reply } = context;
  if (context.argCount > 3) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  let count = 0;
  if (context.argCount === 3) {
    if (!readCount(context)) return;
    count = Math.max(context.number.value, -REPEATED_ELEMENTS_MAX);
  }
  const reference = context.readCollection(1, ValueType.Set);
  if (reference < 0) return;
  const { sets } = context.shard;
  if (context.argCount === 2) {
    if (reference === 0) {
      reply.nullBulk();
      return;
    }
    sets.readHandle(reference, sets.randomHandle(reference));
    replyMember(context, sets);
  } else if (reference === 0 || count === 0) {
    reply.array(0);
  } else if (count < 0) {
    reply.array(-count);
    for (; count < 0 && !reply.overflowed; count++) {
      sets.readHandle(reference, sets.randomHandle(reference));
      replyMember(context, sets);
    }
  } else if (count >= sets.count(reference)) {
    reply.array(sets.count(reference));
    for (sets.begin(reference); sets.next(); ) replyMember(context, sets);
  } else {
    const handles = drawDistinct(sets, reference, count);
    reply.array(handles.length);
    for (const handle of handles) {
      sets.readHandle(reference, handle);
      replyMember(context, sets);
    }
  }
}

/** Looks up the sets that arguments `first` to `last` name; replies WRONGTYPE and returns null if one is none. */
function readSources(context: CommandContext, first: number, last: number): Source[] | null {
  const sources: Source[] = [];
  indexesUsed = 0;
  for (let index = first; index <= last; index++) {
    const reference = context.readCollection(index, ValueType.Set);
    if (reference < 0) return null;
    sources.push(new Source(context.shard.sets, reference));
  }
  return sources;
}

/** Called for each member of the result, just read into `holder.member`; returns false to stop. */
type Take = (holder: SetValue) => boolean;

/** Whether one of some sets has the member that another one's walk is at. */
function isInOneOf(sources: readonly Source[], holder: SetValue): boolean {
  for (const source of sources) if (source.has(holder)) return true;
  return false;
}

function isInAll(sources: readonly Source[], holder: SetValue): boolean {
  for (const source of sources) if (!source.has(holder)) return false;
  return true;
}

/** Offers the members that all sources share. Returns false if `take` has stopped it. */
function intersect(sources: readonly Source[], take: Take): boolean {
  const [smallest, ...others] = [...sources].sort((left, right) => left.count - right.count);
  if (smallest.count === 0) return true;
  for (const source of others) source.prepare(smallest.count);
  const { sets } = smallest;
  for (sets.begin(smallest.reference); sets.nextInAll(indexes, indexesUsed); ) {
    if (isInAll(others, sets) && !take(sets)) return false;
  }
  return true;
}

/** Offers all members of all sources, some more than once. */
function unite(sources: readonly Source[], take: Take): boolean {
  for (const { sets, reference } of sources) {
    if (reference === 0) continue;
    for (sets.begin(reference); sets.next(); ) if (!take(sets)) return false;
  }
  return true;
}

/** Offers the members of the first source that no other one has. */
function subtract(sources: readonly Source[], take: Take): boolean {
  const [{ sets, reference, count }, ...others] = sources;
  if (reference === 0) return true;
  for (const source of others) source.prepare(count);
  for (sets.begin(reference); sets.next(); ) {
    if (!isInOneOf(others, sets) && !take(sets)) return false;
  }
  return true;
}

type Operation = typeof unite;

/** Replies with the result of an operation that offers no member twice. */
function replyOperation(context: CommandContext, operation: Operation): void {
  const sources = readSources(context, 1, context.argCount - 1);
  if (sources === null) return;
  const { reply } = context;
  const position = reply.reserveAggregate();
  let count = 0;
  operation(sources, (holder) => {
    replyMember(context, holder);
    count++;
    return true;
  });
  reply.patchAggregate(position, 'set', count);
}

/** Makes the result of an operation the draft of a shard; replies OOM and returns false if there is no memory. */
function draftOperation(
  context: CommandContext,
  shard: Shard,
  operation: Operation,
  sources: readonly Source[],
): boolean {
  const { sets, draft } = shard;
  let isComplete = sets.create(draft);
  if (isComplete) {
    isComplete = operation(sources, ({ member }) => {
      const result = sets.add(draft, member.bytes, member.view, member.offset, member.lengthBytes);
      return result !== SetAdd.NoMemory;
    });
    if (!isComplete) sets.release(draft);
  }
  if (!isComplete) context.reply.error(OUT_OF_MEMORY);
  return isComplete;
}

function sunion(context: CommandContext): void {
  const sources = readSources(context, 1, context.argCount - 1);
  if (sources === null) return;
  const { shard } = context;
  if (!draftOperation(context, shard, unite, sources)) return;
  replyAll(context, shard.sets, shard.draft);
  shard.sets.release(shard.draft);
}

function storeOperation(context: CommandContext, operation: Operation, event: KeyEvent): void {
  const sources = readSources(context, 2, context.argCount - 1);
  if (sources === null) return;
  context.findWrite(1);
  const { shard } = context;
  if (!draftOperation(context, shard, operation, sources)) return;
  const count = shard.sets.count(shard.draft);
  if (count === 0) {
    shard.sets.release(shard.draft);
    if (context.entry !== 0) {
      context.remove();
      context.changed(KeyEvent.Delete);
    }
  } else {
    if (!context.putDraft(ValueType.Set, -1)) return;
    context.overwritten();
    context.changed(event);
  }
  context.reply.integer(count);
}

/** What the arguments of SINTERCARD and its kin ask for. */
interface CountRequest {
  readonly sources: Source[];
  /** 0 for none. */
  readonly limit: number;
  readonly isApproximate: boolean;
}

/** Reads a number of keys, the keys and the options; replies with an error and returns null if something is wrong. */
function readCountRequest(context: CommandContext, mayApproximate: boolean): CountRequest | null {
  const { reply } = context;
  const fail = (error: string) => {
    reply.error(error);
    return null;
  };
  const tooFew = 'ERR numkeys should be greater than 0';
  if (!context.integer(1, tooFew)) return null;
  const keyCount = context.number.value;
  if (keyCount < 1) return fail(tooFew);
  if (keyCount > context.argCount - 2) return fail("ERR Number of keys can't be greater than number of args");
  let limit = 0;
  let isApproximate = false;
  for (let index = 2 + keyCount; index < context.argCount; index++) {
    if (mayApproximate && context.argIs(index, 'APPROX')) {
      isApproximate = true;
      continue;
    }
    if (!context.argIs(index, 'LIMIT') || ++index === context.argCount) return fail(SYNTAX_ERROR);
    const negative = "ERR LIMIT can't be negative";
    if (!context.integer(index, negative)) return null;
    limit = context.number.value;
    if (limit < 0) return fail(negative);
  }
  const sources = readSources(context, 2, 1 + keyCount);
  return sources === null ? null : { sources, limit, isApproximate };
}

/** SINTERCARD and SDIFFCARD. */
function countOperation(context: CommandContext, operation: Operation): void {
  const request = readCountRequest(context, false);
  if (request === null) return;
  let count = 0;
  operation(request.sources, () => ++count !== request.limit);
  context.reply.integer(count);
}

/** Counts the members of each source that no earlier source has, without building the union. */
function countUnion(sources: readonly Source[], limit: number): number {
  // The largest set comes first: its members need not be read.
  const [largest, ...others] = [...sources].sort((left, right) => right.count - left.count);
  const counted = [largest];
  let count = largest.count;
  for (const source of others) {
    if (limit !== 0 && count >= limit) return limit;
    const { sets, reference } = source;
    if (reference === 0) return count;
    for (sets.begin(reference); sets.next(); ) {
      if (!isInOneOf(counted, sets) && ++count === limit) return count;
    }
    counted.push(source);
  }
  return limit === 0 ? count : Math.min(count, limit);
}

/** Registers of a HyperLogLog, for estimates. */
const maxima = new RegisterMaxima();

function estimateUnion(sources: readonly Source[], limit: number): number {
  maxima.clear();
  unite(sources, ({ member }) => {
    const place = placeOf(member.bytes, member.view, member.offset, member.lengthBytes);
    maxima.raise(indexOf(place), rankOf(place));
    return true;
  });
  const histogram = createHistogram();
  maxima.count(histogram);
  const count = estimate(histogram);
  return limit === 0 ? count : Math.min(count, limit);
}

function sunioncard(context: CommandContext): void {
  const request = readCountRequest(context, true);
  if (request === null) return;
  const { sources, limit, isApproximate } = request;
  context.reply.integer(isApproximate ? estimateUnion(sources, limit) : countUnion(sources, limit));
}

function sscan(context: CommandContext): void {
  scanElements(
    context,
    ValueType.Set,
    '',
    ({ sets }) => [sets, sets.member],
    (sets) => {
      replyMember(context, sets);
      return 1;
    },
  );
}

export const setHandlers: Readonly<Record<string, Handler>> = {
  SADD: sadd,
  SCARD: scard,
  SDIFFCARD: (context) => countOperation(context, subtract),
  SDIFF: (context) => replyOperation(context, subtract),
  SDIFFSTORE: (context) => storeOperation(context, subtract, KeyEvent.SetDiffStore),
  SINTER: (context) => replyOperation(context, intersect),
  SINTERCARD: (context) => countOperation(context, intersect),
  SINTERSTORE: (context) => storeOperation(context, intersect, KeyEvent.SetInterStore),
  SISMEMBER: sismember,
  SMEMBERS: smembers,
  SMISMEMBER: smismember,
  SMOVE: smove,
  SPOP: spop,
  SRANDMEMBER: srandmember,
  SREM: srem,
  SSCAN: sscan,
  SUNION: sunion,
  SUNIONCARD: sunioncard,
  SUNIONSTORE: (context) => storeOperation(context, unite, KeyEvent.SetUnionStore),
};
