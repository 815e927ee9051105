/**
 * The candidates for eviction: a few keys that looked best among all that were sampled so far.
 *
 * Each eviction samples `maxmemory-samples` keys of one shard and keeps the 16 best seen, over all
 * shards and samples; so the key that goes is much closer to the true least recently used one than
 * the best of five would be. Candidates are hints: the key may be gone or used again by the time it is
 * chosen, so it is looked up, and its score taken again, under its shard's lock.
 */

import { EvictionPolicy, type KeyspaceSettings } from '../config/keyspace-settings.js';
import { lfuCounter, lruIdleMs } from './access-clock.js';
import { entryAccess, expiresAtMs, hasExpiry } from './entry.js';
import type { Shard } from './shard.js';

const CANDIDATES_MAX = 16;

interface Candidate {
  shard: number;
  database: number;
  hash: number;
  entry: number;
  /** The access clock or expiry at the time of sampling. */
  stamp: number;
  /** The key with the highest score is evicted first. */
  score: number;
}

function isVolatilePolicy(policy: EvictionPolicy): boolean {
  return policy >= EvictionPolicy.VolatileLru;
}

function isRandomPolicy(policy: EvictionPolicy): boolean {
  return policy === EvictionPolicy.AllKeysRandom || policy === EvictionPolicy.VolatileRandom;
}

function randomWord(): number {
  return (Math.random() * 0x100000000) | 0;
}

export class EvictionPool {
  /** Sorted by score, best last. */
  private readonly candidates: Candidate[] = [];

  get count(): number {
    return this.candidates.length;
  }

  clear(): void {
    this.candidates.length = 0;
  }

  /** Samples keys of a shard whose lock is held. */
  sample(shard: Shard, settings: KeyspaceSettings, nowMs: number): void {
    const { policy } = settings;
    const samples = isRandomPolicy(policy) ? 1 : settings.samples;
    for (let database = 0; database < shard.databaseCount; database++) {
      const calendar = shard.calendarOf(database);
      if (isVolatilePolicy(policy) ? calendar === 0 : shard.keyCount(database) === 0) continue;
      for (let taken = 0; taken < samples; taken++) {
        let entry: number;
        if (policy === EvictionPolicy.VolatileTtl && taken === 0) entry = shard.calendar.earliest(calendar);
        else if (isVolatilePolicy(policy)) entry = shard.calendar.random(calendar, randomWord());
        else entry = shard.dictionary.random(shard.root(database), randomWord());
        if (entry !== 0) this.add(shard, database, entry, settings, nowMs);
      }
    }
  }

  private add(
    shard: Shard,
    database: number,
    entry: number,
    settings: KeyspaceSettings,
    nowMs: number,
  ): void {
    const score = scoreOf(shard, entry, settings, nowMs);
    const { candidates } = this;
    if (candidates.length === CANDIDATES_MAX && score <= candidates[0].score) return;
    const hash = shard.dictionary.hashOf(entry);
    if (candidates.some((known) => known.entry === entry && known.shard === shard.index)) return;
    let at = candidates.length;
    while (at > 0 && candidates[at - 1].score > score) at--;
    const stamp = stampOf(shard, entry, settings.policy);
    candidates.splice(at, 0, { shard: shard.index, database, hash, entry, stamp, score });
    if (candidates.length > CANDIDATES_MAX) candidates.shift();
    if (isRandomPolicy(settings.policy) && candidates.length > 1) candidates.shift();
    this.policy = settings.policy;
  }

  private policy: EvictionPolicy = EvictionPolicy.NoEviction;

  /** Index of the shard of the best candidate. */
  bestShard(): number {
    return this.candidates[this.candidates.length - 1].shard;
  }

  /** Evicts the best candidate, whose shard's lock is held; false if the key is gone or its stamp has changed. */
  evictBest(shard: Shard): boolean {
    const candidate = this.candidates.pop();
    if (candidate === undefined) return false;
    const { database, hash, entry } = candidate;
    const slot = shard.dictionary.slotOf(shard.root(database), hash, entry);
    if (slot === 0 || shard.dictionary.hashOf(entry) !== hash) return false;
    if (isVolatilePolicy(this.policy) && !hasExpiry(shard.words, entry)) return false;
    if (stampOf(shard, entry, this.policy) !== candidate.stamp) return false;
    shard.evict(database, hash, slot);
    return true;
  }
}

function stampOf(shard: Shard, entry: number, policy: EvictionPolicy): number {
  if (policy === EvictionPolicy.VolatileTtl) return expiresAtMs(shard.words, entry);
  return entryAccess(shard.words, entry);
}

function scoreOf(shard: Shard, entry: number, settings: KeyspaceSettings, nowMs: number): number {
  switch (settings.policy) {
    case EvictionPolicy.AllKeysLru:
    case EvictionPolicy.VolatileLru:
    case EvictionPolicy.AllKeysLrm:
    case EvictionPolicy.VolatileLrm:
      return lruIdleMs(entryAccess(shard.words, entry), nowMs);
    case EvictionPolicy.AllKeysLfu:
    case EvictionPolicy.VolatileLfu:
      return 255 - lfuCounter(entryAccess(shard.words, entry), nowMs, settings.lfu);
    case EvictionPolicy.VolatileTtl:
      return -expiresAtMs(shard.words, entry);
    default:
      return Math.random();
  }
}
