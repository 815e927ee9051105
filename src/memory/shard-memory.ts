/**
 * The memory of one shard: one SharedArrayBuffer and this thread's views over it. The buffer's first word
 * says how many bytes the views leave out, so that their offset 0 lies at the beginning of a cache line
 * (the C library hands out large buffers 16 bytes behind a page's beginning). Within the views:
 *
 *   byte 0          header words (HeaderWord), a cache line each for what is hot
 *   byte 1024       free-list heads of the arena, one word per size class
 *   byte 8192       databases: DATABASE_BYTES each (keyspace/shard.ts); behind them as many that no client sees, into
 *                   which a full sync is loaded beside the data (replication/beside-load.ts)
 *   then            table of watched keys (keyspace/watched-keys.ts)
 *   then            boundary bitmap of the arena: one bit per 8-byte granule of the whole buffer
 *   arenaStart      blocks; the last sixteenth is for loading alone (arena.ts)
 *   last 128 KiB    reading rooms: where something compressed is unpacked to be read (structures/chunk-list.ts)
 *
 * The buffer is reserved at its full size and the operating system commits a page when it is first
 * touched, so an empty shard costs a few KiB. Offsets are byte offsets from the start of the buffer and
 * stay below 2^31, so V8 keeps them in registers as int32; 0 means "none".
 */

/** Largest size of a shard's buffer; a little below 2 GiB so that every length is an int32. */
export const SHARD_BYTES_MAX = 0x7fff0000;

export const GRANULE_BYTES = 8;

/** Indices of the header's words. */
export const enum HeaderWord {
  Lock = 0,
  // The arena (second cache line onwards).
  ArenaTop = 16,
  ArenaUsedBytes = 17,
  ArenaStart = 18,
  ArenaEnd = 19,
  /** The highest the arena's top has been since its unused pages were last given back. */
  ArenaHighWater = 20,
  /** Used bytes as last added to the process-wide sum. */
  PublishedUsedBytes = 21,
  BinSummary = 22,
  /** From here on, the arena is for loading alone; 0: nowhere. */
  ArenaReserveStart = 23,
  BinBitmapStart = 24, // 25 words
  // The keyspace.
  DatabaseCount = 64,
  WatchedKeyCount = 65,
  LazyFreeHead = 67,
  LazyFreePending = 68,
  WatchTableStart = 69,
  /** Two words: the reference of a collection that is not yet a key's value (structures/collection-value.ts). */
  DraftReference = 72,
  // The snapshot that is being taken (keyspace/shard-snapshot.ts).
  SnapshotState = 74,
  SnapshotDoneBit = 75,
  SnapshotImages = 76,
  SnapshotLongKeys = 77,
  /** Which kinds of listeners have to be told of changes of this shard's keys, as ShardListener bits. */
  Listeners = 78,
  // The clients that wait for keys (keyspace/waiters.ts): four words of a dictionary's root, and two counts.
  WaitQueues = 80,
  WaitQueuesOnNoKey = 84,
  WaitRequests = 85,
  /** Four words of a dictionary's root: the keys that clients have cached (keyspace/tracked-keys.ts). */
  TrackedKeys = 88,
  // 92, 93: HeaderDouble.DirtyCount
}

/** Bits of `HeaderWord.Listeners`: while none is set, a write only has to read this one word. */
export const enum ShardListener {
  /** Transactions watch keys. */
  Watchers = 1,
  /** Clients wait for keys. */
  Waiters = 2,
  /** Clients have cached keys. */
  Tracked = 4,
  /** Clients listen to all keys with some beginning. */
  Broadcast = 8,
}

/** Indices, in units of 8 bytes, of the float64 values in the header: counts that an int32 could not hold. */
export const enum HeaderDouble {
  /** Changes of keys since the shard was made. */
  DirtyCount = 46,
}

/**
 * Buffers that always exist, so that reading compressed data needs no allocation. Only the thread that holds the
 * shard's lock uses them, and nothing in them outlives a command.
 */
export const READING_ROOM_BYTES = 65536;
export const READING_ROOMS = 2;

/** How much of the arena is for loading alone: a sixteenth. */
const RESERVE_SHIFT = 4;

export const BIN_HEADS_START_BYTE = 1024;
export const DATABASES_START_BYTE = 8192;
export const DATABASE_BYTES = 64;
export const WATCH_TABLE_SLOTS = 4096;
export const WATCH_SLOT_BYTES = 24;

function watchTableStartByte(databaseCount: number): number {
  return DATABASES_START_BYTE + 2 * databaseCount * DATABASE_BYTES;
}

/** Where the boundary bitmap of a shard with so many databases begins. */
export function bitmapStartByte(databaseCount: number): number {
  return (watchTableStartByte(databaseCount) + WATCH_TABLE_SLOTS * WATCH_SLOT_BYTES + 4095) & ~4095;
}

const CACHE_LINE_BYTES = 64;
export const CACHE_LINE_WORDS = CACHE_LINE_BYTES / 4;

export class ShardMemory {
  readonly buffer: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  /** For unaligned 4-byte access; always little-endian. */
  readonly view: DataView;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    const [paddingBytes] = new Int32Array(buffer, 0, 1);
    this.bytes = new Uint8Array(buffer, paddingBytes);
    this.words = new Int32Array(buffer, paddingBytes);
    this.doubles = new Float64Array(buffer, paddingBytes);
    this.view = new DataView(buffer, paddingBytes);
  }

  /**
   * Reserves and formats a new shard of `sizeBytes` (at most SHARD_BYTES_MAX). `addressOf` returns the address of an
   * array, a multiple of 8; without it the views may miss the cache lines, which costs only speed.
   */
  static create(
    sizeBytes: number,
    databaseCount: number,
    addressOf: (bytes: Uint8Array) => number = () => 0,
  ): ShardMemory {
    const buffer = new SharedArrayBuffer(Math.min(sizeBytes, SHARD_BYTES_MAX) & ~4095);
    const first = new Int32Array(buffer, 0, 1);
    first[0] = CACHE_LINE_BYTES - (addressOf(new Uint8Array(buffer)) % CACHE_LINE_BYTES);
    const memory = new ShardMemory(buffer);
    const { words } = memory;
    const bitmapBytes = Math.ceil(memory.bytes.length / (GRANULE_BYTES * 8));
    const arenaStart = (bitmapStartByte(databaseCount) + bitmapBytes + 4095) & ~4095;
    words[HeaderWord.DatabaseCount] = databaseCount;
    words[HeaderWord.WatchTableStart] = watchTableStartByte(databaseCount);
    words[HeaderWord.ArenaStart] = arenaStart;
    words[HeaderWord.ArenaTop] = arenaStart;
    words[HeaderWord.ArenaHighWater] = arenaStart;
    const arenaEnd = (memory.bytes.length - READING_ROOMS * READING_ROOM_BYTES) & -GRANULE_BYTES;
    words[HeaderWord.ArenaEnd] = arenaEnd;
    words[HeaderWord.ArenaReserveStart] =
      arenaEnd - (((arenaEnd - arenaStart) >> RESERVE_SHIFT) & -GRANULE_BYTES);
    return memory;
  }
}
