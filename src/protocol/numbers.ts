/**
 * Numbers in the forms that the protocol and the commands need, read from and written to raw bytes.
 */

const DIGIT_0 = 0x30;
const MINUS = 0x2d;

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
  for (let bound = 10; value >= bound && length < 20; bound *= 10) length++;
  return length;
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
  do {
    const quotient = (small / 10) | 0;
    bytes[--at] = DIGIT_0 + (small - quotient * 10);
    small = quotient;
  } while (small !== 0);
  if (value < 0) bytes[offset] = MINUS;
  return length;
}

const DOUBLE_PATTERN = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const HEX_DOUBLE_PATTERN = /^([+-]?)0x([0-9a-f]*)\.?([0-9a-f]*)(?:p([+-]?\d+))?$/i;

/** Reads a double as strtod does, the whole text; NaN if it is not one (or if it says "nan"). */
export function parseDouble(text: string): number {
  if (DOUBLE_PATTERN.test(text)) return Number(text);
  const infinity = /^([+-]?)inf(inity)?$/i.exec(text);
  if (infinity !== null) return infinity[1] === '-' ? -Infinity : Infinity;
  const hex = HEX_DOUBLE_PATTERN.exec(text);
  if (hex === null || hex[2].length + hex[3].length === 0) return Number.NaN;
  const mantissa = Number(`0x${hex[2]}${hex[3] || ''}`) * 2 ** (-4 * hex[3].length);
  return (hex[1] === '-' ? -1 : 1) * mantissa * 2 ** Number(hex[4] ?? 0);
}

/** A double as C's "%.17g" prints it. */
export function formatDouble17(value: number): string {
  if (value === Infinity) return 'inf';
  if (value === -Infinity) return '-inf';
  if (Number.isNaN(value)) return 'nan';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const scientific = value.toExponential(16);
  const exponent = Number(scientific.slice(scientific.indexOf('e') + 1));
  if (exponent < -4 || exponent >= 17) {
    const mantissa = trimZeros(scientific.slice(0, scientific.indexOf('e')));
    const digits = Math.abs(exponent) < 10 ? `0${Math.abs(exponent)}` : `${Math.abs(exponent)}`;
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${digits}`;
  }
  return trimZeros(value.toFixed(Math.max(0, 16 - exponent)));
}

function trimZeros(text: string): string {
  if (!text.includes('.')) return text;
  return text.replace(/0+$/, '').replace(/\.$/, '');
}

/** A double as replies show it: whole numbers without exponent, others as "%.17g". */
export function formatDouble(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e17 && !Object.is(value, -0)) return String(value);
  return formatDouble17(value);
}
