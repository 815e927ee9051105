/**
 * Numbers in the forms that the protocol and the commands need, read from and written to raw bytes.
 */

const DIGIT_0 = 0x30;
const MINUS = 0x2d;

/** The numbers from 0 to 99 as two digits each. */
const DIGIT_PAIRS = Uint8Array.from({ length: 200 }, (_, at) =>
  at % 2 === 0 ? DIGIT_0 + Math.floor(at / 20) : DIGIT_0 + ((at >> 1) % 10),
);

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

export { INT64_MAX, INT64_MIN };

/** Reads 64-bit integers; one object is used again and again, so that nothing is allocated. */
export class IntegerParser {
  /** The value; exact only if `isSafe`. */
  value = 0;
  /** Whether |value| < 2^53. */
  isSafe = true;
  /** The exact value, set only if not `isSafe`. */
  big = 0n;

  /** Reads the canonical decimal form of an int64: no spaces, no plus sign, no leading zeros. */
  parse(bytes: Uint8Array, offset: number, lengthBytes: number): boolean {
    if (lengthBytes === 0 || lengthBytes > 20) return false;
    let at = offset;
    const end = offset + lengthBytes;
    const negative = bytes[at] === MINUS;
    if (negative && ++at === end) return false;
    const first = bytes[at] - DIGIT_0;
    if (first < 0 || first > 9) return false;
    if (first === 0) {
      this.value = 0;
      this.isSafe = true;
      return lengthBytes === 1;
    }
    let value = first;
    for (at++; at < end; at++) {
      const digit = bytes[at] - DIGIT_0;
      if (digit < 0 || digit > 9) return false;
      value = value * 10 + digit;
    }
    this.value = negative ? -value : value;
    this.isSafe = value <= Number.MAX_SAFE_INTEGER;
    return this.isSafe || this.parseBig(bytes, offset, lengthBytes);
  }

  private parseBig(bytes: Uint8Array, offset: number, lengthBytes: number): boolean {
    let text = '';
    for (let at = offset; at < offset + lengthBytes; at++) text += String.fromCharCode(bytes[at]);
    this.big = BigInt(text);
    return this.big <= INT64_MAX && this.big >= INT64_MIN;
  }

  /** The exact value as a bigint. */
  toBigInt(): bigint {
    return this.isSafe ? BigInt(this.value) : this.big;
  }
}

/** How many bytes the decimal form of a safe integer takes. */
export function integerLength(value: number): number {
  let length = 1;
  if (value < 0) {
    length = 2;
    value = -value;
  }
  if (value >= 1e9) {
    length += 9;
    for (let bound = 1e10; value >= bound; bound *= 10) length++;
    return length;
  }
  const small = value | 0;
  if (small < 10) return length;
  if (small < 100) return length + 1;
  if (small < 1000) return length + 2;
  if (small < 10_000) return length + 3;
  if (small < 100_000) return length + 4;
  if (small < 1_000_000) return length + 5;
  if (small < 10_000_000) return length + 6;
  return small < 100_000_000 ? length + 7 : length + 8;
}

/** Writes the decimal form of a safe integer; returns its length. */
export function writeInteger(bytes: Uint8Array, offset: number, value: number): number {
  const length = integerLength(value);
  let at = offset + length;
  let rest = value < 0 ? -value : value;
  while (rest > 0x7fffffff) {
    const quotient = Math.floor(rest / 10);
    bytes[--at] = DIGIT_0 + (rest - quotient * 10);
    rest = quotient;
  }
  let small = rest | 0;
  while (small >= 100) {
    const quotient = (small / 100) | 0;
    const pair = (small - quotient * 100) << 1;
    bytes[--at] = DIGIT_PAIRS[pair + 1];
    bytes[--at] = DIGIT_PAIRS[pair];
    small = quotient;
  }
  if (small >= 10) {
    bytes[--at] = DIGIT_PAIRS[(small << 1) + 1];
    bytes[--at] = DIGIT_PAIRS[small << 1];
  } else {
    bytes[--at] = DIGIT_0 + small;
  }
  if (value < 0) bytes[offset] = MINUS;
  return length;
}

const DOUBLE_PATTERN = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
/** A digit other than zero before the exponent. */
const NONZERO_PATTERN = /^[^e]*[1-9]/i;
const INFINITY_PATTERN = /^([+-]?)inf(inity)?$/i;
const HEX_DOUBLE_PATTERN = /^([+-]?)0x([0-9a-f]*)\.?([0-9a-f]*)(?:p([+-]?\d+))?$/i;

/**
 * Reads a double as strtod does, the whole text. NaN if it is not one, if it says "nan", if it is too large,
 * or so small that it becomes zero.
 */
export function parseDouble(text: string): number {
  if (DOUBLE_PATTERN.test(text)) {
    const value = Number(text);
    if (value === 0) return NONZERO_PATTERN.test(text) ? Number.NaN : value;
    return Number.isFinite(value) ? value : Number.NaN;
  }
  const infinity = INFINITY_PATTERN.exec(text);
  if (infinity !== null) return infinity[1] === '-' ? -Infinity : Infinity;
  const hex = HEX_DOUBLE_PATTERN.exec(text);
  if (hex === null || hex[2].length + hex[3].length === 0) return Number.NaN;
  const mantissa = Number(`0x${hex[2]}${hex[3]}`);
  if (mantissa === 0) return hex[1] === '-' ? -0 : 0;
  // In two steps, since the power alone may be out of range where the product is not.
  const exponent = Number(hex[4] ?? 0) - 4 * hex[3].length;
  const half = Math.trunc(exponent / 2);
  const value = mantissa * 2 ** half * 2 ** (exponent - half);
  if (value === 0 || !Number.isFinite(value)) return Number.NaN;
  return hex[1] === '-' ? -value : value;
}

/** A double as C's "%.17g" prints it. */
export function formatDouble17(value: number): string {
  if (value === Infinity) return 'inf';
  if (value === -Infinity) return '-inf';
  if (Number.isNaN(value)) return 'nan';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  // Up to 16 digits in all, and no exponent: the shortest form is the exact one.
  if (value < 1e6 && value > -1e6 && Number.isInteger(value * 1024)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude >= 1e-4 && magnitude < 1e17 && !mayTie(value)) return trimZeros(value.toPrecision(17));
  const sign = value < 0 ? '-' : '';
  const scientific = roundHalfEven(magnitude);
  const split = scientific.indexOf('e');
  const exponent = Number(scientific.slice(split + 1));
  if (exponent < -4 || exponent >= 17) {
    const digits = String(Math.abs(exponent)).padStart(2, '0');
    return `${sign}${trimZeros(scientific.slice(0, split))}e${exponent < 0 ? '-' : '+'}${digits}`;
  }
  const digits = scientific[0] + scientific.slice(2, split);
  if (exponent < 0) return sign + trimZeros(`0.${'0'.repeat(-exponent - 1)}${digits}`);
  return sign + trimZeros(`${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`);
}

/**
 * Whether a number can lie exactly halfway between two numbers of 17 digits. Such a number has 18 digits, so at most 25
 * binary places. All others JavaScript rounds as C does, much faster than it produces an 18th digit.
 */
function mayTie(value: number): boolean {
  return Number.isInteger(value * 33_554_432);
}

/** 17 significant digits. JavaScript rounds a tie up, C rounds it to the even digit. */
function roundHalfEven(value: number): string {
  if (!mayTie(value)) return value.toExponential(16);
  const oneMore = value.toExponential(17);
  const split = oneMore.indexOf('e');
  const lastDigit = oneMore.charCodeAt(split - 1) - DIGIT_0;
  const keptDigit = oneMore.charCodeAt(split - 2) - DIGIT_0;
  if (lastDigit === 5 && keptDigit % 2 === 0 && /^.{19}0*e/.test(value.toExponential(100))) {
    return oneMore.slice(0, split - 1) + oneMore.slice(split);
  }
  return value.toExponential(16);
}

function trimZeros(text: string): string {
  if (!text.includes('.')) return text;
  let end = text.length;
  while (text.charCodeAt(end - 1) === DIGIT_0) end--;
  if (text[end - 1] === '.') end--;
  return text.slice(0, end);
}

/** A double as C's "%.{decimals}f" prints it, with up to 17 decimals. */
export function formatFixed(value: number, decimals: number): string {
  if (value === Infinity) return 'inf';
  if (value === -Infinity) return '-inf';
  if (Number.isNaN(value)) return 'nan';
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const magnitude = Math.abs(value);
  if (magnitude >= 1e21) return `${sign}${BigInt(magnitude)}.${'0'.repeat(decimals)}`;
  // Only a multiple of 2^-(decimals + 1) can be a tie: C rounds that to the even digit, JavaScript up.
  if (!Number.isInteger(magnitude * 2 ** (decimals + 1))) return sign + magnitude.toFixed(decimals);
  const exact = magnitude.toFixed(decimals + 1);
  const isTie = exact.endsWith('5') && Number(exact[exact.length - 2]) % 2 === 0;
  return sign + (isTie ? exact.slice(0, -1) : magnitude.toFixed(decimals));
}

/** A double as replies show it: whole numbers without exponent, others as "%.17g". */
export function formatDouble(value: number): string {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) return String(value);
  return formatDouble17(value);
}
