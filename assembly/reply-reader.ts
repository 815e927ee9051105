/** Turns a reply (RESP2 or RESP3) into a value of Lua. The reply is the server's own, so its form is not checked. */
import { markCounted, pushError } from './errors';
import {
  lua_createtable,
  lua_pushboolean,
  lua_pushlstring,
  lua_pushnil,
  lua_pushnumber,
  lua_rawset,
  lua_rawseti,
  lua_setfield,
  lua_settop,
  luaL_checkstack,
  State,
} from './lua';
import { parsedNumber, scanNumber } from './numbers';
import { text } from './text';

const OK = text('ok');
const MAP = text('map');
const SET = text('set');
const DOUBLE = text('double');
const BIG_NUMBER = text('big_number');
const VERBATIM_STRING = text('verbatim_string');
const STRING = text('string');
const FORMAT = text('format');
const TOO_DEEP = text('reply nested too deeply');

const CR = 13;
/** Values that one level of a reply keeps on the stack. */
const LEVEL_VALUES = 5;

/** The integer that `readInteger` has read. */
let integer: i64 = 0;

/** Reads an integer up to its line end. Returns where the next line begins. */
function readInteger(start: usize): usize {
  let at = start;
  const negative = load<u8>(at) === 0x2d;
  if (negative) at++;
  let value: i64 = 0;
  let byte = <u32>load<u8>(at);
  while (byte !== CR) {
    value = value * 10 + (byte - 0x30);
    byte = <u32>load<u8>(++at);
  }
  integer = negative ? -value : value;
  return at + 2;
}

function lineEnd(start: usize): usize {
  let at = start;
  while (load<u8>(at) !== CR) at++;
  return at;
}

/** The smallest power of two that is not smaller: the size to which Lua's arrays grow element by element. */
export function arraySize(count: i32): i32 {
  return count <= 1 ? count : 1 << (32 - clz(count - 1));
}

/** Pushes the value of the reply that begins at `start`. Returns where it ends. */
export function readReply(L: State, start: usize): usize {
  const type = load<u8>(start);
  let at = start + 1;
  if (type === 0x24 /* $ */) {
    at = readInteger(at);
    if (integer < 0) {
      lua_pushboolean(L, 0);
      return at;
    }
    const length = <u32>integer;
    lua_pushlstring(L, at, length);
    return at + length + 2;
  }
  if (type === 0x3a /* : */) {
    at = readInteger(at);
    lua_pushnumber(L, <f64>integer);
    return at;
  }
  return readOther(L, type, at);
}

function readOther(L: State, type: u8, start: usize): usize {
  luaL_checkstack(L, LEVEL_VALUES, TOO_DEEP);
  let at = start;
  switch (type) {
    case 0x2b /* + */:
      {
        const end = lineEnd(at);
        lua_createtable(L, 0, 1);
        lua_pushlstring(L, at, <u32>(end - at));
        lua_setfield(L, -2, OK);
        return end + 2;
      }
    case 0x2d /* - */:
      {
        const end = lineEnd(at);
        pushError(L, at - 1, <i32>(end - at + 1));
        markCounted(L);
        return end + 2;
      }
    case 0x2a /* * */:
    case 0x3e /* > */:
      return readArray(L, at);
    case 0x25 /* % */:
      return readMap(L, at);
    case 0x7e /* ~ */:
      return readSet(L, at);
    case 0x23 /* # */:
      lua_pushboolean(L, load<u8>(at) === 0x74 ? 1 : 0);
      return at + 3;
    case 0x2c /* , */:
      {
        const end = lineEnd(at);
        lua_createtable(L, 0, 1);
        scanNumber(at);
        lua_pushnumber(L, parsedNumber);
        lua_setfield(L, -2, DOUBLE);
        return end + 2;
      }
    case 0x28 /* ( */:
      {
        const end = lineEnd(at);
        lua_createtable(L, 0, 1);
        lua_pushlstring(L, at, <u32>(end - at));
        lua_setfield(L, -2, BIG_NUMBER);
        return end + 2;
      }
    case 0x3d /* = */:
      return readVerbatim(L, at);
    case 0x7c /* | */:
      {
        // Attributes are not shown to scripts.
        at = readInteger(at);
        for (let rest = 2 * <i32>integer; rest > 0; rest--) {
          at = readReply(L, at);
          lua_settop(L, -2);
        }
        return readReply(L, at);
      }
    default:
      lua_pushnil(L);
      return at + 2;
  }
}

function readArray(L: State, start: usize): usize {
  let at = readInteger(start);
  if (integer < 0) {
    lua_pushboolean(L, 0);
    return at;
  }
  const count = <i32>integer;
  lua_createtable(L, arraySize(count), 0);
  for (let index = 1; index <= count; index++) {
    at = readReply(L, at);
    lua_rawseti(L, -2, index);
  }
  return at;
}

function readMap(L: State, start: usize): usize {
  let at = readInteger(start);
  const count = <i32>integer;
  lua_createtable(L, 0, 1);
  lua_createtable(L, 0, 0);
  for (let index = 0; index < count; index++) {
    at = readReply(L, at);
    at = readReply(L, at);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, MAP);
  return at;
}

function readSet(L: State, start: usize): usize {
  let at = readInteger(start);
  const count = <i32>integer;
  lua_createtable(L, 0, 1);
  lua_createtable(L, 0, 0);
  for (let index = 0; index < count; index++) {
    at = readReply(L, at);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, SET);
  return at;
}

/** A text with its format: three letters and a colon. */
function readVerbatim(L: State, start: usize): usize {
  const at = readInteger(start);
  const length = <u32>integer;
  lua_createtable(L, 0, 1);
  lua_createtable(L, 0, 2);
  lua_pushlstring(L, at + 4, length - 4);
  lua_setfield(L, -2, STRING);
  lua_pushlstring(L, at, 3);
  lua_setfield(L, -2, FORMAT);
  lua_setfield(L, -2, VERBATIM_STRING);
  return at + length + 2;
}
