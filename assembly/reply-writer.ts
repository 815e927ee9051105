/**
 * Turns what a script returns into a reply, in the buffer of `buffer.ts` from its beginning.
 *
 * A table is an error (`err`), a status (`ok`), a double, a big number, a verbatim string, a map or a set if it has the
 * field of that name with a value of the right type, in this order; otherwise an array that ends at its first nil.
 */
import { append, buffer, reserve } from './buffer';
import { spend } from './interrupt';
import {
  LUA_TBOOLEAN,
  LUA_TNIL,
  LUA_TNUMBER,
  LUA_TSTRING,
  LUA_TTABLE,
  lua_checkstack,
  lua_getfield,
  lua_next,
  lua_pushnil,
  lua_pushstring,
  lua_pushvalue,
  lua_rawget,
  lua_rawgeti,
  lua_settop,
  lua_toboolean,
  lua_tolstring,
  lua_tonumber,
  lua_type,
  State,
} from './lua';
import { NUMBER_BYTES_MAX, toInt64, writeGeneral, writeInteger } from './numbers';
import { text, textLength } from './text';

const ERR = text('err');
const OK = text('ok');
const MAP = text('map');
const SET = text('set');
const DOUBLE = text('double');
const BIG_NUMBER = text('big_number');
const VERBATIM_STRING = text('verbatim_string');
const STRING = text('string');
const FORMAT = text('format');
const STACK_LIMIT = text('-ERR reached lua stack limit\r\n');
const IGNORE_STATISTICS = text('ignore_error_stats_update');

const lengthCell = memory.data(4, 4);

/** The protocol of the client that gets the reply, and that of the script (`redis.setresp`). */
let clientProtocol: i32 = 2;
let scriptProtocol: i32 = 2;
/** Where the next byte goes. */
let end: u32 = 0;
/** An error in the reply has been counted when its command ran. */
export let countedError: bool = false;

/** Converts the value on top of the stack and takes it away. Returns the length of the reply. */
export function writeResult(L: State, client: i32, script: i32): u32 {
  clientProtocol = client;
  scriptProtocol = script;
  countedError = false;
  end = 0;
  writeValue(L);
  return end;
}

function byte(value: u32): void {
  store<u8>(buffer + end, <u8>value);
  end++;
}

function header(L: State, type: u32, value: i64): void {
  reserve(L, end, NUMBER_BYTES_MAX);
  byte(type);
  end += writeInteger(value, buffer + end);
  store<u16>(buffer + end, 0x0a0d);
  end += 2;
}

function bulk(L: State, bytes: usize, length: u32): void {
  header(L, 0x24, length);
  end = append(L, end, bytes, length);
  reserve(L, end, 2);
  store<u16>(buffer + end, 0x0a0d);
  end += 2;
}

/** A line; line ends in it are blanks. With `trim`, those at its end go. */
function line(L: State, type: u32, bytes: usize, length: u32, trim: bool): void {
  let from = bytes;
  let to = bytes + length;
  if (trim) while (to > from && (load<u8>(to - 1) === 13 || load<u8>(to - 1) === 10)) to--;
  reserve(L, end, <u32>(to - from) + 3);
  byte(type);
  for (; from < to; from++) {
    const code = load<u8>(from);
    byte(code === 13 || code === 10 ? 32 : code);
  }
  store<u16>(buffer + end, 0x0a0d);
  end += 2;
}

function writeNull(L: State): void {
  reserve(L, end, 8);
  if (clientProtocol === 3) {
    store<u8>(buffer + end, 0x5f);
    store<u16>(buffer + end, 0x0a0d, 1);
    end += 3;
  } else {
    store<u32>(buffer + end, 0x0d312d24); // "$-1\r"
    store<u8>(buffer + end, 10, 4);
    end += 5;
  }
}

function writeBoolean(L: State, value: bool): void {
  if (scriptProtocol === 2 && !value) {
    writeNull(L);
    return;
  }
  if (scriptProtocol === 2 || clientProtocol === 2) {
    header(L, 0x3a, value ? 1 : 0);
    return;
  }
  reserve(L, end, 4);
  store<u32>(buffer + end, value ? 0x0a0d7423 : 0x0a0d6623); // "#t\r\n", "#f\r\n"
  end += 4;
}

function writeDouble(L: State, value: f64): void {
  reserve(L, end, 2 * NUMBER_BYTES_MAX);
  if (clientProtocol === 3) {
    byte(0x2c);
    end += writeGeneral(value, 17, buffer + end);
    store<u16>(buffer + end, 0x0a0d);
    end += 2;
    return;
  }
  const start = end + NUMBER_BYTES_MAX;
  const length = writeGeneral(value, 17, buffer + start);
  header(L, 0x24, length);
  memory.copy(buffer + end, buffer + start, length);
  end += length;
  store<u16>(buffer + end, 0x0a0d);
  end += 2;
}

function writeValue(L: State): void {
  const type = lua_type(L, -1);
  if (lua_checkstack(L, 4) === 0) {
    end = append(L, end, STACK_LIMIT, <u32>textLength(STACK_LIMIT));
    lua_settop(L, -2);
    return;
  }
  switch (type) {
    case LUA_TSTRING: {
      const bytes = lua_tolstring(L, -1, lengthCell);
      bulk(L, bytes, load<u32>(lengthCell));
      break;
    }
    case LUA_TNUMBER:
      header(L, 0x3a, toInt64(lua_tonumber(L, -1)));
      break;
    case LUA_TBOOLEAN:
      writeBoolean(L, lua_toboolean(L, -1) !== 0);
      break;
    case LUA_TTABLE:
      writeTable(L);
      break;
    default:
      writeNull(L);
  }
  lua_settop(L, -2);
}

/** Pushes a field of the table on top of the stack. Returns its type. */
function pushField(L: State, name: usize): i32 {
  lua_pushstring(L, name);
  lua_rawget(L, -2);
  return lua_type(L, -1);
}

/** Writes the table on top of the stack, which stays there. */
function writeTable(L: State): void {
  const top = -2;
  if (pushField(L, ERR) === LUA_TSTRING) {
    lua_settop(L, top);
    writeError(L);
    return;
  }
  lua_settop(L, top);
  if (pushField(L, OK) === LUA_TSTRING) {
    const bytes = lua_tolstring(L, -1, 0);
    line(L, 0x2b, bytes, <u32>textLength(bytes), false);
    lua_settop(L, top);
    return;
  }
  lua_settop(L, top);
  if (pushField(L, DOUBLE) === LUA_TNUMBER) {
    writeDouble(L, lua_tonumber(L, -1));
    lua_settop(L, top);
    return;
  }
  lua_settop(L, top);
  if (pushField(L, BIG_NUMBER) === LUA_TSTRING) {
    const bytes = lua_tolstring(L, -1, lengthCell);
    writeBigNumber(L, bytes, load<u32>(lengthCell));
    lua_settop(L, top);
    return;
  }
  lua_settop(L, top);
  if (pushField(L, VERBATIM_STRING) === LUA_TTABLE && writeVerbatim(L)) {
    lua_settop(L, top);
    return;
  }
  lua_settop(L, top);
  if (pushField(L, MAP) === LUA_TTABLE) {
    writePairs(L, true);
    lua_settop(L, top);
    return;
  }
  lua_settop(L, top);
  if (pushField(L, SET) === LUA_TTABLE) {
    writePairs(L, false);
    lua_settop(L, top);
    return;
  }
  lua_settop(L, top);
  writeArray(L);
}

/** Writes the error whose table is on top of the stack. */
function writeError(L: State): void {
  lua_getfield(L, -1, ERR);
  const bytes = lua_tolstring(L, -1, 0);
  line(L, 0x2d, bytes, <u32>textLength(bytes), true);
  lua_settop(L, -2);
  lua_getfield(L, -1, IGNORE_STATISTICS);
  countedError = lua_toboolean(L, -1) !== 0;
  lua_settop(L, -2);
}

function writeBigNumber(L: State, bytes: usize, length: u32): void {
  if (clientProtocol === 3) {
    line(L, 0x28, bytes, length, false);
    return;
  }
  header(L, 0x24, length);
  reserve(L, end, length + 2);
  for (let index: u32 = 0; index < length; index++) {
    const code = load<u8>(bytes + index);
    byte(code === 13 || code === 10 ? 32 : code);
  }
  store<u16>(buffer + end, 0x0a0d);
  end += 2;
}

/** Writes the verbatim string whose table is on top of the stack, if it has both fields. */
function writeVerbatim(L: State): bool {
  if (pushField(L, FORMAT) !== LUA_TSTRING) return false;
  lua_pushstring(L, STRING);
  lua_rawget(L, -3);
  if (lua_type(L, -1) !== LUA_TSTRING) return false;
  const format = lua_tolstring(L, -2, 0);
  const bytes = lua_tolstring(L, -1, lengthCell);
  const length = load<u32>(lengthCell);
  if (clientProtocol === 2) {
    bulk(L, bytes, length);
    return true;
  }
  header(L, 0x3d, <i64>length + 4);
  reserve(L, end, 4);
  // Three letters; a shorter format is filled up with blanks.
  let more = true;
  for (let index = 0; index < 3; index++) {
    const code = more ? load<u8>(format + index) : 0;
    if (code === 0) more = false;
    byte(code === 0 ? 0x20 : code);
  }
  byte(0x3a);
  end = append(L, end, bytes, length);
  reserve(L, end, 2);
  store<u16>(buffer + end, 0x0a0d);
  end += 2;
  return true;
}

/** Writes the table on top of the stack as a map, or as a set of its keys. */
function writePairs(L: State, values: bool): void {
  let count = 0;
  lua_pushnil(L);
  while (lua_next(L, -2) !== 0) {
    count++;
    lua_settop(L, -2);
  }
  if (values) {
    if (clientProtocol === 3) header(L, 0x25, count);
    else header(L, 0x2a, 2 * count);
  } else header(L, clientProtocol === 3 ? 0x7e : 0x2a, count);
  lua_pushnil(L);
  while (lua_next(L, -2) !== 0) {
    spend(L, 4);
    if (values) {
      lua_pushvalue(L, -2);
      writeValue(L);
      writeValue(L);
    } else {
      lua_settop(L, -2);
      lua_pushvalue(L, -1);
      writeValue(L);
    }
  }
}

function writeArray(L: State): void {
  let count = 0;
  while (true) {
    lua_rawgeti(L, -1, count + 1);
    const type = lua_type(L, -1);
    lua_settop(L, -2);
    if (type === LUA_TNIL) break;
    count++;
  }
  header(L, 0x2a, count);
  for (let index = 1; index <= count; index++) {
    spend(L, 4);
    lua_rawgeti(L, -1, index);
    writeValue(L);
  }
}
