/**
 * Distances on a sphere by the haversine formula (the haversine of an angle is the square of the sine of its half).
 *
 * Distances are compared by their haversines, which needs no arc sine. What JavaScript computes may differ from the C
 * library in the last bits (system/c-math.ts); where these would decide, `exactDistance` is used.
 */

import { cMath } from '../../system/c-math.js';

export const EARTH_RADIUS_METERS = 6372797.560856;
const RADIANS_PER_DEGREE = Math.PI / 180;

/** Relative difference from which on the order of two haversines is certain in spite of rounding. */
const HAVERSINE_MARGIN = 1e-12;
/** Up to this haversine, the arc sine of the root hardly enlarges rounding errors. */
const STABLE_HAVERSINE_MAX = 0.5;
/**
 * Bound of the relative error of `approximateDistance` up to there, and of values computed from it in one or two steps.
 */
const DISTANCE_ERROR = 4e-15;

export function toRadians(degrees: number): number {
  return degrees * RADIANS_PER_DEGREE;
}

export function toDegrees(radians: number): number {
  return radians / RADIANS_PER_DEGREE;
}

/** Haversine of the angle between two places in radians, given the cosine of the first one's latitude. */
export function haversine(
  longitude: number,
  latitude: number,
  cosineOfLatitude: number,
  otherLongitude: number,
  otherLatitude: number,
): number {
  const v = Math.sin((otherLongitude - longitude) / 2);
  const u = Math.sin((otherLatitude - latitude) / 2);
  return u * u + cosineOfLatitude * Math.cos(otherLatitude) * v * v;
}

/** The haversine of places `meters` apart; Infinity for half the way around the world or more. */
export function haversineOfDistance(meters: number): number {
  const half = meters / (2 * EARTH_RADIUS_METERS);
  if (!(half < Math.PI / 2)) return Infinity;
  return Math.sin(half) ** 2;
}

/** In meters, for a haversine. */
export function approximateDistance(haversineOfAngle: number): number {
  return 2 * EARTH_RADIUS_METERS * Math.asin(Math.sqrt(haversineOfAngle));
}

/** Distance along a meridian in meters, of two latitudes in degrees. */
export function latitudeDistance(latitude: number, otherLatitude: number): number {
  return EARTH_RADIUS_METERS * Math.abs(toRadians(otherLatitude) - toRadians(latitude));
}

/** Distance in meters of two places in degrees, to the last bit as Redis computes it. */
export function exactDistance(
  longitude: number,
  latitude: number,
  otherLongitude: number,
  otherLatitude: number,
): number {
  const { sin, cos, asin } = cMath();
  const v = sin((toRadians(otherLongitude) - toRadians(longitude)) / 2);
  if (v === 0) return latitudeDistance(latitude, otherLatitude);
  const radians = toRadians(latitude);
  const otherRadians = toRadians(otherLatitude);
  const u = sin((otherRadians - radians) / 2);
  const a = u * u + cos(radians) * cos(otherRadians) * v * v;
  return 2 * EARTH_RADIUS_METERS * asin(Math.sqrt(a));
}

/** Whether one haversine is below another, so clearly that the exact distances are in the same order. */
export function isClearlyBelow(left: number, right: number): boolean {
  return left < right - right * HAVERSINE_MARGIN;
}

/**
 * A distance in ten thousandths of a unit, rounded as `exactDistance` would be; -1 if only `exactDistance` can decide.
 * @param meters the length of the unit
 */
export function roundedDistance(haversineOfAngle: number, meters: number): number {
  if (haversineOfAngle > STABLE_HAVERSINE_MAX) return -1;
  const scaled = (approximateDistance(haversineOfAngle) / meters) * 10_000;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  if (Math.abs(rest - 0.5) <= scaled * DISTANCE_ERROR) return -1;
  return rest < 0.5 ? below : below + 1;
}

/** A distance in meters in ten thousandths of a unit; half of one goes to the even neighbour. */
export function roundDistance(distance: number, meters: number): number {
  const scaled = (distance / meters) * 10_000;
  const below = Math.floor(scaled);
  const rest = scaled - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}
