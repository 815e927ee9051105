/**
 * An allocator of two-level segregated fit (TLSF; Masmano et al. 2004): all in constant time, and neighbours that are free
 * are joined at once. It takes pools of 1 MiB from the C library and never gives them back.
 *
 * A block, 8 bytes aligned:
 *
 *     -8  the block before it in the pool, 0 for the first
 *     -4  size of what follows, a multiple of 8; bit 0: the block is free
 *      0  in use: its bytes; free: the next and the previous block of its list
 *
 * A pool ends with a block of size 0 that is never free.
 */
import { malloc } from './lua';

const POOL_BYTES: u32 = 1024 * 1024;
const HEADER_BYTES: u32 = 8;
/** What a block has at least: room for the links of its list. */
const BLOCK_BYTES_MIN: u32 = 8;
const FREE: u32 = 1;
/** Lists of one power of two: 2^4. */
const SECOND_LOG: u32 = 4;
const POWERS: u32 = 21;

/** Bit n: there is a free block whose size has n as its logarithm. */
let powers: u32 = 0;
/** For each power, which of its lists have blocks. */
const seconds = memory.data(4 * 21, 4);
const heads = memory.data(4 * 21 * 16, 4);

function sizeOf(block: usize): u32 {
  return load<u32>(block - 4) & ~FREE;
}

function isFree(block: usize): bool {
  return (load<u32>(block - 4) & FREE) !== 0;
}

function setSize(block: usize, size: u32, free: u32): void {
  store<u32>(block - 4, size | free);
}

function nextOf(block: usize): usize {
  return block + sizeOf(block) + HEADER_BYTES;
}

/** The list of a size: its power and its number within the power. */
function powerOf(size: u32): u32 {
  return 31 - clz(size);
}

function secondOf(size: u32, power: u32): u32 {
  return power < SECOND_LOG ? 0 : (size >> (power - SECOND_LOG)) & 15;
}

function insert(block: usize): void {
  const size = sizeOf(block);
  const power = powerOf(size);
  const second = secondOf(size, power);
  const head = heads + 4 * (16 * power + second);
  const first = load<usize>(head);
  store<usize>(block, first);
  store<usize>(block, 0, 4);
  if (first !== 0) store<usize>(first, block, 4);
  store<usize>(head, block);
  powers |= 1 << power;
  store<u32>(seconds + 4 * power, load<u32>(seconds + 4 * power) | (1 << second));
}

function remove(block: usize): void {
  const next = load<usize>(block);
  const previous = load<usize>(block, 4);
  if (next !== 0) store<usize>(next, previous, 4);
  if (previous !== 0) {
    store<usize>(previous, next);
    return;
  }
  const size = sizeOf(block);
  const power = powerOf(size);
  const second = secondOf(size, power);
  store<usize>(heads + 4 * (16 * power + second), next);
  if (next !== 0) return;
  const left = load<u32>(seconds + 4 * power) & ~(1 << second);
  store<u32>(seconds + 4 * power, left);
  if (left === 0) powers &= ~(1 << power);
}

/** A free block of at least this size, 0 if there is none. */
function find(size: u32): usize {
  // Rounded up to the next list, whose blocks are all large enough.
  const rounded = size + (1 << (powerOf(size) - SECOND_LOG)) - 1;
  let power = powerOf(rounded);
  if (power >= POWERS) return 0;
  let found = load<u32>(seconds + 4 * power) & (0xffffffff << secondOf(rounded, power));
  if (found === 0) {
    const larger = powers & (0xffffffff << (power + 1));
    if (larger === 0) return 0;
    power = ctz(larger);
    found = load<u32>(seconds + 4 * power);
  }
  return load<usize>(heads + 4 * (16 * power + ctz(found)));
}

/** Takes one more pool, as one free block. */
function addPool(): bool {
  const pool = malloc(POOL_BYTES);
  if (pool === 0) return false;
  const block = ((pool + 7) & ~7) + HEADER_BYTES;
  const end = (pool + POOL_BYTES) & ~7;
  store<usize>(block - 8, 0);
  setSize(block, <u32>(end - block) - HEADER_BYTES, FREE);
  store<usize>(end - 8, block);
  setSize(end, 0, 0);
  insert(block);
  return true;
}

/** Allocates 16 bytes to 64 KiB. Returns 0 if there is no memory. */
export function poolAllocate(bytes: u32): usize {
  const size = (bytes + 7) & ~7;
  let block = find(size);
  if (block === 0) {
    if (!addPool()) return 0;
    block = find(size);
  }
  remove(block);
  const rest = sizeOf(block) - size;
  if (rest >= HEADER_BYTES + BLOCK_BYTES_MIN) {
    const behind = block + size + HEADER_BYTES;
    const after = nextOf(block);
    setSize(behind, rest - HEADER_BYTES, FREE);
    store<usize>(behind - 8, block);
    store<usize>(after - 8, behind);
    setSize(block, size, 0);
    insert(behind);
  } else setSize(block, sizeOf(block), 0);
  return block;
}

/** What a block has room for. */
export function poolBytes(block: usize): u32 {
  return sizeOf(block);
}

export function poolFree(freed: usize): void {
  let block = freed;
  let size = sizeOf(block);
  const after = nextOf(block);
  if (isFree(after)) {
    remove(after);
    size += sizeOf(after) + HEADER_BYTES;
  }
  const before = load<usize>(block - 8);
  if (before !== 0 && isFree(before)) {
    remove(before);
    size += sizeOf(before) + HEADER_BYTES;
    block = before;
  }
  setSize(block, size, FREE);
  store<usize>(block + size, block);
  insert(block);
}
