/**
 * One growing buffer for all strings that are being built.
 *
 * Who builds one keeps the offset where it begins, and its length, in locals, and says with `keep` how far the
 * buffer is in use before it calls a function that may use it too. An error that leaves such a function leaves its bytes
 * behind; the next `keep` of those further out takes them back. Offsets count, since the buffer moves when it grows.
 */
import { lua_newuserdata, malloc, realloc, State } from './lua';

const INITIAL_BYTES: u32 = 64 * 1024;
/** A larger buffer is given back when a script ends. */
const KEPT_BYTES_MAX: u32 = 1024 * 1024;

let capacity: u32 = INITIAL_BYTES;
/** Where the buffer is. */
export let buffer: usize = malloc(INITIAL_BYTES);
/** How far it is in use by those further out. */
export let bufferTop: u32 = 0;

export function keep(top: u32): void {
  bufferTop = top;
}

/** Makes room for `count` bytes at an offset. */
export function reserve(L: State, offset: u32, count: u32): void {
  if (<u64>offset + count > <u64>capacity) grow(L, <u64>offset + count);
}

function grow(L: State, wanted: u64): void {
  let next: u64 = capacity;
  while (next < wanted) next *= 2;
  if (next > 0x7fffffff) outOfMemory(L);
  const moved = realloc(buffer, <u32>next);
  if (moved === 0) outOfMemory(L);
  buffer = moved;
  capacity = <u32>next;
}

/** Raises Lua's "not enough memory". */
export function outOfMemory(L: State): void {
  lua_newuserdata(L, 0x7fffff00);
}

/** Forgets all strings. */
export function resetBuffer(): void {
  bufferTop = 0;
  if (capacity > KEPT_BYTES_MAX) {
    buffer = realloc(buffer, INITIAL_BYTES);
    capacity = INITIAL_BYTES;
  }
}

/** Writes a byte at an offset, for which there is room. */
export function put(offset: u32, byte: u32): void {
  store<u8>(buffer + offset, <u8>byte);
}

/** Appends bytes at an offset. Returns the offset behind them. */
export function append(L: State, offset: u32, bytes: usize, length: u32): u32 {
  reserve(L, offset, length);
  memory.copy(buffer + offset, bytes, length);
  return offset + length;
}
