/** What the geo commands read of their arguments, with Redis's errors. */

import type { CommandContext } from '../../execution/context.js';
import { NOT_A_FLOAT } from '../../execution/errors.js';
import { formatFixed } from '../../memory/numbers.js';
import { readDouble } from '../../memory/scores.js';
import { isPlace } from '../../structures/geo/geohash.js';

const UNITS: readonly (readonly [name: string, meters: number])[] = [
  ['M', 1],
  ['KM', 1000],
  ['FT', 0.3048],
  ['MI', 1609.34],
];

/** The place that `readPlace` has read. */
export const place = { longitude: 0, latitude: 0 };

/** Reads a number; replies with `error` and returns NaN if it is none. */
export function readNumber(context: CommandContext, index: number, error: string): number {
  const value = readDouble(context.bytes, context.argOffset(index), context.argLength(index));
  if (Number.isNaN(value)) context.reply.error(error);
  return value;
}

/** Reads longitude and latitude, arguments `index` and the next, into `place`; replies with an error and returns false if they are none. */
export function readPlace(context: CommandContext, index: number): boolean {
  const longitude = readNumber(context, index, NOT_A_FLOAT);
  if (Number.isNaN(longitude)) return false;
  const latitude = readNumber(context, index + 1, NOT_A_FLOAT);
  if (Number.isNaN(latitude)) return false;
  place.longitude = longitude;
  place.latitude = latitude;
  if (isPlace(longitude, latitude)) return true;
  const shown = `${formatFixed(longitude, 6)},${formatFixed(latitude, 6)}`;
  context.reply.error(`ERR invalid longitude,latitude pair ${shown}`);
  return false;
}

/** Reads a unit of length in meters; replies with an error and returns 0 if it is none. */
export function readUnit(context: CommandContext, index: number): number {
  for (const [name, meters] of UNITS) if (context.argIs(index, name)) return meters;
  context.reply.error('ERR unsupported unit provided. please use M, KM, FT, MI');
  return 0;
}
