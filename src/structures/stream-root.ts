/**
 * The root of a stream: a block in the shard, to which the reference points.
 *
 *   +------------+---------+----------+----------------+---------------+--------+------------+------+-----------+----------+
 *   | blocks (4) | last id | first id | max deleted id | entries added | length | groups (3) | walk | producers | past (8) |
 *   +------------+---------+----------+----------------+---------------+--------+------------+------+-----------+----------+
 *
 * `blocks` is the root of a tree of the blocks of entries (stream-block.ts, key-tree.ts), `groups` a vector of the
 * groups (stream-groups.ts), `producers` the block of known producers (stream-producers.ts), 0 if none. The number of
 * entries that were ever added is an int64, low half first, since XSETID sets it at will.
 */

export const enum Stream {
  Blocks = 0,
  LastId = 4,
  FirstId = 8,
  MaxDeletedId = 12,
  EntriesAdded = 16,
  Length = 18,
  Groups = 19,
  /** The walk (element-walk.ts) that is under way, 0 for none. */
  Walk = 22,
  Producers = 23,
  // Only in a past, the copy kept for a walk: how far the walk is (stream-walk.ts).
  Phase = 24,
  Position = 25,
  CurrentGroup = 29,
  WORDS = 32,
}

export const STREAM_BYTES = Stream.WORDS * 4;
