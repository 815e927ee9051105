/**
 * Doubles as text, for scores. Reading allocates nothing for the numbers that people and programs mostly
 * use: whole ones, and decimals of up to 15 digits. All others go the slow way, through strings.
 *
 * A decimal whose digits make an integer below 2^53, divided by a power of ten that a double holds exactly, is
 * correctly rounded by that one division (Clinger, "How to Read Floating Point Numbers Accurately", 1990).
 */

import { parseDouble, writeInteger } from './numbers.js';

const DECIMALS_MAX = 22;
const POWERS_OF_TEN = Float64Array.from({ length: DECIMALS_MAX + 1 }, (_, exponent) =>
  Number(`1e${exponent}`),
);

const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const DIGIT_0 = 0x30;
const LETTER_E = 0x65;
const EXPONENT_DIGITS_MAX = 2;

/** Bytes that `writeScore` may need. */
export const SCORE_BYTES_MAX = 32;

/** Reads a decimal, maybe with an exponent; NaN if the text is anything else or has too many digits. */
function readDecimal(bytes: Uint8Array, offset: number, lengthBytes: number): number {
  let at = offset;
  const end = offset + lengthBytes;
  if (at === end) return Number.NaN;
  const isNegative = bytes[at] === MINUS;
  if (isNegative || bytes[at] === PLUS) at++;
  let mantissa = 0;
  let digits = 0;
  let pointAfter = -1;
  let exponent = 0;
  for (; at < end; at++) {
    const byte = bytes[at];
    if (byte === POINT && pointAfter < 0) {
      pointAfter = digits;
      continue;
    }
    if ((byte | 0x20) === LETTER_E) {
      exponent = readExponent(bytes, at + 1, end);
      break;
    }
    const digit = byte - DIGIT_0;
    if (digit < 0 || digit > 9) return Number.NaN;
    mantissa = mantissa * 10 + digit;
    digits++;
  }
  const decimals = (pointAfter < 0 ? 0 : digits - pointAfter) - exponent;
  if (digits === 0 || mantissa > Number.MAX_SAFE_INTEGER || !(Math.abs(decimals) <= DECIMALS_MAX)) {
    return Number.NaN;
  }
  const value = decimals >= 0 ? mantissa / POWERS_OF_TEN[decimals] : mantissa * POWERS_OF_TEN[-decimals];
  return isNegative ? -value : value;
}

/** Reads what comes behind the letter, up to two digits; NaN if it is anything else. */
function readExponent(bytes: Uint8Array, offset: number, end: number): number {
  const isNegative = offset < end && bytes[offset] === MINUS;
  if (isNegative || (offset < end && bytes[offset] === PLUS)) offset++;
  if (offset === end || end - offset > EXPONENT_DIGITS_MAX) return Number.NaN;
  let exponent = 0;
  for (; offset < end; offset++) {
    const digit = bytes[offset] - DIGIT_0;
    if (digit < 0 || digit > 9) return Number.NaN;
    exponent = exponent * 10 + digit;
  }
  return isNegative ? -exponent : exponent;
}

function textOf(bytes: Uint8Array, offset: number, lengthBytes: number): string {
  let text = '';
  for (let at = offset; at < offset + lengthBytes; at++) text += String.fromCharCode(bytes[at]);
  return text;
}

/** Reads a double as `parseDouble` does; NaN if it is none. */
export function readDouble(bytes: Uint8Array, offset: number, lengthBytes: number): number {
  const value = readDecimal(bytes, offset, lengthBytes);
  return Number.isNaN(value) ? parseDouble(textOf(bytes, offset, lengthBytes)) : value;
}

/**
 * Reads a limit of a range, as strtod does up to a zero byte: white space may come first, no digits at all
 * are 0, and what is out of range is infinite or 0. NaN if something is left over.
 */
export function readLimit(bytes: Uint8Array, offset: number, lengthBytes: number): number {
  const value = readDecimal(bytes, offset, lengthBytes);
  if (!Number.isNaN(value)) return value;
  let text = textOf(bytes, offset, lengthBytes);
  const zero = text.indexOf('\0');
  if (zero >= 0) text = text.slice(0, zero);
  if (text === '') return 0;
  text = text.replace(/^[ \t\n\v\f\r]+/, '');
  const exact = parseDouble(text);
  if (!Number.isNaN(exact) || !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return exact;
  return Number(text);
}

/**
 * Writes a score as short as it can be read back exactly; whole numbers, and -0 too, as integers. Returns
 * its length.
 */
export function writeScore(bytes: Uint8Array, offset: number, score: number): number {
  if (Number.isSafeInteger(score)) return writeInteger(bytes, offset, score);
  const text = score === Infinity ? 'inf' : score === -Infinity ? '-inf' : String(score);
  for (let index = 0; index < text.length; index++) bytes[offset + index] = text.charCodeAt(index);
  return text.length;
}
