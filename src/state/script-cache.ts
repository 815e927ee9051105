/**
 * The sources of the scripts that EVAL and SCRIPT LOAD have brought, by their SHA-1: every worker compiles by itself what it
 * runs. Scripts of EVAL are evicted when there are too many of them, those used least recently first; clients that load a
 * script count on it, so those stay until SCRIPT FLUSH.
 *
 *   memory: an arena (memory/arena.ts), whose lock guards all of this
 *   script: | next in the bucket | length | place in `uses`, or -1 | number | SHA-1 (5 words) | source |
 *   buckets: the first script by the lowest bits of its SHA-1
 *   uses: for each script of EVAL how many scripts had been added when it was last used; any worker writes it without the
 *     lock, and while no scripts are added there is nothing to write
 */

import { Arena } from '../memory/arena.js';
import { acquireLock, releaseLock } from '../memory/lock.js';
import { HeaderWord, ShardMemory } from '../memory/shard-memory.js';

/** Address space for sources, a bound of what clients can load; the operating system commits what is used. */
const MEMORY_BYTES = 256 << 20;
const BUCKETS = 4096;
/** Scripts of EVAL that are kept. */
const EVAL_SCRIPTS_MAX = 500;
const USE_PLACES = 512;

const enum ScriptWord {
  Next = 0,
  Length = 1,
  UsePlace = 2,
  Number = 3,
  Sha = 4,
  WORDS = 9,
}
const HEADER_BYTES = 4 * ScriptWord.WORDS;
export const SHA_WORDS = 5;

/** Words in the part of the header where a shard has its databases' numbers. */
const enum CacheWord {
  /** Increments whenever scripts are removed. */
  Generation = 128,
  Count = 129,
  EvalCount = 130,
  Evicted = 131,
  NextNumber = 132,
  AllowsAll = 133,
}

export interface ScriptCacheHandle {
  readonly memory: SharedArrayBuffer;
  readonly tables: SharedArrayBuffer;
}

export class ScriptCache {
  private readonly memory: ShardMemory;
  private readonly words: Int32Array;
  private readonly arena: Arena;
  private readonly buckets: Int32Array;
  private readonly uses: Int32Array;
  /** For each place in `uses` the script that has it, 0 for none. */
  private readonly places: Int32Array;

  constructor(handle: ScriptCacheHandle) {
    this.memory = new ShardMemory(handle.memory);
    this.words = this.memory.words;
    this.arena = new Arena(this.memory);
    this.buckets = new Int32Array(handle.tables, 0, BUCKETS);
    this.uses = new Int32Array(handle.tables, 4 * BUCKETS, USE_PLACES);
    this.places = new Int32Array(handle.tables, 4 * (BUCKETS + USE_PLACES), USE_PLACES);
  }

  static create(memoryBytes = MEMORY_BYTES): ScriptCacheHandle {
    return {
      memory: ShardMemory.create(memoryBytes, 0).buffer,
      tables: new SharedArrayBuffer(4 * (BUCKETS + 2 * USE_PLACES)),
    };
  }

  /** Increments when scripts are removed: results of earlier look-ups are then invalid. A plain load. */
  get generation(): number {
    return this.words[CacheWord.Generation];
  }

  get count(): number {
    return this.words[CacheWord.Count];
  }

  get evictedCount(): number {
    return this.words[CacheWord.Evicted];
  }

  /** CONFIG RESETSTAT. */
  resetCounters(): void {
    Atomics.store(this.words, CacheWord.Evicted, 0);
  }

  /** Scripts may call any command (DEBUG SET-DISABLE-DENY-SCRIPTS). */
  get allowsAnyCommand(): boolean {
    return this.words[CacheWord.AllowsAll] !== 0;
  }

  set allowsAnyCommand(allows: boolean) {
    Atomics.store(this.words, CacheWord.AllowsAll, allows ? 1 : 0);
  }

  get usedBytes(): number {
    return this.arena.usedBytes;
  }

  /** Looks a script up. Returns its place in `uses`: -2 if there is no such script, -1 if it is never evicted. */
  find(sha: Int32Array): number {
    this.lock();
    const script = this.scriptOf(sha);
    const place = script === 0 ? -2 : this.words[script + ScriptWord.UsePlace];
    this.unlock();
    return place;
  }

  /** A copy of the source of a script, null if there is none. */
  source(sha: Int32Array): Uint8Array | null {
    this.lock();
    const script = this.scriptOf(sha);
    const start = script * 4 + HEADER_BYTES;
    const source =
      script === 0 ? null : this.memory.bytes.slice(start, start + this.words[script + ScriptWord.Length]);
    this.unlock();
    return source;
  }

  /** Notes a use of the EVAL script that has this place in `uses`. */
  noteUse(place: number): void {
    const now = this.words[CacheWord.NextNumber];
    if (place >= 0 && this.uses[place] !== now) this.uses[place] = now;
  }

  /**
   * Adds a script unless it is there. With `isEval` it may be evicted; adding it without exempts it from then on.
   * Returns its place in `uses` as `find` does; -2 if there is no memory.
   */
  add(sha: Int32Array, source: Uint8Array, isEval: boolean): number {
    const { words } = this;
    this.lock();
    try {
      let script = this.scriptOf(sha);
      if (script !== 0) {
        const place = words[script + ScriptWord.UsePlace];
        if (place < 0 || isEval) return place;
        this.keep(script);
        return -1;
      }
      if (isEval && words[CacheWord.EvalCount] >= EVAL_SCRIPTS_MAX) this.evict();
      const block = this.arena.allocate(HEADER_BYTES + source.length);
      if (block === 0) return -2;
      script = block >> 2;
      const bucket = bucketOf(sha);
      words[script + ScriptWord.Next] = this.buckets[bucket];
      words[script + ScriptWord.Length] = source.length;
      words[script + ScriptWord.UsePlace] = -1;
      words[script + ScriptWord.Number] = words[CacheWord.NextNumber]++;
      words.set(sha, script + ScriptWord.Sha);
      this.memory.bytes.set(source, block + HEADER_BYTES);
      this.buckets[bucket] = script;
      words[CacheWord.Count]++;
      if (!isEval) return -1;
      const place = this.places.indexOf(0);
      this.places[place] = script;
      this.uses[place] = words[script + ScriptWord.Number];
      words[script + ScriptWord.UsePlace] = place;
      words[CacheWord.EvalCount]++;
      return place;
    } finally {
      this.unlock();
    }
  }

  /** Removes all scripts. */
  flush(): void {
    const { words, buckets } = this;
    this.lock();
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      for (let script = buckets[bucket]; script !== 0; ) {
        const next = words[script + ScriptWord.Next];
        this.arena.free(script * 4, HEADER_BYTES + words[script + ScriptWord.Length]);
        script = next;
      }
      buckets[bucket] = 0;
    }
    this.places.fill(0);
    words[CacheWord.Count] = 0;
    words[CacheWord.EvalCount] = 0;
    Atomics.add(words, CacheWord.Generation, 1);
    this.unlock();
  }

  private scriptOf(sha: Int32Array): number {
    const { words } = this;
    let script = this.buckets[bucketOf(sha)];
    while (script !== 0 && !this.hasSha(script, sha)) script = words[script + ScriptWord.Next];
    return script;
  }

  private hasSha(script: number, sha: Int32Array): boolean {
    for (let index = 0; index < SHA_WORDS; index++) {
      if (this.words[script + ScriptWord.Sha + index] !== sha[index]) return false;
    }
    return true;
  }

  /** Exempts a script from eviction. */
  private keep(script: number): void {
    const { words } = this;
    this.places[words[script + ScriptWord.UsePlace]] = 0;
    words[script + ScriptWord.UsePlace] = -1;
    words[CacheWord.EvalCount]--;
  }

  /** Removes the script of EVAL that was used least recently. */
  private evict(): void {
    const { words, places } = this;
    let victim = -1;
    for (let place = 0; place < USE_PLACES; place++) {
      if (places[place] !== 0 && (victim < 0 || this.isOlder(place, victim))) victim = place;
    }
    if (victim < 0) return;
    const script = places[victim];
    this.keep(script);
    const bucket = words[script + ScriptWord.Sha] & (BUCKETS - 1);
    if (this.buckets[bucket] === script) {
      this.buckets[bucket] = words[script + ScriptWord.Next];
    } else {
      let before = this.buckets[bucket];
      while (words[before + ScriptWord.Next] !== script) before = words[before + ScriptWord.Next];
      words[before + ScriptWord.Next] = words[script + ScriptWord.Next];
    }
    this.arena.free(script * 4, HEADER_BYTES + words[script + ScriptWord.Length]);
    words[CacheWord.Count]--;
    Atomics.add(words, CacheWord.Evicted, 1);
    Atomics.add(words, CacheWord.Generation, 1);
  }

  /** Whether a script was used less recently than another one; of two uses without an addition between them, the older script's. */
  private isOlder(place: number, other: number): boolean {
    const { words, places, uses } = this;
    const order = (uses[other] - uses[place]) | 0;
    if (order !== 0) return order > 0;
    const number = words[places[place] + ScriptWord.Number];
    return ((words[places[other] + ScriptWord.Number] - number) | 0) > 0;
  }

  private lock(): void {
    acquireLock(this.words, HeaderWord.Lock);
  }

  private unlock(): void {
    releaseLock(this.words, HeaderWord.Lock);
  }
}

function bucketOf(sha: Int32Array): number {
  return sha[0] & (BUCKETS - 1);
}
