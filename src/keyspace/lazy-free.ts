/**
 * Values and whole databases that are gone for every client, but whose blocks are still to be freed: a
 * queue in the shard, worked off in slices, so that dropping ten million elements stalls nobody.
 *
 *   node, 40 bytes
 *   +------+------+----------------------------------------------+
 *   | next | kind | what is left: a reference, or a database root |
 *   +------+------+----------------------------------------------+
 *
 * A kind is the value's type, or KIND_DATABASE with the words: dictionary root (4), calendar, field calendar, cursor.
 */

import type { Arena } from '../memory/arena.js';
import { HeaderWord, type ShardMemory } from '../memory/shard-memory.js';
import { type CollectionValue, REFERENCE_BYTES } from '../structures/collection-value.js';
import { DictionaryRoot } from '../structures/dictionary.js';
import { KeyspaceCounter } from './counters.js';
import { entryBytes, entryType, ValueType, valueOffset } from './entry.js';
import type { ExpiryCalendar } from './expiry-calendar.js';
import type { KeyDictionary } from './key-dictionary.js';
import { LongKeyWord } from './long-key.js';

const NODE_BYTES = 40;
const NODE_KIND = 1;
const NODE_STATE = 2;
const STATE_CALENDAR = NODE_STATE + DictionaryRoot.WORDS;
const STATE_FIELD_CALENDAR = STATE_CALENDAR + 1;
const STATE_CURSOR = STATE_FIELD_CALENDAR + 1;
const KIND_DATABASE = 16;

/** A value with fewer blocks is freed at once. */
const LAZY_STEPS_MIN = 64;

export class LazyFree {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly arena: Arena;
  private readonly dictionary: KeyDictionary;
  private readonly calendar: ExpiryCalendar;
  private readonly collections: readonly (CollectionValue | null)[];
  private readonly counters: Float64Array;

  constructor(
    memory: ShardMemory,
    arena: Arena,
    dictionary: KeyDictionary,
    calendar: ExpiryCalendar,
    collections: readonly (CollectionValue | null)[],
    counters: Float64Array,
  ) {
    this.words = memory.words;
    this.bytes = memory.bytes;
    this.arena = arena;
    this.dictionary = dictionary;
    this.calendar = calendar;
    this.collections = collections;
    this.counters = counters;
  }

  /** Values and databases that wait to be freed. */
  get pendingCount(): number {
    return this.words[HeaderWord.LazyFreePending];
  }

  /** Frees the collection that `reference` names, at once if it is small or must not wait. */
  freeCollection(type: ValueType, reference: number, mayWait: boolean): void {
    const collection = this.collectionOf(type);
    const walk = collection.walkOf(reference);
    if (walk !== 0) {
      // A snapshot that still reads it frees it afterwards.
      this.words[walk + LongKeyWord.IsDropped] = 1;
      return;
    }
    const node = mayWait && collection.releaseSteps(reference) > LAZY_STEPS_MIN ? this.addNode(type) : 0;
    if (node === 0) {
      collection.release(reference);
      return;
    }
    const target = node + NODE_STATE * 4;
    this.bytes.copyWithin(target, reference, reference + REFERENCE_BYTES);
  }

  /** Takes over the keys of a database; its root is empty afterwards. `root` is a word index. */
  freeDatabase(root: number, calendarWord: number, fieldCalendarWord: number): void {
    const { words } = this;
    const node = this.addNode(KIND_DATABASE);
    if (node === 0) {
      this.freeRecords(root, 0, Number.MAX_SAFE_INTEGER);
      this.releaseCalendar(words[calendarWord]);
      this.releaseCalendar(words[fieldCalendarWord]);
    } else {
      const at = node >> 2;
      words.copyWithin(at + NODE_STATE, root, root + DictionaryRoot.WORDS);
      words[at + STATE_CALENDAR] = words[calendarWord];
      words[at + STATE_FIELD_CALENDAR] = words[fieldCalendarWord];
      words[at + STATE_CURSOR] = 0;
    }
    words.fill(0, root, root + DictionaryRoot.WORDS);
    words[calendarWord] = 0;
    words[fieldCalendarWord] = 0;
  }

  /** Frees about `steps` blocks of what waits; true when nothing is left. */
  step(steps: number): boolean {
    const { words } = this;
    const node = words[HeaderWord.LazyFreeHead];
    if (node === 0) return true;
    const at = node >> 2;
    const kind = words[at + NODE_KIND];
    if (kind === KIND_DATABASE) {
      const cursor = this.freeRecords(at + NODE_STATE, words[at + STATE_CURSOR], steps);
      words[at + STATE_CURSOR] = cursor;
      if (cursor >= 0) return false;
      this.releaseCalendar(words[at + STATE_CALENDAR]);
      this.releaseCalendar(words[at + STATE_FIELD_CALENDAR]);
    } else if (!this.collectionOf(kind).releaseSome(node + NODE_STATE * 4, steps)) {
      return false;
    }
    this.removeNode(node);
    return words[HeaderWord.LazyFreeHead] === 0;
  }

  private collectionOf(type: number): CollectionValue {
    const collection = this.collections[type];
    if (collection == null) throw new Error(`lazy free: no collection has type ${type}`);
    return collection;
  }

  /** Removes a node from the queue. It may not be the first: large values of a database are queued before it. */
  private removeNode(node: number): void {
    const { words } = this;
    let link: number = HeaderWord.LazyFreeHead;
    while (words[link] !== node) link = words[link] >> 2;
    words[link] = words[node >> 2];
    words[HeaderWord.LazyFreePending]--;
    this.counters[KeyspaceCounter.LazyFreedObjects]++;
    this.arena.free(node, NODE_BYTES);
  }

  private releaseCalendar(calendar: number): void {
    if (calendar !== 0) this.calendar.release(calendar);
  }

  private addNode(kind: number): number {
    const { words } = this;
    const node = this.arena.allocateSpare(NODE_BYTES);
    if (node === 0) return 0;
    words[node >> 2] = words[HeaderWord.LazyFreeHead];
    words[(node >> 2) + NODE_KIND] = kind;
    words[HeaderWord.LazyFreeHead] = node;
    words[HeaderWord.LazyFreePending]++;
    return node;
  }

  /** Frees entries from the cursor on; returns the next one, -1 at the end. */
  private freeRecords(root: number, cursor: number, steps: number): number {
    const { words, dictionary } = this;
    while (cursor >= 0 && steps > 0) {
      cursor = dictionary.drain(root, cursor);
      for (let index = 0; index < dictionary.scannedCount; index++) {
        const entry = dictionary.scanned[index];
        const type = entryType(words, entry);
        if (type !== ValueType.String) this.freeCollection(type, valueOffset(words, entry), true);
        this.arena.free(entry, entryBytes(words, entry));
      }
      steps -= dictionary.scannedCount;
    }
    return cursor;
  }
}
