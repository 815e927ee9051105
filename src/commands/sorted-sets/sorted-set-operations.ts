/**
 * Union, intersection and difference of sorted sets, among which may be sets (their members count as elements
 * with score 1). The result is built as a draft in the shard where it is to be stored, or in that of the first
 * source, and sorts itself there.
 */

import type { CommandContext } from '../../execution/context.js';
import { recordSortedSet } from '../../execution/effects.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR, WRONG_TYPE } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import type { Shard } from '../../keyspace/shard.js';
import { readDouble } from '../../memory/scores.js';
import type { SetValue } from '../../structures/set-value.js';
import { SortedSetCursor, type SortedSetValue } from '../../structures/sorted-set-value.js';
import { storeDraft } from './sorted-set-ranges.js';
import { replyElement, replyElementCount, replyMember } from './sorted-sets.js';

const enum Operation {
  Union = 0,
  Intersection = 1,
  Difference = 2,
}

const enum Aggregate {
  Sum = 0,
  Minimum = 1,
  Maximum = 2,
  /** The sum of the weights of the sets that have the element, regardless of its scores. */
  Count = 3,
}

/** One of the sets that a command combines; without a reference it is empty. */
class Source {
  weight = 1;
  readonly reference: number;
  readonly count: number;
  private readonly sortedSets: SortedSetValue | null;
  private readonly sets: SetValue | null;
  private readonly cursor = new SortedSetCursor();
  private isStarted = false;

  /** The element that `next` has read last. */
  bytes!: Uint8Array;
  view!: DataView;
  offset = 0;
  lengthBytes = 0;
  /** Its score, or that of what `find` has found. */
  score = 1;

  constructor(shard: Shard, type: ValueType, reference: number) {
    this.reference = reference;
    this.sortedSets = type === ValueType.SortedSet ? shard.sortedSets : null;
    this.sets = type === ValueType.Set ? shard.sets : null;
    this.count = reference === 0 ? 0 : shard.collection(type).count(reference);
  }

  begin(): void {
    this.isStarted = false;
    this.sets?.begin(this.reference);
  }

  /** Reads the next element; false at the end. */
  next(): boolean {
    const { sortedSets, sets, cursor } = this;
    if (this.count === 0) return false;
    if (sortedSets !== null) {
      const isThere = this.isStarted ? sortedSets.next(cursor) : sortedSets.seek(cursor, this.reference, 0);
      this.isStarted = true;
      if (!isThere) return false;
      this.read(cursor);
      this.score = cursor.score;
      return true;
    }
    if (sets === null || !sets.next()) return false;
    this.read(sets.member);
    return true;
  }

  private read(range: { bytes: Uint8Array; view: DataView; offset: number; lengthBytes: number }): void {
    this.bytes = range.bytes;
    this.view = range.view;
    this.offset = range.offset;
    this.lengthBytes = range.lengthBytes;
  }

  /** Whether it has the element that another source has read last. */
  find(holder: Source): boolean {
    const { bytes, view, offset, lengthBytes } = holder;
    if (this.count === 0) return false;
    if (this.sortedSets === null) {
      return this.sets?.contains(this.reference, bytes, view, offset, lengthBytes) ?? false;
    }
    if (!this.sortedSets.find(this.reference, bytes, view, offset, lengthBytes)) return false;
    this.score = this.sortedSets.score;
    return true;
  }
}

/** What the arguments ask for, besides the sources. */
interface Request {
  sources: Source[];
  aggregate: Aggregate;
  withScores: boolean;
  /** ZINTERCARD's, 0 for none. */
  limit: number;
}

/** Infinity times zero, and the sum of infinity and minus infinity, count as 0. */
function numberOrZero(score: number): number {
  return Number.isNaN(score) ? 0 : score;
}

function combine(aggregate: Aggregate, score: number, other: number): number {
  if (aggregate === Aggregate.Sum || aggregate === Aggregate.Count) return numberOrZero(score + other);
  if (aggregate === Aggregate.Minimum) return other < score ? other : score;
  return other > score ? other : score;
}

/** What the element that a source has read or found last contributes to the result. */
function contribution(aggregate: Aggregate, source: Source): number {
  return aggregate === Aggregate.Count ? source.weight : source.weight * source.score;
}

/** Reads `count` source keys from argument `first` on; replies WRONGTYPE and returns null if one has another type. */
function readSources(context: CommandContext, first: number, count: number): Source[] | null {
  const sources: Source[] = [];
  for (let index = first; index < first + count; index++) {
    const isThere = context.findRead(index) !== 0;
    const type = isThere ? context.entryType : ValueType.SortedSet;
    if (type !== ValueType.SortedSet && type !== ValueType.Set) {
      context.reply.error(WRONG_TYPE);
      return null;
    }
    sources.push(new Source(context.shard, type, isThere ? context.valueOffset : 0));
  }
  return sources;
}

function readWeights(context: CommandContext, first: number, sources: readonly Source[]): boolean {
  for (const [position, source] of sources.entries()) {
    const index = first + position;
    source.weight = readDouble(context.bytes, context.argOffset(index), context.argLength(index));
    if (!Number.isNaN(source.weight)) continue;
    context.reply.error('ERR weight value is not a float');
    return false;
  }
  return true;
}

/** Reads one option at `index`; returns the index after it, or -1 after replying with an error. */
function readOption(
  context: CommandContext,
  index: number,
  request: Request,
  operation: Operation,
  stores: boolean,
  onlyCounts: boolean,
): number {
  const { reply, argCount } = context;
  const { sources } = request;
  const weighs = operation !== Operation.Difference && !onlyCounts;
  if (weighs && argCount - index > sources.length && context.argIs(index, 'WEIGHTS')) {
    return readWeights(context, index + 1, sources) ? index + 1 + sources.length : -1;
  }
  if (weighs && argCount - index > 1 && context.argIs(index, 'AGGREGATE')) {
    if (context.argIs(index + 1, 'SUM')) request.aggregate = Aggregate.Sum;
    else if (context.argIs(index + 1, 'MIN')) request.aggregate = Aggregate.Minimum;
    else if (context.argIs(index + 1, 'MAX')) request.aggregate = Aggregate.Maximum;
    else if (context.argIs(index + 1, 'COUNT')) request.aggregate = Aggregate.Count;
    else {
      reply.error(SYNTAX_ERROR);
      return -1;
    }
    return index + 2;
  }
  if (!stores && !onlyCounts && context.argIs(index, 'WITHSCORES')) {
    request.withScores = true;
    return index + 1;
  }
  if (onlyCounts && argCount - index > 1 && context.argIs(index, 'LIMIT')) {
    const error = "ERR LIMIT can't be negative";
    if (!context.integer(index + 1, error)) return -1;
    request.limit = context.number.value;
    if (request.limit >= 0) return index + 2;
    reply.error(error);
    return -1;
  }
  reply.error(SYNTAX_ERROR);
  return -1;
}

/** Reads everything from the number of keys on; replies with an error and returns null if something is wrong. */
function readRequest(
  context: CommandContext,
  countArgument: number,
  operation: Operation,
  stores: boolean,
  onlyCounts: boolean,
): Request | null {
  const { reply } = context;
  if (!context.integer(countArgument)) return null;
  const count = context.number.value;
  if (count < 1) {
    reply.error(`ERR at least 1 input key is needed for '${context.command.fullName}' command`);
    return null;
  }
  const first = countArgument + 1;
  if (count > context.argCount - first) {
    reply.error(SYNTAX_ERROR);
    return null;
  }
  const sources = readSources(context, first, count);
  if (sources === null) return null;
  const request = { sources, aggregate: Aggregate.Sum, withScores: false, limit: 0 };
  for (let index = first + count; index < context.argCount; ) {
    index = readOption(context, index, request, operation, stores, onlyCounts);
    if (index < 0) return null;
  }
  // The smallest first, except for the difference, where the others are subtracted from the first.
  if (operation !== Operation.Difference) sources.sort((left, right) => left.count - right.count);
  return request;
}

/** Adds the element that a source has read last to the draft, or changes its score there. */
function addToDraft(shard: Shard, source: Source, score: number): boolean {
  const { sortedSets, draft } = shard;
  const { bytes, view, offset, lengthBytes } = source;
  sortedSets.find(draft, bytes, view, offset, lengthBytes);
  return sortedSets.add(draft, score, bytes, view, offset, lengthBytes);
}

function draftUnion(shard: Shard, { sources, aggregate }: Request): boolean {
  const { sortedSets, draft } = shard;
  for (const source of sources) {
    for (source.begin(); source.next(); ) {
      const { bytes, view, offset, lengthBytes } = source;
      const score = numberOrZero(contribution(aggregate, source));
      if (!sortedSets.find(draft, bytes, view, offset, lengthBytes)) {
        if (!sortedSets.add(draft, score, bytes, view, offset, lengthBytes)) return false;
        continue;
      }
      const combined = combine(aggregate, sortedSets.score, score);
      if (Object.is(combined, sortedSets.score)) continue;
      if (!sortedSets.setScore(draft, combined, bytes, view, offset, lengthBytes)) return false;
    }
  }
  return true;
}

/** The score of the first source's element in the intersection; NaN if another source does not have it. */
function intersectedScore({ sources, aggregate }: Request): number {
  const [first] = sources;
  let score = numberOrZero(contribution(aggregate, first));
  for (let index = 1; index < sources.length; index++) {
    const other = sources[index];
    if (!other.find(first)) return Number.NaN;
    score = combine(aggregate, score, contribution(aggregate, other));
  }
  return score;
}

function draftIntersection(shard: Shard, request: Request): boolean {
  const [first] = request.sources;
  for (first.begin(); first.next(); ) {
    const score = intersectedScore(request);
    if (!Number.isNaN(score) && !addToDraft(shard, first, score)) return false;
  }
  return true;
}

function draftDifference(shard: Shard, { sources }: Request): boolean {
  const [first, ...others] = sources;
  for (first.begin(); first.next(); ) {
    if (others.some((other) => other.find(first))) continue;
    if (!addToDraft(shard, first, first.score)) return false;
  }
  return true;
}

/** Builds the result in the draft of the selected key's shard; replies OOM and returns false if there is no memory. */
function buildDraft(context: CommandContext, operation: Operation, request: Request): boolean {
  const { shard } = context;
  const { sortedSets, draft } = shard;
  // A union has at least the elements of the largest source, which is the last one. How few the others have is not known.
  const expected = operation === Operation.Union ? request.sources.at(-1)!.count : 0;
  if (sortedSets.createTree(draft, expected)) {
    const isComplete =
      operation === Operation.Union
        ? draftUnion(shard, request)
        : operation === Operation.Intersection
          ? draftIntersection(shard, request)
          : draftDifference(shard, request);
    if (isComplete) return true;
    sortedSets.release(draft);
  }
  context.reply.error(OUT_OF_MEMORY);
  return false;
}

/** ZUNION, ZINTER, ZDIFF. */
function combineSets(context: CommandContext, operation: Operation): void {
  const { reply } = context;
  const request = readRequest(context, 1, operation, false, false);
  if (request === null) return;
  context.selectKey(2);
  if (!buildDraft(context, operation, request)) return;
  const { sortedSets, draft } = context.shard;
  const cursor = new SortedSetCursor();
  const count = sortedSets.count(draft);
  if (request.withScores) replyElementCount(context, count);
  else reply.array(count);
  for (let more = sortedSets.seek(cursor, draft, 0); more; more = sortedSets.next(cursor)) {
    if (request.withScores) replyElement(context, cursor);
    else replyMember(context, cursor);
  }
  sortedSets.release(draft);
}

/** ZUNIONSTORE, ZINTERSTORE, ZDIFFSTORE. */
function storeCombined(context: CommandContext, operation: Operation, event: KeyEvent): void {
  const request = readRequest(context, 2, operation, true, false);
  if (request === null) return;
  context.findWrite(1);
  if (!buildDraft(context, operation, request)) return;
  const { sortedSets, draft } = context.shard;
  sortedSets.packIfSmall(draft);
  storeDraft(context, event);
  // Redis 7.0 does not know this aggregate.
  if (request.aggregate === Aggregate.Count) recordSortedSet(context);
}

function zintercard(context: CommandContext): void {
  const request = readRequest(context, 1, Operation.Intersection, false, true);
  if (request === null) return;
  const { sources, limit } = request;
  const [first, ...others] = sources;
  let count = 0;
  for (first.begin(); (limit === 0 || count < limit) && first.next(); ) {
    if (others.every((other) => other.find(first))) count++;
  }
  context.reply.integer(count);
}

export const sortedSetOperationHandlers: Readonly<Record<string, Handler>> = {
  ZDIFF: (context) => combineSets(context, Operation.Difference),
  ZDIFFSTORE: (context) => storeCombined(context, Operation.Difference, KeyEvent.SortedSetDiffStore),
  ZINTER: (context) => combineSets(context, Operation.Intersection),
  ZINTERCARD: zintercard,
  ZINTERSTORE: (context) => storeCombined(context, Operation.Intersection, KeyEvent.SortedSetInterStore),
  ZUNION: (context) => combineSets(context, Operation.Union),
  ZUNIONSTORE: (context) => storeCombined(context, Operation.Union, KeyEvent.SortedSetUnionStore),
};
