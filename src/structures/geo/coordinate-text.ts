/**
 * Coordinates and distances as text, in the forms of Redis's replies. Coordinates are printed with 17 decimals of their
 * exact value, without zeros at the end. Nothing is allocated on the way.
 */

import { formatFixed, writeInteger } from '../../memory/numbers.js';

/** The longest text that is written here. */
export const TEXT_BYTES_MAX = 32;

const DECIMALS = 17;
const DISTANCE_DECIMALS = 4;
const DISTANCE_SCALE = 10 ** DISTANCE_DECIMALS;

const DIGIT_0 = 0x30;
const MINUS = 0x2d;
const POINT = 0x2e;

/** A fraction is kept in limbs of 26 bits, so that a limb times 10,000 is still exact in a double. */
const LIMB = 2 ** 26;
/** Below this, not all bits of a number fit into the limbs. */
const SMALLEST = 2 ** -51;
const LIMBS = 4;
/** A double above 1 has no bits beyond these limbs. */
const LIMBS_ABOVE_1 = 2;
const limbs = new Float64Array(LIMBS);

const DIGITS_PER_STEP = 4;
const STEP_SCALE = 10 ** DIGITS_PER_STEP;

/** Multiplies the fraction by `factor`; returns the integer part of the product and keeps the rest. */
function multiply(count: number, factor: number): number {
  let carry = 0;
  for (let at = count - 1; at >= 0; at--) {
    const product = limbs[at] * factor + carry;
    carry = Math.floor(product / LIMB);
    limbs[at] = product - carry * LIMB;
  }
  return carry;
}

/** Writes `count` decimal digits of a number. */
function writeDigits(bytes: Uint8Array, offset: number, digits: number, count: number): void {
  for (let at = offset + count - 1; at >= offset; at--) {
    const quotient = Math.floor(digits / 10);
    bytes[at] = DIGIT_0 + digits - 10 * quotient;
    digits = quotient;
  }
}

/** Writes a coordinate, below 1000, at `offset`; returns its length. */
export function writeCoordinate(bytes: Uint8Array, offset: number, value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude < SMALLEST) return writeTiny(bytes, offset, value);
  let at = offset;
  if (value < 0) bytes[at++] = MINUS;
  const whole = Math.floor(magnitude);
  at += writeInteger(bytes, at, whole);
  const count = whole > 0 ? LIMBS_ABOVE_1 : LIMBS;
  let fraction = magnitude - whole;
  for (let limb = 0; limb < count; limb++) {
    fraction *= LIMB;
    limbs[limb] = Math.floor(fraction);
    fraction -= limbs[limb];
  }
  bytes[at++] = POINT;
  const end = at + DECIMALS;
  for (; at + DIGITS_PER_STEP <= end; at += DIGITS_PER_STEP) {
    writeDigits(bytes, at, multiply(count, STEP_SCALE), DIGITS_PER_STEP);
  }
  bytes[at++] = DIGIT_0 + multiply(count, 10);
  if (isHalfOrMore(count, (bytes[end - 1] & 1) === 0)) roundUp(bytes, end - 1);
  return trimZeros(bytes, offset, end) - offset;
}

/** Whether the rest of the fraction is more than a half, or exactly a half and `isEven` is false. */
function isHalfOrMore(count: number, isEven: boolean): boolean {
  if (limbs[0] !== LIMB / 2) return limbs[0] > LIMB / 2;
  for (let at = 1; at < count; at++) if (limbs[at] !== 0) return true;
  return !isEven;
}

/** Adds one to the number whose last digit is at `at`. The integer part of a coordinate never gets another digit. */
function roundUp(bytes: Uint8Array, at: number): void {
  for (; ; at--) {
    if (bytes[at] === POINT) continue;
    if (bytes[at] !== DIGIT_0 + 9) break;
    bytes[at] = DIGIT_0;
  }
  bytes[at]++;
}

/** Removes zeros at the end, and the point if it is last then. Returns the end of what is left. */
function trimZeros(bytes: Uint8Array, start: number, end: number): number {
  while (bytes[end - 1] === DIGIT_0) end--;
  if (bytes[end - 1] === POINT) end--;
  // A negative number rounded to zero: "-0" becomes "0".
  if (end === start + 2 && bytes[start] === MINUS && bytes[start + 1] === DIGIT_0) {
    bytes[start] = DIGIT_0;
    return start + 1;
  }
  return end;
}

function writeTiny(bytes: Uint8Array, offset: number, value: number): number {
  const text = formatFixed(value, DECIMALS);
  for (let index = 0; index < text.length; index++) bytes[offset + index] = text.charCodeAt(index);
  return trimZeros(bytes, offset, offset + text.length) - offset;
}

/** Writes a distance that is given in ten thousandths at `offset`; returns the length. */
export function writeDistance(bytes: Uint8Array, offset: number, tenThousandths: number): number {
  const whole = Math.floor(tenThousandths / DISTANCE_SCALE);
  const length = writeInteger(bytes, offset, whole);
  bytes[offset + length] = POINT;
  writeDigits(bytes, offset + length + 1, tenThousandths - whole * DISTANCE_SCALE, DISTANCE_DECIMALS);
  return length + 1 + DISTANCE_DECIMALS;
}
