/** The library `string`, with the results and errors of Lua 5.1 on a machine of 64 bits. */

import { checkInt, optionalInt } from './base-library';
import { append, buffer, bufferTop, keep, outOfMemory, reserve } from './buffer';
import { spend } from './interrupt';
import {
  LUA_TFUNCTION,
  LUA_TNIL,
  LUA_TNUMBER,
  LUA_TSTRING,
  LUA_TTABLE,
  lua_call,
  lua_createtable,
  lua_dump,
  lua_gettable,
  lua_gettop,
  lua_isstring,
  lua_pushcclosure,
  lua_pushlstring,
  lua_pushnil,
  lua_pushnumber,
  lua_pushstring,
  lua_pushvalue,
  lua_replace,
  lua_setfield,
  lua_setmetatable,
  lua_settop,
  lua_toboolean,
  lua_tolstring,
  lua_tonumber,
  lua_type,
  lua_typename,
  luaL_argerror,
  luaL_checklstring,
  luaL_checknumber,
  luaL_checkstack,
  luaL_checktype,
  State,
  sprintf,
  upvalue,
} from './lua';
import { toInt, toInt64, writeGeneral, writeInteger } from './numbers';
import { findText, hasSpecials, matchAt, pushCapture, pushCaptures, setSubject } from './patterns';
import { beginLibrary, endLibrary, setFunction } from './registry';
import { checkArgument, raise, raiseWith, text, textLength } from './text';

const INVALID_VALUE = text('invalid value');
const SLICE_TOO_LONG = text('string slice too long');
const UNABLE_TO_DUMP = text('unable to dump given function');
const REPLACEMENT_TYPE = text('string/function/table expected');
const INVALID_REPLACEMENT = text('invalid replacement value (a %s)');
const NO_VALUE = text('no value');
const INVALID_OPTION = text("invalid option '%%%c' to 'format'");
const REPEATED_FLAGS = text('invalid format (repeated flags)');
const TOO_LONG = text('invalid format (width or precision too long)');
const GMATCH = text('gmatch');
const GFIND = text('gfind');
const INDEX = text('__index');
const EMPTY = text('');

const CARET = 0x5e;
const PERCENT = 0x25;
/** Flags that may stand in a conversion of `format`. */
const FLAGS_MAX = 6;
/** The longest conversion: a number of 309 digits with 99 behind the point. */
const CONVERSION_BYTES_MAX: u32 = 512;
/** Strings from this length on are not padded. */
const LONG_STRING_BYTES: u32 = 100;

const lengthCell = memory.data(4, 4);
const secondLengthCell = memory.data(4, 4);
const conversion = memory.data(32, 8);
const conversionValue = memory.data(16, 8);

function checkString(L: State, arg: i32): usize {
  return luaL_checklstring(L, arg, lengthCell);
}

function checkedLength(): u32 {
  return load<u32>(lengthCell);
}

function checkInt64(L: State, arg: i32): i64 {
  return toInt64(luaL_checknumber(L, arg));
}

function optionalInt64(L: State, arg: i32, otherwise: i64): i64 {
  return lua_type(L, arg) <= LUA_TNIL ? otherwise : checkInt64(L, arg);
}

/** A position from the start, for one that may be negative and then counts from the end. */
function position(at: i64, length: u32): i64 {
  const from = at < 0 ? at + <i64>length + 1 : at;
  return from >= 0 ? from : 0;
}

function len(L: State): i32 {
  checkString(L, 1);
  lua_pushnumber(L, <f64>checkedLength());
  return 1;
}

function sub(L: State): i32 {
  const bytes = checkString(L, 1);
  const length = checkedLength();
  let start = position(checkInt64(L, 2), length);
  let end = position(optionalInt64(L, 3, -1), length);
  if (start < 1) start = 1;
  if (end > <i64>length) end = length;
  if (start <= end) lua_pushlstring(L, bytes + <u32>start - 1, <u32>(end - start + 1));
  else lua_pushlstring(L, EMPTY, 0);
  return 1;
}

/** Room in the buffer for a result of this length, which is made and pushed at once. */
function room(L: State, length: u32): usize {
  reserve(L, bufferTop, length);
  spend(L, <i32>(length >> 4));
  return buffer + bufferTop;
}

function reverse(L: State): i32 {
  const bytes = checkString(L, 1);
  const length = checkedLength();
  const to = room(L, length);
  for (let at: u32 = 0; at < length; at++) store<u8>(to + at, load<u8>(bytes + length - 1 - at));
  lua_pushlstring(L, to, length);
  return 1;
}

function lower(L: State): i32 {
  const bytes = checkString(L, 1);
  const length = checkedLength();
  const to = room(L, length);
  for (let at: u32 = 0; at < length; at++) {
    const c = <u32>load<u8>(bytes + at);
    store<u8>(to + at, c - 0x41 < 26 ? c | 0x20 : c);
  }
  lua_pushlstring(L, to, length);
  return 1;
}

function upper(L: State): i32 {
  const bytes = checkString(L, 1);
  const length = checkedLength();
  const to = room(L, length);
  for (let at: u32 = 0; at < length; at++) {
    const c = <u32>load<u8>(bytes + at);
    store<u8>(to + at, c - 0x61 < 26 ? c & ~0x20 : c);
  }
  lua_pushlstring(L, to, length);
  return 1;
}

function rep(L: State): i32 {
  const bytes = checkString(L, 1);
  const length = checkedLength();
  const count = checkInt(L, 2);
  if (count <= 0 || length === 0) {
    lua_pushlstring(L, EMPTY, 0);
    return 1;
  }
  const total = <u64>length * <u64>count;
  if (total > 0x7fffffff) outOfMemory(L);
  const to = room(L, <u32>total);
  if (length === 1) memory.fill(to, load<u8>(bytes), <u32>total);
  else {
    memory.copy(to, bytes, length);
    // What is there already is copied behind itself, twice as much each time.
    let done: u64 = length;
    while (done < total) {
      const part = done < total - done ? done : total - done;
      memory.copy(to + <u32>done, to, <u32>part);
      done += part;
    }
  }
  lua_pushlstring(L, to, <u32>total);
  return 1;
}

function byte(L: State): i32 {
  const bytes = checkString(L, 1);
  const length = checkedLength();
  let start = position(optionalInt64(L, 2, 1), length);
  let end = position(optionalInt64(L, 3, start), length);
  if (start <= 0) start = 1;
  if (end > <i64>length) end = length;
  if (start > end) return 0;
  const count = <i32>(end - start + 1);
  luaL_checkstack(L, count, SLICE_TOO_LONG);
  for (let at = 0; at < count; at++) lua_pushnumber(L, <f64>load<u8>(bytes + <u32>start - 1 + at));
  return count;
}

function char(L: State): i32 {
  const count = lua_gettop(L);
  const to = room(L, count);
  for (let index = 0; index < count; index++) {
    const code = checkInt(L, index + 1);
    checkArgument(L, <u32>code < 256, index + 1, INVALID_VALUE);
    store<u8>(to + index, code);
  }
  lua_pushlstring(L, to, count);
  return 1;
}

let dumpEnd: u32 = 0;

function dumpPiece(L: State, bytes: usize, length: u32, _data: usize): i32 {
  dumpEnd = append(L, dumpEnd, bytes, length);
  return 0;
}

function dump(L: State): i32 {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  dumpEnd = bufferTop;
  if (lua_dump(L, dumpPiece.index, 0) !== 0) return raise(L, UNABLE_TO_DUMP);
  lua_pushlstring(L, buffer + bufferTop, dumpEnd - bufferTop);
  return 1;
}

function find(L: State): i32 {
  return search(L, true);
}

function matchFirst(L: State): i32 {
  return search(L, false);
}

/** find and match: the first match from a position on. */
function search(L: State, finds: bool): i32 {
  const bytes = luaL_checklstring(L, 1, lengthCell);
  const length = checkedLength();
  let pattern = luaL_checklstring(L, 2, secondLengthCell);
  const patternLength = load<u32>(secondLengthCell);
  let from = position(optionalInt64(L, 3, 1), length) - 1;
  if (from < 0) from = 0;
  else if (from > <i64>length) from = length;
  let at = bytes + <u32>from;
  const end = bytes + length;
  if (finds && (lua_toboolean(L, 4) !== 0 || !hasSpecials(pattern))) {
    const found = findText(L, at, end, pattern, patternLength);
    if (found !== 0) {
      lua_pushnumber(L, <f64>(<u32>(found - bytes) + 1));
      lua_pushnumber(L, <f64>(<u32>(found - bytes) + patternLength));
      return 2;
    }
    lua_pushnil(L);
    return 1;
  }
  const anchored = load<u8>(pattern) === CARET;
  if (anchored) pattern++;
  setSubject(L, bytes, end);
  do {
    const matchEnd = matchAt(at, pattern);
    if (matchEnd !== 0) {
      if (!finds) return pushCaptures(at, matchEnd, true);
      lua_pushnumber(L, <f64>(<u32>(at - bytes) + 1));
      lua_pushnumber(L, <f64>(<u32>(matchEnd - bytes)));
      return pushCaptures(at, matchEnd, false) + 2;
    }
    at++;
  } while (at <= end && !anchored);
  lua_pushnil(L);
  return 1;
}

/** What gmatch returns; its upvalues are the text, the pattern and where to go on. */
function nextMatch(L: State): i32 {
  const bytes = lua_tolstring(L, upvalue(1), lengthCell);
  const end = bytes + checkedLength();
  const pattern = lua_tolstring(L, upvalue(2), 0);
  setSubject(L, bytes, end);
  for (let at = bytes + <u32>lua_tonumber(L, upvalue(3)); at <= end; at++) {
    const matchEnd = matchAt(at, pattern);
    if (matchEnd === 0) continue;
    // An empty match is not found twice.
    lua_pushnumber(L, <f64>(<u32>(matchEnd - bytes) + (matchEnd === at ? 1 : 0)));
    lua_replace(L, upvalue(3));
    return pushCaptures(at, matchEnd, true);
  }
  return 0;
}

function gmatch(L: State): i32 {
  luaL_checklstring(L, 1, 0);
  luaL_checklstring(L, 2, 0);
  lua_settop(L, 2);
  lua_pushnumber(L, 0);
  lua_pushcclosure(L, nextMatch.index, 3);
  return 1;
}

/** Appends a replacement text, in which %0 to %9 stand for the match and its captures. */
function appendText(L: State, at: u32, start: usize, matchEnd: usize): u32 {
  const bytes = lua_tolstring(L, 3, lengthCell);
  const length = checkedLength();
  let end = at;
  for (let index: u32 = 0; index < length; index++) {
    let c = <u32>load<u8>(bytes + index);
    if (c === PERCENT) {
      c = <u32>load<u8>(bytes + ++index);
      if (c === 0x30) {
        end = append(L, end, start, <u32>(matchEnd - start));
        continue;
      }
      if (c - 0x30 < 10) {
        pushCapture(<i32>c - 0x31, start, matchEnd);
        end = appendValue(L, end);
        continue;
      }
    }
    reserve(L, end, 1);
    store<u8>(buffer + end++, c);
  }
  return end;
}

/** Appends the string or number on top of the stack, and takes it away. */
function appendValue(L: State, at: u32): u32 {
  const bytes = lua_tolstring(L, -1, secondLengthCell);
  const end = append(L, at, bytes, load<u32>(secondLengthCell));
  lua_settop(L, -2);
  return end;
}

/** Appends what a match is replaced by. */
function appendReplacement(L: State, at: u32, type: i32, start: usize, matchEnd: usize): u32 {
  if (type === LUA_TSTRING || type === LUA_TNUMBER) return appendText(L, at, start, matchEnd);
  const outer = bufferTop;
  keep(at);
  if (type === LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    lua_call(L, pushCaptures(start, matchEnd, true), 1);
  } else {
    pushCapture(0, start, matchEnd);
    lua_gettable(L, 3);
  }
  keep(outer);
  if (lua_toboolean(L, -1) === 0) {
    lua_settop(L, -2);
    return append(L, at, start, <u32>(matchEnd - start));
  }
  if (lua_isstring(L, -1) === 0) raiseWith(L, INVALID_REPLACEMENT, lua_typename(L, lua_type(L, -1)));
  return appendValue(L, at);
}

function gsub(L: State): i32 {
  const bytes = luaL_checklstring(L, 1, lengthCell);
  const length = checkedLength();
  let pattern = luaL_checklstring(L, 2, 0);
  const type = lua_type(L, 3);
  const countMax = optionalInt(L, 4, <i32>length + 1);
  const anchored = load<u8>(pattern) === CARET;
  if (anchored) pattern++;
  checkArgument(
    L,
    type === LUA_TNUMBER || type === LUA_TSTRING || type === LUA_TFUNCTION || type === LUA_TTABLE,
    3,
    REPLACEMENT_TYPE,
  );
  const top = bufferTop;
  let out = top;
  const end = bytes + length;
  let at = bytes;
  let count = 0;
  while (count < countMax) {
    setSubject(L, bytes, end);
    const matchEnd = matchAt(at, pattern);
    if (matchEnd !== 0) {
      count++;
      out = appendReplacement(L, out, type, at, matchEnd);
    }
    if (matchEnd !== 0 && matchEnd > at) at = matchEnd;
    else if (at < end) {
      reserve(L, out, 1);
      store<u8>(buffer + out++, load<u8>(at++));
    } else break;
    if (anchored) break;
  }
  out = append(L, out, at, <u32>(end - at));
  keep(top);
  lua_pushlstring(L, buffer + top, out - top);
  lua_pushnumber(L, <f64>count);
  return 2;
}

/** Appends a string as Lua source. */
function appendQuoted(L: State, at: u32, arg: i32): u32 {
  const bytes = luaL_checklstring(L, arg, secondLengthCell);
  const length = load<u32>(secondLengthCell);
  reserve(L, at, 4 * length + 2);
  let to = buffer + at;
  store<u8>(to++, 0x22);
  for (let index: u32 = 0; index < length; index++) {
    const c = <u32>load<u8>(bytes + index);
    if (c === 0x22 || c === 0x5c || c === 10) {
      store<u8>(to++, 0x5c);
      store<u8>(to++, c);
    } else if (c === 13) {
      store<u8>(to++, 0x5c);
      store<u8>(to++, 0x72);
    } else if (c === 0) {
      store<u32>(to, 0x3030305c); // "\000"
      to += 4;
    } else store<u8>(to++, c);
  }
  store<u8>(to++, 0x22);
  return <u32>(to - buffer);
}

/** A double as C on x86-64 converts it to an unsigned 64-bit integer. */
function toUint64(value: f64): u64 {
  if (value < 9223372036854775808.0) return <u64>toInt64(value);
  if (isNaN(value)) return 1 << 63;
  return <u64>toInt64(value - 9223372036854775808.0) ^ (1 << 63);
}

function isDigit(c: u32): bool {
  return c - 0x30 < 10;
}

/** Where the letter of the conversion is that begins at `start`; it is copied to `conversion` without its letter. */
function scanConversion(L: State, start: usize): usize {
  let at = start;
  while (true) {
    const c = <u32>load<u8>(at);
    if (c !== 0x2d && c !== 0x2b && c !== 0x20 && c !== 0x23 && c !== 0x30) break;
    at++;
  }
  if (<i32>(at - start) >= FLAGS_MAX) raise(L, REPEATED_FLAGS);
  if (isDigit(load<u8>(at))) at++;
  if (isDigit(load<u8>(at))) at++;
  if (load<u8>(at) === DOT) {
    at++;
    if (isDigit(load<u8>(at))) at++;
    if (isDigit(load<u8>(at))) at++;
  }
  if (isDigit(load<u8>(at))) raise(L, TOO_LONG);
  store<u8>(conversion, PERCENT);
  memory.copy(conversion + 1, start, at - start);
  return at;
}
const DOT = 0x2e;

/** Ends the conversion with the letters of `printf`, and has it written at an offset. Returns the offset behind it. */
function convert(L: State, at: u32, length: u32, letter: u32, long: bool): u32 {
  let end = conversion + length;
  if (long) {
    store<u16>(end, 0x6c6c); // "ll"
    end += 2;
  }
  store<u8>(end, letter);
  store<u8>(end + 1, 0);
  reserve(L, at, CONVERSION_BYTES_MAX);
  sprintf(buffer + at, conversion, conversionValue);
  return at + textLength(buffer + at);
}

function appendString(L: State, at: u32, arg: i32, length: u32): u32 {
  const bytes = luaL_checklstring(L, arg, secondLengthCell);
  const bytesLength = load<u32>(secondLengthCell);
  if (length === 1) {
    // Short strings end at a zero byte, as they do in C.
    return append(L, at, bytes, bytesLength >= LONG_STRING_BYTES ? bytesLength : textLength(bytes));
  }
  let precise = false;
  for (let index: u32 = 0; index < length; index++) if (load<u8>(conversion + index) === DOT) precise = true;
  if (!precise && bytesLength >= LONG_STRING_BYTES) return append(L, at, bytes, bytesLength);
  store<usize>(conversionValue, bytes);
  return convert(L, at, length, 0x73, false);
}

function format(L: State): i32 {
  const top = lua_gettop(L);
  let at = luaL_checklstring(L, 1, lengthCell);
  const formatEnd = at + checkedLength();
  const start = bufferTop;
  let out = start;
  let arg = 1;
  while (at < formatEnd) {
    const c = <u32>load<u8>(at++);
    if (c !== PERCENT || load<u8>(at) === PERCENT) {
      if (c === PERCENT) at++;
      reserve(L, out, 1);
      store<u8>(buffer + out++, c);
      continue;
    }
    if (++arg > top) luaL_argerror(L, arg, NO_VALUE);
    const letterAt = scanConversion(L, at);
    const length = <u32>(letterAt - at) + 1;
    const letter = <u32>load<u8>(letterAt);
    at = letterAt + 1;
    switch (letter) {
      case 0x63 /* c */:
        store<i32>(conversionValue, toInt(luaL_checknumber(L, arg)));
        out = convert(L, out, length, letter, false);
        break;
      case 0x64 /* d */:
      case 0x69 /* i */:
        {
          const value = toInt64(luaL_checknumber(L, arg));
          if (length === 1) {
            reserve(L, out, 24);
            out += writeInteger(value, buffer + out);
          } else {
            store<i64>(conversionValue, value);
            out = convert(L, out, length, letter, true);
          }
          break;
        }
      case 0x6f /* o */:
      case 0x75 /* u */:
      case 0x78 /* x */:
      case 0x58 /* X */:
        store<u64>(conversionValue, toUint64(luaL_checknumber(L, arg)));
        out = convert(L, out, length, letter, true);
        break;
      case 0x65 /* e */:
      case 0x45 /* E */:
      case 0x66 /* f */:
      case 0x67 /* g */:
      case 0x47 /* G */:
        {
          const value = luaL_checknumber(L, arg);
          if (letter === 0x67 && length === 1) {
            reserve(L, out, 32);
            out += writeGeneral(value, 6, buffer + out);
          } else {
            store<f64>(conversionValue, value);
            out = convert(L, out, length, letter, false);
          }
          break;
        }
      case 0x71 /* q */:
        out = appendQuoted(L, out, arg);
        break;
      case 0x73 /* s */:
        out = appendString(L, out, arg, length);
        break;
      default:
        return raiseWith(L, INVALID_OPTION, letter);
    }
  }
  spend(L, <i32>((out - start) >> 3));
  lua_pushlstring(L, buffer + start, out - start);
  return 1;
}

export function openString(L: State): void {
  beginLibrary(L, 'string', 15);
  setFunction(L, 'byte', byte.index);
  setFunction(L, 'char', char.index);
  setFunction(L, 'dump', dump.index);
  setFunction(L, 'find', find.index);
  setFunction(L, 'format', format.index);
  setFunction(L, 'gfind', gmatch.index);
  setFunction(L, 'gmatch', gmatch.index);
  lua_pushvalue(L, -1);
  lua_pushstring(L, GMATCH);
  lua_gettable(L, -2);
  lua_setfield(L, -2, GFIND);
  lua_settop(L, -2);
  setFunction(L, 'gsub', gsub.index);
  setFunction(L, 'len', len.index);
  setFunction(L, 'lower', lower.index);
  setFunction(L, 'match', matchFirst.index);
  setFunction(L, 'rep', rep.index);
  setFunction(L, 'reverse', reverse.index);
  setFunction(L, 'sub', sub.index);
  setFunction(L, 'upper', upper.index);
  // Strings have the library as their methods.
  lua_pushlstring(L, EMPTY, 0);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, INDEX);
  lua_setmetatable(L, -2);
  lua_settop(L, -2);
  endLibrary(L);
}
