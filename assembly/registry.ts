/** How libraries come into a state, and tables that nobody may change. */
import {
  LUA_TTABLE,
  lua_concat,
  lua_createtable,
  lua_error,
  lua_getmetatable,
  lua_isstring,
  lua_next,
  lua_pushcclosure,
  lua_pushnil,
  lua_pushnumber,
  lua_pushstring,
  lua_rawset,
  lua_setfield,
  lua_setmetatable,
  lua_settop,
  lua_tolstring,
  lua_topointer,
  lua_type,
  luaL_where,
  OBJECT_MARKED,
  State,
} from './lua';
import { raise, raiseWith, text } from './text';

/** A bit that Lua's garbage collector leaves alone in a table; `scripts/build-wasm.mjs` makes assignments look at it. */
const READONLY: u32 = 0x80;
const INDEX = text('__index');
const NONEXISTENT = text("Script attempted to access nonexistent global variable '%s'");
const BAD_GLOBAL = text('Second argument to luaProtectedTableError must be a string or number');
const READONLY_TABLE = text('Attempt to modify a readonly table');

/** Sets a field of the table on top of the stack to a function. */
export function setFunction(L: State, name: string, index: u32): void {
  lua_pushstring(L, text(name));
  lua_pushcclosure(L, index, 0);
  lua_rawset(L, -3);
}

export function setNumber(L: State, name: string, value: f64): void {
  lua_pushstring(L, text(name));
  lua_pushnumber(L, value);
  lua_rawset(L, -3);
}

export function setText(L: State, name: string, value: string): void {
  lua_pushstring(L, text(name));
  lua_pushstring(L, text(value));
  lua_rawset(L, -3);
}

/**
 * Pushes the library's name and a new table; `endLibrary` makes it a field of the table below. The table's size, and the order
 * of its fields, decide in which order `pairs` walks over it.
 */
export function beginLibrary(L: State, name: string, size: i32): void {
  lua_pushstring(L, text(name));
  lua_createtable(L, 0, size);
}

export function endLibrary(L: State): void {
  lua_rawset(L, -3);
}

export function isReadonly(table: usize): bool {
  return (load<u8>(table, OBJECT_MARKED) & READONLY) !== 0;
}

export function setReadonly(table: usize, readonly: bool): void {
  const bits = <u32>load<u8>(table, OBJECT_MARKED);
  store<u8>(table, readonly ? bits | READONLY : bits & ~READONLY, OBJECT_MARKED);
}

/** Raises an error if the table at an index of the stack is read-only. */
export function checkWritable(L: State, index: i32): void {
  if (isReadonly(lua_topointer(L, index))) raiseReadonly(L);
}

/** Raises the error with the place in front if the running function is Lua's, not one of a library. */
function raiseReadonly(L: State): void {
  luaL_where(L, 0);
  lua_pushstring(L, READONLY_TABLE);
  lua_concat(L, 2);
  lua_error(L);
}

/** Makes the table on top of the stack, those in it, and their metatables read-only. */
export function protectRecursively(L: State): void {
  const table = lua_topointer(L, -1);
  if (isReadonly(table)) return;
  setReadonly(table, true);
  lua_pushnil(L);
  while (lua_next(L, -2) !== 0) {
    if (lua_type(L, -1) === LUA_TTABLE) protectRecursively(L);
    lua_settop(L, -2);
  }
  if (lua_getmetatable(L, -1) !== 0) {
    protectRecursively(L);
    lua_settop(L, -2);
  }
}

/** Gives the table on top of the stack a metatable that raises an error for fields that it does not have. */
export function refuseMissing(L: State): void {
  lua_createtable(L, 0, 1);
  lua_pushcclosure(L, missingGlobal.index, 0);
  lua_setfield(L, -2, INDEX);
  lua_setmetatable(L, -2);
}

function missingGlobal(L: State): i32 {
  if (lua_isstring(L, -1) === 0) return raise(L, BAD_GLOBAL);
  return raiseWith(L, NONEXISTENT, lua_tolstring(L, -1, 0));
}

/** Called by Lua's assignment when the table is read-only. */
export function readonlyTable(L: State): void {
  raiseReadonly(L);
}
