/**
 * The library `cjson`: JSON, encoded and decoded as by lua-cjson 2.1.0, with its settings and its errors.
 *
 * A setting that a script makes is gone with the script, unless it has made an instance of its own (`cjson.new`).
 */
import { append, buffer, bufferTop, reserve } from './buffer';
import { spend } from './interrupt';
import {
  LUA_TBOOLEAN,
  LUA_TLIGHTUSERDATA,
  LUA_TNIL,
  LUA_TNUMBER,
  LUA_TSTRING,
  LUA_TTABLE,
  lua_checkstack,
  lua_createtable,
  lua_gettop,
  lua_newuserdata,
  lua_next,
  lua_pushboolean,
  lua_pushcclosure,
  lua_pushfstring,
  lua_pushlightuserdata,
  lua_pushlstring,
  lua_pushnil,
  lua_pushnumber,
  lua_pushstring,
  lua_pushvalue,
  lua_rawgeti,
  lua_rawset,
  lua_rawseti,
  lua_setfield,
  lua_settop,
  lua_toboolean,
  lua_tolstring,
  lua_tonumber,
  lua_touserdata,
  lua_type,
  lua_typename,
  luaL_argerror,
  luaL_checklstring,
  luaL_checknumber,
  State,
  upvalue,
} from './lua';
import {
  isDigit,
  isHexDigit,
  isWord,
  NUMBER_BYTES_MAX,
  parsedNumber,
  scanNumber,
  toInt32,
  toInt64,
  writeGeneral,
} from './numbers';
import { beginLibrary, endLibrary, setText } from './registry';
import { checkArgument, raise, raiseWith, raiseWithTwo, text, textLength } from './text';

/**
 * Settings of an instance, 4 bytes each: sparse arrays (convert, ratio, safe), depths, invalid numbers, precision, buffer.
 */
const SPARSE_CONVERT = 0;
const SPARSE_RATIO = 4;
const SPARSE_SAFE = 8;
const ENCODE_DEPTH_MAX = 12;
const DECODE_DEPTH_MAX = 16;
const ENCODE_INVALID = 20;
const DECODE_INVALID = 24;
const PRECISION = 28;
const KEEP_BUFFER = 32;
const SETTINGS_BYTES = 36;

const PRECISION_MAX = 14;
const INVALID_ON = 1;

const ONE_ARGUMENT = text('expected 1 argument');
const TOO_MANY = text('found too many arguments');
const INTEGER_RANGE = text('expected integer between %d and %d');
const INVALID_OPTION = text("invalid option '%s'");
const CANNOT = text('Cannot serialise %s: %s');
const TOO_DEEP_ENCODE = text('Cannot serialise, excessive nesting (%d)');
const TOO_DEEP_DECODE = text('Found too many nested data structures (%d) at character %d');
const UNSUPPORTED = text('type not supported');
const SPARSE = text('excessively sparse array');
const BAD_KEY = text('table key must be a number or string');
const BAD_NUMBER = text('must not be NaN or Inf');
const UTF_16 = text('JSON parser does not support UTF-16 or UTF-32');
const EXPECTED = text('Expected %s but found %s at character %d');

const VALUE = text('value');
const THE_END = text('the end');
const KEY = text('object key string');
const COLON = text('colon');
const COMMA_OBJECT = text('comma or object end');
const COMMA_ARRAY = text('comma or array end');
const INVALID_TOKEN = text('invalid token');
const INVALID_NUMBER = text('invalid number');
const INVALID_ESCAPE = text('invalid escape code');
const INVALID_UNICODE = text('invalid unicode escape code');
const UNEXPECTED_END = text('unexpected end of string');
const OFF = text('off');
const ON = text('on');
const NULL = text('null');

const lengthCell = memory.data(4, 4);
const values = memory.data(16, 8);

/** The settings of `cjson` itself. */
const ownSettings = memory.data(36, 4);
let ownChanged: bool = false;

function setDefaults(to: usize): void {
  store<i32>(to, 0, SPARSE_CONVERT);
  store<i32>(to, 2, SPARSE_RATIO);
  store<i32>(to, 10, SPARSE_SAFE);
  store<i32>(to, 1000, ENCODE_DEPTH_MAX);
  store<i32>(to, 1000, DECODE_DEPTH_MAX);
  store<i32>(to, 0, ENCODE_INVALID);
  store<i32>(to, 1, DECODE_INVALID);
  store<i32>(to, PRECISION_MAX, PRECISION);
  store<i32>(to, 1, KEEP_BUFFER);
}

/** Undoes a script's settings. */
export function restoreCjson(): void {
  if (!ownChanged) return;
  ownChanged = false;
  setDefaults(ownSettings);
}

/** What an escape stands in for: for each byte 0 if it is written as it is, a letter, or 'u' for six characters. */
const escapes = memory.data(256, 8);

function fillEscapes(): void {
  for (let c = 0; c < 32; c++) store<u8>(escapes + c, 0x75);
  store<u8>(escapes + 127, 0x75);
  store<u8>(escapes + 8, 0x62);
  store<u8>(escapes + 9, 0x74);
  store<u8>(escapes + 10, 0x6e);
  store<u8>(escapes + 12, 0x66);
  store<u8>(escapes + 13, 0x72);
  store<u8>(escapes + 0x22, 0x22);
  store<u8>(escapes + 0x2f, 0x2f);
  store<u8>(escapes + 0x5c, 0x5c);
}
fillEscapes();

// ---- encoding

let settings: usize = 0;
let end: u32 = 0;

function put(byte: u32): void {
  store<u8>(buffer + end++, <u8>byte);
}

function refuse(L: State, index: i32, reason: usize): void {
  raiseWithTwo(L, CANNOT, lua_typename(L, lua_type(L, index)), reason);
}

function encodeString(L: State, index: i32): void {
  const bytes = lua_tolstring(L, index, lengthCell);
  const length = load<u32>(lengthCell);
  spend(L, <i32>(length >> 4));
  reserve(L, end, 6 * length + 2);
  let to = buffer + end;
  store<u8>(to++, 0x22);
  const stop = bytes + length;
  for (let at = bytes; at < stop; at++) {
    const c = <u32>load<u8>(at);
    const mark = <u32>load<u8>(escapes + c);
    if (mark === 0) {
      store<u8>(to++, c);
      continue;
    }
    store<u8>(to, 0x5c);
    store<u8>(to, mark, 1);
    to += 2;
    if (mark !== 0x75) continue;
    store<u16>(to, 0x3030);
    store<u8>(to, 0x30 + (c >> 4), 2);
    const low = c & 15;
    store<u8>(to, low < 10 ? 0x30 + low : 0x57 + low, 3);
    to += 4;
  }
  store<u8>(to++, 0x22);
  end = <u32>(to - buffer);
}

function encodeNumber(L: State, index: i32): void {
  const value = lua_tonumber(L, index);
  reserve(L, end, NUMBER_BYTES_MAX);
  if (!isFinite(value)) {
    const invalid = load<i32>(settings, ENCODE_INVALID);
    if (invalid === 0) refuse(L, index, BAD_NUMBER);
    if (invalid !== INVALID_ON) {
      store<u32>(buffer + end, 0x6c6c756e); // "null"
      end += 4;
      return;
    }
    if (isNaN(value)) {
      put(0x6e);
      put(0x61);
      put(0x6e);
      return;
    }
  }
  end += writeGeneral(value, load<i32>(settings, PRECISION), buffer + end);
}

/** The length of the table on top of the stack if it is an array, else -1. */
function arrayLength(L: State): i32 {
  let largest = 0;
  let items = 0;
  lua_pushnil(L);
  while (lua_next(L, -2) !== 0) {
    if (lua_type(L, -2) === LUA_TNUMBER) {
      const key = lua_tonumber(L, -2);
      if (Math.floor(key) === key && key >= 1) {
        if (key > <f64>largest) largest = toInt32(key);
        items++;
        lua_settop(L, -2);
        continue;
      }
    }
    lua_settop(L, -3);
    return -1;
  }
  const ratio = load<i32>(settings, SPARSE_RATIO);
  if (ratio > 0 && largest > items * ratio && largest > load<i32>(settings, SPARSE_SAFE)) {
    if (load<i32>(settings, SPARSE_CONVERT) === 0) refuse(L, -1, SPARSE);
    return -1;
  }
  return largest;
}

function encodeArray(L: State, depth: i32, length: i32): void {
  reserve(L, end, 1);
  put(0x5b);
  for (let index = 1; index <= length; index++) {
    if (index > 1) {
      reserve(L, end, 1);
      put(0x2c);
    }
    lua_rawgeti(L, -1, index);
    encodeValue(L, depth);
    lua_settop(L, -2);
  }
  reserve(L, end, 1);
  put(0x5d);
}

function encodeObject(L: State, depth: i32): void {
  reserve(L, end, 2);
  put(0x7b);
  let first = true;
  lua_pushnil(L);
  while (lua_next(L, -2) !== 0) {
    reserve(L, end, 4);
    if (!first) put(0x2c);
    first = false;
    const type = lua_type(L, -2);
    if (type === LUA_TNUMBER) {
      put(0x22);
      encodeNumber(L, -2);
      reserve(L, end, 2);
      put(0x22);
    } else if (type === LUA_TSTRING) encodeString(L, -2);
    else refuse(L, -2, BAD_KEY);
    reserve(L, end, 1);
    put(0x3a);
    encodeValue(L, depth);
    lua_settop(L, -2);
  }
  reserve(L, end, 1);
  put(0x7d);
}

/** Encodes the value on top of the stack, which stays there. */
function encodeValue(L: State, depth: i32): void {
  spend(L, 2);
  const type = lua_type(L, -1);
  switch (type) {
    case LUA_TSTRING:
      encodeString(L, -1);
      return;
    case LUA_TNUMBER:
      encodeNumber(L, -1);
      return;
    case LUA_TBOOLEAN:
      reserve(L, end, 5);
      if (lua_toboolean(L, -1) !== 0) {
        store<u32>(buffer + end, 0x65757274); // "true"
        end += 4;
      } else {
        store<u32>(buffer + end, 0x736c6166); // "fals"
        store<u8>(buffer + end, 0x65, 4);
        end += 5;
      }
      return;
    case LUA_TTABLE: {
      const inner = depth + 1;
      if (inner > load<i32>(settings, ENCODE_DEPTH_MAX) || lua_checkstack(L, 3) === 0) {
        raiseWith(L, TOO_DEEP_ENCODE, inner);
      }
      const length = arrayLength(L);
      if (length > 0) encodeArray(L, inner, length);
      else encodeObject(L, inner);
      return;
    }
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA:
      // A light user data is cjson.null, if it is a null pointer; there are no others.
      if (type === LUA_TNIL || lua_touserdata(L, -1) === 0) {
        reserve(L, end, 4);
        store<u32>(buffer + end, 0x6c6c756e);
        end += 4;
        return;
      }
      break;
  }
  refuse(L, -1, UNSUPPORTED);
}

function encode(L: State): i32 {
  checkArgument(L, lua_gettop(L) === 1, 1, ONE_ARGUMENT);
  settings = lua_touserdata(L, upvalue(1));
  end = bufferTop;
  encodeValue(L, 0);
  lua_pushlstring(L, buffer + bufferTop, end - bufferTop);
  return 1;
}

// ---- decoding

const enum Token {
  ObjectBegin,
  ObjectEnd,
  ArrayBegin,
  ArrayEnd,
  String,
  Number,
  Boolean,
  Null,
  Colon,
  Comma,
  End,
  Error,
  Whitespace,
  Unknown,
}

const TOKEN_NAMES: StaticArray<usize> = [
  text('T_OBJ_BEGIN'),
  text('T_OBJ_END'),
  text('T_ARR_BEGIN'),
  text('T_ARR_END'),
  text('T_STRING'),
  text('T_NUMBER'),
  text('T_BOOLEAN'),
  text('T_NULL'),
  text('T_COLON'),
  text('T_COMMA'),
  text('T_END'),
  text('T_ERROR'),
  text('T_WHITESPACE'),
];

/** The token that a character is or begins. */
const tokens = memory.data(256, 8);

function fillTokens(): void {
  memory.fill(tokens, <u8>Token.Error, 256);
  store<u8>(tokens + 0x7b, Token.ObjectBegin);
  store<u8>(tokens + 0x7d, Token.ObjectEnd);
  store<u8>(tokens + 0x5b, Token.ArrayBegin);
  store<u8>(tokens + 0x5d, Token.ArrayEnd);
  store<u8>(tokens + 0x2c, Token.Comma);
  store<u8>(tokens + 0x3a, Token.Colon);
  store<u8>(tokens, Token.End);
  store<u8>(tokens + 0x20, Token.Whitespace);
  store<u8>(tokens + 9, Token.Whitespace);
  store<u8>(tokens + 10, Token.Whitespace);
  store<u8>(tokens + 13, Token.Whitespace);
  // Numbers, strings, and the words true, false, null, inf, nan in any case.
  for (let c = 0x30; c <= 0x39; c++) store<u8>(tokens + c, Token.Unknown);
  store<u8>(tokens + 0x22, Token.Unknown);
  store<u8>(tokens + 0x2b, Token.Unknown);
  store<u8>(tokens + 0x2d, Token.Unknown);
  store<u8>(tokens + 0x66, Token.Unknown);
  store<u8>(tokens + 0x69, Token.Unknown);
  store<u8>(tokens + 0x49, Token.Unknown);
  store<u8>(tokens + 0x6e, Token.Unknown);
  store<u8>(tokens + 0x4e, Token.Unknown);
  store<u8>(tokens + 0x74, Token.Unknown);
}
fillTokens();

let json: usize = 0;
let next: usize = 0;
let depth: i32 = 0;
/** Where the token begins that was read last, and what it is. */
let tokenStart: usize = 0;
let tokenError: usize = 0;
let tokenNumber: f64 = 0;
let tokenBoolean: bool = false;
let tokenBytes: usize = 0;
let tokenLength: u32 = 0;

function fail(error: usize): Token {
  tokenStart = next;
  tokenError = error;
  return Token.Error;
}

/** Whether a number is one that JSON does not know: inf, nan, hexadecimal, with a plus or leading zeros. */
function isInvalidNumber(): bool {
  let at = next;
  if (load<u8>(at) === 0x2b) return true;
  if (load<u8>(at) === 0x2d) at++;
  const first = <u32>load<u8>(at);
  if (first === 0x30) {
    const second = <u32>load<u8>(at + 1);
    return (second | 0x20) === 0x78 || second - 0x30 < 10;
  }
  if (first <= 0x39) return false;
  return isWord(at, 0x69, 0x6e, 0x66) || isWord(at, 0x6e, 0x61, 0x6e);
}

function readNumber(): Token {
  const stop = scanNumber(next);
  if (stop === next) return fail(INVALID_NUMBER);
  tokenNumber = parsedNumber;
  next = stop;
  return Token.Number;
}

/** The four hexadecimal digits at a place, or -1. */
function hexDigits(at: usize): i32 {
  let value = 0;
  for (let index = 0; index < 4; index++) {
    const c = <u32>load<u8>(at + index);
    if (!isHexDigit(c)) return -1;
    value = (value << 4) | (isDigit(c) ? c - 0x30 : (c | 0x20) - 0x57);
  }
  return value;
}

/** Writes the character of the escape \uXXXX at `next` as UTF-8. Returns false if it is none. */
function readUnicode(): bool {
  let code = hexDigits(next + 2);
  if (code < 0) return false;
  let length = 6;
  if ((code & 0xf800) === 0xd800) {
    if ((code & 0x400) !== 0) return false;
    if (load<u8>(next + 6) !== 0x5c || load<u8>(next + 7) !== 0x75) return false;
    const low = hexDigits(next + 8);
    if (low < 0 || (low & 0xfc00) !== 0xdc00) return false;
    code = (((code & 0x3ff) << 10) | (low & 0x3ff)) + 0x10000;
    length = 12;
  }
  if (code < 0x80) put(code);
  else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
  next += length;
  return true;
}

function unescaped(c: u32): u32 {
  switch (c) {
    case 0x22:
    case 0x5c:
    case 0x2f:
      return c;
    case 0x62:
      return 8;
    case 0x66:
      return 12;
    case 0x6e:
      return 10;
    case 0x72:
      return 13;
    case 0x74:
      return 9;
    default:
      return 0;
  }
}

function readString(L: State): Token {
  next++;
  // Most strings have no escapes: they are taken from where they are.
  let at = next;
  let c = <u32>load<u8>(at);
  while (c !== 0x22 && c !== 0x5c && c !== 0) c = <u32>load<u8>(++at);
  if (c === 0x22) {
    tokenBytes = next;
    tokenLength = <u32>(at - next);
    next = at + 1;
    return Token.String;
  }
  end = bufferTop;
  end = append(L, end, next, <u32>(at - next));
  next = at;
  while (true) {
    c = <u32>load<u8>(next);
    if (c === 0x22) break;
    if (c === 0) return fail(UNEXPECTED_END);
    reserve(L, end, 4);
    if (c === 0x5c) {
      const letter = <u32>load<u8>(next + 1);
      if (letter === 0x75) {
        if (!readUnicode()) return fail(INVALID_UNICODE);
        continue;
      }
      c = unescaped(letter);
      if (c === 0) return fail(INVALID_ESCAPE);
      next++;
    }
    put(c);
    next++;
  }
  next++;
  tokenBytes = buffer + bufferTop;
  tokenLength = end - bufferTop;
  return Token.String;
}

function readToken(L: State): Token {
  let token = <Token>load<u8>(tokens + load<u8>(next));
  while (token === Token.Whitespace) token = <Token>load<u8>(tokens + load<u8>(++next));
  tokenStart = next;
  if (token === Token.Error) return fail(INVALID_TOKEN);
  if (token === Token.End) return token;
  if (token !== Token.Unknown) {
    next++;
    return token;
  }
  const c = <u32>load<u8>(next);
  if (c === 0x22) return readString(L);
  if (c === 0x2d || isDigit(c)) {
    if (load<i32>(settings, DECODE_INVALID) === 0 && isInvalidNumber()) return fail(INVALID_NUMBER);
    return readNumber();
  }
  const word = load<u32>(next);
  if (word === 0x65757274) {
    next += 4;
    tokenBoolean = true;
    return Token.Boolean;
  }
  if (word === 0x736c6166 && load<u8>(next + 4) === 0x65) {
    next += 5;
    tokenBoolean = false;
    return Token.Boolean;
  }
  if (word === 0x6c6c756e) {
    next += 4;
    return Token.Null;
  }
  if (load<i32>(settings, DECODE_INVALID) !== 0 && isInvalidNumber()) return readNumber();
  return fail(INVALID_TOKEN);
}

function unexpected(L: State, wanted: usize, token: Token): void {
  const found = token === Token.Error ? tokenError : unchecked(TOKEN_NAMES[token]);
  store<usize>(values, wanted);
  store<usize>(values, found, 4);
  store<i32>(values, <i32>(tokenStart - json) + 1, 8);
  const message = lua_pushfstring(L, EXPECTED, values);
  raiseWith(L, PLAIN, message);
}
const PLAIN = text('%s');

function descend(L: State, slots: i32): void {
  depth++;
  if (depth > load<i32>(settings, DECODE_DEPTH_MAX) || lua_checkstack(L, slots) === 0) {
    raiseWithTwo(L, TOO_DEEP_DECODE, depth, <u32>(next - json));
  }
  lua_createtable(L, 0, 0);
}

function decodeObject(L: State): void {
  descend(L, 3);
  let token = readToken(L);
  if (token === Token.ObjectEnd) {
    depth--;
    return;
  }
  while (true) {
    if (token !== Token.String) unexpected(L, KEY, token);
    lua_pushlstring(L, tokenBytes, tokenLength);
    token = readToken(L);
    if (token !== Token.Colon) unexpected(L, COLON, token);
    decodeValue(L, readToken(L));
    lua_rawset(L, -3);
    token = readToken(L);
    if (token === Token.ObjectEnd) {
      depth--;
      return;
    }
    if (token !== Token.Comma) unexpected(L, COMMA_OBJECT, token);
    token = readToken(L);
  }
}

function decodeArray(L: State): void {
  descend(L, 2);
  let token = readToken(L);
  if (token === Token.ArrayEnd) {
    depth--;
    return;
  }
  for (let index = 1; ; index++) {
    decodeValue(L, token);
    lua_rawseti(L, -2, index);
    token = readToken(L);
    if (token === Token.ArrayEnd) {
      depth--;
      return;
    }
    if (token !== Token.Comma) unexpected(L, COMMA_ARRAY, token);
    token = readToken(L);
  }
}

function decodeValue(L: State, token: Token): void {
  spend(L, 2);
  switch (token) {
    case Token.String:
      spend(L, <i32>(tokenLength >> 4));
      lua_pushlstring(L, tokenBytes, tokenLength);
      return;
    case Token.Number:
      lua_pushnumber(L, tokenNumber);
      return;
    case Token.Boolean:
      lua_pushboolean(L, tokenBoolean ? 1 : 0);
      return;
    case Token.ObjectBegin:
      decodeObject(L);
      return;
    case Token.ArrayBegin:
      decodeArray(L);
      return;
    case Token.Null:
      lua_pushlightuserdata(L, 0);
      return;
    default:
      unexpected(L, VALUE, token);
  }
}

function decode(L: State): i32 {
  checkArgument(L, lua_gettop(L) === 1, 1, ONE_ARGUMENT);
  json = luaL_checklstring(L, 1, lengthCell);
  settings = lua_touserdata(L, upvalue(1));
  if (load<u32>(lengthCell) >= 2 && (load<u8>(json) === 0 || load<u8>(json + 1) === 0))
    return raise(L, UTF_16);
  next = json;
  depth = 0;
  decodeValue(L, readToken(L));
  const token = readToken(L);
  if (token !== Token.End) unexpected(L, THE_END, token);
  return 1;
}

// ---- settings

/** Fills the arguments up with nil. Returns the settings of the instance. */
function beginSetting(L: State, count: i32): usize {
  checkArgument(L, lua_gettop(L) <= count, count + 1, TOO_MANY);
  while (lua_gettop(L) < count) lua_pushnil(L);
  const instance = lua_touserdata(L, upvalue(1));
  if (instance === ownSettings) ownChanged = true;
  return instance;
}

function integerSetting(L: State, arg: i32, setting: usize, least: i32, most: i32): void {
  if (lua_type(L, arg) !== LUA_TNIL) {
    const value = <i32>toInt64(luaL_checknumber(L, arg));
    if (value < least || value > most) {
      store<i32>(values, least);
      store<i32>(values, most, 4);
      luaL_argerror(L, arg, lua_pushfstring(L, INTEGER_RANGE, values));
    }
    store<i32>(setting, value);
  }
  lua_pushnumber(L, load<i32>(setting));
}

/** A setting that is a boolean, or one of the words off (0), on (1) and, with `hasNull`, null (2). */
function switchSetting(L: State, arg: i32, setting: usize, words: bool, hasNull: bool): void {
  const type = lua_type(L, arg);
  if (type === LUA_TBOOLEAN) store<i32>(setting, lua_toboolean(L, arg));
  else if (type !== LUA_TNIL) {
    const word = luaL_checklstring(L, arg, 0);
    const length = textLength(word) + 1;
    let value = -1;
    if (words && length === 4 && memory.compare(word, OFF, length) === 0) value = 0;
    if (words && length === 3 && memory.compare(word, ON, length) === 0) value = 1;
    if (hasNull && length === 5 && memory.compare(word, NULL, length) === 0) value = 2;
    if (value < 0) {
      store<usize>(values, word);
      luaL_argerror(L, arg, lua_pushfstring(L, INVALID_OPTION, values));
    }
    store<i32>(setting, value);
  }
  const value = load<i32>(setting);
  if (value === 2) lua_pushstring(L, NULL);
  else lua_pushboolean(L, value);
}

function encodeSparseArray(L: State): i32 {
  const instance = beginSetting(L, 3);
  switchSetting(L, 1, instance + SPARSE_CONVERT, false, false);
  integerSetting(L, 2, instance + SPARSE_RATIO, 0, i32.MAX_VALUE);
  integerSetting(L, 3, instance + SPARSE_SAFE, 0, i32.MAX_VALUE);
  return 3;
}

function encodeMaxDepth(L: State): i32 {
  const instance = beginSetting(L, 1);
  integerSetting(L, 1, instance + ENCODE_DEPTH_MAX, 1, i32.MAX_VALUE);
  return 1;
}

function decodeMaxDepth(L: State): i32 {
  const instance = beginSetting(L, 1);
  integerSetting(L, 1, instance + DECODE_DEPTH_MAX, 1, i32.MAX_VALUE);
  return 1;
}

function encodeNumberPrecision(L: State): i32 {
  const instance = beginSetting(L, 1);
  integerSetting(L, 1, instance + PRECISION, 1, PRECISION_MAX);
  return 1;
}

function encodeKeepBuffer(L: State): i32 {
  const instance = beginSetting(L, 1);
  switchSetting(L, 1, instance + KEEP_BUFFER, false, false);
  return 1;
}

function encodeInvalidNumbers(L: State): i32 {
  const instance = beginSetting(L, 1);
  switchSetting(L, 1, instance + ENCODE_INVALID, true, true);
  return 1;
}

function decodeInvalidNumbers(L: State): i32 {
  const instance = beginSetting(L, 1);
  switchSetting(L, 1, instance + DECODE_INVALID, true, false);
  return 1;
}

function setMethod(L: State, name: string, index: u32): void {
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, index, 1);
  lua_setfield(L, -3, text(name));
}

/** Sets the functions of the table on top of the stack; the value at -2 then is the settings. */
function setMethods(L: State): void {
  setMethod(L, 'encode', encode.index);
  setMethod(L, 'decode', decode.index);
  setMethod(L, 'encode_sparse_array', encodeSparseArray.index);
  setMethod(L, 'encode_max_depth', encodeMaxDepth.index);
  setMethod(L, 'decode_max_depth', decodeMaxDepth.index);
  setMethod(L, 'encode_number_precision', encodeNumberPrecision.index);
  setMethod(L, 'encode_keep_buffer', encodeKeepBuffer.index);
  setMethod(L, 'encode_invalid_numbers', encodeInvalidNumbers.index);
  setMethod(L, 'decode_invalid_numbers', decodeInvalidNumbers.index);
  setMethod(L, 'new', create.index);
  lua_settop(L, -2);
  lua_pushlightuserdata(L, 0);
  lua_setfield(L, -2, NULL);
  setText(L, '_NAME', 'cjson');
  setText(L, '_VERSION', '2.1.0');
}

/** cjson.new: an instance with settings of its own. */
function create(L: State): i32 {
  lua_createtable(L, 0, 0);
  setDefaults(lua_newuserdata(L, SETTINGS_BYTES));
  setMethods(L);
  return 1;
}

export function openCjson(L: State): void {
  setDefaults(ownSettings);
  beginLibrary(L, 'cjson', 0);
  lua_pushlightuserdata(L, ownSettings);
  setMethods(L);
  endLibrary(L);
}
