/**
 * The hash table: extendible hashing over segments of cache lines (Fagin et al., 1979; the segment
 * with a stash after Lu et al., "Dash", VLDB 2020). It grows one segment at a time, so no operation ever
 * rehashes more than some 700 records and there never are two tables in memory.
 *
 *   root (in the caller's memory)                 directory: 2^depth words
 *   +---------------------------------+           +---+---+---+---+
 *   | directory | depth | count | seg |---------->| A | A | B | C |   indexed by the hash's top bits
 *   +---------------------------------+           +---+---+---+---+
 *
 *   segment, at a multiple of 64 bytes
 *   +--------+------+------+-----+------+-------+-----+
 *   | header | line | line | ... | line | stash | ... |   64 bytes each
 *   +--------+------+------+-----+------+-------+-----+
 *   header words: 0 local depth, 1 log2 of lines, 2 count, 3 stash lines, 4 prefix (left-aligned), 5 salt, 6 lines visited
 *
 *   line
 *   +-----------------------------+----------------------+----------+
 *   | 12 words: offsets of records| 12 bytes: tags       | overflow |
 *   +-----------------------------+----------------------+----------+
 *
 * Of the 32 bits of a hash 8 are the tag and the top bits choose the segment; the line is chosen by the top
 * bits of the hash times the dictionary's salt. (Each dictionary has its own salt. With the same salt, members that are
 * read from one dictionary, line by line, and added to another would all crowd into its first line, then all into the
 * second.) A tag of 0 marks an empty slot. A lookup compares 12 tags with a few word operations and
 * then touches the one record whose tag fits: one table line, one record. A record that does not fit into
 * its line goes to the segment's stash, and the line counts it in `overflow`; only lookups in such lines
 * go on to the stash.
 *
 * A small dictionary is one segment of 1, 2, 4 … 64 lines that doubles; then segments split in two. When
 * most records of two halves are gone again, they merge.
 *
 * Records belong to the caller, who says how to compare and to hash them by overriding two methods.
 *
 * SCAN: a cursor is a position in the order (line, top 24 bits). Splitting, doubling and merging only refine
 * or coarsen that order, so a record that was there during the whole scan is seen at least once. (In the order (top
 * bits, line), a merge would hide the right half's lines before the cursor's.) Internal visits follow the order of
 * memory and compute no hashes: `visitLine` for a table that changes meanwhile, `readLine` for one that does not.
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';

/** Words of a dictionary's root. */
export const enum DictionaryRoot {
  Directory = 0,
  Depth = 1,
  Count = 2,
  Segments = 3,
  WORDS = 4,
}

const enum Segment {
  Depth = 0,
  LinesLog2 = 1,
  Count = 2,
  StashLines = 3,
  Prefix = 4,
  Salt = 5,
  /** Lines visited by a `visitLine` that is within the segment; otherwise 0. */
  VisitedLines = 6,
}

const LINE_BYTES = 64;
const LINE_SLOTS = 12;
const TAGS_WORD = 12;
const OVERFLOW_WORD = 15;
const LINES_LOG2_MAX = 6;

/** Bits of the hash that may choose a segment; deeper than that, segments grow their stash instead. */
const DEPTH_MAX = 24;

/** With so many records per segment hardly any has to split: the fullest of a thousand segments has some 80 more. */
const SEGMENT_RECORDS_EXPECTED = 640;

/** A small dictionary's only segment holds so many records per line, as a rule, before it doubles. */
const LINE_RECORDS_EXPECTED_LOG2 = 3;

/** Two halves merge below these record counts: of the half that just lost a record, and of both together. */
const MERGE_COUNT_MAX = (LINE_SLOTS << LINES_LOG2_MAX) >> 3;
const MERGED_COUNT_MAX = (LINE_SLOTS << LINES_LOG2_MAX) >> 2;

/** Slots tried at random before `random` searches in order. */
const RANDOM_TRIES_MAX = 256;

/** Lines of a segment with the usual stash; `random` draws a line from as many. */
const LINES_DRAWN = (1 << LINES_LOG2_MAX) + (1 << (LINES_LOG2_MAX - 4));

/** Beyond all positions in the order of `scan`. */
export const WALK_END = 1 << (DEPTH_MAX + LINES_LOG2_MAX);

/** Beyond all segments: the end of a visit with `visitLine`. */
export const VISIT_END = 1 << DEPTH_MAX;

/** A scan step emits one line and its stashed records; this bounds how many. */
export const SCAN_STEP_RECORDS_MAX = 4096;

function stashLinesFor(linesLog2: number): number {
  return linesLog2 < 4 ? 0 : 1 << (linesLog2 - 4);
}

function segmentBytes(linesLog2: number, stashLines: number): number {
  return (1 + (1 << linesLog2) + stashLines) * LINE_BYTES;
}

/** The line, of 64, that a hash chooses in a dictionary. */
function lineOf(hash: number, salt: number): number {
  return Math.imul(hash, salt) >>> (32 - LINES_LOG2_MAX);
}

function tagOf(hash: number): number {
  const tag = (hash >>> 6) & 0xff;
  return tag === 0 ? 1 : tag;
}

/** Position of a visit (`Dictionary.readLine`) of a table that does not change meanwhile. */
export class TablePosition {
  prefix = 0;
  /** Lines of the segment that were read. */
  line = 0;

  toStart(): void {
    this.prefix = 0;
    this.line = 0;
  }
}

const NO_RECORDS = new Int32Array(0);

export abstract class Dictionary {
  protected readonly memory: ShardMemory;
  protected readonly arena: Arena;
  protected readonly words: Int32Array;

  private scannedRecords = NO_RECORDS;
  scannedCount = 0;
  /** Takes the words that are read ahead, so that the reads are not optimised away. */
  private sink = 0;

  constructor(memory: ShardMemory, arena: Arena) {
    this.memory = memory;
    this.arena = arena;
    this.words = memory.words;
  }

  /** Records of the last `scan` step. Made with the first step: every shard of every thread has some dictionaries. */
  get scanned(): Int32Array {
    if (this.scannedRecords === NO_RECORDS) this.scannedRecords = new Int32Array(SCAN_STEP_RECORDS_MAX);
    return this.scannedRecords;
  }

  /** Whether the record's key is `bytes[offset, offset + length)`; `view` covers the same bytes. */
  protected abstract recordMatches(
    record: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean;

  /** The hash of the record's key. */
  protected abstract recordHash(record: number): number;

  count(root: number): number {
    return this.words[root + DictionaryRoot.Count];
  }

  /** Bytes that the table takes, without the records. */
  tableBytes(root: number): number {
    const { words } = this;
    if (words[root] === 0) return 0;
    let total = blockBytes(4 << words[root + DictionaryRoot.Depth]);
    for (let prefix = 0; prefix < 1 << DEPTH_MAX; ) {
      const segment = this.segmentAt(root, prefix);
      total += segmentBytes(words[segment + Segment.LinesLog2], words[segment + Segment.StashLines]);
      prefix += 1 << (DEPTH_MAX - words[segment + Segment.Depth]);
    }
    return total;
  }

  /**
   * Finds the record with a key. Returns the index of the word that holds the record's offset (so that
   * the caller can put another in its place), or 0. `root` is a word index.
   */
  find(
    root: number,
    hash: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const { words } = this;
    const directory = words[root];
    if (directory === 0) return 0;
    const depth = words[root + DictionaryRoot.Depth];
    const segment = words[(directory >> 2) + (depth === 0 ? 0 : hash >>> (32 - depth))] >> 2;
    const linesLog2 = words[segment + Segment.LinesLog2];
    const line =
      segment + ((1 + (lineOf(hash, words[segment + Segment.Salt]) >> (LINES_LOG2_MAX - linesLog2))) << 4);
    const pattern = Math.imul(tagOf(hash), 0x01010101);
    for (let group = 0; group < 3; group++) {
      const differences = words[line + TAGS_WORD + group] ^ pattern;
      let matches = (differences - 0x01010101) & ~differences & 0x80808080;
      while (matches !== 0) {
        const slot = line + (group << 2) + ((31 - Math.clz32(matches & -matches)) >> 3);
        const record = words[slot];
        if (record !== 0 && this.recordMatches(record, bytes, view, offset, lengthBytes)) return slot;
        matches &= matches - 1;
      }
    }
    if (words[line + OVERFLOW_WORD] === 0) return 0;
    return this.findInStash(segment, pattern, bytes, view, offset, lengthBytes);
  }

  private findInStash(
    segment: number,
    pattern: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const { words } = this;
    let line = this.stashStart(segment);
    const end = line + (words[segment + Segment.StashLines] << 4);
    for (; line < end; line += 16) {
      for (let group = 0; group < 3; group++) {
        const differences = words[line + TAGS_WORD + group] ^ pattern;
        let matches = (differences - 0x01010101) & ~differences & 0x80808080;
        while (matches !== 0) {
          const slot = line + (group << 2) + ((31 - Math.clz32(matches & -matches)) >> 3);
          const record = words[slot];
          if (record !== 0 && this.recordMatches(record, bytes, view, offset, lengthBytes)) return slot;
          matches &= matches - 1;
        }
      }
    }
    return 0;
  }

  /** A record with exactly this hash, or 0. Two keys share a hash with a chance of one in four billion. */
  findHash(root: number, hash: number): number {
    const slot = this.findSlot(root, hash, 0);
    return slot === 0 ? 0 : this.words[slot];
  }

  /** The slot of a record that is known to be in the dictionary. */
  slotOf(root: number, hash: number, record: number): number {
    return this.findSlot(root, hash, record);
  }

  hashOf(record: number): number {
    return this.recordHash(record);
  }

  /** The slot of `record`, or with record 0 of any record with this hash; 0 if there is none. */
  private findSlot(root: number, hash: number, record: number): number {
    const { words } = this;
    if (words[root] === 0) return 0;
    const segment = this.segmentAt(root, hash >>> 8);
    let line = this.homeLine(segment, hash);
    const stash = this.stashStart(segment);
    const end = words[line + OVERFLOW_WORD] === 0 ? 0 : stash + (words[segment + Segment.StashLines] << 4);
    do {
      for (let slot = line; slot < line + LINE_SLOTS; slot++) {
        const found = words[slot];
        if (found !== 0 && (record === 0 ? this.recordHash(found) === hash : found === record)) return slot;
      }
      line = line < stash ? stash : line + 16;
    } while (line < end);
    return 0;
  }

  /**
   * The line that a hash leads to (word index), or 0. `find` will miss the cache there, so callers that look up many
   * hashes read all their lines first. A hint only: without the lock, the result may be any number.
   */
  hintedLine(root: number, hash: number): number {
    const { words } = this;
    const directory = words[root];
    if (directory === 0) return 0;
    const depth = words[root + DictionaryRoot.Depth] & 31;
    const segment = words[(directory >> 2) + (depth === 0 ? 0 : hash >>> (32 - depth))] >> 2;
    const linesLog2 = words[segment + Segment.LinesLog2] & 7;
    return (
      segment + ((1 + (lineOf(hash, words[segment + Segment.Salt]) >> (LINES_LOG2_MAX - linesLog2))) << 4)
    );
  }

  /** The first record of a line whose tag fits a hash, or 0. Only a hint, as `hintedLine`. */
  hintedRecord(line: number, hash: number): number {
    const { words } = this;
    const pattern = Math.imul(tagOf(hash), 0x01010101);
    for (let group = 0; group < 3; group++) {
      const differences = words[line + TAGS_WORD + group] ^ pattern;
      const matches = (differences - 0x01010101) & ~differences & 0x80808080;
      if (matches !== 0) return words[line + (group << 2) + ((31 - Math.clz32(matches & -matches)) >> 3)] | 0;
    }
    return 0;
  }

  /**
   * Adds a record whose key is not there yet. Returns false, with nothing changed, if the table
   * would have to grow and there is no memory.
   */
  insert(root: number, hash: number, record: number): boolean {
    const { words } = this;
    if (words[root] === 0 && !this.createTable(root, 0, 0)) return false;
    for (;;) {
      const segment = this.segmentAt(root, hash >>> 8);
      if (this.place(segment, hash, record)) {
        words[segment + Segment.Count]++;
        words[root + DictionaryRoot.Count]++;
        return true;
      }
      if (!this.grow(root, segment)) return false;
    }
  }

  /**
   * Gives an empty dictionary the table that `count` records will need, so that no record has to be moved while
   * they are added. It is as large as a table that has grown to that count. Does nothing if there is a table already,
   * or no memory for it.
   */
  reserve(root: number, count: number): void {
    if (this.words[root] !== 0 || count === 0) return;
    if (count <= SEGMENT_RECORDS_EXPECTED) {
      const linesLog2 = 32 - Math.clz32((count - 1) >> LINE_RECORDS_EXPECTED_LOG2);
      this.createTable(root, 0, Math.min(linesLog2, LINES_LOG2_MAX));
      return;
    }
    const depth = Math.min(Math.ceil(Math.log2(count / SEGMENT_RECORDS_EXPECTED)), DEPTH_MAX);
    this.createTable(root, depth, LINES_LOG2_MAX);
  }

  /**
   * Most bytes that the table allocates in all while `count` records are added, if their hashes are spread evenly:
   * for segments that split, and for the directory that doubles. `root` 0: there is no table yet.
   */
  growthBytes(root: number, count: number): number {
    const { words } = this;
    const splits = 2 + Math.ceil((2 * count) / SEGMENT_RECORDS_EXPECTED);
    const segments =
      2 * splits * (segmentBytes(LINES_LOG2_MAX, 2 * stashLinesFor(LINES_LOG2_MAX)) + LINE_BYTES);
    const isEmpty = root === 0 || words[root] === 0;
    const depth = isEmpty ? 0 : words[root + DictionaryRoot.Depth];
    const records = isEmpty ? count : count + words[root + DictionaryRoot.Count];
    // Segments are of different depths: some are two levels deeper than they would be on average.
    const depthMax = Math.max(depth, 33 - Math.clz32(Math.ceil(records / SEGMENT_RECORDS_EXPECTED))) + 1;
    return segments + (8 << Math.min(depthMax, DEPTH_MAX));
  }

  /** Creates a table of empty segments; false, with nothing changed, if there is no memory. */
  private createTable(root: number, depth: number, linesLog2: number): boolean {
    const { words } = this;
    const directory = this.arena.allocate(4 << depth);
    if (directory === 0) return false;
    const salt = (Math.random() * 0x100000000) | 1;
    const stashLines = stashLinesFor(linesLog2);
    for (let index = 0; index < 1 << depth; index++) {
      const prefix = index << (DEPTH_MAX - depth);
      const segment = this.createSegment(depth, prefix, linesLog2, stashLines, salt);
      if (segment === 0) {
        for (const made of words.subarray(directory >> 2, (directory >> 2) + index)) {
          this.arena.free(made, segmentBytes(linesLog2, stashLines));
        }
        this.arena.free(directory, 4 << depth);
        return false;
      }
      words[(directory >> 2) + index] = segment << 2;
    }
    words[root] = directory;
    words[root + DictionaryRoot.Depth] = depth;
    words[root + DictionaryRoot.Count] = 0;
    words[root + DictionaryRoot.Segments] = 1 << depth;
    return true;
  }

  /** Removes the record at `slot` (as `find` returned it). The caller frees the record itself. */
  erase(root: number, hash: number, slot: number): void {
    const { words } = this;
    const segment = this.segmentAt(root, hash >>> 8);
    this.clearSlot(slot);
    if (slot >= this.stashStart(segment)) words[this.homeLine(segment, hash) + OVERFLOW_WORD]--;
    words[segment + Segment.Count]--;
    words[root + DictionaryRoot.Count]--;
    if (words[segment + Segment.Count] >= MERGE_COUNT_MAX) return;
    if (words[root + DictionaryRoot.Count] === 0) this.releaseTable(root);
    else if (words[segment + Segment.Depth] !== 0) this.merge(root, segment);
  }

  /** Frees the table (not the records) and leaves an empty dictionary. */
  releaseTable(root: number): void {
    const { words } = this;
    if (words[root] === 0) return;
    for (let prefix = 0; prefix < 1 << DEPTH_MAX; ) {
      const segment = this.segmentAt(root, prefix);
      prefix += 1 << (DEPTH_MAX - words[segment + Segment.Depth]);
      this.arena.free(
        segment << 2,
        segmentBytes(words[segment + Segment.LinesLog2], words[segment + Segment.StashLines]),
      );
    }
    this.arena.free(words[root], 4 << words[root + DictionaryRoot.Depth]);
    words.fill(0, root, root + DictionaryRoot.WORDS);
  }

  /**
   * One step of taking a dictionary apart: puts records into `scanned`, for the caller to free, and frees the
   * table that held them. Returns the cursor of the next step, -1 at the end; the first one is 0. Between the
   * steps nothing else may be done with the dictionary.
   */
  drain(root: number, cursor: number): number {
    const { words } = this;
    this.scannedCount = 0;
    if (words[root] === 0) return -1;
    const { scanned } = this;
    const segment = this.segmentAt(root, cursor);
    const stashLines = words[segment + Segment.StashLines];
    const lines = (1 << words[segment + Segment.LinesLog2]) + stashLines;
    for (let line = segment + (lines << 4); line > segment; line -= 16) {
      if (this.scannedCount + LINE_SLOTS > SCAN_STEP_RECORDS_MAX) return cursor;
      for (let slot = line; slot < line + LINE_SLOTS; slot++) {
        if (words[slot] === 0) continue;
        scanned[this.scannedCount++] = words[slot];
        words[slot] = 0;
      }
    }
    const next = cursor + (1 << (DEPTH_MAX - words[segment + Segment.Depth]));
    this.arena.free(segment << 2, segmentBytes(words[segment + Segment.LinesLog2], stashLines));
    if (next < 1 << DEPTH_MAX) return next;
    this.arena.free(words[root], 4 << words[root + DictionaryRoot.Depth]);
    words.fill(0, root, root + DictionaryRoot.WORDS);
    return -1;
  }

  /**
   * One step of a scan: puts the records of one line into `scanned` and returns the next cursor, 0 at
   * the end. A scan starts with cursor 0. Any number from 0 to 2^30 - 1 is a valid cursor.
   */
  scan(root: number, cursor: number): number {
    const { words } = this;
    this.scannedCount = 0;
    if (words[root] === 0) return 0;
    const segment = this.segmentAt(root, cursor & 0xffffff);
    const shift = LINES_LOG2_MAX - words[segment + Segment.LinesLog2];
    const lineIndex = (cursor >>> DEPTH_MAX) >> shift;
    this.collectLine(segment, lineIndex);
    const next = words[segment + Segment.Prefix] + (1 << (DEPTH_MAX - words[segment + Segment.Depth]));
    if (next < 1 << DEPTH_MAX) return ((lineIndex << shift) << DEPTH_MAX) | next;
    const nextLine = (lineIndex + 1) << shift;
    return nextLine > 63 ? 0 : nextLine << DEPTH_MAX;
  }

  /**
   * One step of a visit of all records in the order in which they lie in memory, which costs much less than `scan`:
   * puts the records of one line, of the stash or not, into `scanned` and returns where to go on, VISIT_END at the
   * end. A visit starts with prefix 0, and there may be only one at a time. A record that is there all the time is seen
   * at least once: a segment that has been replaced, split or merged meanwhile is visited again from its first line.
   */
  visitLine(root: number, prefix: number): number {
    const { words } = this;
    this.scannedCount = 0;
    if (words[root] === 0) return VISIT_END;
    const { scanned } = this;
    const segment = this.segmentAt(root, prefix);
    const lines = (1 << words[segment + Segment.LinesLog2]) + words[segment + Segment.StashLines];
    const visited = words[segment + Segment.VisitedLines] + 1;
    const line = segment + (visited << 4);
    for (let slot = line; slot < line + LINE_SLOTS; slot++) {
      if (words[slot] !== 0) scanned[this.scannedCount++] = words[slot];
    }
    if (visited < lines) {
      words[segment + Segment.VisitedLines] = visited;
      return prefix;
    }
    words[segment + Segment.VisitedLines] = 0;
    return words[segment + Segment.Prefix] + (1 << (DEPTH_MAX - words[segment + Segment.Depth]));
  }

  /**
   * One step of a visit of all records under one hold of the lock, while the table does not change: puts the records of
   * the next line in memory into `scanned`; false if there is none. No hash is computed, so saving a dataset depends
   * on none. Any number of visits may be under way.
   */
  readLine(root: number, position: TablePosition): boolean {
    const { words } = this;
    this.scannedCount = 0;
    if (words[root] === 0 || position.prefix === VISIT_END) return false;
    const { scanned } = this;
    const segment = this.segmentAt(root, position.prefix);
    const lines = (1 << words[segment + Segment.LinesLog2]) + words[segment + Segment.StashLines];
    const line = segment + (++position.line << 4);
    for (let slot = line; slot < line + LINE_SLOTS; slot++) {
      if (words[slot] !== 0) scanned[this.scannedCount++] = words[slot];
    }
    if (position.line === lines) {
      position.line = 0;
      position.prefix += 1 << (DEPTH_MAX - words[segment + Segment.Depth]);
    }
    return true;
  }

  /** Position of a hash in the order of `scan`, below WALK_END. The dictionary must not be empty. */
  positionOf(root: number, hash: number): number {
    const salt = this.words[this.segmentAt(root, hash >>> 8) + Segment.Salt];
    return (lineOf(hash, salt) << DEPTH_MAX) | (hash >>> 8);
  }

  /**
   * A step of `scan` that puts only those records into `scanned` whose position is not before the cursor, so that a
   * walk visits none twice. Returns WALK_END at the end.
   */
  walk(root: number, cursor: number): number {
    const { words } = this;
    const next = this.scan(root, cursor);
    if (words[root] === 0) return WALK_END;
    const { scanned } = this;
    const segment = this.segmentAt(root, cursor & 0xffffff);
    const lineMask = -1 << (LINES_LOG2_MAX - words[segment + Segment.LinesLog2]);
    const start = (((cursor >>> DEPTH_MAX) & lineMask) << DEPTH_MAX) | words[segment + Segment.Prefix];
    if (start !== cursor) {
      // Segments have merged since.
      const count = this.scannedCount;
      this.scannedCount = 0;
      for (let index = 0; index < count; index++) {
        if (this.positionOf(root, this.recordHash(scanned[index])) < cursor) continue;
        scanned[this.scannedCount++] = scanned[index];
      }
    }
    return next === 0 ? WALK_END : next;
  }

  private collectLine(segment: number, lineIndex: number): void {
    const { words, scanned } = this;
    const line = segment + ((1 + lineIndex) << 4);
    for (let slot = line; slot < line + LINE_SLOTS; slot++) {
      if (words[slot] !== 0) scanned[this.scannedCount++] = words[slot];
    }
    let left = words[line + OVERFLOW_WORD];
    if (left === 0) return;
    const salt = words[segment + Segment.Salt];
    const shift = LINES_LOG2_MAX - words[segment + Segment.LinesLog2];
    const stash = this.stashStart(segment);
    const end = stash + (words[segment + Segment.StashLines] << 4);
    for (let stashLine = stash; stashLine < end && left > 0; stashLine += 16) {
      for (let slot = stashLine; slot < stashLine + LINE_SLOTS && left > 0; slot++) {
        const record = words[slot];
        if (record === 0 || lineOf(this.recordHash(record), salt) >> shift !== lineIndex) continue;
        if (this.scannedCount < SCAN_STEP_RECORDS_MAX) scanned[this.scannedCount++] = record;
        left--;
      }
    }
  }

  /**
   * A record drawn uniformly (slots of random segments are tried until one is not empty), or 0 if there is
   * none. Records in a stash longer than usual, and all of them if the table is nearly empty, are drawn less evenly.
   * `random` holds 32 random bits, from which the dictionary computes more as needed.
   */
  random(root: number, random: number): number {
    const { words } = this;
    if (words[root] === 0 || words[root + DictionaryRoot.Count] === 0) return 0;
    const depth = words[root + DictionaryRoot.Depth];
    const linesDrawn = depth === 0 ? this.physicalLines(root) : LINES_DRAWN;
    for (let tries = 0; tries < RANDOM_TRIES_MAX; tries++) {
      random = (Math.imul(random, 1664525) + 1013904223) | 0;
      const prefix = random >>> 8;
      const segment = this.segmentAt(root, prefix);
      // A segment may have several places in the directory. Only the first one counts, so that all segments
      // are equally likely.
      const place = prefix >>> (DEPTH_MAX - depth);
      if (words[segment + Segment.Prefix] !== place << (DEPTH_MAX - depth)) continue;
      const lines = (1 << words[segment + Segment.LinesLog2]) + words[segment + Segment.StashLines];
      random = (Math.imul(random, 1664525) + 1013904223) | 0;
      const pick = Math.floor(((random >>> 0) / 0x100000000) * linesDrawn * LINE_SLOTS);
      const line = Math.floor(pick / LINE_SLOTS);
      if (line >= lines) continue;
      const record = words[segment + ((1 + line) << 4) + (pick - line * LINE_SLOTS)];
      if (record !== 0) return record;
    }
    let cursor = random & 0x3fffffff;
    for (;;) {
      cursor = this.scan(root, cursor);
      if (this.scannedCount > 0) return this.scanned[(random >>> 8) % this.scannedCount];
    }
  }

  /** Lines of a dictionary that has one segment. */
  private physicalLines(root: number): number {
    const { words } = this;
    const segment = this.segmentAt(root, 0);
    return (1 << words[segment + Segment.LinesLog2]) + words[segment + Segment.StashLines];
  }

  private segmentAt(root: number, prefix: number): number {
    const { words } = this;
    return words[(words[root] >> 2) + (prefix >>> (DEPTH_MAX - words[root + DictionaryRoot.Depth]))] >> 2;
  }

  private homeLine(segment: number, hash: number): number {
    const { words } = this;
    const line = lineOf(hash, words[segment + Segment.Salt]);
    return segment + ((1 + (line >> (LINES_LOG2_MAX - words[segment + Segment.LinesLog2]))) << 4);
  }

  private stashStart(segment: number): number {
    return segment + ((1 + (1 << this.words[segment + Segment.LinesLog2])) << 4);
  }

  private clearSlot(slot: number): void {
    const position = slot & 15;
    this.words[slot] = 0;
    this.words[slot - position + TAGS_WORD + (position >> 2)] &= ~(0xff << ((position & 3) << 3));
  }

  private placeInLine(line: number, tag: number, record: number): boolean {
    const { words } = this;
    for (let group = 0; group < 3; group++) {
      const tags = words[line + TAGS_WORD + group];
      const free = (tags - 0x01010101) & ~tags & 0x80808080;
      if (free === 0) continue;
      // The lowest flag is exact; higher ones may be false, set by the borrow.
      const byte = (31 - Math.clz32(free & -free)) >> 3;
      words[line + (group << 2) + byte] = record;
      words[line + TAGS_WORD + group] = tags | (tag << (byte << 3));
      return true;
    }
    return false;
  }

  private place(segment: number, hash: number, record: number): boolean {
    const { words } = this;
    const line = this.homeLine(segment, hash);
    const tag = tagOf(hash);
    if (this.placeInLine(line, tag, record)) return true;
    const stash = this.stashStart(segment);
    const end = stash + (words[segment + Segment.StashLines] << 4);
    for (let stashLine = stash; stashLine < end; stashLine += 16) {
      if (!this.placeInLine(stashLine, tag, record)) continue;
      words[line + OVERFLOW_WORD]++;
      return true;
    }
    return false;
  }

  /** Returns the word index of a new empty segment, or 0. */
  private createSegment(
    depth: number,
    prefix: number,
    linesLog2: number,
    stashLines: number,
    salt: number,
  ): number {
    const { words } = this;
    const lengthBytes = segmentBytes(linesLog2, stashLines);
    const segment = this.arena.allocateLines(lengthBytes) >> 2;
    if (segment === 0) return 0;
    words.fill(0, segment, segment + (lengthBytes >> 2));
    words[segment + Segment.Depth] = depth;
    words[segment + Segment.LinesLog2] = linesLog2;
    words[segment + Segment.StashLines] = stashLines;
    words[segment + Segment.Prefix] = prefix;
    words[segment + Segment.Salt] = salt;
    return segment;
  }

  /** Makes room around a full segment: doubles it, splits it or lengthens its stash. */
  private grow(root: number, segment: number): boolean {
    const { words } = this;
    const depth = words[segment + Segment.Depth];
    const linesLog2 = words[segment + Segment.LinesLog2];
    const prefix = words[segment + Segment.Prefix];
    const stashLines = words[segment + Segment.StashLines];
    if (linesLog2 < LINES_LOG2_MAX) {
      return this.replaceSegment(root, segment, linesLog2 + 1, stashLinesFor(linesLog2 + 1));
    }
    // Many records that share a line can fill the stash of a segment that is mostly empty. Splitting does not
    // separate them, so the stash grows instead; likewise at DEPTH_MAX, where no segment can split.
    const slots = ((1 << linesLog2) + stashLines) * LINE_SLOTS;
    if (depth >= DEPTH_MAX || words[segment + Segment.Count] < slots >> 2) {
      return this.replaceSegment(root, segment, linesLog2, stashLines * 2);
    }
    if (depth === words[root + DictionaryRoot.Depth] && !this.doubleDirectory(root)) return false;
    const stashOfHalf = stashLinesFor(linesLog2);
    const salt = words[segment + Segment.Salt];
    const left = this.createSegment(depth + 1, prefix, linesLog2, stashOfHalf, salt);
    if (left === 0) return false;
    const rightPrefix = prefix + (1 << (DEPTH_MAX - depth - 1));
    const right = this.createSegment(depth + 1, rightPrefix, linesLog2, stashOfHalf, salt);
    if (right === 0 || !this.distribute(segment, left, right)) {
      this.arena.free(left << 2, segmentBytes(linesLog2, stashOfHalf));
      if (right === 0) return false;
      this.arena.free(right << 2, segmentBytes(linesLog2, stashOfHalf));
      return this.replaceSegment(root, segment, linesLog2, stashLines * 2);
    }
    this.arena.free(segment << 2, segmentBytes(linesLog2, stashLines));
    this.pointDirectory(root, left);
    this.pointDirectory(root, right);
    words[root + DictionaryRoot.Segments]++;
    return true;
  }

  private replaceSegment(root: number, segment: number, linesLog2: number, stashLines: number): boolean {
    const { words } = this;
    const oldBytes = segmentBytes(words[segment + Segment.LinesLog2], words[segment + Segment.StashLines]);
    const depth = words[segment + Segment.Depth];
    const prefix = words[segment + Segment.Prefix];
    const larger = this.createSegment(depth, prefix, linesLog2, stashLines, words[segment + Segment.Salt]);
    if (larger === 0) return false;
    if (!this.distribute(segment, larger, larger)) {
      this.arena.free(larger << 2, segmentBytes(linesLog2, stashLines));
      return this.replaceSegment(root, segment, linesLog2, Math.max(1, stashLines * 2));
    }
    this.arena.free(segment << 2, oldBytes);
    this.pointDirectory(root, larger);
    return true;
  }

  /**
   * Merges a segment that is nearly empty with the other half of the split that made it. Only saves memory, so it
   * does nothing if there is no memory for the merged segment.
   */
  private merge(root: number, segment: number): void {
    const { words } = this;
    const depth = words[segment + Segment.Depth];
    const prefix = words[segment + Segment.Prefix];
    const sibling = this.segmentAt(root, prefix ^ (1 << (DEPTH_MAX - depth)));
    if (words[sibling + Segment.Depth] !== depth) return;
    if (words[segment + Segment.Count] + words[sibling + Segment.Count] > MERGED_COUNT_MAX) return;
    const linesLog2 = words[segment + Segment.LinesLog2];
    const stashLines = stashLinesFor(linesLog2);
    const start = prefix & ~(1 << (DEPTH_MAX - depth));
    const merged = this.createSegment(depth - 1, start, linesLog2, stashLines, words[segment + Segment.Salt]);
    if (merged === 0) return;
    if (!this.distribute(segment, merged, merged) || !this.distribute(sibling, merged, merged)) {
      this.arena.free(merged << 2, segmentBytes(linesLog2, stashLines));
      return;
    }
    this.arena.free(segment << 2, segmentBytes(linesLog2, words[segment + Segment.StashLines]));
    this.arena.free(sibling << 2, segmentBytes(linesLog2, words[sibling + Segment.StashLines]));
    this.pointDirectory(root, merged);
    words[root + DictionaryRoot.Segments]--;
  }

  /** Copies all records of `source` to `left` or `right`, by the first bit of the hash below the segment's prefix. */
  private distribute(source: number, left: number, right: number): boolean {
    const { words } = this;
    const shift = 31 - words[source + Segment.Depth];
    const lines = (1 << words[source + Segment.LinesLog2]) + words[source + Segment.StashLines];
    for (let line = source + 16; line < source + ((1 + lines) << 4); line += 16) {
      this.bringLineNear(line);
      for (let slot = line; slot < line + LINE_SLOTS; slot++) {
        const record = words[slot];
        if (record === 0) continue;
        const hash = this.recordHash(record);
        const target = ((hash >>> shift) & 1) === 0 ? left : right;
        if (!this.place(target, hash, record)) return false;
        words[target + Segment.Count]++;
      }
    }
    return true;
  }

  /** Reads a word of each record of a line, so that the processor fetches them from memory in parallel. */
  private bringLineNear(line: number): void {
    const { words } = this;
    let { sink } = this;
    for (let slot = line; slot < line + LINE_SLOTS; slot++) sink ^= words[words[slot] >>> 2];
    this.sink = sink;
  }

  private doubleDirectory(root: number): boolean {
    const { words } = this;
    const depth = words[root + DictionaryRoot.Depth];
    const old = words[root];
    const directory = this.arena.allocate(8 << depth);
    if (directory === 0) return false;
    for (let index = 0; index < 1 << depth; index++) {
      const segment = words[(old >> 2) + index];
      words[(directory >> 2) + 2 * index] = segment;
      words[(directory >> 2) + 2 * index + 1] = segment;
    }
    words[root] = directory;
    words[root + DictionaryRoot.Depth] = depth + 1;
    this.arena.free(old, 4 << depth);
    return true;
  }

  private pointDirectory(root: number, segment: number): void {
    const { words } = this;
    const depth = words[root + DictionaryRoot.Depth];
    const first = (words[root] >> 2) + (words[segment + Segment.Prefix] >>> (DEPTH_MAX - depth));
    words.fill(segment << 2, first, first + (1 << (depth - words[segment + Segment.Depth])));
  }

  /** Throws if an invariant is broken. For tests. */
  verify(root: number): void {
    const { words } = this;
    if (words[root] === 0) {
      if (words[root + DictionaryRoot.Count] !== 0) throw new Error('dictionary: count without a table');
      return;
    }
    const depth = words[root + DictionaryRoot.Depth];
    let count = 0;
    let segments = 0;
    for (let prefix = 0; prefix < 1 << DEPTH_MAX; ) {
      const segment = this.segmentAt(root, prefix);
      const localDepth = words[segment + Segment.Depth];
      if (localDepth > depth) throw new Error('dictionary: segment deeper than the directory');
      if (words[segment + Segment.Prefix] !== prefix) throw new Error('dictionary: wrong prefix');
      const first = (words[root] >> 2) + (prefix >>> (DEPTH_MAX - depth));
      for (let index = 0; index < 1 << (depth - localDepth); index++) {
        if (words[first + index] !== segment << 2) throw new Error('dictionary: directory hole');
      }
      count += this.verifySegment(segment);
      segments++;
      prefix += 1 << (DEPTH_MAX - localDepth);
    }
    if (count !== words[root + DictionaryRoot.Count]) throw new Error('dictionary: wrong count');
    if (segments !== words[root + DictionaryRoot.Segments]) throw new Error('dictionary: wrong segments');
  }

  private verifySegment(segment: number): number {
    const { words } = this;
    const localDepth = words[segment + Segment.Depth];
    const lines = 1 << words[segment + Segment.LinesLog2];
    const allLines = lines + words[segment + Segment.StashLines];
    const overflow = new Int32Array(lines);
    let count = 0;
    for (let lineIndex = 0; lineIndex < allLines; lineIndex++) {
      const line = segment + ((1 + lineIndex) << 4);
      for (let position = 0; position < LINE_SLOTS; position++) {
        const tag = (words[line + TAGS_WORD + (position >> 2)] >>> ((position & 3) << 3)) & 0xff;
        const record = words[line + position];
        if ((record === 0) !== (tag === 0))
          throw new Error('dictionary: tag without record or record without tag');
        if (record === 0) continue;
        const hash = this.recordHash(record);
        if (tag !== tagOf(hash)) throw new Error('dictionary: wrong tag');
        const prefix = words[segment + Segment.Prefix];
        if ((hash >>> 8) >>> (DEPTH_MAX - localDepth) !== prefix >>> (DEPTH_MAX - localDepth)) {
          throw new Error('dictionary: record in the wrong segment');
        }
        const home =
          lineOf(hash, words[segment + Segment.Salt]) >>
          (LINES_LOG2_MAX - words[segment + Segment.LinesLog2]);
        if (lineIndex >= lines) overflow[home]++;
        else if (home !== lineIndex) throw new Error('dictionary: record in the wrong line');
        count++;
      }
    }
    for (let lineIndex = 0; lineIndex < lines; lineIndex++) {
      if (words[segment + ((1 + lineIndex) << 4) + OVERFLOW_WORD] !== overflow[lineIndex]) {
        throw new Error('dictionary: wrong overflow count');
      }
    }
    if (count !== words[segment + Segment.Count]) throw new Error('dictionary: wrong count of a segment');
    const visited = words[segment + Segment.VisitedLines];
    if (visited < 0 || visited >= allLines) throw new Error('dictionary: visited more lines than there are');
    return count;
  }
}
