/**
 * Lua's C API, and the constants of its headers.
 *
 * Pointers are `usize`. A function that Lua calls takes a state and returns the number of its results; it is
 * given to Lua as the index of a table (`fn.index`). Functions that may raise an error do not return then:
 * nothing that has to be undone may be left to code behind them.
 */

/** A lua_State: one thread of Lua. */
export type State = usize;

export declare function lua_newstate(allocate: u32, userData: usize): State;
export declare function lua_atpanic(L: State, f: u32): u32;
export declare function lua_newthread(L: State): State;
export declare function lua_gettop(L: State): i32;
export declare function lua_settop(L: State, index: i32): void;
export declare function lua_pushvalue(L: State, index: i32): void;
export declare function lua_remove(L: State, index: i32): void;
export declare function lua_insert(L: State, index: i32): void;
export declare function lua_replace(L: State, index: i32): void;
export declare function lua_checkstack(L: State, size: i32): i32;
export declare function lua_xmove(from: State, to: State, count: i32): void;
export declare function lua_type(L: State, index: i32): i32;
export declare function lua_typename(L: State, type: i32): usize;
export declare function lua_isnumber(L: State, index: i32): i32;
export declare function lua_isstring(L: State, index: i32): i32;
export declare function lua_iscfunction(L: State, index: i32): i32;
export declare function lua_equal(L: State, first: i32, second: i32): i32;
export declare function lua_rawequal(L: State, first: i32, second: i32): i32;
export declare function lua_lessthan(L: State, first: i32, second: i32): i32;
export declare function lua_tonumber(L: State, index: i32): f64;
export declare function lua_toboolean(L: State, index: i32): i32;
export declare function lua_tolstring(L: State, index: i32, length: usize): usize;
export declare function lua_objlen(L: State, index: i32): u32;
export declare function lua_touserdata(L: State, index: i32): usize;
export declare function lua_tothread(L: State, index: i32): State;
export declare function lua_topointer(L: State, index: i32): usize;
export declare function lua_pushnil(L: State): void;
export declare function lua_pushnumber(L: State, value: f64): void;
export declare function lua_pushlstring(L: State, bytes: usize, length: u32): void;
export declare function lua_pushstring(L: State, text: usize): void;
export declare function lua_pushfstring(L: State, format: usize, values: usize): usize;
export declare function lua_pushcclosure(L: State, f: u32, upvalues: i32): void;
export declare function lua_pushboolean(L: State, value: i32): void;
export declare function lua_pushlightuserdata(L: State, value: usize): void;
export declare function lua_pushthread(L: State): i32;
export declare function lua_gettable(L: State, index: i32): void;
export declare function lua_getfield(L: State, index: i32, key: usize): void;
export declare function lua_rawget(L: State, index: i32): void;
export declare function lua_rawgeti(L: State, index: i32, key: i32): void;
export declare function lua_createtable(L: State, elements: i32, fields: i32): void;
export declare function lua_getmetatable(L: State, index: i32): i32;
export declare function lua_settable(L: State, index: i32): void;
export declare function lua_setfield(L: State, index: i32, key: usize): void;
export declare function lua_rawset(L: State, index: i32): void;
export declare function lua_rawseti(L: State, index: i32, key: i32): void;
export declare function lua_setmetatable(L: State, index: i32): i32;
export declare function lua_setfenv(L: State, index: i32): i32;
export declare function lua_call(L: State, args: i32, results: i32): void;
export declare function lua_pcall(L: State, args: i32, results: i32, handler: i32): i32;
export declare function lua_cpcall(L: State, f: u32, userData: usize): i32;
export declare function lua_load(L: State, reader: u32, data: usize, name: usize): i32;
export declare function lua_dump(L: State, writer: u32, data: usize): i32;
export declare function lua_yield(L: State, results: i32): i32;
export declare function lua_resume(L: State, args: i32): i32;
export declare function lua_status(L: State): i32;
export declare function lua_gc(L: State, what: i32, data: i32): i32;
export declare function lua_error(L: State): i32;
export declare function lua_next(L: State, index: i32): i32;
export declare function lua_concat(L: State, count: i32): void;
export declare function lua_newuserdata(L: State, size: u32): usize;
export declare function lua_sethook(L: State, f: u32, mask: i32, count: i32): i32;
export declare function lua_getstack(L: State, level: i32, info: usize): i32;
export declare function lua_getinfo(L: State, what: usize, info: usize): i32;

export declare function luaL_argerror(L: State, arg: i32, message: usize): i32;
export declare function luaL_typerror(L: State, arg: i32, name: usize): i32;
export declare function luaL_error(L: State, format: usize, values: usize): i32;
export declare function luaL_where(L: State, level: i32): void;
export declare function luaL_checklstring(L: State, arg: i32, length: usize): usize;
export declare function luaL_checknumber(L: State, arg: i32): f64;
export declare function luaL_checktype(L: State, arg: i32, type: i32): void;
export declare function luaL_checkany(L: State, arg: i32): void;
export declare function luaL_checkstack(L: State, space: i32, message: usize): void;
export declare function luaL_callmeta(L: State, index: i32, name: usize): i32;
export declare function luaL_ref(L: State, index: i32): i32;
export declare function luaL_unref(L: State, index: i32, reference: i32): void;
export declare function luaL_loadbuffer(L: State, bytes: usize, length: u32, name: usize): i32;
export declare function luaopen_base(L: State): i32;
export declare function luaopen_math(L: State): i32;

/** C's sprintf: `values` is where the arguments lie, as the compiler would put them. */
export declare function sprintf(to: usize, format: usize, values: usize): void;
/** Lua's own reading of a number that fills a C string. Returns 0 if it is none. */
export declare function luaO_str2d(text: usize, result: usize): i32;
/** A string object of Lua, not on any stack: the next allocation may free it. */
export declare function luaS_newlstr(L: State, bytes: usize, length: u32): usize;
export declare function malloc(size: u32): usize;
export declare function realloc(block: usize, size: u32): usize;
export declare function free(block: usize): void;

export const LUA_REGISTRYINDEX = -10000;
export const LUA_GLOBALSINDEX = -10002;

export const LUA_TNONE = -1;
export const LUA_TNIL = 0;
export const LUA_TBOOLEAN = 1;
export const LUA_TLIGHTUSERDATA = 2;
export const LUA_TNUMBER = 3;
export const LUA_TSTRING = 4;
export const LUA_TTABLE = 5;
export const LUA_TFUNCTION = 6;
export const LUA_TTHREAD = 8;

export const LUA_MULTRET = -1;
export const LUA_YIELD = 1;
export const LUA_ERRMEM = 4;

export const LUA_MASKCOUNT = 8;

export const LUA_GCSTOP = 0;
export const LUA_GCRESTART = 1;
export const LUA_GCCOLLECT = 2;
export const LUA_GCCOUNT = 3;
export const LUA_GCCOUNTB = 4;
export const LUA_GCSTEP = 5;
export const LUA_GCSETPAUSE = 6;
export const LUA_GCSETSTEPMUL = 7;

/** Offsets in lua_Debug, its size, and the longest source name in it. */
export const DEBUG_NAME = 4;
export const DEBUG_WHAT = 12;
export const DEBUG_SOURCE = 16;
export const DEBUG_CURRENT_LINE = 20;
export const DEBUG_BYTES = 100;

/** A lua_State: how many C functions are active in it (16 bits), and the instructions until its hook runs. */
export const STATE_C_CALLS = 52;
export const STATE_HOOK_COUNT = 64;

/** A table: how many slots its array has, and the logarithm of the number of its nodes. */
export const TABLE_NODES_LOG = 7;
export const TABLE_ARRAY_SIZE = 28;

/** A value on a stack, in a table or in a closure: 8 bytes of value, then its type. */
export const TVALUE_TYPE = 8;
/** A collectable object: its type and the collector's bits. */
export const OBJECT_MARKED = 5;

/** The index of a C closure's upvalue. */
export function upvalue(index: i32): i32 {
  return LUA_GLOBALSINDEX - index;
}
