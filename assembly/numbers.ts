/**
 * Numbers to text and back, with the results of C's printf and strtod.
 *
 * The C library that Lua was compiled with does both with an emulated long double of 128 bits, which takes
 * microseconds. Here the common cases are computed with doubles whose rounding errors are known exactly;
 * the others are left to the C library.
 */
import { free, LUA_TSTRING, luaO_str2d, luaS_newlstr, malloc, State, sprintf, TVALUE_TYPE } from './lua';
import { text, textLength } from './text';

/** Longest text of a number: a sign, 17 digits, a point, and an exponent; or `%.17g`'s zeros after "0.". */
export const NUMBER_BYTES_MAX = 32;

/** 10^n for the n up to 22, which doubles represent exactly. */
const powers = memory.data(23 * 8, 8);
const EXACT_POWER_MAX = 22;
/** Pairs of digits "00" to "99". */
const digitPairs = memory.data(200, 2);
const printfValue = memory.data(16, 8);
const printfFormat = text('%.00g');
const scratch = memory.data(64, 8);

function fillTables(): void {
  let power: f64 = 1;
  for (let n = 0; n <= EXACT_POWER_MAX; n++) {
    store<f64>(powers + n * 8, power);
    power *= 10;
  }
  for (let n = 0; n < 100; n++) {
    store<u8>(digitPairs + 2 * n, 0x30 + n / 10);
    store<u8>(digitPairs + 2 * n + 1, 0x30 + (n % 10));
  }
}
fillTables();

function powerOfTen(n: i32): f64 {
  return load<f64>(powers + n * 8);
}

/** Writes an unsigned integer. Returns the number of digits. */
export function writeUnsigned(value: u64, to: usize): i32 {
  if (value < 10) {
    store<u8>(to, 0x30 + <u8>value);
    return 1;
  }
  let at: usize = scratch + 24;
  let rest = value;
  while (rest > 0xffffffff) {
    const next = rest / 100;
    at -= 2;
    store<u16>(at, load<u16>(digitPairs + 2 * <usize>(rest - next * 100)));
    rest = next;
  }
  let low = <u32>rest;
  while (low >= 100) {
    const next = low / 100;
    at -= 2;
    store<u16>(at, load<u16>(digitPairs + 2 * (low - next * 100)));
    low = next;
  }
  if (low >= 10) {
    at -= 2;
    store<u16>(at, load<u16>(digitPairs + 2 * low));
  } else {
    at--;
    store<u8>(at, 0x30 + <u8>low);
  }
  const length = <i32>(scratch + 24 - at);
  memory.copy(to, at, length);
  return length;
}

/** Writes an integer. Returns the number of characters. */
export function writeInteger(value: i64, to: usize): i32 {
  if (value >= 0) return writeUnsigned(<u64>value, to);
  store<u8>(to, 0x2d);
  return 1 + writeUnsigned(<u64>-value, to + 1);
}

/** The high part of a product, and what it lacks to the exact one (Dekker 1971). */
let productLow: f64 = 0;

function exactProduct(a: f64, b: f64): f64 {
  const SPLIT: f64 = 134217729; // 2^27 + 1
  const product = a * b;
  let c = SPLIT * a;
  const aHigh = c - (c - a);
  const aLow = a - aHigh;
  c = SPLIT * b;
  const bHigh = c - (c - b);
  const bLow = b - bHigh;
  productLow = aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow;
  return product;
}

/** value * 10^power rounded to an integer, to even if in the middle; -1 if it can't be computed here. */
function scaled(value: f64, power: i32, precision: i32): i64 {
  if (power >= 0) {
    if (power > EXACT_POWER_MAX) return -1;
    const high = exactProduct(value, powerOfTen(power));
    const whole = Math.floor(high);
    let quotient = <i64>whole;
    let rest = high - whole;
    if (rest === 0) {
      const lowWhole = Math.floor(productLow);
      quotient += <i64>lowWhole;
      rest = productLow - lowWhole;
      if (rest > 0.5 || (rest === 0.5 && (quotient & 1) !== 0)) quotient++;
    } else if (
      rest > 0.5 ||
      (rest === 0.5 && (productLow > 0 || (productLow === 0 && (quotient & 1) !== 0)))
    ) {
      quotient++;
    }
    return quotient;
  }
  if (power < -EXACT_POWER_MAX || precision > 15) return -1;
  const divisor = powerOfTen(-power);
  let quotient = Math.floor(value / divisor);
  const product = exactProduct(quotient, divisor);
  let rest = value - product - productLow;
  if (rest < 0) {
    quotient--;
    rest += divisor;
  } else if (rest >= divisor) {
    quotient++;
    rest -= divisor;
  }
  let result = <i64>quotient;
  const twice = rest * 2;
  if (twice > divisor || (twice === divisor && (result & 1) !== 0)) result++;
  return result;
}

/** Writes what C's `%.<precision>g` gives (1 to 17 digits). Returns the number of characters. */
export function writeGeneral(value: f64, precision: i32, to: usize): i32 {
  const bits = reinterpret<u64>(value);
  const exponentBits = <i32>((bits >> 52) & 0x7ff);
  let at = to;
  if (bits >> 63 !== 0) store<u8>(at++, 0x2d);
  if (exponentBits === 0x7ff) {
    store<u8>(at, bits << 12 === 0 ? 0x69 : 0x6e); // "inf" or "nan"
    store<u8>(at, bits << 12 === 0 ? 0x6e : 0x61, 1);
    store<u8>(at, bits << 12 === 0 ? 0x66 : 0x6e, 2);
    return <i32>(at + 3 - to);
  }
  const magnitude = Math.abs(value);
  if (magnitude < powerOfTen(precision) && Math.floor(magnitude) === magnitude) {
    return <i32>(at - to) + writeUnsigned(<u64>magnitude, at);
  }
  // The decimal exponent: from the binary one, and perhaps one more.
  let exponent = <i32>Math.floor(<f64>(exponentBits - 1023) * 0.3010299956639812);
  let digits: i64 = -1;
  if (exponentBits !== 0) {
    digits = scaled(magnitude, precision - 1 - exponent, precision);
    const limit = <i64>powerOfTen(precision);
    if (digits >= limit) {
      exponent++;
      digits = scaled(magnitude, precision - 1 - exponent, precision);
      if (digits >= limit) digits = -1;
    }
    // A number just below a power of ten, for which the exponent was estimated as that power's.
    if (digits >= 0 && digits < <i64>powerOfTen(precision - 1)) digits = -1;
  }
  if (digits < 0) return writeByPrintf(value, precision, to);
  let count = precision;
  while (count > 1 && digits % 10 === 0) {
    digits /= 10;
    count--;
  }
  if (exponent < -4 || exponent >= precision) {
    writeUnsigned(<u64>digits, at + 1);
    store<u8>(at, load<u8>(at + 1));
    if (count > 1) {
      store<u8>(at + 1, 0x2e);
      at += count + 1;
    } else at++;
    store<u8>(at, 0x65);
    store<u8>(at, exponent < 0 ? 0x2d : 0x2b, 1);
    const size = exponent < 0 ? -exponent : exponent;
    if (size < 10) store<u8>(at++, 0x30, 2);
    return <i32>(at + 2 - to) + writeUnsigned(<u64>size, at + 2);
  }
  if (exponent < 0) {
    store<u8>(at++, 0x30);
    store<u8>(at++, 0x2e);
    for (let zeros = -1 - exponent; zeros > 0; zeros--) store<u8>(at++, 0x30);
    return <i32>(at - to) + writeUnsigned(<u64>digits, at);
  }
  const whole = exponent + 1;
  if (count <= whole) {
    writeUnsigned(<u64>digits, at);
    at += count;
    for (let zeros = whole - count; zeros > 0; zeros--) store<u8>(at++, 0x30);
    return <i32>(at - to);
  }
  writeUnsigned(<u64>digits, at + 1);
  memory.copy(at, at + 1, whole);
  store<u8>(at + whole, 0x2e);
  return <i32>(at - to) + count + 1;
}

function writeByPrintf(value: f64, precision: i32, to: usize): i32 {
  store<u8>(printfFormat, 0x30 + precision / 10, 2);
  store<u8>(printfFormat, 0x30 + (precision % 10), 3);
  store<f64>(printfValue, value);
  sprintf(to, printfFormat, printfValue);
  return textLength(to);
}

/** A number as Lua shows it (`%.14g`). */
export function writeNumber(value: f64, to: usize): i32 {
  return writeGeneral(value, 14, to);
}

const numberText = memory.data(NUMBER_BYTES_MAX, 8);

/** In place of Lua's own luaV_tostring, for a value that is a number: makes it a string. */
export function numberToString(L: State, value: usize): i32 {
  const length = writeNumber(load<f64>(value), numberText);
  const string = luaS_newlstr(L, numberText, length);
  store<usize>(value, string);
  store<i32>(value, LUA_TSTRING, TVALUE_TYPE);
  return 1;
}

/** The number that `parseDecimal` has read. */
export let parsedNumber: f64 = 0;

/**
 * Reads a decimal number that fills [start, end), if it can be done exactly with doubles (Clinger 1990): at most
 * 2^53 as digits, and a power of ten up to 10^22. Returns false for all others, and for what is no number.
 */
export function parseDecimal(start: usize, end: usize): bool {
  let at = start;
  let negative = false;
  if (at < end && (load<u8>(at) === 0x2d || load<u8>(at) === 0x2b)) {
    negative = load<u8>(at) === 0x2d;
    at++;
  }
  let mantissa: u64 = 0;
  let digits = 0;
  let power = 0;
  let seen = false;
  for (; at < end; at++) {
    const digit = <u32>load<u8>(at) - 0x30;
    if (digit > 9) break;
    seen = true;
    mantissa = mantissa * 10 + digit;
    if (mantissa !== 0 && ++digits > 18) return false;
  }
  if (at < end && load<u8>(at) === 0x2e) {
    at++;
    for (; at < end; at++) {
      const digit = <u32>load<u8>(at) - 0x30;
      if (digit > 9) break;
      seen = true;
      mantissa = mantissa * 10 + digit;
      power--;
      if (mantissa !== 0 && ++digits > 18) return false;
    }
  }
  if (!seen) return false;
  if (at < end && (load<u8>(at) | 0x20) === 0x65) {
    at++;
    let down = false;
    if (at < end && (load<u8>(at) === 0x2b || load<u8>(at) === 0x2d)) {
      down = load<u8>(at) === 0x2d;
      at++;
    }
    if (at === end) return false;
    let exponent = 0;
    for (; at < end; at++) {
      const digit = <i32>load<u8>(at) - 0x30;
      if (<u32>digit > 9) return false;
      exponent = exponent * 10 + digit;
      if (exponent > 400) return false;
    }
    power += down ? -exponent : exponent;
  }
  if (at !== end || mantissa > 1 << 53) return false;
  if (power > EXACT_POWER_MAX || power < -EXACT_POWER_MAX) return false;
  let value = <f64>mantissa;
  value = power < 0 ? value / powerOfTen(-power) : value * powerOfTen(power);
  parsedNumber = negative ? -value : value;
  return true;
}

export function isDigit(c: u32): bool {
  return c - 0x30 < 10;
}

export function isHexDigit(c: u32): bool {
  return isDigit(c) || (c | 0x20) - 0x61 < 6;
}

/** Whether three letters, given in lower case, stand here in any case. */
export function isWord(at: usize, first: u32, second: u32, third: u32): bool {
  return (
    (load<u8>(at) | 0x20) === first &&
    (load<u8>(at + 1) | 0x20) === second &&
    (load<u8>(at + 2) | 0x20) === third
  );
}

/** Where the longest decimal number from `start` on ends; `start` if there is none. */
function decimalEnd(start: usize): usize {
  let at = start;
  if (load<u8>(at) === 0x2d || load<u8>(at) === 0x2b) at++;
  const digits = at;
  while (isDigit(load<u8>(at))) at++;
  let any = at > digits;
  if (load<u8>(at) === 0x2e) {
    const fraction = at + 1;
    let stop = fraction;
    while (isDigit(load<u8>(stop))) stop++;
    if (any || stop > fraction) {
      any = true;
      at = stop;
    }
  }
  if (!any) return start;
  if ((load<u8>(at) | 0x20) === 0x65) {
    let exponent = at + 1;
    if (load<u8>(exponent) === 0x2d || load<u8>(exponent) === 0x2b) exponent++;
    if (isDigit(load<u8>(exponent))) {
      while (isDigit(load<u8>(exponent))) exponent++;
      at = exponent;
    }
  }
  return at;
}

/** Reads what C's strtod knows besides decimal numbers: hexadecimal ones, infinity and NaN. Returns its end, or 0. */
function scanSpecial(start: usize): usize {
  let at = start;
  const negative = load<u8>(at) === 0x2d;
  if (negative || load<u8>(at) === 0x2b) at++;
  if (isWord(at, 0x69, 0x6e, 0x66)) {
    parsedNumber = negative ? -Infinity : Infinity;
    at += 3;
    const isLong =
      isWord(at, 0x69, 0x6e, 0x69) &&
      (load<u8>(at + 3) | 0x20) === 0x74 &&
      (load<u8>(at + 4) | 0x20) === 0x79;
    return isLong ? at + 5 : at;
  }
  if (isWord(at, 0x6e, 0x61, 0x6e)) {
    parsedNumber = reinterpret<f64>(negative ? <u64>0xfff8000000000000 : <u64>0x7ff8000000000000);
    at += 3;
    if (load<u8>(at) !== 0x28) return at;
    let close = at + 1;
    while (isDigit(load<u8>(close)) || (<u32>load<u8>(close) | 0x20) - 0x61 < 26 || load<u8>(close) === 0x5f)
      close++;
    return load<u8>(close) === 0x29 ? close + 1 : at;
  }
  if (load<u8>(at) !== 0x30 || (load<u8>(at + 1) | 0x20) !== 0x78) return 0;
  const end = scanHexadecimal(at + 2);
  if (end !== 0 && negative) parsedNumber = -parsedNumber;
  return end;
}

/** Reads the digits of a hexadecimal number, with a fraction and a binary exponent. Returns where it ends, or 0. */
function scanHexadecimal(start: usize): usize {
  let at = start;
  let mantissa: u64 = 0;
  let exponent = 0;
  let any = false;
  let point = false;
  for (; ; at++) {
    const c = <u32>load<u8>(at);
    if (c === 0x2e && !point) {
      point = true;
      continue;
    }
    if (!isHexDigit(c)) break;
    any = true;
    const digit: u64 = isDigit(c) ? c - 0x30 : (c | 0x20) - 0x57;
    if (mantissa >> 59 === 0) {
      mantissa = (mantissa << 4) | digit;
      if (point) exponent -= 4;
    } else {
      // Of what does not fit, it counts only whether it is zero.
      if (digit !== 0) mantissa |= 1;
      if (!point) exponent += 4;
    }
  }
  if (!any) return 0;
  if ((load<u8>(at) | 0x20) === 0x70) {
    let digits = at + 1;
    const down = load<u8>(digits) === 0x2d;
    if (down || load<u8>(digits) === 0x2b) digits++;
    if (isDigit(load<u8>(digits))) {
      let power = 0;
      for (; isDigit(load<u8>(digits)); digits++)
        if (power < 100000) power = power * 10 + (load<u8>(digits) - 0x30);
      exponent += down ? -power : power;
      at = digits;
    }
  }
  parsedNumber = scaleByTwo(<f64>mantissa, exponent);
  return at;
}

/** value * 2^power; in steps, since the power alone may not be a double. */
function scaleByTwo(value: f64, power: i32): f64 {
  let result = value;
  let rest = power;
  while (rest > 1000 && isFinite(result) && result !== 0) {
    result *= reinterpret<f64>((<u64>(1023 + 1000)) << 52);
    rest -= 1000;
  }
  while (rest < -1000 && result !== 0) {
    result *= reinterpret<f64>((<u64>(1023 - 1000)) << 52);
    rest += 1000;
  }
  if (rest > 1000) rest = 1000;
  else if (rest < -1000) rest = -1000;
  return result * reinterpret<f64>((<u64>(1023 + rest)) << 52);
}

/** Longer numbers are read by the C library where they are; they are followed by something that ends them. */
const NUMBER_COPY_BYTES: u32 = 1024;
const numberCopy = memory.data(1025, 8);
const numberCell = memory.data(8, 8);

/** Reads the longest number from `start` on, as C's strtod does. Returns where it ends; `start` if there is none. */
export function scanNumber(start: usize): usize {
  const special = scanSpecial(start);
  if (special !== 0) return special;
  const end = decimalEnd(start);
  if (end === start || parseDecimal(start, end)) return end;
  // The C library reads all numbers, up to a zero byte.
  const length = <u32>(end - start);
  const text = length <= NUMBER_COPY_BYTES ? numberCopy : malloc(length + 1);
  if (text === 0) return start;
  memory.copy(text, start, length);
  store<u8>(text + length, 0);
  luaO_str2d(text, numberCell);
  if (length > NUMBER_COPY_BYTES) free(text);
  parsedNumber = load<f64>(numberCell);
  return end;
}

export function isSpace(c: u32): bool {
  return c === 0x20 || c - 9 < 5;
}

/** In place of Lua's own luaO_str2d: reads a number that fills a C string, blanks around it aside. Returns 0 if it is none. */
export function stringToNumber(text: usize, result: usize): i32 {
  let start = text;
  while (isSpace(load<u8>(start))) start++;
  let end = scanNumber(start);
  if (end === start) return 0;
  store<f64>(result, parsedNumber);
  while (isSpace(load<u8>(end))) end++;
  return load<u8>(end) === 0 ? 1 : 0;
}

/** A double as C on x86-64 converts it to a 64-bit integer: what does not fit, and NaN, is the smallest. */
export function toInt64(value: f64): i64 {
  return value >= -9223372036854775808.0 && value < 9223372036854775808.0 ? <i64>value : i64.MIN_VALUE;
}

/** A double as C on x86-64 converts it to an int: what does not fit, and NaN, is the smallest. */
export function toInt32(value: f64): i32 {
  return value > -2147483649.0 && value < 2147483648.0 ? <i32>value : i32.MIN_VALUE;
}

/** A double as Lua on x86-64 converts it to a C int: by way of 64 bits. */
export function toInt(value: f64): i32 {
  return <i32>toInt64(value);
}
