/**
 * Texts for Lua: C strings made once from the literals of this source, and errors with values in them.
 */
import { luaL_argerror, luaL_error, malloc, State } from './lua';

/** A C string with the characters of an ASCII literal. It is never freed. */
export function text(literal: string): usize {
  const length = literal.length;
  const at = malloc(length + 1);
  for (let index = 0; index < length; index++) store<u8>(at + index, <u8>literal.charCodeAt(index));
  store<u8>(at + length, 0);
  return at;
}

/** The length of a C string. */
export function textLength(at: usize): i32 {
  let end = at;
  while (load<u8>(end) !== 0) end++;
  return <i32>(end - at);
}

/** The arguments of a variadic C function. */
const values = memory.data(32, 8);

/** Raises an error with the place of the caller in front. */
export function raise(L: State, message: usize): i32 {
  return luaL_error(L, message, values);
}

/** Raises an error with one value in its text, a string or an integer. */
export function raiseWith(L: State, format: usize, value: usize): i32 {
  store<usize>(values, value);
  return luaL_error(L, format, values);
}

/** Raises an error with two values in its text. */
export function raiseWithTwo(L: State, format: usize, first: usize, second: usize): i32 {
  store<usize>(values, first);
  store<usize>(values, second, 4);
  return luaL_error(L, format, values);
}

/** Raises "bad argument #n to 'f' (message)" unless the condition holds. */
export function checkArgument(L: State, condition: bool, arg: i32, message: usize): void {
  if (!condition) luaL_argerror(L, arg, message);
}
