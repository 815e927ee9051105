/**
 * Places as the scores of a sorted set: geohashes of 52 bits (Niemeyer 2008), limited to the latitudes that web maps
 * show.
 *
 * The world is a grid of 2^26 by 2^26 cells. The bits of a cell's two numbers alternate in the score, so that a cell of a
 * coarser grid, whose numbers have fewer bits ("steps"), is one range of scores. A place is the middle of its cell.
 */

export const LONGITUDE_MAX = 180;
export const LATITUDE_MAX = 85.05112878;
export const STEPS_MAX = 26;

const LONGITUDE_SPAN = LONGITUDE_MAX + LONGITUDE_MAX;
const LATITUDE_SPAN = LATITUDE_MAX + LATITUDE_MAX;
const CELLS = 2 ** STEPS_MAX;
const WORD = 2 ** 32;

/** Whether a place is within the limits. */
export function isPlace(longitude: number, latitude: number): boolean {
  return (
    longitude >= -LONGITUDE_MAX &&
    longitude <= LONGITUDE_MAX &&
    latitude >= -LATITUDE_MAX &&
    latitude <= LATITUDE_MAX
  );
}

/** Column of a longitude in the grid of 2^steps columns; of the easternmost longitude it is 2^steps itself. */
export function columnOf(longitude: number, steps: number): number {
  return Math.floor(((longitude + LONGITUDE_MAX) / LONGITUDE_SPAN) * 2 ** steps);
}

/** Row of a latitude, from the south. */
export function rowOf(latitude: number, steps: number): number {
  return Math.floor(((latitude + LATITUDE_MAX) / LATITUDE_SPAN) * 2 ** steps);
}

/** Where a column begins; column + 1 is where it ends. */
export function columnStart(column: number, steps: number): number {
  return -LONGITUDE_MAX + (column / 2 ** steps) * LONGITUDE_SPAN;
}

export function rowStart(row: number, steps: number): number {
  return -LATITUDE_MAX + (row / 2 ** steps) * LATITUDE_SPAN;
}

/** Longitude of the middle of a column of the finest grid. */
export function longitudeOf(column: number): number {
  const start = -LONGITUDE_MAX + (column / CELLS) * LONGITUDE_SPAN;
  const end = -LONGITUDE_MAX + (((column + 1) >>> 0) / CELLS) * LONGITUDE_SPAN;
  const middle = (start + end) / 2;
  return middle > LONGITUDE_MAX ? LONGITUDE_MAX : middle;
}

export function latitudeOf(row: number): number {
  const start = -LATITUDE_MAX + (row / CELLS) * LATITUDE_SPAN;
  const end = -LATITUDE_MAX + (((row + 1) >>> 0) / CELLS) * LATITUDE_SPAN;
  const middle = (start + end) / 2;
  return middle > LATITUDE_MAX ? LATITUDE_MAX : middle;
}

/** Puts a zero between the bits of a number of 16 bits. */
function spread(bits: number): number {
  bits = (bits | (bits << 8)) & 0x00ff00ff;
  bits = (bits | (bits << 4)) & 0x0f0f0f0f;
  bits = (bits | (bits << 2)) & 0x33333333;
  return (bits | (bits << 1)) & 0x55555555;
}

/** Takes every second bit of a word, the lowest one among them. */
function gather(word: number): number {
  word &= 0x55555555;
  word = (word | (word >>> 1)) & 0x33333333;
  word = (word | (word >>> 2)) & 0x0f0f0f0f;
  word = (word | (word >>> 4)) & 0x00ff00ff;
  return (word | (word >>> 8)) & 0xffff;
}

/** The score of a cell, or in a coarser grid the leading bits that its scores share. Numbers above 2^53 are rounded. */
export function scoreOf(column: number, row: number): number {
  const low = (spread(row & 0xffff) | (spread(column & 0xffff) << 1)) >>> 0;
  return (spread(row >>> 16) | (spread(column >>> 16) << 1)) * WORD + low;
}

/** One more than `scoreOf`: where the scores of a cell end. */
export function scoreBehind(column: number, row: number): number {
  const low = (spread(row & 0xffff) | (spread(column & 0xffff) << 1)) >>> 0;
  return (spread(row >>> 16) | (spread(column >>> 16) << 1)) * WORD + (low + 1);
}

/** The cell that `readScore` has read. */
export const cell = { column: 0, row: 0 };

/** Finds the cell of a score into `cell`. A score out of a place's range is first converted to 64 bits as in C. */
export function readScore(score: number): void {
  if (score >= 0 && score < CELLS * CELLS) {
    const high = Math.floor(score / WORD);
    const low = score >>> 0;
    cell.column = gather(low >>> 1) | (gather(high >>> 1) << 16);
    cell.row = gather(low) | (gather(high) << 16);
    return;
  }
  const bits = toUnsigned64(score);
  const high = Number(bits >> 32n);
  const low = Number(bits & 0xffffffffn);
  cell.column = (gather(low >>> 1) | (gather(high >>> 1) << 16)) >>> 0;
  cell.row = (gather(low) | (gather(high) << 16)) >>> 0;
}

/** A double as an unsigned integer of 64 bits, as compilers for x86-64 convert it. */
export function toUnsigned64(value: number): bigint {
  if (value >= 2 ** 64) return 0n;
  if (!(value >= -(2 ** 63))) return 2n ** 63n;
  return BigInt.asUintN(64, BigInt(Math.trunc(value)));
}

const ALPHABET = '0123456789bcdefghjkmnpqrstuvwxyz';
/** Characters of a geohash as text, five bits each; the last one has no bits left and is 0. */
const TEXT_LENGTH = 11;

/** The usual geohash of a place, which is on latitudes up to 90°. */
export function geohashText(longitude: number, latitude: number): string {
  const column = Math.floor(((longitude + 180) / 360) * CELLS);
  const row = Math.floor(((latitude + 90) / 180) * CELLS);
  let text = '';
  for (let at = 0; at < TEXT_LENGTH - 1; at++) {
    let five = 0;
    for (let bit = 0; bit < 5; bit++) {
      // The first bit is the column's highest, the second the row's.
      const index = 5 * at + bit;
      const number = index % 2 === 0 ? column : row;
      five = (five << 1) | ((number >>> (STEPS_MAX - 1 - (index >> 1))) & 1);
    }
    text += ALPHABET[five];
  }
  return text + ALPHABET[0];
}
