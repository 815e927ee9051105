/** The configuration that the keyspace itself reads, kept up to date by its thread. */

import type { ValueLimits } from '../structures/value-limits.js';
import type { LfuSettings } from './access-clock.js';

export const enum EvictionPolicy {
  NoEviction = 0,
  AllKeysLru = 1,
  AllKeysLfu = 2,
  AllKeysRandom = 3,
  VolatileLru = 4,
  VolatileLfu = 5,
  VolatileRandom = 6,
  VolatileTtl = 7,
}

export interface KeyspaceSettings {
  /** 0: no limit. */
  maxMemoryBytes: number;
  policy: EvictionPolicy;
  samples: number;
  lfu: LfuSettings;
  /** Whether the access clock counts (LFU) or dates (LRU). */
  usesLfu: boolean;
  /**
   * Asked before a key that is found expired is deleted; absent for always. During a pause of writes such a
   * key is only as good as gone.
   */
  mayExpire?: () => boolean;
  /** Commands of a log are run again: keys do not expire, since the log says when they went. */
  isReplaying?: boolean;
  /** DEL and what replaces a value leave large values to the background, as UNLINK does. */
  lazyUserDelete: boolean;
  lazyServerDelete: boolean;
  values: ValueLimits;
}

/** Settings to be filled in from a configuration. */
export function defaultSettings(): KeyspaceSettings {
  return {
    maxMemoryBytes: 0,
    policy: EvictionPolicy.NoEviction,
    samples: 5,
    lfu: { logFactor: 10, decayTimeMinutes: 1 },
    usesLfu: false,
    isReplaying: false,
    lazyUserDelete: false,
    lazyServerDelete: false,
    values: {
      hashPackedEntries: 0,
      hashPackedValueBytes: 0,
      listPackedSize: 0,
      listCompressDepth: 0,
      setIntegerEntries: 0,
      setPackedEntries: 0,
      setPackedValueBytes: 0,
      sortedSetPackedEntries: 0,
      sortedSetPackedValueBytes: 0,
      streamNodeBytes: 0,
      streamNodeEntries: 0,
    },
  };
}
