/** The configuration that the keyspace itself reads, kept up to date by its thread. */

import type { ValueLimits } from '../structures/value-limits.js';

/** Settings of `lfu-log-factor` and `lfu-decay-time`. */
export interface LfuSettings {
  logFactor: number;
  decayTimeMinutes: number;
}

export const enum EvictionPolicy {
  NoEviction = 0,
  AllKeysLru = 1,
  AllKeysLfu = 2,
  AllKeysRandom = 3,
  /** Least recently modified. */
  AllKeysLrm = 4,
  VolatileLru = 5,
  VolatileLfu = 6,
  VolatileRandom = 7,
  VolatileTtl = 8,
  VolatileLrm = 9,
}

export interface KeyspaceSettings {
  /** 0: no limit. */
  maxMemoryBytes: number;
  policy: EvictionPolicy;
  samples: number;
  /** How long, in ms, a command evicts further once it has freed what it needs (`maxmemory-eviction-tenacity`). */
  evictionMsMax: number;
  lfu: LfuSettings;
  /** Whether the access clock counts (LFU) or dates (LRU). */
  usesLfu: boolean;
  /** Whether the access clock dates changes only (LRM): then reading a key does not move it. */
  datesChanges?: boolean;
  /**
   * Asked before a key that is found expired is deleted; absent: always. During a pause of writes such a key is not
   * deleted, only treated as if it were.
   */
  mayExpire?: () => boolean;
  /** Asked under the lock before the server deletes keys by itself since their time has come; absent: always. */
  mayExpireByItself?: () => boolean;
  /** Asked under the lock before a key is evicted; absent: always. */
  mayEvict?: () => boolean;
  /** Commands of a log are run again: keys do not expire, since the log says when they went. */
  isReplaying?: boolean;
  /** DEL, and commands that replace a value, free large values in the background, as UNLINK does. */
  lazyUserDelete: boolean;
  lazyServerDelete: boolean;
  /** `tracking-table-max-keys`, 0: no limit. */
  trackedKeysMax: number;
  values: ValueLimits;
}

/** Settings to be filled in from a configuration. */
export function defaultSettings(): KeyspaceSettings {
  return {
    maxMemoryBytes: 0,
    policy: EvictionPolicy.NoEviction,
    samples: 5,
    evictionMsMax: 0.5,
    lfu: { logFactor: 10, decayTimeMinutes: 1 },
    usesLfu: false,
    datesChanges: false,
    isReplaying: false,
    lazyUserDelete: false,
    lazyServerDelete: false,
    trackedKeysMax: 0,
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
      streamProducerSeconds: 0,
      streamProducerIds: 0,
    },
  };
}
