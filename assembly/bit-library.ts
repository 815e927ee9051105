/** The library `bit`: operations on the 32 bits of a number, with the results of Lua BitOp 1.0.2. */
import {
  LUA_TNONE,
  lua_gettop,
  lua_isnumber,
  lua_pushlstring,
  lua_pushnumber,
  lua_tonumber,
  lua_type,
  luaL_typerror,
  State,
} from './lua';
import { beginLibrary, endLibrary, setFunction } from './registry';
import { text } from './text';

const NUMBER = text('number');
/** 2^52 + 2^51: what is added to a double so that its integer is the low half of its bits. */
const ROUNDING: f64 = 6755399441055744;
const HEX_DIGITS_MAX = 8;

const digits = memory.data(8, 8);

function bits(L: State, arg: i32): u32 {
  const value = <u32>reinterpret<u64>(lua_tonumber(L, arg) + ROUNDING);
  if (value === 0 && lua_isnumber(L, arg) === 0) luaL_typerror(L, arg, NUMBER);
  return value;
}

function push(L: State, value: u32): i32 {
  lua_pushnumber(L, <f64>(<i32>value));
  return 1;
}

function tobit(L: State): i32 {
  return push(L, bits(L, 1));
}

function bnot(L: State): i32 {
  return push(L, ~bits(L, 1));
}

function band(L: State): i32 {
  let value = bits(L, 1);
  for (let arg = lua_gettop(L); arg > 1; arg--) value &= bits(L, arg);
  return push(L, value);
}

function bor(L: State): i32 {
  let value = bits(L, 1);
  for (let arg = lua_gettop(L); arg > 1; arg--) value |= bits(L, arg);
  return push(L, value);
}

function bxor(L: State): i32 {
  let value = bits(L, 1);
  for (let arg = lua_gettop(L); arg > 1; arg--) value ^= bits(L, arg);
  return push(L, value);
}

function lshift(L: State): i32 {
  const value = bits(L, 1);
  return push(L, value << (bits(L, 2) & 31));
}

function rshift(L: State): i32 {
  const value = bits(L, 1);
  return push(L, value >> (bits(L, 2) & 31));
}

function arshift(L: State): i32 {
  const value = <i32>bits(L, 1);
  return push(L, value >> (bits(L, 2) & 31));
}

function rol(L: State): i32 {
  const value = bits(L, 1);
  return push(L, rotl(value, bits(L, 2)));
}

function ror(L: State): i32 {
  const value = bits(L, 1);
  return push(L, rotr(value, bits(L, 2)));
}

function swap(L: State): i32 {
  return push(L, bswap(bits(L, 1)));
}

function tohex(L: State): i32 {
  let value = bits(L, 1);
  let count = lua_type(L, 2) === LUA_TNONE ? HEX_DIGITS_MAX : <i32>bits(L, 2);
  const capitals = count < 0;
  if (capitals) count = count === i32.MIN_VALUE ? HEX_DIGITS_MAX : -count;
  if (count > HEX_DIGITS_MAX) count = HEX_DIGITS_MAX;
  for (let at = count - 1; at >= 0; at--) {
    const digit = value & 15;
    store<u8>(digits + at, digit < 10 ? 0x30 + digit : (capitals ? 0x37 : 0x57) + digit);
    value >>= 4;
  }
  lua_pushlstring(L, digits, count);
  return 1;
}

export function openBit(L: State): void {
  beginLibrary(L, 'bit', 12);
  setFunction(L, 'tobit', tobit.index);
  setFunction(L, 'bnot', bnot.index);
  setFunction(L, 'band', band.index);
  setFunction(L, 'bor', bor.index);
  setFunction(L, 'bxor', bxor.index);
  setFunction(L, 'lshift', lshift.index);
  setFunction(L, 'rshift', rshift.index);
  setFunction(L, 'arshift', arshift.index);
  setFunction(L, 'rol', rol.index);
  setFunction(L, 'ror', ror.index);
  setFunction(L, 'bswap', swap.index);
  setFunction(L, 'tohex', tohex.index);
  endLibrary(L);
}
