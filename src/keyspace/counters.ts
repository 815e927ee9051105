/** What the keyspace counts, as indices of one Float64Array per thread; sums over threads are INFO's figures. */
export const enum KeyspaceCounter {
  Hits = 0,
  Misses = 1,
  ExpiredKeys = 2,
  EvictedKeys = 3,
  LazyFreedObjects = 4,
  ActiveExpireMicroseconds = 5,
  EvictedScripts = 6,
  ExpiredFields = 7,
  COUNT = 8,
}
