/**
 * What was denied to whom (ACL LOG), newest first. All threads write and read it, under one lock. The same thing denied
 * to the same user again within a minute is one entry with a count.
 *
 *   list, int32 words: 0 lock   1 newest entry   2 oldest entry (offsets in the memory, 0: none)   3 entries
 *   float64 at byte 16: id of the next entry
 *
 *   memory: an arena (memory/arena.ts) of entries
 *     int32    0 next (older)   1 previous   2 reason   3 context   4...6 lengths of the three texts
 *     float64  from byte 32: id, count, time of the first and of the last event (ms since the epoch)
 *     bytes    from 64: object, user, client, all byte strings
 */

import { Arena } from '../memory/arena.js';
import { acquireLock, releaseLock } from '../memory/lock.js';
import { ShardMemory } from '../memory/shard-memory.js';

export const enum DenialContext {
  TopLevel = 0,
  Multi = 1,
  Script = 2,
}

export const DENIAL_CONTEXTS: readonly string[] = ['toplevel', 'multi', 'lua'];

export interface Denial {
  /** The word that ACL LOG has for it, one of DENIAL_REASONS. */
  readonly reason: string;
  readonly context: DenialContext;
  /** The command, key or channel, a byte string. */
  readonly object: string;
  readonly user: string;
  /** The client as CLIENT LIST shows it. */
  readonly client: string;
}

export interface AccessLogEntry extends Denial {
  readonly id: number;
  readonly count: number;
  readonly createdMs: number;
  readonly updatedMs: number;
}

export const DENIAL_REASONS: readonly string[] = ['command', 'key', 'channel', 'auth', 'database'];

const enum List {
  Lock = 0,
  Newest = 1,
  Oldest = 2,
  Count = 3,
}
/** Index in float64 units. */
const NEXT_ID = 2;

const enum EntryWord {
  Next = 0,
  Previous = 1,
  Reason = 2,
  Context = 3,
  Lengths = 4,
}
/** Offsets in float64 units from the entry's beginning. */
const enum EntryDouble {
  Id = 4,
  Count = 5,
  CreatedMs = 6,
  UpdatedMs = 7,
}
const HEADER_BYTES = 64;

/** Address space; the operating system commits what is used. */
const MEMORY_BYTES = 64 << 20;
/** A longer key or channel is cut to this. */
const OBJECT_BYTES_MAX = 4096;
/** A denial that repeats after this long becomes another entry. */
const GROUPING_MS = 60_000;
/** How many of the newest entries are searched for the same denial. */
const GROUPING_ENTRIES = 10;

export interface AccessLogHandle {
  readonly list: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
}

export class AccessLog {
  private readonly list: Int32Array;
  private readonly listDoubles: Float64Array;
  private readonly memory: ShardMemory;
  private readonly arena: Arena;

  constructor(handle: AccessLogHandle) {
    this.list = new Int32Array(handle.list);
    this.listDoubles = new Float64Array(handle.list);
    this.memory = new ShardMemory(handle.memory);
    this.arena = new Arena(this.memory);
  }

  static create(memoryBytes = MEMORY_BYTES): AccessLogHandle {
    return { list: new SharedArrayBuffer(64), memory: ShardMemory.create(memoryBytes, 0).buffer };
  }

  /** Adds a denial, and drops the oldest ones beyond `entriesMax`. */
  add(denial: Denial, nowMs: number, entriesMax: number): void {
    const { list, listDoubles } = this;
    const object = denial.object.slice(0, OBJECT_BYTES_MAX);
    acquireLock(list, List.Lock);
    const same = this.findSame({ ...denial, object }, nowMs);
    if (same !== 0) {
      const known = this.read(same);
      this.remove(same);
      this.insert({ ...known, client: denial.client, count: known.count + 1, updatedMs: nowMs });
    } else {
      const id = listDoubles[NEXT_ID]++;
      this.insert({ ...denial, object, id, count: 1, createdMs: nowMs, updatedMs: nowMs });
    }
    while (list[List.Count] > entriesMax) this.remove(list[List.Oldest]);
    releaseLock(list, List.Lock);
  }

  private findSame(denial: Denial, nowMs: number): number {
    const { words, doubles } = this.memory;
    let entry = this.list[List.Newest];
    for (let left = GROUPING_ENTRIES; entry !== 0 && left > 0; left--) {
      const known = this.read(entry);
      if (
        known.reason === denial.reason &&
        known.context === denial.context &&
        Math.abs(nowMs - doubles[(entry >> 3) + EntryDouble.UpdatedMs]) <= GROUPING_MS &&
        known.object === denial.object &&
        known.user === denial.user
      )
        return entry;
      entry = words[(entry >> 2) + EntryWord.Next];
    }
    return 0;
  }

  private insert(entry: AccessLogEntry): void {
    const { list, memory } = this;
    const { words, doubles } = memory;
    const texts = [entry.object, entry.user, entry.client];
    const offset = this.allocate(HEADER_BYTES + texts.reduce((sum, text) => sum + text.length, 0));
    if (offset === 0) return;
    const word = offset >> 2;
    words[word + EntryWord.Reason] = DENIAL_REASONS.indexOf(entry.reason);
    words[word + EntryWord.Context] = entry.context;
    doubles[(offset >> 3) + EntryDouble.Id] = entry.id;
    doubles[(offset >> 3) + EntryDouble.Count] = entry.count;
    doubles[(offset >> 3) + EntryDouble.CreatedMs] = entry.createdMs;
    doubles[(offset >> 3) + EntryDouble.UpdatedMs] = entry.updatedMs;
    let at = offset + HEADER_BYTES;
    for (const [index, text] of texts.entries()) {
      words[word + EntryWord.Lengths + index] = text.length;
      for (let position = 0; position < text.length; position++)
        memory.bytes[at++] = text.charCodeAt(position);
    }
    const newest = list[List.Newest];
    words[word + EntryWord.Next] = newest;
    words[word + EntryWord.Previous] = 0;
    if (newest === 0) list[List.Oldest] = offset;
    else words[(newest >> 2) + EntryWord.Previous] = offset;
    list[List.Newest] = offset;
    list[List.Count]++;
  }

  /** Allocates a block, dropping old entries if need be; 0 if there is no room even so. */
  private allocate(lengthBytes: number): number {
    for (;;) {
      const offset = this.arena.allocate(lengthBytes);
      if (offset !== 0 || this.list[List.Count] === 0) return offset;
      this.remove(this.list[List.Oldest]);
    }
  }

  private remove(entry: number): void {
    const { list, memory } = this;
    const { words } = memory;
    const word = entry >> 2;
    const next = words[word + EntryWord.Next];
    const previous = words[word + EntryWord.Previous];
    if (previous === 0) list[List.Newest] = next;
    else words[(previous >> 2) + EntryWord.Next] = next;
    if (next === 0) list[List.Oldest] = previous;
    else words[(next >> 2) + EntryWord.Previous] = previous;
    list[List.Count]--;
    let lengthBytes = HEADER_BYTES;
    for (let index = 0; index < 3; index++) lengthBytes += words[word + EntryWord.Lengths + index];
    this.arena.free(entry, lengthBytes);
  }

  private read(entry: number): AccessLogEntry {
    const { words, doubles, bytes } = this.memory;
    const word = entry >> 2;
    let at = entry + HEADER_BYTES;
    const [object, user, client] = [0, 1, 2].map((index) => {
      const length = words[word + EntryWord.Lengths + index];
      at += length;
      return Buffer.from(bytes.buffer, bytes.byteOffset + at - length, length).toString('latin1');
    });
    return {
      reason: DENIAL_REASONS[words[word + EntryWord.Reason]],
      context: words[word + EntryWord.Context],
      object,
      user,
      client,
      id: doubles[(entry >> 3) + EntryDouble.Id],
      count: doubles[(entry >> 3) + EntryDouble.Count],
      createdMs: doubles[(entry >> 3) + EntryDouble.CreatedMs],
      updatedMs: doubles[(entry >> 3) + EntryDouble.UpdatedMs],
    };
  }

  /** The newest entries, newest first. */
  get(count: number): AccessLogEntry[] {
    const { list, memory } = this;
    const entries: AccessLogEntry[] = [];
    acquireLock(list, List.Lock);
    for (let entry = list[List.Newest]; entry !== 0 && entries.length < count; ) {
      entries.push(this.read(entry));
      entry = memory.words[(entry >> 2) + EntryWord.Next];
    }
    releaseLock(list, List.Lock);
    return entries;
  }

  /** Removes all entries; the ids continue. */
  reset(): void {
    const { list } = this;
    acquireLock(list, List.Lock);
    while (list[List.Count] > 0) this.remove(list[List.Oldest]);
    releaseLock(list, List.Lock);
  }

  /** Throws if an invariant is broken. For tests, while no other thread uses the log. */
  verify(): void {
    this.arena.verify();
    if (this.list[List.Count] === 0 && this.arena.usedBytes !== 0)
      throw new Error('access log: memory that is in no entry');
  }
}
