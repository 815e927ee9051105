/**
 * Libraries of functions (FUNCTION LOAD).
 *
 * While a library is loaded, its globals are nothing but `redis.register_function`, the log and the version. Functions have an
 * empty, read-only table of globals, whose metatable leads to the true ones; while a library is loaded, to those of loading.
 */

import { pushError, pushErrorText, raiseErrorText } from './errors';
import { hostRegisterFunction } from './host';
import {
  LUA_GLOBALSINDEX,
  LUA_REGISTRYINDEX,
  LUA_TFUNCTION,
  LUA_TNIL,
  LUA_TTABLE,
  lua_createtable,
  lua_error,
  lua_getfield,
  lua_getmetatable,
  lua_gettable,
  lua_gettop,
  lua_isstring,
  lua_next,
  lua_pushnil,
  lua_pushnumber,
  lua_pushvalue,
  lua_replace,
  lua_setfield,
  lua_setmetatable,
  lua_settop,
  lua_tolstring,
  lua_topointer,
  lua_type,
  luaL_ref,
  luaL_unref,
  State,
} from './lua';
import { openRedisForLoading } from './redis-library';
import { protectRecursively, refuseMissing, setReadonly } from './registry';
import { replyStart } from './reply-area';
import { text } from './text';

const INDEX = text('__index');
const LOADING_GLOBALS = text('loading globals');
const GLOBALS = text('globals');
const ONLY_LOADING = text('redis.register_function can only be called on FUNCTION LOAD command');
const WRONG_COUNT = text('wrong number of arguments to redis.register_function');
const NOT_A_TABLE = text(
  'calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).',
);
const KEY_NO_STRING = text('named argument key given to redis.register_function is not a string');
const NAME_NO_STRING = text('function_name argument given to redis.register_function must be a string');
const DESCRIPTION_NO_STRING = text('description argument given to redis.register_function must be a string');
const CALLBACK_NO_FUNCTION = text('callback argument given to redis.register_function must be a function');
const FLAGS_NO_TABLE = text(
  'flags argument to redis.register_function must be a table representing function flags',
);
const UNKNOWN_FLAG = text('unknown flag given');
const UNKNOWN_ARGUMENT = text('unknown argument given to redis.register_function');
const NO_NAME = text('redis.register_function must get a function name argument');
const NO_CALLBACK = text('redis.register_function must get a callback argument');
const FIRST_NO_STRING = text('first argument to redis.register_function must be a string');
const SECOND_NO_FUNCTION = text('second argument to redis.register_function must be a function');

const FUNCTION_NAME = text('function_name');
const DESCRIPTION = text('description');
const CALLBACK = text('callback');
const FLAGS = text('flags');

/** Bits of `ScriptFlags` (src/scripting/flags.ts), in this order. */
const FLAG_NAMES: StaticArray<usize> = [
  text('no-writes'),
  text('allow-oom'),
  text('allow-stale'),
  text('no-cluster'),
  text('allow-cross-slot-keys'),
];

const lengthCell = memory.data(4, 4);

let loading: bool = false;
let name: usize = 0;
let nameLength: i32 = -1;
let description: usize = 0;
let descriptionLength: i32 = -1;
let callback: i32 = -1;
let flags: i32 = 0;

/** Makes the globals of loading, and the empty table that hides the true globals. */
export function openLibraryApi(L: State, version: usize, versionNumber: i32): void {
  lua_settop(L, 0);
  lua_createtable(L, 0, 2);
  openRedisForLoading(L, register.index, version, versionNumber);
  refuseMissing(L);
  protectRecursively(L);
  lua_setfield(L, LUA_REGISTRYINDEX, LOADING_GLOBALS);

  lua_pushvalue(L, LUA_GLOBALSINDEX);
  lua_setfield(L, LUA_REGISTRYINDEX, GLOBALS);
  lua_createtable(L, 0, 0);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  lua_setfield(L, -2, INDEX);
  setReadonly(lua_topointer(L, -1), true);
  lua_setmetatable(L, -2);
  setReadonly(lua_topointer(L, -1), true);
  lua_replace(L, LUA_GLOBALSINDEX);
}

/** Lets the hidden globals be those in a field of the registry. */
function showGlobals(L: State, field: usize): void {
  lua_getmetatable(L, LUA_GLOBALSINDEX);
  const metatable = lua_topointer(L, -1);
  setReadonly(metatable, false);
  lua_getfield(L, LUA_REGISTRYINDEX, field);
  lua_setfield(L, -2, INDEX);
  setReadonly(metatable, true);
  lua_settop(L, -2);
}

export function beginLoad(L: State): void {
  loading = true;
  showGlobals(L, LOADING_GLOBALS);
}

export function endLoad(L: State): void {
  loading = false;
  showGlobals(L, GLOBALS);
}

/** Whether two C strings are equal but for the case of ASCII letters. */
function isName(text: usize, known: usize): bool {
  let at = 0;
  let letter: u32 = 1;
  while (letter !== 0) {
    letter = load<u8>(text + at);
    let other = <u32>load<u8>(known + at);
    if (letter - 0x41 < 26) letter |= 0x20;
    if (other - 0x41 < 26) other |= 0x20;
    if (letter !== other) return false;
    at++;
  }
  return true;
}

function readFlags(L: State): bool {
  let index = 1;
  while (true) {
    lua_pushnumber(L, index++);
    lua_gettable(L, -2);
    if (lua_type(L, -1) === LUA_TNIL) break;
    if (lua_isstring(L, -1) === 0) return false;
    const flag = lua_tolstring(L, -1, 0);
    let bit = -1;
    for (let known = 0; known < FLAG_NAMES.length; known++) {
      if (isName(flag, unchecked(FLAG_NAMES[known]))) bit = known;
    }
    if (bit < 0) return false;
    flags |= 1 << bit;
    lua_settop(L, -2);
  }
  lua_settop(L, -2);
  return true;
}

/** Reads the table of named arguments on top of the stack. Returns an error's text, or 0. */
function readNamed(L: State): usize {
  if (lua_type(L, 1) !== LUA_TTABLE) return NOT_A_TABLE;
  lua_pushnil(L);
  while (lua_next(L, 1) !== 0) {
    if (lua_isstring(L, -2) === 0) return KEY_NO_STRING;
    // A number must stay one, or `lua_next` does not find it again.
    lua_pushvalue(L, -2);
    const key = lua_tolstring(L, -1, 0);
    lua_settop(L, -2);
    if (isName(key, FUNCTION_NAME)) {
      if (lua_isstring(L, -1) === 0) return NAME_NO_STRING;
      name = lua_tolstring(L, -1, lengthCell);
      nameLength = load<i32>(lengthCell);
    } else if (isName(key, DESCRIPTION)) {
      if (lua_isstring(L, -1) === 0) return DESCRIPTION_NO_STRING;
      description = lua_tolstring(L, -1, lengthCell);
      descriptionLength = load<i32>(lengthCell);
    } else if (isName(key, CALLBACK)) {
      if (lua_type(L, -1) !== LUA_TFUNCTION) return CALLBACK_NO_FUNCTION;
      if (callback >= 0) luaL_unref(L, LUA_REGISTRYINDEX, callback);
      callback = luaL_ref(L, LUA_REGISTRYINDEX);
      continue;
    } else if (isName(key, FLAGS)) {
      if (lua_type(L, -1) !== LUA_TTABLE) return FLAGS_NO_TABLE;
      if (!readFlags(L)) return UNKNOWN_FLAG;
    } else return UNKNOWN_ARGUMENT;
    lua_settop(L, -2);
  }
  if (nameLength < 0) return NO_NAME;
  return callback < 0 ? NO_CALLBACK : 0;
}

function readPositional(L: State): usize {
  if (lua_isstring(L, 1) === 0) return FIRST_NO_STRING;
  name = lua_tolstring(L, 1, lengthCell);
  nameLength = load<i32>(lengthCell);
  if (lua_type(L, 2) !== LUA_TFUNCTION) return SECOND_NO_FUNCTION;
  callback = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

function register(L: State): i32 {
  if (!loading) return raiseErrorText(L, ONLY_LOADING);
  const count = lua_gettop(L);
  if (count < 1 || count > 2) return raiseErrorText(L, WRONG_COUNT);
  nameLength = -1;
  descriptionLength = -1;
  callback = -1;
  flags = 0;
  const failed = count === 1 ? readNamed(L) : readPositional(L);
  if (failed !== 0) {
    if (callback >= 0) luaL_unref(L, LUA_REGISTRYINDEX, callback);
    pushErrorText(L, failed);
    return lua_error(L);
  }
  const refused = hostRegisterFunction(name, nameLength, description, descriptionLength, flags, callback);
  if (refused === 0) return 0;
  luaL_unref(L, LUA_REGISTRYINDEX, callback);
  pushError(L, replyStart(), refused);
  return lua_error(L);
}
