/**
 * The functions of Lua's base library that are not Lua's own here: those that change tables look at whether they are
 * read-only, those that catch errors let the one through that ends a script, and those that compile refuse bytecode.
 */
import { endAgain, hasEnded, spend } from './interrupt';
import {
  LUA_GCCOLLECT,
  LUA_GCCOUNT,
  LUA_GCCOUNTB,
  LUA_GCRESTART,
  LUA_GCSETPAUSE,
  LUA_GCSETSTEPMUL,
  LUA_GCSTEP,
  LUA_GCSTOP,
  LUA_GLOBALSINDEX,
  LUA_MULTRET,
  LUA_TBOOLEAN,
  LUA_TFUNCTION,
  LUA_TNIL,
  LUA_TNUMBER,
  LUA_TSTRING,
  LUA_TTABLE,
  lua_call,
  lua_checkstack,
  lua_gc,
  lua_getfield,
  lua_getmetatable,
  lua_gettop,
  lua_insert,
  lua_isnumber,
  lua_isstring,
  lua_load,
  lua_next,
  lua_objlen,
  lua_pcall,
  lua_pushboolean,
  lua_pushcclosure,
  lua_pushfstring,
  lua_pushlstring,
  lua_pushnil,
  lua_pushnumber,
  lua_pushstring,
  lua_pushvalue,
  lua_rawget,
  lua_rawgeti,
  lua_rawset,
  lua_remove,
  lua_replace,
  lua_setfield,
  lua_setmetatable,
  lua_settop,
  lua_toboolean,
  lua_tolstring,
  lua_tonumber,
  lua_topointer,
  lua_type,
  lua_typename,
  luaL_callmeta,
  luaL_checkany,
  luaL_checklstring,
  luaL_checknumber,
  luaL_checktype,
  State,
  TABLE_ARRAY_SIZE,
  TABLE_NODES_LOG,
  upvalue,
} from './lua';
import { isDigit, isHexDigit, isSpace, toInt } from './numbers';
import { checkWritable, setFunction } from './registry';
import { checkArgument, raise, raiseWith, text, textLength } from './text';

const ERR = text('err');
const METATABLE = text('__metatable');
const PROTECTED = text('cannot change a protected metatable');
const NIL_OR_TABLE = text('nil or table expected');
const TOO_MANY_RESULTS = text('too many results to unpack');
const BASE_RANGE = text('base out of range');
const INDEX_RANGE = text('index out of range');
const INVALID_OPTION = text("bad argument #1 to 'collectgarbage' (invalid option '%s')");
const NOT_A_STRING = text('reader function must return a string');
const TOO_DEEP = text('too many nested functions');
const TOSTRING = text('__tostring');
const ANY_VALUE = text('%s: %p');
const NULL_POINTER = text('userdata: (nil)');
const TRUE = text('true');
const FALSE = text('false');
const NIL = text('nil');
const LOAD_NAME = text('=(load)');
const BLANK = text(' ');
const COLLECT = text('collect');
const OPTIONS: StaticArray<usize> = [
  text('stop'),
  text('restart'),
  text('collect'),
  text('count'),
  text('step'),
  text('setpause'),
  text('setstepmul'),
];
const OPTION_CODES: StaticArray<i32> = [
  LUA_GCSTOP,
  LUA_GCRESTART,
  LUA_GCCOLLECT,
  LUA_GCCOUNT,
  LUA_GCSTEP,
  LUA_GCSETPAUSE,
  LUA_GCSETSTEPMUL,
];

const BYTECODE = 27;
/** What an error costs, in steps of `interrupt.ts`. */
const ERROR_STEPS = 200;
const DEFAULT_PAUSE = 200;
const DEFAULT_STEP_MULTIPLIER = 200;

const lengthCell = memory.data(4, 4);
const values = memory.data(8, 8);

/** An optional integer argument, converted as Lua does it on x86-64. */
export function optionalInt(L: State, arg: i32, otherwise: i32): i32 {
  return lua_type(L, arg) <= LUA_TNIL ? otherwise : toInt(luaL_checknumber(L, arg));
}

/** An integer argument, converted as Lua does it on x86-64. */
export function checkInt(L: State, arg: i32): i32 {
  return toInt(luaL_checknumber(L, arg));
}

function rawset(L: State): i32 {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  checkWritable(L, 1);
  lua_rawset(L, 1);
  return 1;
}

function setmetatable(L: State): i32 {
  const type = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  checkArgument(L, type === LUA_TNIL || type === LUA_TTABLE, 2, NIL_OR_TABLE);
  if (lua_getmetatable(L, 1) !== 0) {
    lua_pushstring(L, METATABLE);
    lua_rawget(L, -2);
    if (lua_type(L, -1) !== LUA_TNIL) raise(L, PROTECTED);
  }
  lua_settop(L, 2);
  checkWritable(L, 1);
  lua_setmetatable(L, 1);
  return 1;
}

/** Lua's next. It may have to pass many empty slots, so the table's size counts. */
function next(L: State): i32 {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  const table = lua_topointer(L, 1);
  spend(L, (load<i32>(table, TABLE_ARRAY_SIZE) + (1 << load<u8>(table, TABLE_NODES_LOG))) >> 6);
  if (lua_next(L, 1) !== 0) return 2;
  lua_pushnil(L);
  return 1;
}

/** Lua's pairs; its upvalue is `next`. */
function pairs(L: State): i32 {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushvalue(L, upvalue(1));
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

function unpack(L: State): i32 {
  luaL_checktype(L, 1, LUA_TTABLE);
  const first = optionalInt(L, 2, 1);
  const last = lua_type(L, 3) <= LUA_TNIL ? <i32>lua_objlen(L, 1) : checkInt(L, 3);
  if (first > last) return 0;
  const count = last - first + 1;
  spend(L, count >> 2);
  if (count <= 0 || lua_checkstack(L, count) === 0) return raise(L, TOO_MANY_RESULTS);
  for (let index = 0; index < count; index++) lua_rawgeti(L, 1, first + index);
  return count;
}

function select(L: State): i32 {
  const top = lua_gettop(L);
  spend(L, top >> 2);
  if (lua_type(L, 1) === LUA_TSTRING && load<u8>(lua_tolstring(L, 1, 0)) === 0x23 /* # */) {
    lua_pushnumber(L, top - 1);
    return 1;
  }
  let index = checkInt(L, 1);
  if (index < 0) index = top + index;
  else if (index > top) index = top;
  checkArgument(L, index >= 1, 1, INDEX_RANGE);
  return top - index;
}

/**
 * Redis's pcall: of an error that is a table with a text `err`, the caller gets the text. As in Redis, another table is
 * followed by a nil.
 */
function pcall(L: State): i32 {
  const count = lua_gettop(L);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  if (count === 0) {
    lua_settop(L, 0);
    lua_pushboolean(L, 0);
    lua_pushstring(L, CALL_OF_NOTHING);
    return 2;
  }
  if (lua_pcall(L, count - 1, LUA_MULTRET, 0) === 0) return lua_gettop(L);
  spend(L, ERROR_STEPS);
  if (hasEnded()) endAgain(L);
  lua_remove(L, 1);
  if (lua_type(L, -1) === LUA_TTABLE) {
    lua_getfield(L, -1, ERR);
    if (lua_isstring(L, -1) !== 0) lua_replace(L, -2);
  }
  lua_pushboolean(L, 0);
  lua_insert(L, 1);
  return lua_gettop(L);
}
const CALL_OF_NOTHING = text('attempt to call a boolean value');

/** The handler of an xpcall: does not see the error that ends the script. Its upvalue is the script's handler. */
function callHandler(L: State): i32 {
  lua_settop(L, 1);
  if (hasEnded()) return 1;
  lua_pushvalue(L, upvalue(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

function xpcall(L: State): i32 {
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  if (lua_type(L, 2) === LUA_TFUNCTION) lua_pushcclosure(L, callHandler.index, 1);
  lua_insert(L, 1);
  const status = lua_pcall(L, 0, LUA_MULTRET, 1);
  if (status !== 0) {
    spend(L, ERROR_STEPS);
    if (hasEnded()) endAgain(L);
  }
  lua_pushboolean(L, status === 0 ? 1 : 0);
  lua_replace(L, 1);
  return lua_gettop(L);
}

// A source that is read piece by piece. Where it begins with the first byte of bytecode, a blank is put in front, so that
// Lua takes it for a text, and finds that it is none.
let sourceBytes: usize = 0;
let sourceLength: u32 = 0;
let sourceBegun: bool = false;

/** Lua's reader for a source in memory. */
function readSource(_L: State, _data: usize, size: usize): usize {
  if (!sourceBegun) {
    sourceBegun = true;
    if (sourceLength > 0 && load<u8>(sourceBytes) === BYTECODE) {
      store<u32>(size, 1);
      return BLANK;
    }
  }
  store<u32>(size, sourceLength);
  sourceLength = 0;
  return sourceBytes;
}

/** Compiles a text. Pushes the function, or an error's text, and returns Lua's status. */
export function compile(L: State, bytes: usize, length: u32, name: usize): i32 {
  sourceBytes = bytes;
  sourceLength = length;
  sourceBegun = false;
  spend(L, <i32>(length >> 3));
  return lua_load(L, readSource.index, 0, name);
}

/** Lua's reader for the function at index 1 of the stack; its piece is kept at index 3. */
function readPieces(L: State, begun: usize, size: usize): usize {
  spend(L, 8);
  if (lua_checkstack(L, 2) === 0) raise(L, TOO_DEEP);
  if (load<i32>(begun) === 2) {
    // The piece that begins with the byte of bytecode follows the blank.
    store<i32>(begun, 1);
    return lua_tolstring(L, 3, size);
  }
  lua_pushvalue(L, 1);
  lua_call(L, 0, 1);
  const type = lua_type(L, -1);
  if (type === LUA_TNIL) {
    store<u32>(size, 0);
    return 0;
  }
  if (type !== LUA_TSTRING && type !== LUA_TNUMBER) raise(L, NOT_A_STRING);
  lua_replace(L, 3);
  const piece = lua_tolstring(L, 3, size);
  if (load<i32>(begun) === 0 && load<u32>(size) > 0) {
    store<i32>(begun, 1);
    if (load<u8>(piece) === BYTECODE) {
      store<i32>(begun, 2);
      store<u32>(size, 1);
      return BLANK;
    }
  }
  return piece;
}

function finishLoad(L: State, status: i32): i32 {
  if (status === 0) return 1;
  if (hasEnded()) endAgain(L);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

function loadstring(L: State): i32 {
  const bytes = luaL_checklstring(L, 1, lengthCell);
  const length = load<u32>(lengthCell);
  const name = lua_type(L, 2) <= LUA_TNIL ? bytes : luaL_checklstring(L, 2, 0);
  return finishLoad(L, compile(L, bytes, length, name));
}

/** Whether a source read by `readPieces` has begun, for each depth of load in load. */
const begunCells = memory.data(4 * 256, 4);
let loadDepth: u32 = 0;

export function resetLoads(): void {
  loadDepth = 0;
}

function loadFunction(L: State): i32 {
  const name = lua_type(L, 2) <= LUA_TNIL ? LOAD_NAME : luaL_checklstring(L, 2, 0);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 3);
  const begun = begunCells + 4 * (loadDepth & 255);
  loadDepth++;
  store<i32>(begun, 0);
  const status = lua_load(L, readPieces.index, begun, name);
  loadDepth--;
  return finishLoad(L, status);
}

/** The number that a string is in a base, as C's strtoul reads it on x86-64; -1 if it is none. */
function parseInBase(text: usize, base: u32): f64 {
  let at = text;
  while (isSpace(load<u8>(at))) at++;
  const negative = load<u8>(at) === 0x2d;
  if (negative || load<u8>(at) === 0x2b) at++;
  if (
    base === 16 &&
    load<u8>(at) === 0x30 &&
    (load<u8>(at + 1) | 0x20) === 0x78 &&
    isHexDigit(load<u8>(at + 2))
  )
    at += 2;
  const digits = at;
  let value: u64 = 0;
  let overflows = false;
  while (true) {
    const c = <u32>load<u8>(at);
    const digit = isDigit(c) ? c - 0x30 : (c | 0x20) - 0x61 < 26 ? (c | 0x20) - 0x57 : 36;
    if (digit >= base) break;
    if (value > (u64.MAX_VALUE - digit) / base) overflows = true;
    else value = value * base + digit;
    at++;
  }
  if (at === digits) return -1;
  while (isSpace(load<u8>(at))) at++;
  if (load<u8>(at) !== 0) return -1;
  if (overflows) value = u64.MAX_VALUE;
  else if (negative) value = -value;
  return <f64>value;
}

function tonumber(L: State): i32 {
  const base = optionalInt(L, 2, 10);
  if (base === 10) {
    luaL_checkany(L, 1);
    if (lua_isnumber(L, 1) !== 0) {
      lua_pushnumber(L, lua_tonumber(L, 1));
      return 1;
    }
  } else {
    const text = luaL_checklstring(L, 1, 0);
    checkArgument(L, base >= 2 && base <= 36, 2, BASE_RANGE);
    const value = parseInBase(text, base);
    if (value >= 0) {
      lua_pushnumber(L, value);
      return 1;
    }
  }
  lua_pushnil(L);
  return 1;
}

/** Lua's tostring, but that of a null pointer, which each C library shows in its own way. */
function tostring(L: State): i32 {
  luaL_checkany(L, 1);
  if (luaL_callmeta(L, 1, TOSTRING) !== 0) return 1;
  pushText(L, 1);
  return 1;
}

/** Pushes what `tostring` gives for a value without a metatable. */
export function pushText(L: State, index: i32): void {
  const type = lua_type(L, index);
  switch (type) {
    case LUA_TSTRING:
      lua_pushvalue(L, index);
      return;
    case LUA_TNUMBER:
      lua_pushvalue(L, index);
      lua_tolstring(L, -1, 0);
      return;
    case LUA_TBOOLEAN:
      lua_pushstring(L, lua_toboolean(L, index) !== 0 ? TRUE : FALSE);
      return;
    case LUA_TNIL:
      lua_pushstring(L, NIL);
      return;
  }
  const pointer = lua_topointer(L, index);
  if (pointer === 0) {
    lua_pushstring(L, NULL_POINTER);
    return;
  }
  store<usize>(values, lua_typename(L, type));
  store<usize>(values, pointer, 4);
  lua_pushfstring(L, ANY_VALUE, values);
}

/** A script has changed how the garbage collector works. */
let collectorChanged: bool = false;

/** Undoes what a script has changed of the garbage collector. */
export function restoreCollector(L: State): void {
  if (!collectorChanged) return;
  collectorChanged = false;
  lua_gc(L, LUA_GCSETPAUSE, DEFAULT_PAUSE);
  lua_gc(L, LUA_GCSETSTEPMUL, DEFAULT_STEP_MULTIPLIER);
  lua_gc(L, LUA_GCRESTART, 0);
}

function collectgarbage(L: State): i32 {
  const option = lua_type(L, 1) <= LUA_TNIL ? COLLECT : luaL_checklstring(L, 1, 0);
  const value = optionalInt(L, 2, 0);
  let code = -1;
  for (let index = 0; index < OPTIONS.length; index++) {
    const known = unchecked(OPTIONS[index]);
    const length = textLength(known);
    if (memory.compare(known, option, length + 1) === 0) code = unchecked(OPTION_CODES[index]);
  }
  if (code < 0) return raiseWith(L, INVALID_OPTION, option);
  if (code === LUA_GCCOUNT) {
    lua_pushnumber(L, <f64>lua_gc(L, LUA_GCCOUNT, 0) + <f64>lua_gc(L, LUA_GCCOUNTB, 0) / 1024);
    return 1;
  }
  if (code === LUA_GCCOLLECT || code === LUA_GCSTEP) spend(L, 16 * lua_gc(L, LUA_GCCOUNT, 0));
  else collectorChanged = true;
  const result = lua_gc(L, code, value);
  if (code === LUA_GCSTEP) lua_pushboolean(L, result);
  else lua_pushnumber(L, result);
  return 1;
}

/** Replaces functions of Lua's base library, and takes away those that reach beyond the sandbox. */
export function openBase(L: State): void {
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  setFunction(L, 'rawset', rawset.index);
  setFunction(L, 'setmetatable', setmetatable.index);
  setFunction(L, 'next', next.index);
  lua_pushcclosure(L, next.index, 0);
  lua_pushcclosure(L, pairs.index, 1);
  lua_setfield(L, -2, text('pairs'));
  setFunction(L, 'unpack', unpack.index);
  setFunction(L, 'select', select.index);
  setFunction(L, 'tonumber', tonumber.index);
  setFunction(L, 'tostring', tostring.index);
  setFunction(L, 'pcall', pcall.index);
  setFunction(L, 'xpcall', xpcall.index);
  setFunction(L, 'loadstring', loadstring.index);
  setFunction(L, 'load', loadFunction.index);
  setFunction(L, 'collectgarbage', collectgarbage.index);
  remove(L, text('print'));
  remove(L, text('dofile'));
  remove(L, text('loadfile'));
  remove(L, text('newproxy'));
  remove(L, text('getfenv'));
  remove(L, text('setfenv'));
  lua_settop(L, -2);
}

function remove(L: State, name: usize): void {
  lua_pushlstring(L, name, <u32>textLength(name));
  lua_pushnil(L);
  lua_rawset(L, -3);
}
