/** Limits of the small encodings for tests and benchmarks that use structures without a configuration. */

import type { ValueLimits } from '../../src/structures/value-limits.js';

/** Redis's defaults, with what a test wants otherwise. */
export function valueLimits(changes: Partial<ValueLimits> = {}): ValueLimits {
  return {
    hashPackedEntries: 128,
    hashPackedValueBytes: 64,
    listPackedSize: -2,
    listCompressDepth: 0,
    setIntegerEntries: 512,
    setPackedEntries: 128,
    setPackedValueBytes: 64,
    sortedSetPackedEntries: 128,
    sortedSetPackedValueBytes: 64,
    streamNodeBytes: 4096,
    streamNodeEntries: 100,
    streamProducerSeconds: 100,
    streamProducerIds: 100,
    ...changes,
  };
}
