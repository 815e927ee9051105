/**
 * The library `struct`: values to bytes and back by a format, as the library of that name by Roberto Ierusalimschy does it on
 * x86-64 (int 4, long and size_t 8 bytes, little-endian).
 */
import { append, buffer, bufferTop, reserve } from './buffer';
import { spend } from './interrupt';
import {
  LUA_TNIL,
  lua_isnumber,
  lua_pushfstring,
  lua_pushlstring,
  lua_pushnil,
  lua_pushnumber,
  lua_settop,
  lua_tonumber,
  lua_type,
  luaL_argerror,
  luaL_checklstring,
  luaL_checknumber,
  luaL_checkstack,
  State,
} from './lua';
import { toInt64 } from './numbers';
import { beginLibrary, endLibrary, setFunction } from './registry';
import { checkArgument, raise, raiseWith, raiseWithTwo, text } from './text';

const TOO_LARGE = text('integral size %d is larger than limit of %d');
const SIZE_OVERFLOW = text('integral size overflow');
const NO_POWER_OF_TWO = text('alignment %d is not a power of 2');
const INVALID_OPTION = text("invalid format option '%c'");
const STRING_TOO_SHORT = text('string too short');
const DATA_TOO_SHORT = text('data string too short');
const BAD_OFFSET = text('offset must be 1 or greater');
const TOO_MANY_RESULTS = text('too many results');
const NO_PREVIOUS_SIZE = text("format 'c0' needs a previous size");
const UNFINISHED = text('unfinished string in data');
const SIZE_OF_S = text("option 's' has no fixed size");
const SIZE_OF_C0 = text("option 'c0' has no fixed size");

const INTEGER_BYTES_MAX: i64 = 32;
const ALIGNMENT_MAX = 8;

const lengthCell = memory.data(4, 4);
const secondLengthCell = memory.data(4, 4);
const optionValue = memory.data(8, 8);

// What the format has said so far.
let format: usize = 0;
let bigEndian: bool = false;
let alignment: i64 = 1;

function begin(L: State): void {
  format = luaL_checklstring(L, 1, 0);
  bigEndian = false;
  alignment = 1;
}

function isDigit(c: u32): bool {
  return c - 0x30 < 10;
}

/** The number that follows in the format. */
function readNumber(L: State, otherwise: i32): i32 {
  if (!isDigit(load<u8>(format))) return otherwise;
  let value: i64 = 0;
  while (isDigit(load<u8>(format))) {
    value = value * 10 + (load<u8>(format) - 0x30);
    if (value > i32.MAX_VALUE) raise(L, SIZE_OVERFLOW);
    format++;
  }
  return <i32>value;
}

/** The bytes that an option stands for. */
function optionBytes(L: State, option: u32): i64 {
  switch (option) {
    case 0x42 /* B */:
    case 0x62 /* b */:
    case 0x78 /* x */:
      return 1;
    case 0x48 /* H */:
    case 0x68 /* h */:
      return 2;
    case 0x66 /* f */:
      return 4;
    case 0x4c /* L */:
    case 0x6c /* l */:
    case 0x54 /* T */:
    case 0x64 /* d */:
      return 8;
    case 0x63 /* c */:
      return readNumber(L, 1);
    case 0x49 /* I */:
    case 0x69 /* i */:
      {
        const size = readNumber(L, 4);
        if (size > INTEGER_BYTES_MAX) raiseWithTwo(L, TOO_LARGE, size, <usize>INTEGER_BYTES_MAX);
        return size;
      }
    default:
      return 0;
  }
}

/** The bytes to fill up before an option. */
function padding(position: i64, option: u32, size: i64): i64 {
  if (size === 0 || option === 0x63) return 0;
  const to = size > alignment ? alignment : size;
  return to > 1 ? (to - (position & (to - 1))) & (to - 1) : 0;
}

/** Options that say how the others are to be understood. */
function control(L: State, option: u32): void {
  switch (option) {
    case 0x20:
      return;
    case 0x3e /* > */:
      bigEndian = true;
      return;
    case 0x3c /* < */:
      bigEndian = false;
      return;
    case 0x21 /* ! */:
      {
        const to = readNumber(L, ALIGNMENT_MAX);
        if (to <= 0 || (to & (to - 1)) !== 0) raiseWith(L, NO_POWER_OF_TWO, to);
        alignment = to;
        return;
      }
    default:
      store<u32>(optionValue, option);
      luaL_argerror(L, 1, lua_pushfstring(L, INVALID_OPTION, optionValue));
  }
}

/** A double as C on x86-64 converts it, by its sign, to a signed or unsigned 64-bit integer. */
function toBits(value: f64): u64 {
  if (isNaN(value) || value < 9223372036854775808.0) return <u64>toInt64(value);
  return <u64>toInt64(value - 9223372036854775808.0) ^ (1 << 63);
}

function putInteger(_L: State, at: u32, value: u64, size: i32): void {
  for (let index = 0; index < size; index++) {
    const byte: u64 = index < 8 ? value >> (8 * index) : 0;
    store<u8>(buffer + at + (bigEndian ? size - 1 - index : index), <u8>byte);
  }
}

function pack(L: State): i32 {
  begin(L);
  // The first argument that is missing is nil, as errors show.
  lua_pushnil(L);
  let arg = 2;
  const start = bufferTop;
  let out = start;
  let total: i64 = 0;
  while (load<u8>(format) !== 0) {
    const option = <u32>load<u8>(format++);
    let size = optionBytes(L, option);
    const fill = padding(total, option, size);
    total += fill;
    reserve(L, out, <u32>(fill + 64));
    memory.fill(buffer + out, 0, <u32>fill);
    out += <u32>fill;
    spend(L, 1);
    switch (option) {
      case 0x62:
      case 0x42:
      case 0x68:
      case 0x48:
      case 0x6c:
      case 0x4c:
      case 0x54:
      case 0x69:
      case 0x49: {
        putInteger(L, out, toBits(luaL_checknumber(L, arg++)), <i32>size);
        out += <u32>size;
        break;
      }
      case 0x78 /* x */:
        store<u8>(buffer + out++, 0);
        break;
      case 0x66 /* f */:
        {
          putInteger(L, out, reinterpret<u32>(<f32>luaL_checknumber(L, arg++)), 4);
          out += 4;
          break;
        }
      case 0x64 /* d */:
        {
          putInteger(L, out, reinterpret<u64>(luaL_checknumber(L, arg++)), 8);
          out += 8;
          break;
        }
      case 0x63 /* c */:
      case 0x73 /* s */:
        {
          const bytes = luaL_checklstring(L, arg++, lengthCell);
          const length = load<u32>(lengthCell);
          if (size === 0) size = length;
          checkArgument(L, <i64>length >= size, arg, STRING_TOO_SHORT);
          out = append(L, out, bytes, <u32>size);
          if (option === 0x73) {
            reserve(L, out, 1);
            store<u8>(buffer + out++, 0);
            size++;
          }
          break;
        }
      default:
        control(L, option);
    }
    total += size;
  }
  lua_pushlstring(L, buffer + start, out - start);
  return 1;
}

function getInteger(at: usize, size: i32, signed: bool): f64 {
  let value: u64 = 0;
  for (let index = 0; index < size; index++) {
    value = (value << 8) | load<u8>(at + (bigEndian ? index : size - 1 - index));
  }
  if (!signed) return <f64>value;
  const mask = ~(<u64>0) << ((size * 8 - 1) & 63);
  if ((value & mask) !== 0) value |= mask;
  return <f64>(<i64>value);
}

function unpack(L: State): i32 {
  begin(L);
  const data = luaL_checklstring(L, 2, secondLengthCell);
  const length = <i64>load<u32>(secondLengthCell);
  const offset = lua_type(L, 3) <= LUA_TNIL ? 1 : toInt64(luaL_checknumber(L, 3));
  checkArgument(L, offset > 0, 3, BAD_OFFSET);
  let at = offset - 1;
  let count = 0;
  while (load<u8>(format) !== 0) {
    const option = <u32>load<u8>(format++);
    let size = optionBytes(L, option);
    at += padding(at, option, size);
    checkArgument(L, size <= length && at <= length - size, 2, DATA_TOO_SHORT);
    luaL_checkstack(L, 2, TOO_MANY_RESULTS);
    spend(L, 1);
    const from = data + <u32>at;
    switch (option) {
      case 0x62:
      case 0x42:
      case 0x68:
      case 0x48:
      case 0x6c:
      case 0x4c:
      case 0x54:
      case 0x69:
      case 0x49:
        lua_pushnumber(L, getInteger(from, <i32>size, option >= 0x61));
        count++;
        break;
      case 0x78:
        break;
      case 0x66: {
        const bits = load<u32>(from);
        lua_pushnumber(L, <f64>reinterpret<f32>(bigEndian ? bswap(bits) : bits));
        count++;
        break;
      }
      case 0x64: {
        const bits = load<u64>(from);
        lua_pushnumber(L, reinterpret<f64>(bigEndian ? bswap(bits) : bits));
        count++;
        break;
      }
      case 0x63 /* c */:
        if (size === 0) {
          if (count === 0 || lua_isnumber(L, -1) === 0) raise(L, NO_PREVIOUS_SIZE);
          size = toInt64(lua_tonumber(L, -1));
          lua_settop(L, -2);
          count--;
          checkArgument(L, size >= 0 && size <= length && at <= length - size, 2, DATA_TOO_SHORT);
        }
        lua_pushlstring(L, from, <u32>size);
        count++;
        break;
      case 0x73 /* s */:
        {
          let end = at;
          while (end < length && load<u8>(data + <u32>end) !== 0) end++;
          if (end === length) raise(L, UNFINISHED);
          size = end - at + 1;
          spend(L, <i32>(size >> 3));
          lua_pushlstring(L, from, <u32>(size - 1));
          count++;
          break;
        }
      default:
        control(L, option);
    }
    at += size;
  }
  lua_pushnumber(L, <f64>(at + 1));
  return count + 1;
}

function isLetterOrDigit(c: u32): bool {
  return isDigit(c) || (c | 0x20) - 0x61 < 26;
}

function size(L: State): i32 {
  begin(L);
  let total: i64 = 0;
  while (load<u8>(format) !== 0) {
    const option = <u32>load<u8>(format++);
    const bytes = optionBytes(L, option);
    total += padding(total, option, bytes);
    if (option === 0x73) luaL_argerror(L, 1, SIZE_OF_S);
    if (option === 0x63 && bytes === 0) luaL_argerror(L, 1, SIZE_OF_C0);
    if (!isLetterOrDigit(option)) control(L, option);
    total += bytes;
  }
  lua_pushnumber(L, <f64>total);
  return 1;
}

export function openStruct(L: State): void {
  beginLibrary(L, 'struct', 3);
  setFunction(L, 'pack', pack.index);
  setFunction(L, 'unpack', unpack.index);
  setFunction(L, 'size', size.index);
  endLibrary(L);
}
