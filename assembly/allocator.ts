/**
 * Lua's allocator, and the growth of the linear memory.
 *
 * Lua says how large a block is when it frees it, so the size decides where a block comes from:
 *
 *   up to 256 bytes   free lists by size, cut from chunks; no header
 *   up to 64 KiB      pools (`pool.ts`), whose free blocks are joined again
 *   larger            the C library, which is slow with many blocks, but these are few
 */
import { hostMemoryChanged } from './host';
import { free, malloc, realloc } from './lua';
import { poolAllocate, poolBytes, poolFree } from './pool';
import { collectLater, spendLater } from './work';

const SMALL_BYTES_MAX: u32 = 256;
const POOL_BYTES_MAX: u32 = 64 * 1024;
const CHUNK_BYTES: u32 = 16 * 1024;
const PAGE_BYTES: u32 = 65536;
/** Memory grows at least by so much, since each time it gets a new address in the host. */
const GROWTH_PAGES: u32 = 64;
/** Beyond the limit, so that blocks can be made smaller, on which Lua counts. */
const SHRINK_RESERVE_BYTES: u32 = 1024 * 1024;

/** The free lists: the first block of each size, by size / 8. */
const lists = memory.data((256 / 8 + 1) * 4, 8);
let chunk: usize = 0;
let chunkEnd: usize = 0;
let memoryBytesMax: u32 = 64 * 1024 * 1024;

/** What Lua has allocated, and the use at which garbage is collected although Lua's own time for it has not come. */
let usedBytes: u32 = 0;
let pressureBytes: u32 = 32 * 1024 * 1024;

/** Bounds the linear memory. */
export function limitMemory(bytes: u32): void {
  memoryBytesMax = bytes;
  pressureBytes = bytes / 2;
}

/** After a collection: the next one is due when half of what is left then is used. */
export function setPressure(): void {
  pressureBytes = memoryBytesMax / 2;
  if (usedBytes > pressureBytes / 2)
    pressureBytes = usedBytes + (memoryBytesMax > usedBytes ? (memoryBytesMax - usedBytes) / 2 : 0);
}

/** In place of the C library's import: enlarges the linear memory to `bytes`, if the limit allows it. */
export function growMemory(bytes: u32): i32 {
  if (bytes > memoryBytesMax) return 0;
  const have = <u32>memory.size();
  const wanted = <u32>((<u64>bytes + PAGE_BYTES - 1) / PAGE_BYTES);
  let pages = wanted - have;
  if (pages < GROWTH_PAGES && have + GROWTH_PAGES <= memoryBytesMax / PAGE_BYTES) pages = GROWTH_PAGES;
  if (memory.grow(pages) < 0) return 0;
  hostMemoryChanged();
  return 1;
}

function takeSmall(size: u32): usize {
  const rounded = (size + 7) & ~7;
  const list = lists + (rounded >> 1);
  const first = load<usize>(list);
  if (first !== 0) {
    store<usize>(list, load<usize>(first));
    return first;
  }
  if (chunk + rounded > chunkEnd) {
    // The rest of the old chunk is a block of its own.
    const rest = <u32>(chunkEnd - chunk);
    if (rest > 0) giveSmall(chunk, rest);
    chunk = poolAllocate(CHUNK_BYTES);
    chunkEnd = chunk === 0 ? 0 : chunk + CHUNK_BYTES;
    if (chunk === 0) return 0;
  }
  const block = chunk;
  chunk += rounded;
  return block;
}

function giveSmall(block: usize, size: u32): void {
  const list = lists + (((size + 7) & ~7) >> 1);
  store<usize>(block, load<usize>(list));
  store<usize>(list, block);
}

function take(size: u32): usize {
  if (size <= SMALL_BYTES_MAX) return takeSmall(size);
  return size <= POOL_BYTES_MAX ? poolAllocate(size) : malloc(size);
}

function give(block: usize, size: u32): void {
  if (size <= SMALL_BYTES_MAX) giveSmall(block, size);
  else if (size <= POOL_BYTES_MAX) poolFree(block);
  else free(block);
}

/** Lua's lua_Alloc: allocates, resizes or (with a new size of 0) frees. Returns 0 if there is no memory. */
export function allocate(_userData: usize, block: usize, oldSize: u32, newSize: u32): usize {
  usedBytes += newSize - oldSize;
  if (newSize === 0) {
    if (block !== 0) give(block, oldSize);
    return 0;
  }
  let result: usize;
  if (block === 0) {
    if (newSize > SMALL_BYTES_MAX) spendLater(<i32>(newSize >> 4));
    result = take(newSize);
  } else result = resize(block, oldSize, newSize);
  if (result === 0) usedBytes -= newSize - oldSize;
  else if (usedBytes > pressureBytes) {
    pressureBytes = u32.MAX_VALUE;
    collectLater();
  }
  return result;
}

function resize(block: usize, oldSize: u32, newSize: u32): usize {
  if (oldSize <= SMALL_BYTES_MAX) {
    if (newSize <= SMALL_BYTES_MAX && ((oldSize + 7) & ~7) === ((newSize + 7) & ~7)) return block;
  } else if (oldSize <= POOL_BYTES_MAX) {
    if (
      newSize > SMALL_BYTES_MAX &&
      newSize <= POOL_BYTES_MAX &&
      newSize <= poolBytes(block) &&
      newSize > oldSize / 2
    )
      return block;
  } else if (newSize > POOL_BYTES_MAX) {
    spendLater(<i32>(newSize >> 4));
    return realloc(block, newSize);
  }
  spendLater(<i32>(newSize >> 4));
  let moved = take(newSize);
  if (moved === 0 && newSize < oldSize) {
    memoryBytesMax += SHRINK_RESERVE_BYTES;
    moved = take(newSize);
    memoryBytesMax -= SHRINK_RESERVE_BYTES;
    if (moved === 0) unreachable();
  }
  if (moved === 0) return 0;
  memory.copy(moved, block, oldSize < newSize ? oldSize : newSize);
  give(block, oldSize);
  return moved;
}
