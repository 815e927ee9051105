/**
 * SORT and SORT_RO.
 *
 * The elements are copied into one buffer, and so are the weights to sort by; then only indices are sorted. A command
 * with a pattern reads keys that its arguments do not name, so the executor has locked all shards for it.
 */

import type { CommandContext } from '../../execution/context.js';
import { recordDelete, recordKeyCommand } from '../../execution/effects.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR, WRONG_TYPE } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { entryType, ValueType, valueLength, valueOffset } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import { IntegerParser, parseDouble } from '../../memory/numbers.js';
import { ByteRange } from '../../structures/byte-range.js';
import { copyBytes } from '../../structures/copy.js';
import { SortedSetCursor } from '../../structures/sorted-set-value.js';

const STAR = 0x2a;
const HASH_SIGN = 0x23;
const DASH = 0x2d;
const GREATER = 0x3e;

/** Texts are kept in one buffer, which is no larger than this. */
const TEXTS_BYTES_MAX = 2 ** 31 - 1;

/** A growing list of byte strings. */
class Texts {
  bytes: Uint8Array;
  view: DataView;
  offsets: Int32Array;
  lengths: Int32Array;
  count = 0;
  /** There was no room for all texts, so the list is incomplete. */
  overflowed = false;
  private used = 0;

  constructor(count: number) {
    this.bytes = new Uint8Array(Math.max(64, count * 16));
    this.view = new DataView(this.bytes.buffer);
    this.offsets = new Int32Array(count);
    this.lengths = new Int32Array(count);
  }

  /** Appends a text, of which there are no more than the constructor was told. */
  add(bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): void {
    if (this.used + lengthBytes > this.bytes.length && !this.grow(lengthBytes)) lengthBytes = 0;
    copyBytes(this.bytes, this.view, this.used, bytes, view, offset, lengthBytes);
    this.offsets[this.count] = this.used;
    this.lengths[this.count++] = lengthBytes;
    this.used += lengthBytes;
  }

  clear(): void {
    this.count = 0;
    this.used = 0;
  }

  /** Total length of the texts. */
  get lengthBytes(): number {
    return this.used;
  }

  private grow(lengthBytes: number): boolean {
    if (this.used + lengthBytes > TEXTS_BYTES_MAX) {
      this.overflowed = true;
      return false;
    }
    const old = this.bytes;
    this.bytes = new Uint8Array(Math.min(TEXTS_BYTES_MAX, Math.max(old.length * 2, this.used + lengthBytes)));
    this.view = new DataView(this.bytes.buffer);
    this.bytes.set(old.subarray(0, this.used));
    return true;
  }

  /** Order of two texts as bytes. */
  compare(left: number, right: number): number {
    return this.compareUpTo(left, this.lengths[left], right, this.lengths[right]);
  }

  /** The same as C strings, which end at a zero byte. */
  compareStrings(left: number, right: number): number {
    return this.compareUpTo(left, this.stringLength(left), right, this.stringLength(right));
  }

  private stringLength(index: number): number {
    const offset = this.offsets[index];
    for (let at = 0; at < this.lengths[index]; at++) if (this.bytes[offset + at] === 0) return at;
    return this.lengths[index];
  }

  private compareUpTo(left: number, leftLength: number, right: number, rightLength: number): number {
    const { bytes, offsets } = this;
    const leftOffset = offsets[left];
    const rightOffset = offsets[right];
    const shared = Math.min(leftLength, rightLength);
    for (let at = 0; at < shared; at++) {
      const difference = bytes[leftOffset + at] - bytes[rightOffset + at];
      if (difference !== 0) return difference;
    }
    return leftLength - rightLength;
  }

  /** A text as characters of one byte each, up to the first zero byte. */
  string(index: number): string {
    const { bytes, offsets } = this;
    return Buffer.from(bytes.buffer, offsets[index], this.stringLength(index)).toString('latin1');
  }
}

interface SortOptions {
  isDescending: boolean;
  isAlphabetic: boolean;
  limitStart: number;
  /** Negative: no limit. */
  limitCount: number;
  /** The pattern that weights are read by; null for none. */
  by: Pattern | null;
  /** The order is that of the source: BY has no star. */
  isUnsorted: boolean;
  gets: Pattern[];
  /** Argument of the destination, 0 for none. */
  store: number;
}

/** What BY or GET says: a key, or a field of a hash, in whose name a star stands for the element. */
class Pattern {
  /** "#": the element itself. */
  readonly isElement: boolean;
  readonly hasStar: boolean;
  private readonly prefix: Uint8Array;
  private readonly postfix: Uint8Array;
  /** Field of a hash, null if the pattern names a string. */
  readonly field: Uint8Array | null;
  readonly fieldView: DataView | null;
  private key = new Uint8Array(256);
  private keyView = new DataView(this.key.buffer);

  constructor(pattern: Uint8Array) {
    // The search ends at a zero byte, but what follows it still belongs to the name.
    const zero = pattern.indexOf(0);
    const searched = zero < 0 ? pattern : pattern.subarray(0, zero);
    this.isElement = searched.length === 1 && searched[0] === HASH_SIGN;
    const star = searched.indexOf(STAR);
    this.hasStar = star >= 0;
    let end = pattern.length;
    for (let at = star + 1; this.hasStar && at + 2 < searched.length; at++) {
      if (searched[at] === DASH && searched[at + 1] === GREATER) {
        end = at;
        break;
      }
    }
    this.prefix = pattern.subarray(0, Math.max(star, 0));
    this.postfix = pattern.subarray(star + 1, end);
    this.field = end < pattern.length ? pattern.slice(end + 2) : null;
    this.fieldView = this.field === null ? null : new DataView(this.field.buffer);
  }

  /** Looks up the value that the pattern names for an element; sets `value`, or returns false if there is none. */
  find(context: CommandContext, elements: Texts, index: number, value: ByteRange): boolean {
    if (this.isElement) {
      value.set(elements.bytes, elements.view, elements.offsets[index], elements.lengths[index]);
      return true;
    }
    if (!this.hasStar || context.findOtherRead(...this.keyFor(elements, index)) === 0) return false;
    const { shard, entry } = context;
    const type = entryType(shard.words, entry);
    const offset = valueOffset(shard.words, entry);
    if (this.field === null || this.fieldView === null) {
      if (type !== ValueType.String) return false;
      value.set(shard.bytes, shard.view, offset, valueLength(shard.words, entry));
      return true;
    }
    if (type !== ValueType.Hash) return false;
    const { hashes } = shard;
    const handle = hashes.find(offset, this.field, this.fieldView, 0, this.field.length);
    if (handle === 0) return false;
    hashes.readValue(offset, handle);
    value.set(hashes.value.bytes, hashes.value.view, hashes.value.offset, hashes.value.lengthBytes);
    return true;
  }

  private keyFor(elements: Texts, index: number): [Uint8Array, DataView, number, number] {
    const { prefix, postfix } = this;
    const elementBytes = elements.lengths[index];
    const lengthBytes = prefix.length + elementBytes + postfix.length;
    if (lengthBytes > this.key.length) {
      this.key = new Uint8Array(lengthBytes * 2);
      this.keyView = new DataView(this.key.buffer);
    }
    const { key, keyView } = this;
    key.set(prefix);
    copyBytes(
      key,
      keyView,
      prefix.length,
      elements.bytes,
      elements.view,
      elements.offsets[index],
      elementBytes,
    );
    key.set(postfix, prefix.length + elementBytes);
    return [key, keyView, 0, lengthBytes];
  }
}

/** Reads the options; replies with an error and returns null if they are not valid. */
function parseOptions(context: CommandContext, mayStore: boolean): SortOptions | null {
  const options: SortOptions = {
    isDescending: false,
    isAlphabetic: false,
    limitStart: 0,
    limitCount: -1,
    by: null,
    isUnsorted: false,
    gets: [],
    store: 0,
  };
  for (let index = 2; index < context.argCount; index++) {
    const following = context.argCount - index - 1;
    if (context.argIs(index, 'ASC')) {
      options.isDescending = false;
    } else if (context.argIs(index, 'DESC')) {
      options.isDescending = true;
    } else if (context.argIs(index, 'ALPHA')) {
      options.isAlphabetic = true;
    } else if (context.argIs(index, 'LIMIT') && following >= 2) {
      if (!context.integer(index + 1)) return null;
      options.limitStart = context.number.value;
      if (!context.integer(index + 2)) return null;
      options.limitCount = context.number.value;
      index += 2;
    } else if (mayStore && context.argIs(index, 'STORE') && following >= 1) {
      options.store = ++index;
    } else if (context.argIs(index, 'BY') && following >= 1) {
      options.by = new Pattern(context.argCopy(++index));
      // As in Redis, one BY without a star is enough.
      if (!options.by.hasStar) options.isUnsorted = true;
      else if (!mayReadAll(context, 'BY')) return null;
    } else if (context.argIs(index, 'GET') && following >= 1) {
      if (!mayReadAll(context, 'GET')) return null;
      options.gets.push(new Pattern(context.argCopy(++index)));
    } else {
      context.reply.error(SYNTAX_ERROR);
      return null;
    }
  }
  return options;
}

/** Whether the client may read every key, as a pattern can lead to any; replies with an error if not. */
function mayReadAll({ services, session, command, request, reply }: CommandContext, option: string): boolean {
  if (services.access.mayReadAllKeys(session, command, request)) return true;
  reply.error(`ERR ${option} option of SORT denied due to insufficient ACL permissions.`);
  return false;
}

/** Copies `count` elements of the selected list from `start` on, counted from its end if `isBackwards`. */
function readList(context: CommandContext, start: number, count: number, isBackwards: boolean): Texts {
  const { lists } = context.shard;
  const reference = context.valueOffset;
  const elements = new Texts(count);
  if (count === 0) return elements;
  const { element } = lists;
  let position = lists.seek(reference, isBackwards ? lists.count(reference) - 1 - start : start);
  while (elements.count < count) {
    lists.read(position);
    elements.add(element.bytes, element.view, element.offset, element.lengthBytes);
    position = isBackwards ? lists.previous(reference, position) : lists.next(position);
  }
  return elements;
}

/** The same of the selected sorted set, by rank. */
function readSortedSet(context: CommandContext, start: number, count: number, isBackwards: boolean): Texts {
  const { sortedSets } = context.shard;
  const reference = context.valueOffset;
  const elements = new Texts(count);
  const cursor = new SortedSetCursor();
  const rank = isBackwards ? sortedSets.count(reference) - 1 - start : start;
  let isThere = count > 0 && sortedSets.seek(cursor, reference, rank);
  while (isThere) {
    elements.add(cursor.bytes, cursor.view, cursor.offset, cursor.lengthBytes);
    if (elements.count === count) break;
    isThere = isBackwards ? sortedSets.previous(cursor) : sortedSets.next(cursor);
  }
  return elements;
}

function readSet(context: CommandContext): Texts {
  const { sets } = context.shard;
  const reference = context.valueOffset;
  const elements = new Texts(sets.count(reference));
  const { member } = sets;
  for (sets.begin(reference); sets.next(); ) {
    elements.add(member.bytes, member.view, member.offset, member.lengthBytes);
  }
  return elements;
}

/** The order of the elements as numbers; null if something cannot be read as one. */
function numericOrder(context: CommandContext, options: SortOptions, elements: Texts): number[] | null {
  const { count } = elements;
  const scores = new Float64Array(count);
  const parser = new IntegerParser();
  const value = new ByteRange(elements.bytes, elements.view);
  const text = new Texts(1);
  for (let index = 0; index < count; index++) {
    if (options.by === null) {
      value.set(elements.bytes, elements.view, elements.offsets[index], elements.lengths[index]);
    } else if (!options.by.find(context, elements, index, value)) {
      continue;
    }
    if (parser.parse(value.bytes, value.offset, value.lengthBytes)) {
      scores[index] = parser.isSafe ? parser.value : Number(parser.big);
      continue;
    }
    scores[index] = scoreOf(value, text);
    if (Number.isNaN(scores[index])) return null;
  }
  const order = Array.from({ length: count }, (_, index) => index);
  const sign = options.isDescending ? -1 : 1;
  // Equal scores go by the elements' bytes, so that the order is always the same.
  return order.sort((left, right) => {
    if (scores[left] < scores[right]) return -sign;
    if (scores[left] > scores[right]) return sign;
    return sign * elements.compare(left, right);
  });
}

/** A number as strtod reads it, with spaces before it; the empty text is 0. NaN if it is none. */
function scoreOf(value: ByteRange, scratch: Texts): number {
  scratch.clear();
  scratch.add(value.bytes, value.view, value.offset, value.lengthBytes);
  const text = scratch.string(0);
  return text === '' ? 0 : parseDouble(text.replace(/^[ \t\n\v\f\r]+(?=.)/, ''));
}

/** The order of the elements, or of their weights, as texts; those without a weight come first. */
function alphabeticOrder(context: CommandContext, options: SortOptions, elements: Texts): number[] {
  const { count } = elements;
  const { by } = options;
  let keys = elements;
  const keyOf = new Int32Array(count);
  if (by === null) {
    for (let index = 0; index < count; index++) keyOf[index] = index;
  } else {
    keys = new Texts(count);
    const value = new ByteRange(elements.bytes, elements.view);
    for (let index = 0; index < count; index++) {
      keyOf[index] = -1;
      if (!by.find(context, elements, index, value)) continue;
      keyOf[index] = keys.count;
      keys.add(value.bytes, value.view, value.offset, value.lengthBytes);
    }
  }
  const isBinary = options.store !== 0;
  const sign = options.isDescending ? -1 : 1;
  const order = Array.from({ length: count }, (_, index) => index);
  return order.sort((left, right) => {
    const leftKey = keyOf[left];
    const rightKey = keyOf[right];
    if (leftKey < 0 || rightKey < 0) return sign * (Number(leftKey >= 0) - Number(rightKey >= 0));
    return sign * (isBinary ? keys.compare(leftKey, rightKey) : keys.compareStrings(leftKey, rightKey));
  });
}

function sort(context: CommandContext, mayStore: boolean): void {
  const { reply } = context;
  const options = parseOptions(context, mayStore);
  if (options === null) return;
  const type = context.findRead(1) === 0 ? -1 : context.entryType;
  const isSortable = type === ValueType.List || type === ValueType.Set || type === ValueType.SortedSet;
  if (type !== -1 && !isSortable) {
    reply.error(WRONG_TYPE);
    return;
  }
  // A set has no order of its own, but stored results, and those that a script gets, must be deterministic.
  if (options.isUnsorted && type === ValueType.Set && (options.store !== 0 || context.isInScript)) {
    options.isUnsorted = false;
    options.isAlphabetic = true;
    options.by = null;
  }
  const length = type === -1 ? 0 : context.shard.collection(type).count(context.valueOffset);
  let start = Math.min(Math.max(options.limitStart, 0), length);
  const count = Math.min(options.limitCount < 0 ? length : options.limitCount, length - start);
  const isDirect = options.isUnsorted && type !== ValueType.Set;
  let elements: Texts;
  if (type === ValueType.List) {
    elements = isDirect
      ? readList(context, start, count, options.isDescending)
      : readList(context, 0, length, false);
  } else if (type === ValueType.Set) {
    elements = readSet(context);
  } else if (type === ValueType.SortedSet) {
    elements = isDirect
      ? readSortedSet(context, start, count, options.isDescending)
      : readSortedSet(context, 0, length, false);
  } else {
    elements = new Texts(0);
  }
  if (elements.overflowed) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  if (isDirect) start = 0;
  let order: number[] | null;
  if (options.isUnsorted) order = Array.from({ length: elements.count }, (_, index) => index);
  else if (options.isAlphabetic) order = alphabeticOrder(context, options, elements);
  else order = numericOrder(context, options, elements);
  if (order === null) {
    reply.error("ERR One or more scores can't be converted into double");
    return;
  }
  if (start !== 0 || count !== order.length) order = order.slice(start, start + count);
  if (options.store === 0) replySorted(context, options, elements, order);
  else storeSorted(context, options, elements, order);
}

function replySorted(
  context: CommandContext,
  options: SortOptions,
  elements: Texts,
  order: readonly number[],
): void {
  const { reply } = context;
  const { gets } = options;
  const value = new ByteRange(elements.bytes, elements.view);
  reply.array(order.length * Math.max(gets.length, 1));
  for (const index of order) {
    if (gets.length === 0) {
      reply.bulkCopy(elements.bytes, elements.view, elements.offsets[index], elements.lengths[index]);
    }
    for (const pattern of gets) {
      if (pattern.find(context, elements, index, value)) {
        reply.bulkCopy(value.bytes, value.view, value.offset, value.lengthBytes);
      } else {
        reply.nullBulk();
      }
    }
  }
}

function storeSorted(
  context: CommandContext,
  options: SortOptions,
  elements: Texts,
  order: readonly number[],
): void {
  const { reply } = context;
  const { gets, store } = options;
  const value = new ByteRange(elements.bytes, elements.view);
  const result = new Texts(order.length * Math.max(gets.length, 1));
  for (const index of order) {
    if (gets.length === 0) {
      result.add(elements.bytes, elements.view, elements.offsets[index], elements.lengths[index]);
    }
    for (const pattern of gets) {
      if (!pattern.find(context, elements, index, value)) value.lengthBytes = 0;
      result.add(value.bytes, value.view, value.offset, value.lengthBytes);
    }
  }
  if (result.overflowed) {
    reply.error(OUT_OF_MEMORY);
    return;
  }
  const exists = context.findWrite(store) !== 0;
  if (result.count === 0) {
    if (exists) {
      context.remove();
      context.changed(KeyEvent.Delete);
      recordDelete(context);
    }
  } else if (putList(context, result)) {
    context.overwritten();
    context.changed(KeyEvent.SortStore, result.count);
    recordList(context, result, exists);
  } else {
    return;
  }
  reply.integer(result.count);
}

/** Records a new list, in place of an old key if there was one. */
function recordList(context: CommandContext, texts: Texts, replaces: boolean): void {
  if (replaces) recordDelete(context);
  const journal = recordKeyCommand(context, 'RPUSH', texts.count);
  if (journal === null) return;
  const { bytes, view, offsets, lengths } = texts;
  for (let index = 0; index < texts.count; index++) {
    journal.argument(bytes, view, offsets[index], lengths[index]);
  }
}

/** Makes texts the selected key's value; replies OOM and returns false if there is no memory. */
function putList(context: CommandContext, texts: Texts): boolean {
  const { lists, draft } = context.shard;
  const { bytes, view, offsets, lengths, count } = texts;
  let hasRoom = lists.create(draft);
  if (hasRoom) {
    hasRoom = lists.prepare(draft, texts.lengthBytes, count);
    for (let index = 0; hasRoom && index < count; index++) {
      hasRoom = lists.push(draft, true, bytes, view, offsets[index], lengths[index]);
    }
    if (hasRoom) return context.putDraft(ValueType.List, -1);
    lists.release(draft);
  }
  context.reply.error(OUT_OF_MEMORY);
  return false;
}

export const sortHandlers: Readonly<Record<string, Handler>> = {
  SORT: (context) => sort(context, true),
  SORT_RO: (context) => sort(context, false),
};
