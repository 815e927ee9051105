/** Errors as Redis gives them to scripts: tables with the field `err`, a code and a message. */
import { append, buffer, bufferTop } from './buffer';
import { lua_createtable, lua_error, lua_pushboolean, lua_pushlstring, lua_setfield, State } from './lua';
import { text, textLength } from './text';

const ERR = text('err');
const IGNORE_STATISTICS = text('ignore_error_stats_update');
const GENERIC_CODE = text('ERR ');
const MINUS = 0x2d;
const SPACE = 0x20;

function isLineEnd(byte: u8): bool {
  return byte === 13 || byte === 10;
}

/**
 * Pushes an error's table. A text that begins with a minus has its own code, up to the first blank; another one, and one
 * without a blank, gets the code ERR. Line ends around the message go, and the text ends at a zero byte.
 */
export function pushError(L: State, message: usize, length: i32): void {
  let start = message;
  let end = message;
  while (end < message + length && load<u8>(end) !== 0) end++;
  let codeLength = 0;
  if (start < end && load<u8>(start) === MINUS) {
    start++;
    let blank = start;
    while (blank < end && load<u8>(blank) !== SPACE) blank++;
    if (blank < end) codeLength = <i32>(blank + 1 - start);
  }
  let from = start + codeLength;
  while (from < end && isLineEnd(load<u8>(from))) from++;
  while (end > from && isLineEnd(load<u8>(end - 1))) end--;
  lua_createtable(L, 0, 2);
  const top = bufferTop;
  const whole = codeLength > 0 ? append(L, top, start, codeLength) : append(L, top, GENERIC_CODE, 4);
  const written = append(L, whole, from, <u32>(end - from));
  lua_pushlstring(L, buffer + top, written - top);
  lua_setfield(L, -2, ERR);
}

/** Marks the error on top of the stack as one that the statistics have counted already. */
export function markCounted(L: State): void {
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, IGNORE_STATISTICS);
}

/** Pushes an error with the code ERR. */
export function pushErrorText(L: State, message: usize): void {
  pushError(L, message, textLength(message));
}

/** Raises an error with the code ERR, without the place in front. */
export function raiseErrorText(L: State, message: usize): i32 {
  pushErrorText(L, message);
  return lua_error(L);
}
