/**
 * Lua's allocator, and the growth of the linear memory.
 *
 * Lua says how large a block is when it frees it. So blocks of up to 256 bytes need no header: they come from free
 * lists by size, and those from chunks that are cut into one size after the other. Larger ones are the C library's.
 */
import { hostMemoryGrown } from './host';
import { free, malloc, realloc } from './lua';
import { spendLater } from './interrupt';

const SMALL_BYTES_MAX: u32 = 256;
const CHUNK_BYTES: u32 = 16 * 1024;
const PAGE_BYTES: u32 = 65536;
/** Memory grows at least by so much, since each time it gets a new address in the host. */
const GROWTH_PAGES: u32 = 64;

/** The free lists: the first block of each size, by size / 8. */
const lists = memory.data((256 / 8 + 1) * 4, 8);
let chunk: usize = 0;
let chunkEnd: usize = 0;
let memoryBytesMax: u32 = 64 * 1024 * 1024;

/** Bounds the linear memory. */
export function limitMemory(bytes: u32): void {
  memoryBytesMax = bytes;
}

/** In place of the C library's import: enlarges the linear memory to `bytes`, if the limit allows it. */
export function growMemory(bytes: u32): i32 {
  if (bytes > memoryBytesMax) return 0;
  const have = <u32>memory.size();
  const wanted = <u32>((<u64>bytes + PAGE_BYTES - 1) / PAGE_BYTES);
  let pages = wanted - have;
  if (pages < GROWTH_PAGES && have + GROWTH_PAGES <= memoryBytesMax / PAGE_BYTES) pages = GROWTH_PAGES;
  if (memory.grow(pages) < 0) return 0;
  hostMemoryGrown();
  return 1;
}

function takeSmall(size: u32): usize {
  const rounded = (size + 7) & ~7;
  const list = lists + (rounded >> 1);
  const first = load<usize>(list);
  if (first != 0) {
    store<usize>(list, load<usize>(first));
    return first;
  }
  if (chunk + rounded > chunkEnd) {
    // The rest of the old chunk is a block of its own.
    const rest = <u32>(chunkEnd - chunk);
    if (rest > 0) giveSmall(chunk, rest);
    chunk = malloc(CHUNK_BYTES);
    chunkEnd = chunk == 0 ? 0 : chunk + CHUNK_BYTES;
    if (chunk == 0) return 0;
  }
  const block = chunk;
  chunk += rounded;
  return block;
}

// @ts-ignore: decorator
@inline
function giveSmall(block: usize, size: u32): void {
  const list = lists + (((size + 7) & ~7) >> 1);
  store<usize>(block, load<usize>(list));
  store<usize>(list, block);
}

/** Lua's lua_Alloc: allocates, resizes or (with a new size of 0) frees. Returns 0 if there is no memory. */
export function allocate(userData: usize, block: usize, oldSize: u32, newSize: u32): usize {
  if (newSize == 0) {
    if (block != 0) {
      if (oldSize <= SMALL_BYTES_MAX) giveSmall(block, oldSize);
      else free(block);
    }
    return 0;
  }
  if (newSize <= SMALL_BYTES_MAX) {
    if (block == 0) return takeSmall(newSize);
    if (oldSize <= SMALL_BYTES_MAX && ((oldSize + 7) & ~7) == ((newSize + 7) & ~7)) return block;
  } else {
    spendLater(<i32>(newSize >> 6));
    if (block == 0) return malloc(newSize);
    if (oldSize > SMALL_BYTES_MAX) return realloc(block, newSize);
  }
  const moved = newSize <= SMALL_BYTES_MAX ? takeSmall(newSize) : malloc(newSize);
  if (moved == 0) {
    // Lua counts on it that a block can always be made smaller.
    return newSize <= oldSize ? block : 0;
  }
  memory.copy(moved, block, oldSize < newSize ? oldSize : newSize);
  if (oldSize <= SMALL_BYTES_MAX) giveSmall(block, oldSize);
  else free(block);
  return moved;
}
