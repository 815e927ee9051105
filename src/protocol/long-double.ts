/**
 * Sums of decimal numbers as x87 extended precision computes them (64 bits of mantissa, round to nearest,
 * ties to even), for INCRBYFLOAT and HINCRBYFLOAT: clients see every digit of the result, and Redis
 * adds C "long double"s and prints them with "%.17Lf".
 *
 * A value is mantissa * 2^exponent with an integer mantissa of at most 64 bits. Numbers below 2^-16382 keep
 * more bits than the hardware's subnormals do, which no printed digit shows.
 */

const MANTISSA_BITS = 64;
const DECIMALS = 17n;
const EXPONENT_10_MAX = 4934;
const EXPONENT_10_MIN = -4952;
/** Values are below 2^16384. */
const EXPONENT_2_MAX = 16384;
/** The smallest value is 2^-16445; what is at most half of it is zero. */
const EXPONENT_2_MIN = -16445;
const TEXT_LENGTH_MAX = 5 * 1024 - 1;
const PATTERN = /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i;
const HEX_PATTERN = /^([+-]?)0x([0-9a-f]*)\.?([0-9a-f]*)(?:p([+-]?\d+))?$/i;
const INFINITY_PATTERN = /^[+-]?inf(inity)?$/i;

export interface LongDouble {
  readonly mantissa: bigint;
  readonly exponent: number;
}

const ZERO: LongDouble = { mantissa: 0n, exponent: 0 };

/**
 * Reads a number as strtold does; 'infinite' if it says so, null if it is not a number, too large, or so
 * small that it becomes zero.
 */
export function parseLongDouble(text: string): LongDouble | 'infinite' | null {
  if (text.length === 0 || text.length > TEXT_LENGTH_MAX) return null;
  if (INFINITY_PATTERN.test(text)) return 'infinite';
  const hex = HEX_PATTERN.exec(text);
  if (hex !== null && hex[2].length + hex[3].length > 0) {
    const digits = BigInt(`0x${hex[2]}${hex[3]}`);
    if (digits === 0n) return ZERO;
    const exponent = Number(hex[4] ?? 0) - 4 * hex[3].length;
    return inRange(roundMantissa(hex[1] === '-' ? -digits : digits, exponent, false));
  }
  const match = PATTERN.exec(text);
  if (match === null || match[2].length + match[3].length === 0) return null;
  const digits = BigInt(match[2] + match[3]);
  if (digits === 0n) return ZERO;
  const exponent = Number(match[4] ?? 0) - match[3].length;
  const magnitude = exponent + digits.toString().length;
  // Bounds the size of the powers below; the exact limits are binary.
  if (magnitude > EXPONENT_10_MAX || magnitude < EXPONENT_10_MIN) return null;
  const signed = match[1] === '-' ? -digits : digits;
  if (exponent >= 0) return inRange(roundMantissa(signed * 10n ** BigInt(exponent), 0, false));
  return inRange(divide(signed, 10n ** BigInt(-exponent)));
}

/** Returns null for a value for which strtold would report ERANGE. */
function inRange(value: LongDouble): LongDouble | null {
  const magnitude = value.mantissa < 0n ? -value.mantissa : value.mantissa;
  const top = bitLength(magnitude) + value.exponent;
  if (top > EXPONENT_2_MAX || top < EXPONENT_2_MIN) return null;
  if (top === EXPONENT_2_MIN && (magnitude & (magnitude - 1n)) === 0n) return null;
  return value;
}

/** The nearest value to numerator / denominator. */
function divide(numerator: bigint, denominator: bigint): LongDouble {
  const bits = bitLength(denominator) - bitLength(numerator) + MANTISSA_BITS + 2;
  const shift = Math.max(0, bits);
  const scaled = numerator << BigInt(shift);
  return roundMantissa(scaled / denominator, -shift, scaled % denominator !== 0n);
}

function bitLength(value: bigint): number {
  return (value < 0n ? -value : value).toString(2).length;
}

/** Rounds to 64 bits; `hasRest`: something other than zero was cut off below the last bit. */
function roundMantissa(value: bigint, exponent: number, hasRest: boolean): LongDouble {
  const negative = value < 0n;
  let mantissa = negative ? -value : value;
  const excess = mantissa === 0n ? 0 : bitLength(mantissa) - MANTISSA_BITS;
  if (excess > 0) {
    const half = 1n << BigInt(excess - 1);
    const rest = mantissa & ((1n << BigInt(excess)) - 1n);
    mantissa >>= BigInt(excess);
    if (rest > half || (rest === half && (hasRest || (mantissa & 1n) === 1n))) mantissa++;
    exponent += excess;
  }
  return { mantissa: negative ? -mantissa : mantissa, exponent };
}

/** The rounded sum. */
export function addLongDoubles(left: LongDouble, right: LongDouble): LongDouble | 'infinite' {
  const exponent = Math.min(left.exponent, right.exponent);
  const sum =
    (left.mantissa << BigInt(left.exponent - exponent)) +
    (right.mantissa << BigInt(right.exponent - exponent));
  if (sum === 0n) return ZERO;
  const rounded = roundMantissa(sum, exponent, false);
  return bitLength(rounded.mantissa) + rounded.exponent > EXPONENT_2_MAX ? 'infinite' : rounded;
}

/** The greatest finite value. */
export const LONG_DOUBLE_MAX: LongDouble = {
  mantissa: (1n << BigInt(MANTISSA_BITS)) - 1n,
  exponent: EXPONENT_2_MAX - MANTISSA_BITS,
};

export function negateLongDouble({ mantissa, exponent }: LongDouble): LongDouble {
  return { mantissa: -mantissa, exponent };
}

/** Order of two values: below, equal to or above 0. */
export function compareLongDoubles(left: LongDouble, right: LongDouble): number {
  const exponent = Math.min(left.exponent, right.exponent);
  const difference =
    (left.mantissa << BigInt(left.exponent - exponent)) -
    (right.mantissa << BigInt(right.exponent - exponent));
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** As "%.17Lf" prints it, without trailing zeros; "0" for every zero. */
export function formatLongDouble({ mantissa, exponent }: LongDouble): string {
  const negative = mantissa < 0n;
  let scaled = (negative ? -mantissa : mantissa) * 10n ** DECIMALS;
  if (exponent >= 0) {
    scaled <<= BigInt(exponent);
  } else {
    const shift = BigInt(-exponent);
    const rest = scaled & ((1n << shift) - 1n);
    const half = 1n << (shift - 1n);
    scaled >>= shift;
    if (rest > half || (rest === half && (scaled & 1n) === 1n)) scaled++;
  }
  const digits = scaled.toString().padStart(Number(DECIMALS) + 1, '0');
  const text = `${digits.slice(0, -17)}.${digits.slice(-17)}`.replace(/0+$/, '').replace(/\.$/, '');
  return negative && text !== '0' ? `-${text}` : text;
}
