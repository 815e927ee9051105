/** The library `cmsgpack`: MessagePack, encoded and decoded as by lua-cmsgpack 0.4.0. */
import { append, buffer, bufferTop, reserve } from './buffer';
import { spend } from './interrupt';
import {
  LUA_TBOOLEAN,
  LUA_TNIL,
  LUA_TNUMBER,
  LUA_TSTRING,
  LUA_TTABLE,
  lua_createtable,
  lua_gettable,
  lua_gettop,
  lua_insert,
  lua_next,
  lua_objlen,
  lua_pushboolean,
  lua_pushlstring,
  lua_pushnil,
  lua_pushnumber,
  lua_pushvalue,
  lua_settable,
  lua_settop,
  lua_toboolean,
  lua_tolstring,
  lua_tonumber,
  lua_type,
  luaL_argerror,
  luaL_checklstring,
  luaL_checknumber,
  luaL_checkstack,
  State,
} from './lua';
import { toInt64 } from './numbers';
import { beginLibrary, endLibrary, setFunction, setText } from './registry';
import { raise, raiseWithTwo, text } from './text';

const NO_INPUT = text('MessagePack pack needs input.');
const TOO_MANY_ARGUMENTS = text('Too many arguments for MessagePack pack.');
const TOO_MANY_RESULTS = text('too many return values at once; use unpack_one or unpack_limit instead.');
const AS_ARRAY = text('in function mp_encode_lua_table_as_array');
const AS_MAP = text('in function mp_encode_lua_table_as_map');
const IS_ARRAY = text('in function table_is_an_array');
const DECODE_ARRAY = text('in function mp_decode_to_lua_array');
const DECODE_HASH = text('in function mp_decode_to_lua_hash');
const FULL = text('in function mp_unpack_full');
const INVALID_REQUEST = text('Invalid request to unpack with offset of %d and limit of %d.');
const BAD_START = text('Start offset %d greater than input length %d.');
const MISSING_BYTES = text('Missing bytes in input.');
const BAD_FORMAT = text('Bad data format in input.');

/** Deeper tables are encoded as nil. */
const NESTING_MAX = 16;

const lengthCell = memory.data(4, 4);

/** Where the next byte goes in the buffer. */
let end: u32 = 0;

function put(byte: u32): void {
  store<u8>(buffer + end++, <u8>byte);
}

function putBytes(value: u64, count: i32): void {
  for (let shift = 8 * (count - 1); shift >= 0; shift -= 8) put(<u32>(value >> shift));
}

function encodeString(L: State, bytes: usize, length: u32): void {
  reserve(L, end, 5);
  if (length < 32) put(0xa0 | length);
  else if (length <= 0xff) {
    put(0xd9);
    put(length);
  } else if (length <= 0xffff) {
    put(0xda);
    putBytes(length, 2);
  } else {
    put(0xdb);
    putBytes(length, 4);
  }
  end = append(L, end, bytes, length);
}

function encodeInteger(value: i64): void {
  if (value >= 0) {
    if (value <= 127) put(<u32>value);
    else if (value <= 0xff) {
      put(0xcc);
      put(<u32>value);
    } else if (value <= 0xffff) {
      put(0xcd);
      putBytes(value, 2);
    } else if (value <= 0xffffffff) {
      put(0xce);
      putBytes(value, 4);
    } else {
      put(0xcf);
      putBytes(value, 8);
    }
  } else if (value >= -32) put(<u32>value);
  else if (value >= -128) {
    put(0xd0);
    put(<u32>value);
  } else if (value >= -32768) {
    put(0xd1);
    putBytes(value, 2);
  } else if (value >= -2147483648) {
    put(0xd2);
    putBytes(value, 4);
  } else {
    put(0xd3);
    putBytes(value, 8);
  }
}

function encodeNumber(L: State, value: f64): void {
  reserve(L, end, 9);
  const integer = toInt64(value);
  if (isFinite(value) && <f64>integer === value) {
    encodeInteger(integer);
    return;
  }
  const single = <f32>value;
  if (<f64>single === value) {
    put(0xca);
    putBytes(reinterpret<u32>(single), 4);
  } else {
    put(0xcb);
    putBytes(reinterpret<u64>(value), 8);
  }
}

/** Whether the keys of the table on top of the stack are 1 to their number. */
function isArray(L: State): bool {
  const top = lua_gettop(L);
  luaL_checkstack(L, 2, IS_ARRAY);
  let largest: f64 = 0;
  let count: f64 = 0;
  lua_pushnil(L);
  while (lua_next(L, -2) !== 0) {
    lua_settop(L, -2);
    const key = lua_type(L, -1) === LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
    if (!(key > 0) || Math.floor(key) !== key || key > <f64>i32.MAX_VALUE) {
      lua_settop(L, top);
      return false;
    }
    if (key > largest) largest = key;
    count++;
  }
  return largest === count;
}

function encodeArray(L: State, level: i32): void {
  const length = lua_objlen(L, -1);
  reserve(L, end, 5);
  if (length <= 15) put(0x90 | length);
  else if (length <= 0xffff) {
    put(0xdc);
    putBytes(length, 2);
  } else {
    put(0xdd);
    putBytes(length, 4);
  }
  luaL_checkstack(L, 1, AS_ARRAY);
  for (let index: u32 = 1; index <= length; index++) {
    lua_pushnumber(L, index);
    lua_gettable(L, -2);
    encodeValue(L, level + 1);
  }
}

function encodeMap(L: State, level: i32): void {
  luaL_checkstack(L, 3, AS_MAP);
  let count: u32 = 0;
  lua_pushnil(L);
  while (lua_next(L, -2) !== 0) {
    lua_settop(L, -2);
    count++;
  }
  reserve(L, end, 5);
  if (count <= 15) put(0x80 | count);
  else if (count <= 0xffff) {
    put(0xde);
    putBytes(count, 2);
  } else {
    put(0xdf);
    putBytes(count, 4);
  }
  lua_pushnil(L);
  while (lua_next(L, -2) !== 0) {
    lua_pushvalue(L, -2);
    encodeValue(L, level + 1);
    encodeValue(L, level + 1);
  }
}

/** Encodes the value on top of the stack, and takes it away. */
function encodeValue(L: State, level: i32): void {
  spend(L, 2);
  let type = lua_type(L, -1);
  if (type === LUA_TTABLE && level === NESTING_MAX) type = LUA_TNIL;
  if (type === LUA_TSTRING) {
    const bytes = lua_tolstring(L, -1, lengthCell);
    encodeString(L, bytes, load<u32>(lengthCell));
  } else if (type === LUA_TNUMBER) encodeNumber(L, lua_tonumber(L, -1));
  else if (type === LUA_TTABLE) {
    if (isArray(L)) encodeArray(L, level);
    else encodeMap(L, level);
  } else {
    reserve(L, end, 1);
    if (type === LUA_TBOOLEAN) put(lua_toboolean(L, -1) !== 0 ? 0xc3 : 0xc2);
    else put(0xc0);
  }
  lua_settop(L, -2);
}

function pack(L: State): i32 {
  const count = lua_gettop(L);
  if (count === 0) return luaL_argerror(L, 0, NO_INPUT);
  luaL_checkstack(L, count, TOO_MANY_ARGUMENTS);
  const start = bufferTop;
  end = start;
  for (let arg = 1; arg <= count; arg++) {
    luaL_checkstack(L, 1, TOO_MANY_ARGUMENTS);
    lua_pushvalue(L, arg);
    encodeValue(L, 0);
  }
  lua_pushlstring(L, buffer + start, end - start);
  return 1;
}

const enum Failure {
  None,
  MissingBytes,
  BadFormat,
}

// The input that is left, and what was wrong with it.
let input: usize = 0;
let inputEnd: usize = 0;
let failure: Failure = Failure.None;

function takeBytes(skip: u32, count: u32): u64 {
  if (<u32>(inputEnd - input) < skip + count) {
    failure = Failure.MissingBytes;
    return 0;
  }
  let value: u64 = 0;
  for (let index: u32 = 0; index < count; index++) value = (value << 8) | load<u8>(input + skip + index);
  input += skip + count;
  return value;
}

function decodeString(L: State, length: u32): void {
  if (failure !== Failure.None) return;
  if (<u32>(inputEnd - input) < length) {
    failure = Failure.MissingBytes;
    return;
  }
  lua_pushlstring(L, input, length);
  input += length;
}

function decodeArray(L: State, length: u32): void {
  if (failure !== Failure.None) return;
  lua_createtable(L, 0, 0);
  luaL_checkstack(L, 1, DECODE_ARRAY);
  for (let index: u32 = 1; index <= length; index++) {
    lua_pushnumber(L, index);
    decodeValue(L);
    if (failure !== Failure.None) return;
    lua_settable(L, -3);
  }
}

function decodeMap(L: State, length: u32): void {
  if (failure !== Failure.None) return;
  lua_createtable(L, 0, 0);
  for (let index: u32 = 0; index < length; index++) {
    luaL_checkstack(L, 1, DECODE_HASH);
    decodeValue(L);
    if (failure !== Failure.None) return;
    decodeValue(L);
    if (failure !== Failure.None) return;
    lua_settable(L, -3);
  }
}

function pushNumber(L: State, value: f64): void {
  if (failure === Failure.None) lua_pushnumber(L, value);
}

/** Decodes one value and pushes it. After a failure, what is on the stack is of no use. */
function decodeValue(L: State): void {
  luaL_checkstack(L, 1, TOO_MANY_RESULTS);
  spend(L, 2);
  if (input === inputEnd) {
    failure = Failure.MissingBytes;
    return;
  }
  const type = <u32>load<u8>(input);
  if (type < 0x80) {
    input++;
    lua_pushnumber(L, type);
  } else if (type >= 0xe0) {
    input++;
    lua_pushnumber(L, <i32>type - 256);
  } else if (type >= 0xa0 && type < 0xc0) {
    input++;
    decodeString(L, type & 0x1f);
  } else if (type < 0x90) {
    input++;
    decodeMap(L, type & 0xf);
  } else if (type < 0xa0) {
    input++;
    decodeArray(L, type & 0xf);
  } else decodeByType(L, type);
}

function decodeByType(L: State, type: u32): void {
  switch (type) {
    case 0xc0:
      input++;
      lua_pushnil(L);
      break;
    case 0xc2:
    case 0xc3:
      input++;
      lua_pushboolean(L, type & 1);
      break;
    case 0xca:
      pushNumber(L, <f64>reinterpret<f32>(<u32>takeBytes(1, 4)));
      break;
    case 0xcb:
      pushNumber(L, reinterpret<f64>(takeBytes(1, 8)));
      break;
    case 0xcc:
      pushNumber(L, <f64>takeBytes(1, 1));
      break;
    case 0xcd:
      pushNumber(L, <f64>takeBytes(1, 2));
      break;
    case 0xce:
      pushNumber(L, <f64>takeBytes(1, 4));
      break;
    case 0xcf:
      pushNumber(L, <f64>takeBytes(1, 8));
      break;
    case 0xd0:
      pushNumber(L, <f64>(<i8>takeBytes(1, 1)));
      break;
    case 0xd1:
      pushNumber(L, <f64>(<i16>takeBytes(1, 2)));
      break;
    case 0xd2:
      pushNumber(L, <f64>(<i32>takeBytes(1, 4)));
      break;
    case 0xd3:
      pushNumber(L, <f64>(<i64>takeBytes(1, 8)));
      break;
    case 0xd9:
      decodeString(L, <u32>takeBytes(1, 1));
      break;
    case 0xda:
      decodeString(L, <u32>takeBytes(1, 2));
      break;
    case 0xdb:
      decodeString(L, <u32>takeBytes(1, 4));
      break;
    case 0xdc:
      decodeArray(L, <u32>takeBytes(1, 2));
      break;
    case 0xdd:
      decodeArray(L, <u32>takeBytes(1, 4));
      break;
    case 0xde:
      decodeMap(L, <u32>takeBytes(1, 2));
      break;
    case 0xdf:
      decodeMap(L, <u32>takeBytes(1, 4));
      break;
    default:
      failure = Failure.BadFormat;
  }
}

/** Decodes up to `limit` values from an offset; all of them, and without the next offset, if both are 0. */
function unpackFrom(L: State, limit: i64, offset: i64): i32 {
  const bytes = luaL_checklstring(L, 1, lengthCell);
  const length = load<u32>(lengthCell);
  const all = limit === 0 && offset === 0;
  if (offset < 0 || limit < 0) return raiseWithTwo(L, INVALID_REQUEST, <usize>offset, length);
  if (offset > <i64>length) return raiseWithTwo(L, BAD_START, <usize>offset, length);
  const countMax = all ? <i64>i32.MAX_VALUE : limit;
  input = bytes + <u32>offset;
  inputEnd = bytes + length;
  failure = Failure.None;
  let count = 0;
  while (input < inputEnd && <i64>count < countMax) {
    decodeValue(L);
    if (failure === Failure.MissingBytes) return raise(L, MISSING_BYTES);
    if (failure === Failure.BadFormat) return raise(L, BAD_FORMAT);
    count++;
  }
  if (all) return count;
  luaL_checkstack(L, 1, FULL);
  lua_pushnumber(L, input === inputEnd ? -1 : <f64>(<u32>(input - bytes)));
  lua_insert(L, 2);
  return count + 1;
}

function integer(L: State, arg: i32): i64 {
  return toInt64(luaL_checknumber(L, arg));
}

function unpack(L: State): i32 {
  return unpackFrom(L, 0, 0);
}

function unpackOne(L: State): i32 {
  const offset: i64 = lua_type(L, 2) <= LUA_TNIL ? 0 : integer(L, 2);
  lua_settop(L, 1);
  return unpackFrom(L, 1, offset);
}

function unpackLimit(L: State): i32 {
  const limit = integer(L, 2);
  const offset: i64 = lua_type(L, 3) <= LUA_TNIL ? 0 : integer(L, 3);
  lua_settop(L, 1);
  return unpackFrom(L, limit, offset);
}

export function openCmsgpack(L: State): void {
  beginLibrary(L, 'cmsgpack', 0);
  setFunction(L, 'pack', pack.index);
  setFunction(L, 'unpack', unpack.index);
  setFunction(L, 'unpack_one', unpackOne.index);
  setFunction(L, 'unpack_limit', unpackLimit.index);
  setText(L, '_NAME', 'cmsgpack');
  setText(L, '_VERSION', 'lua-cmsgpack 0.4.0');
  setText(L, '_COPYRIGHT', 'Copyright (C) 2012, Salvatore Sanfilippo');
  setText(L, '_DESCRIPTION', 'MessagePack C implementation for Lua');
  endLibrary(L);
}
