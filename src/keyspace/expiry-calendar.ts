/**
 * Which keys expire when, and which hashes have fields that do: a hierarchical timing wheel (Varghese and Lauck, SOSP 1987, scheme 7).
 *
 * Time is counted in ticks of 256 ms. Level 0 has a slot for each of the next 64 ticks, level 1 for
 * each of the next 64 stretches of 64 ticks, and so on; level 5 takes what lies years ahead. When a
 * stretch begins, its slot is dealt out to the level below. Adding, removing and moving a key are O(1);
 * a key that is given a new expiry in the same slot, as a refreshed session is, does not move at all.
 *
 *   calendar: one block of a shard's arena, made when the first key of a database gets an expiry
 *     words 0-383    heads: first chunk of each slot (level * 64 + slot), 0 if empty
 *     384 current tick   385 keys   386 chunk table   387 its capacity   388 chunks
 *     389 tick of the last look through the top level   390, 391 slots whose entries are to be filed anew
 *
 *   chunk: 128 bytes at a multiple of 64
 *     word 0 next   1 previous   2 slot   3 count   4 index in the chunk table   5-31 cells: entries
 *
 * A cell is named by chunk offset | index; the entry keeps that name (with fields that expire, the hash). Only the first chunk of a slot
 * may be less than full, so removing takes the last cell of the first chunk to fill the hole.
 *
 * If the clock is set back, the current tick goes back with it. Slots then come up before the times of their entries,
 * and an entry that is found too early is filed again.
 *
 * The chunk table lists all chunks. A random cell of a random chunk, tried again if empty, is a
 * uniform sample of the keys with an expiry, which is what the volatile-* eviction policies need.
 */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { ExpiringHead, expiringHead } from '../structures/expiring-head.js';
import type { HashValue } from '../structures/hash-value.js';
import { calendarCell, expiresAtMs, setCalendarCell, valueOffset } from './entry.js';

const TICK_MS = 256;
const LEVELS = 6;
const SLOTS = 64;
const HEADS = LEVELS * SLOTS;
const TICKS_MAX = 2 ** 31 - 1;
const TOP_PERIOD_MASK = (1 << 24) - 1;

const enum Calendar {
  CurrentTick = 384,
  Keys = 385,
  ChunkTable = 386,
  ChunkTableCapacity = 387,
  Chunks = 388,
  /** The tick at which the top level was last looked through. */
  TopDealtTick = 389,
  /** Level 0 slots with entries that may belong elsewhere since the clock was set back, a bit each. */
  MisfiledLow = 390,
  MisfiledHigh = 391,
  WORDS = 392,
}

const enum Chunk {
  Next = 0,
  Previous = 1,
  Slot = 2,
  Count = 3,
  TableIndex = 4,
  CellsStart = 5,
  CELLS = 27,
  BYTES = 128,
}

const CHUNK_TABLE_CAPACITY_MIN = 16;
const SAMPLE_TRIES_MAX = 64;

/** Ticks count from here, so that they stay int32 for 17 years. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

function tickOf(timeMs: number): number {
  return Math.min(TICKS_MAX, Math.max(0, Math.floor((timeMs - EPOCH_MS) / TICK_MS)));
}

export class ExpiryCalendar {
  protected readonly words: Int32Array;
  private readonly arena: Arena;

  constructor(memory: ShardMemory, arena: Arena) {
    this.words = memory.words;
    this.arena = arena;
  }

  /** When a filed entry is due. */
  protected timeOf(entry: number): number {
    return expiresAtMs(this.words, entry);
  }

  protected cellOf(entry: number): number {
    return calendarCell(this.words, entry);
  }

  protected setCell(entry: number, cell: number): void {
    setCalendarCell(this.words, entry, cell);
  }

  /** Makes an empty calendar; returns its word index, or 0 if there is no memory. */
  create(nowMs: number): number {
    const table = this.arena.allocate(CHUNK_TABLE_CAPACITY_MIN * 4);
    if (table === 0) return 0;
    const calendar = this.arena.allocate(Calendar.WORDS * 4) >> 2;
    if (calendar === 0) {
      this.arena.free(table, CHUNK_TABLE_CAPACITY_MIN * 4);
      return 0;
    }
    const { words } = this;
    words.fill(0, calendar, calendar + Calendar.WORDS);
    words[calendar + Calendar.CurrentTick] = tickOf(nowMs);
    words[calendar + Calendar.ChunkTable] = table;
    words[calendar + Calendar.ChunkTableCapacity] = CHUNK_TABLE_CAPACITY_MIN;
    return calendar;
  }

  /** Bytes that a calendar (0: one still to be created) may allocate while `added` more keys are filed. */
  growthBytes(calendar: number, added: number): number {
    const chunks = calendar === 0 ? CHUNK_TABLE_CAPACITY_MIN : this.words[calendar + Calendar.Chunks];
    // At worst every key is in a slot of its own and needs a chunk, aligned to 64 bytes, and the chunk table doubles.
    return Calendar.WORDS * 4 + added * (Chunk.BYTES + 64) + 4 * 4 * (chunks + added);
  }

  /** Frees an empty calendar or one whose keys are gone too. */
  release(calendar: number): void {
    const { words } = this;
    const table = words[calendar + Calendar.ChunkTable];
    for (let index = 0; index < words[calendar + Calendar.Chunks]; index++) {
      this.arena.free(words[(table >> 2) + index], Chunk.BYTES);
    }
    this.arena.free(table, words[calendar + Calendar.ChunkTableCapacity] * 4);
    this.arena.free(calendar << 2, Calendar.WORDS * 4);
  }

  count(calendar: number): number {
    return this.words[calendar + Calendar.Keys];
  }

  /** Files an entry under a time; returns its cell, or 0 if there is no memory. */
  add(calendar: number, entry: number, timeMs: number): number {
    const { words } = this;
    const slot = this.slotOf(calendar, timeMs);
    let chunk = words[calendar + slot] >> 2;
    if (chunk === 0 || words[chunk + Chunk.Count] === Chunk.CELLS) {
      chunk = this.addChunk(calendar, slot);
      if (chunk === 0) return 0;
    }
    const index = words[chunk + Chunk.Count]++;
    words[chunk + Chunk.CellsStart + index] = entry;
    words[calendar + Calendar.Keys]++;
    return (chunk << 2) | index;
  }

  remove(calendar: number, cell: number): void {
    const { words } = this;
    const chunk = (cell & ~63) >> 2;
    const slot = words[chunk + Chunk.Slot];
    const first = words[calendar + slot] >> 2;
    const lastIndex = --words[first + Chunk.Count];
    const last = words[first + Chunk.CellsStart + lastIndex];
    const hole = chunk + Chunk.CellsStart + (cell & 63);
    if (hole !== first + Chunk.CellsStart + lastIndex) {
      words[hole] = last;
      this.setCell(last, cell);
    }
    if (lastIndex === 0) this.dropChunk(calendar, first);
    words[calendar + Calendar.Keys]--;
  }

  /** Refiles an entry under another time; returns its cell, or 0 (and the old one stays) without memory. */
  move(calendar: number, cell: number, entry: number, timeMs: number): number {
    const chunk = (cell & ~63) >> 2;
    if (this.words[chunk + Chunk.Slot] === this.slotOf(calendar, timeMs)) return cell;
    const added = this.add(calendar, entry, timeMs);
    if (added === 0) return 0;
    this.remove(calendar, cell);
    return added;
  }

  /** Tells the calendar that the entry in a cell now lives elsewhere. */
  relocate(cell: number, entry: number): void {
    this.words[((cell & ~63) >> 2) + Chunk.CellsStart + (cell & 63)] = entry;
  }

  /**
   * Advances the calendar to `nowMs` and returns an entry that is due, or 0 if there is none. The caller deletes or
   * refiles the entry before the next call. Advancing and refiling use up `steps.left`; when nothing of it is left, the
   * result is 0 too.
   */
  nextDue(calendar: number, nowMs: number, steps: { left: number }): number {
    const { words } = this;
    const nowTick = tickOf(nowMs);
    if (nowTick < words[calendar + Calendar.CurrentTick]) this.goBack(calendar, nowTick);
    if ((words[calendar + Calendar.MisfiledLow] | words[calendar + Calendar.MisfiledHigh]) !== 0) {
      const due = this.refileMisfiled(calendar, nowMs, steps);
      if (due > 0) return due;
    }
    for (;;) {
      const current = words[calendar + Calendar.CurrentTick];
      const dealt = this.dealOut(calendar, current, nowMs, steps);
      if (dealt !== 0) return Math.max(0, dealt);
      const chunk = words[calendar + (current & 63)] >> 2;
      if (chunk !== 0) {
        const last = words[chunk + Chunk.Count] - 1;
        const entry = words[chunk + Chunk.CellsStart + last];
        if (this.timeOf(entry) <= nowMs) return entry;
        if (current < nowTick) {
          // It was filed before the clock was set back, or its time has changed since.
          if (steps.left-- <= 0 || !this.dealOutCell(calendar, (chunk << 2) | last)) return 0;
          continue;
        }
      }
      if (current >= nowTick || steps.left-- <= 0) return 0;
      words[calendar + Calendar.CurrentTick] = current + 1;
    }
  }

  /** The clock was set back: entries in the old tick's slot may be due later than now, or before it comes again. */
  private goBack(calendar: number, tick: number): void {
    const { words } = this;
    const slot = words[calendar + Calendar.CurrentTick] & 63;
    words[calendar + Calendar.CurrentTick] = tick;
    words[calendar + Calendar.MisfiledLow + (slot >> 5)] |= 1 << (slot & 31);
  }

  /** Refiles the entries of misfiled slots. Without memory, returns a due entry, whose deletion makes room; else 0. */
  private refileMisfiled(calendar: number, nowMs: number, steps: { left: number }): number {
    const { words } = this;
    for (let slot = 0; slot < SLOTS; slot++) {
      const word = calendar + Calendar.MisfiledLow + (slot >> 5);
      if ((words[word] & (1 << (slot & 31))) === 0) continue;
      if (!this.refile(calendar, slot)) return this.dueOf(words[calendar + slot] >> 2, nowMs, steps);
      words[word] &= ~(1 << (slot & 31));
    }
    return 0;
  }

  /**
   * Moves the entries of those slots of higher levels whose stretch begins at `tick` to lower levels. An entry that is
   * due by now is returned instead of moved. Otherwise returns 0 when all are moved, -1 if steps or memory ran out.
   */
  private dealOut(calendar: number, tick: number, nowMs: number, steps: { left: number }): number {
    const { words } = this;
    if ((tick & 63) !== 0) return 0;
    if ((tick & TOP_PERIOD_MASK) === 0 && words[calendar + Calendar.TopDealtTick] !== tick) {
      words[calendar + Calendar.TopDealtTick] = tick;
      // The top level is one slot for all later times; every 49 days, entries that fit a lower level by now are moved.
      this.refile(calendar, (LEVELS - 1) * SLOTS);
    }
    for (let level = LEVELS - 2; level >= 1; level--) {
      const shift = 6 * level;
      if ((tick & ((1 << shift) - 1)) !== 0) continue;
      const slot = level * SLOTS + ((tick >> shift) & 63);
      for (let chunk = words[calendar + slot] >> 2; chunk !== 0; chunk = words[calendar + slot] >> 2) {
        if (steps.left-- <= 0) return -1;
        const lastIndex = words[chunk + Chunk.Count] - 1;
        const last = words[chunk + Chunk.CellsStart + lastIndex];
        if (this.timeOf(last) <= nowMs) return last;
        if (!this.dealOutCell(calendar, (chunk << 2) | lastIndex)) {
          return this.dueOf(chunk, nowMs, steps);
        }
      }
    }
    return 0;
  }

  /** An entry of a chain of chunks that is past its expiry: deleting it makes room. -1 if none is found. */
  private dueOf(first: number, nowMs: number, steps: { left: number }): number {
    const { words } = this;
    for (let chunk = first; chunk !== 0; chunk = words[chunk + Chunk.Next] >> 2) {
      for (let index = 0; index < words[chunk + Chunk.Count]; index++) {
        const entry = words[chunk + Chunk.CellsStart + index];
        if (this.timeOf(entry) <= nowMs) return entry;
      }
      if (steps.left-- <= 0) break;
    }
    return -1;
  }

  /** Refiles the entry of a cell as time stands now; false if there is no memory. */
  private dealOutCell(calendar: number, cell: number): boolean {
    const { words } = this;
    const entry = words[((cell & ~63) >> 2) + Chunk.CellsStart + (cell & 63)];
    const moved = this.move(calendar, cell, entry, this.timeOf(entry));
    if (moved === 0) return false;
    this.setCell(entry, moved);
    return true;
  }

  /** Refiles those entries of a slot that belong into another one by now. False if there is no memory for one. */
  private refile(calendar: number, slot: number): boolean {
    const { words } = this;
    for (let offset = words[calendar + slot]; offset !== 0; ) {
      const chunk = offset >> 2;
      const next = words[chunk + Chunk.Next];
      let index = words[chunk + Chunk.Count] - 1;
      while (index >= 0 && words[chunk + Chunk.Slot] === slot && index < words[chunk + Chunk.Count]) {
        const entry = words[chunk + Chunk.CellsStart + index];
        if (this.slotOf(calendar, this.timeOf(entry)) === slot) index--;
        else if (!this.dealOutCell(calendar, offset | index)) return false;
        else if (words[calendar + slot] === 0) return true;
        else index = Math.min(index, words[chunk + Chunk.Count] - 1);
      }
      offset = next;
    }
    return true;
  }

  /** A uniformly random entry with an expiry, or 0 if there is none or none was hit. */
  random(calendar: number, random: number): number {
    const { words } = this;
    const chunks = words[calendar + Calendar.Chunks];
    if (chunks === 0) return 0;
    const table = words[calendar + Calendar.ChunkTable] >> 2;
    for (let tries = 0; tries < SAMPLE_TRIES_MAX; tries++) {
      random = (Math.imul(random, 1664525) + 1013904223) | 0;
      const pick = Math.floor(((random >>> 0) / 0x100000000) * chunks * Chunk.CELLS);
      const index = Math.floor(pick / Chunk.CELLS);
      const chunk = words[table + index] >> 2;
      const cell = pick - index * Chunk.CELLS;
      if (cell < words[chunk + Chunk.Count]) return words[chunk + Chunk.CellsStart + cell];
    }
    return 0;
  }

  /** An entry of the earliest slot that is not empty: about the next to expire. 0 if there is none. */
  earliest(calendar: number): number {
    const { words } = this;
    const tick = words[calendar + Calendar.CurrentTick];
    for (let level = 0; level < LEVELS; level++) {
      const start = (tick >> Math.min(30, 6 * level)) & 63;
      for (let step = 0; step < SLOTS; step++) {
        const chunk = words[calendar + level * SLOTS + ((start + step) & 63)] >> 2;
        if (chunk !== 0) return words[chunk + Chunk.CellsStart + words[chunk + Chunk.Count] - 1];
      }
    }
    return 0;
  }

  private slotOf(calendar: number, timeMs: number): number {
    const current = this.words[calendar + Calendar.CurrentTick];
    const tick = Math.max(current, tickOf(timeMs));
    const delta = tick - current;
    if (delta < 64) return tick & 63;
    // A level is chosen so that the slot's stretch has not begun yet.
    for (let level = 1; level < LEVELS - 1; level++) {
      const shift = 6 * level;
      if ((tick >> shift) - (current >> shift) < 64) return level * SLOTS + ((tick >> shift) & 63);
    }
    return (LEVELS - 1) * SLOTS;
  }

  private addChunk(calendar: number, slot: number): number {
    const { words, arena } = this;
    let table = words[calendar + Calendar.ChunkTable];
    const capacity = words[calendar + Calendar.ChunkTableCapacity];
    const chunks = words[calendar + Calendar.Chunks];
    if (chunks === capacity) {
      const larger = arena.allocate(capacity * 8);
      if (larger === 0) return 0;
      words.copyWithin(larger >> 2, table >> 2, (table >> 2) + capacity);
      arena.free(table, capacity * 4);
      table = larger;
      words[calendar + Calendar.ChunkTable] = larger;
      words[calendar + Calendar.ChunkTableCapacity] = capacity * 2;
    }
    const offset = arena.allocateLines(Chunk.BYTES);
    if (offset === 0) return 0;
    const chunk = offset >> 2;
    const next = words[calendar + slot];
    words[chunk + Chunk.Next] = next;
    words[chunk + Chunk.Previous] = 0;
    words[chunk + Chunk.Slot] = slot;
    words[chunk + Chunk.Count] = 0;
    words[chunk + Chunk.TableIndex] = chunks;
    if (next !== 0) words[(next >> 2) + Chunk.Previous] = offset;
    words[calendar + slot] = offset;
    words[(table >> 2) + chunks] = offset;
    words[calendar + Calendar.Chunks] = chunks + 1;
    return chunk;
  }

  /** Drops the first chunk of its slot, which is empty. */
  private dropChunk(calendar: number, chunk: number): void {
    const { words } = this;
    const next = words[chunk + Chunk.Next];
    words[calendar + words[chunk + Chunk.Slot]] = next;
    if (next !== 0) words[(next >> 2) + Chunk.Previous] = 0;
    const table = words[calendar + Calendar.ChunkTable] >> 2;
    const lastIndex = --words[calendar + Calendar.Chunks];
    const last = words[table + lastIndex];
    const index = words[chunk + Chunk.TableIndex];
    words[table + index] = last;
    words[(last >> 2) + Chunk.TableIndex] = index;
    this.arena.free(chunk << 2, Chunk.BYTES);
  }

  /** Throws if an invariant is broken. For tests. */
  verify(calendar: number): void {
    const { words } = this;
    let keys = 0;
    let chunks = 0;
    for (let slot = 0; slot < HEADS; slot++) {
      let previous = 0;
      for (let offset = words[calendar + slot]; offset !== 0; offset = words[offset >> 2]) {
        const chunk = offset >> 2;
        const count = words[chunk + Chunk.Count];
        const fail = (what: string) => {
          throw new Error(`calendar: chunk ${offset} of slot ${slot}: ${what}`);
        };
        if (count < 1 || count > Chunk.CELLS) fail('wrong count');
        if (previous !== 0 && count !== Chunk.CELLS) fail('not full and not first');
        if (words[chunk + Chunk.Previous] !== previous) fail('wrong back link');
        if (words[chunk + Chunk.Slot] !== slot) fail('wrong slot');
        const table = words[calendar + Calendar.ChunkTable] >> 2;
        if (words[table + words[chunk + Chunk.TableIndex]] !== offset) fail('wrong table index');
        for (let index = 0; index < count; index++) {
          const entry = words[chunk + Chunk.CellsStart + index];
          if (this.cellOf(entry) !== (offset | index)) fail('entry does not know its cell');
        }
        previous = offset;
        keys += count;
        chunks++;
      }
    }
    if (keys !== words[calendar + Calendar.Keys]) throw new Error('calendar: wrong number of keys');
    if (chunks !== words[calendar + Calendar.Chunks]) throw new Error('calendar: wrong number of chunks');
  }
}

/** The calendar of the hashes with fields that expire: each is filed under the next one. */
export class FieldCalendar extends ExpiryCalendar {
  private readonly hashes: HashValue;

  constructor(memory: ShardMemory, arena: Arena, hashes: HashValue) {
    super(memory, arena);
    this.hashes = hashes;
  }

  protected override timeOf(entry: number): number {
    const next = this.hashes.nextExpiry(valueOffset(this.words, entry));
    return next < 0 ? Number.POSITIVE_INFINITY : next;
  }

  protected override cellOf(entry: number): number {
    return this.words[this.headOf(entry) + ExpiringHead.CalendarCell];
  }

  protected override setCell(entry: number, cell: number): void {
    this.words[this.headOf(entry) + ExpiringHead.CalendarCell] = cell;
  }

  private headOf(entry: number): number {
    return expiringHead(this.words, valueOffset(this.words, entry));
  }
}
