/**
 * The library `table`, with the results and errors of Lua 5.1. It is our own because its functions must not change read-only
 * tables, and because their steps count: one call may move millions of elements.
 */

import { checkInt, optionalInt } from './base-library';
import { append, buffer, bufferTop } from './buffer';
import { spend } from './interrupt';
import {
  LUA_TFUNCTION,
  LUA_TNIL,
  LUA_TNUMBER,
  LUA_TTABLE,
  lua_call,
  lua_gettop,
  lua_isstring,
  lua_lessthan,
  lua_next,
  lua_objlen,
  lua_pushlstring,
  lua_pushnil,
  lua_pushnumber,
  lua_pushvalue,
  lua_rawgeti,
  lua_rawseti,
  lua_settop,
  lua_toboolean,
  lua_tolstring,
  lua_tonumber,
  lua_type,
  lua_typename,
  luaL_checklstring,
  luaL_checkstack,
  luaL_checktype,
  State,
} from './lua';
import { beginLibrary, checkWritable, endLibrary, setFunction } from './registry';
import { raise, raiseWithTwo, text } from './text';

const OBSOLETE = text("'setn' is obsolete");
const INSERT_ARGUMENTS = text("wrong number of arguments to 'insert'");
const INVALID_VALUE = text("invalid value (%s) at index %d in table for 'concat'");
const INVALID_ORDER = text('invalid order function for sorting');
const EMPTY = text('');

/** Levels of the sort's recursion: it goes on with the larger part itself, so their logarithm is enough. */
const SORT_STACK = 40;

const lengthCell = memory.data(4, 4);
const separatorLengthCell = memory.data(4, 4);

/** The length of a table that is an argument. */
function lengthOf(L: State, arg: i32): i32 {
  luaL_checktype(L, arg, LUA_TTABLE);
  return <i32>lua_objlen(L, arg);
}

function foreachi(L: State): i32 {
  const length = lengthOf(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  for (let index = 1; index <= length; index++) {
    lua_pushvalue(L, 2);
    lua_pushnumber(L, index);
    lua_rawgeti(L, 1, index);
    lua_call(L, 2, 1);
    if (lua_type(L, -1) !== LUA_TNIL) return 1;
    lua_settop(L, -2);
  }
  return 0;
}

function foreach(L: State): i32 {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushnil(L);
  while (lua_next(L, 1) !== 0) {
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 1);
    if (lua_type(L, -1) !== LUA_TNIL) return 1;
    lua_settop(L, -3);
  }
  return 0;
}

function maxn(L: State): i32 {
  luaL_checktype(L, 1, LUA_TTABLE);
  let largest: f64 = 0;
  lua_pushnil(L);
  while (lua_next(L, 1) !== 0) {
    spend(L, 1);
    lua_settop(L, -2);
    if (lua_type(L, -1) !== LUA_TNUMBER) continue;
    const key = lua_tonumber(L, -1);
    if (key > largest) largest = key;
  }
  lua_pushnumber(L, largest);
  return 1;
}

function getn(L: State): i32 {
  lua_pushnumber(L, lengthOf(L, 1));
  return 1;
}

function setn(L: State): i32 {
  luaL_checktype(L, 1, LUA_TTABLE);
  return raise(L, OBSOLETE);
}

function insert(L: State): i32 {
  let end = lengthOf(L, 1) + 1;
  const count = lua_gettop(L);
  let position = end;
  if (count === 3) {
    position = checkInt(L, 2);
    if (position > end) end = position;
    checkWritable(L, 1);
    for (let index = end; index > position; index--) {
      spend(L, 1);
      lua_rawgeti(L, 1, index - 1);
      lua_rawseti(L, 1, index);
    }
  } else if (count !== 2) return raise(L, INSERT_ARGUMENTS);
  checkWritable(L, 1);
  lua_rawseti(L, 1, position);
  return 0;
}

function remove(L: State): i32 {
  const end = lengthOf(L, 1);
  let position = optionalInt(L, 2, end);
  if (position < 1 || position > end) return 0;
  checkWritable(L, 1);
  lua_rawgeti(L, 1, position);
  for (; position < end; position++) {
    spend(L, 1);
    lua_rawgeti(L, 1, position + 1);
    lua_rawseti(L, 1, position);
  }
  lua_pushnil(L);
  lua_rawseti(L, 1, end);
  return 1;
}

function concat(L: State): i32 {
  store<u32>(separatorLengthCell, 0);
  const separator = lua_type(L, 2) <= LUA_TNIL ? EMPTY : luaL_checklstring(L, 2, separatorLengthCell);
  const separatorLength = load<u32>(separatorLengthCell);
  luaL_checktype(L, 1, LUA_TTABLE);
  const first = optionalInt(L, 3, 1);
  const last = lua_type(L, 4) <= LUA_TNIL ? lengthOf(L, 1) : checkInt(L, 4);
  const start = bufferTop;
  let out = start;
  for (let index: i64 = first; index <= <i64>last; index++) {
    lua_rawgeti(L, 1, <i32>index);
    if (lua_isstring(L, -1) === 0) {
      raiseWithTwo(L, INVALID_VALUE, lua_typename(L, lua_type(L, -1)), <usize>index);
    }
    const bytes = lua_tolstring(L, -1, lengthCell);
    const length = load<u32>(lengthCell);
    spend(L, 1 + <i32>((length + separatorLength) >> 4));
    out = append(L, out, bytes, length);
    lua_settop(L, -2);
    if (index < <i64>last && separatorLength > 0) out = append(L, out, separator, separatorLength);
  }
  lua_pushlstring(L, buffer + start, out - start);
  return 1;
}

/** Sets two elements to the two values on top of the stack, the first one to the topmost, and takes them away. */
function setTwo(L: State, first: i32, second: i32): void {
  lua_rawseti(L, 1, first);
  lua_rawseti(L, 1, second);
}

/** Whether one value on the stack comes before another: by the function at index 2 if there is one. */
function isBefore(L: State, a: i32, b: i32): bool {
  spend(L, 1);
  if (lua_type(L, 2) === LUA_TNIL) return lua_lessthan(L, a, b) !== 0;
  lua_pushvalue(L, 2);
  lua_pushvalue(L, a - 1);
  lua_pushvalue(L, b - 2);
  lua_call(L, 2, 1);
  const result = lua_toboolean(L, -1) !== 0;
  lua_settop(L, -2);
  return result;
}

/**
 * Sorts the elements from `low` to `high`: quicksort with the median of the first, the middle and the last element, comparing
 * in the order in which Lua 5.1 does, since that shows where elements are equal or the order function is not one.
 */
function sortRange(L: State, first: i32, last: i32): void {
  let low = first;
  let high = last;
  while (low < high) {
    lua_rawgeti(L, 1, low);
    lua_rawgeti(L, 1, high);
    if (isBefore(L, -1, -2)) setTwo(L, low, high);
    else lua_settop(L, -3);
    if (high - low === 1) return;
    const middle = <i32>((<u32>low + <u32>high) / 2);
    lua_rawgeti(L, 1, middle);
    lua_rawgeti(L, 1, low);
    if (isBefore(L, -2, -1)) setTwo(L, middle, low);
    else {
      lua_settop(L, -2);
      lua_rawgeti(L, 1, high);
      if (isBefore(L, -1, -2)) setTwo(L, middle, high);
      else lua_settop(L, -3);
    }
    if (high - low === 2) return;
    // The median is put beside the last element.
    lua_rawgeti(L, 1, middle);
    lua_pushvalue(L, -1);
    lua_rawgeti(L, 1, high - 1);
    setTwo(L, middle, high - 1);
    const pivot = partition(L, low, high);
    // The smaller part first, by recursion; then the larger one.
    if (pivot - low < high - pivot) {
      sortRange(L, low, pivot - 1);
      low = pivot + 1;
    } else {
      sortRange(L, pivot + 1, high);
      high = pivot - 1;
    }
  }
}

/** Divides a range by the value on top of the stack, which it takes away. Returns where that value is then. */
function partition(L: State, low: i32, high: i32): i32 {
  let up = low;
  let down = high - 1;
  while (true) {
    lua_rawgeti(L, 1, ++up);
    while (isBefore(L, -1, -2)) {
      if (up > high) raise(L, INVALID_ORDER);
      lua_settop(L, -2);
      lua_rawgeti(L, 1, ++up);
    }
    lua_rawgeti(L, 1, --down);
    while (isBefore(L, -3, -1)) {
      if (down < low) raise(L, INVALID_ORDER);
      lua_settop(L, -2);
      lua_rawgeti(L, 1, --down);
    }
    if (down < up) {
      lua_settop(L, -4);
      break;
    }
    setTwo(L, up, down);
  }
  lua_rawgeti(L, 1, high - 1);
  lua_rawgeti(L, 1, up);
  setTwo(L, high - 1, up);
  return up;
}

function sort(L: State): i32 {
  const length = lengthOf(L, 1);
  luaL_checkstack(L, SORT_STACK, EMPTY);
  if (lua_type(L, 2) > LUA_TNIL) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  if (length > 1) checkWritable(L, 1);
  sortRange(L, 1, length);
  return 0;
}

export function openTable(L: State): void {
  beginLibrary(L, 'table', 9);
  setFunction(L, 'concat', concat.index);
  setFunction(L, 'foreach', foreach.index);
  setFunction(L, 'foreachi', foreachi.index);
  setFunction(L, 'getn', getn.index);
  setFunction(L, 'maxn', maxn.index);
  setFunction(L, 'insert', insert.index);
  setFunction(L, 'remove', remove.index);
  setFunction(L, 'setn', setn.index);
  setFunction(L, 'sort', sort.index);
  endLibrary(L);
}
