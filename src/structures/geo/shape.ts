/**
 * The shapes in which places are searched. Each tells whether the middle of a grid cell (geohash.ts) is inside. Most
 * cells checked are outside, and most of these are outside the columns and rows that the shape touches, so comparing
 * integers is enough to reject them.
 */

import { cMath } from '../../system/c-math.js';
import {
  EARTH_RADIUS_METERS,
  exactDistance,
  haversine,
  haversineOfDistance,
  isClearlyBelow,
  latitudeDistance,
  toDegrees,
  toRadians,
} from './distance.js';
import {
  columnOf,
  LATITUDE_MAX,
  LONGITUDE_MAX,
  latitudeOf,
  longitudeOf,
  rowOf,
  STEPS_MAX,
} from './geohash.js';

/** Extra columns and rows that are accepted on each side: more than any rounding error. */
const SPARE_CELLS = 2;
/** Factor by which a shape's extent is enlarged, so that rounding never excludes a place. */
const STRETCH = 1 + 1e-9;
const ALL_CELLS = 0xffffffff;

/** The corners of a box in degrees; they may lie beyond those of the world, or be NaN. */
export interface Box {
  west: number;
  south: number;
  east: number;
  north: number;
}

export abstract class Shape {
  /** The point from which distances count, in degrees. */
  readonly longitude: number;
  readonly latitude: number;
  protected readonly longitudeRadians: number;
  protected readonly latitudeRadians: number;
  protected readonly cosine: number;

  // The cells that can be inside.
  private firstColumn = 0;
  private lastColumn = ALL_CELLS;
  private firstRow = 0;
  private lastRow = ALL_CELLS;

  constructor(longitude: number, latitude: number) {
    this.longitude = longitude;
    this.latitude = latitude;
    this.longitudeRadians = toRadians(longitude);
    this.latitudeRadians = toRadians(latitude);
    this.cosine = Math.cos(this.latitudeRadians);
  }

  /** The box whose cells are searched. As in Redis, it may be slightly too small for a wide shape. */
  abstract searchedBox(): Box;

  /** How far from the center the shape reaches, in meters. */
  abstract reachMeters(): number;

  protected abstract isInside(longitude: number, latitude: number): boolean;

  /** Whether the place in the middle of a cell is inside. */
  contains(column: number, row: number): boolean {
    if (column < this.firstColumn || column > this.lastColumn) return false;
    if (row < this.firstRow || row > this.lastRow) return false;
    return this.isInside(longitudeOf(column), latitudeOf(row));
  }

  /** Haversine of the distance from the center to a place. */
  haversineTo(longitude: number, latitude: number): number {
    const { longitudeRadians, latitudeRadians, cosine } = this;
    return haversine(longitudeRadians, latitudeRadians, cosine, toRadians(longitude), toRadians(latitude));
  }

  exactDistanceTo(longitude: number, latitude: number): number {
    return exactDistance(this.longitude, this.latitude, longitude, latitude);
  }

  protected setRows(south: number, north: number): void {
    if (south > -LATITUDE_MAX) this.firstRow = Math.max(0, rowOf(south, STEPS_MAX) - SPARE_CELLS);
    if (north < LATITUDE_MAX) this.lastRow = Math.max(0, rowOf(north, STEPS_MAX) + SPARE_CELLS);
  }

  /** A shape that crosses the 180th meridian continues on the other side: then all columns are accepted. */
  protected setColumns(west: number, east: number): void {
    if (!(west > -LONGITUDE_MAX && east < LONGITUDE_MAX)) return;
    this.firstColumn = columnOf(west, STEPS_MAX) - SPARE_CELLS;
    this.lastColumn = columnOf(east, STEPS_MAX) + SPARE_CELLS;
  }

  /** Redis's box around a point: as wide as the shape on the parallel of its end that is farther from the equator. */
  protected boxAround(halfWidthMeters: number, halfHeightMeters: number): Box {
    const { longitude, latitude } = this;
    const { cos } = cMath();
    const height = toDegrees(halfHeightMeters / EARTH_RADIUS_METERS);
    const parallel = latitude < 0 ? latitude - height : latitude + height;
    const width = toDegrees(halfWidthMeters / EARTH_RADIUS_METERS / cos(toRadians(parallel)));
    return {
      west: longitude - width,
      south: latitude - height,
      east: longitude + width,
      north: latitude + height,
    };
  }
}

/** All places within a distance of a point. */
export class Circle extends Shape {
  private readonly radiusMeters: number;
  private readonly limit: number;

  constructor(longitude: number, latitude: number, radiusMeters: number) {
    super(longitude, latitude);
    this.radiusMeters = radiusMeters;
    this.limit = haversineOfDistance(radiusMeters);
    const angle = (radiusMeters / EARTH_RADIUS_METERS) * STRETCH;
    const height = toDegrees(angle);
    this.setRows(latitude - height, latitude + height);
    // A circle around a pole touches all meridians.
    const sine = Math.sin(angle) / this.cosine;
    if (!(angle < Math.PI / 2 && sine < 1)) return;
    const width = toDegrees(Math.asin(sine) * STRETCH);
    this.setColumns(longitude - width, longitude + width);
  }

  searchedBox(): Box {
    return this.boxAround(this.radiusMeters, this.radiusMeters);
  }

  reachMeters(): number {
    return this.radiusMeters;
  }

  protected isInside(longitude: number, latitude: number): boolean {
    const { limit } = this;
    if (limit === Infinity) return true;
    const value = this.haversineTo(longitude, latitude);
    if (isClearlyBelow(value, limit)) return true;
    if (isClearlyBelow(limit, value)) return false;
    return this.exactDistanceTo(longitude, latitude) <= this.radiusMeters;
  }
}

/**
 * All places at most half the height north or south of a point, and half the width west or east on their own parallel.
 */
export class Rectangle extends Shape {
  private readonly halfWidthMeters: number;
  private readonly halfHeightMeters: number;
  private readonly reach: number;
  private readonly limit: number;

  /** @param unitMeters length of the unit of width and height */
  constructor(longitude: number, latitude: number, width: number, height: number, unitMeters: number) {
    super(longitude, latitude);
    this.halfWidthMeters = (width * unitMeters) / 2;
    this.halfHeightMeters = (height * unitMeters) / 2;
    this.reach = Math.sqrt((width / 2) * (width / 2) + (height / 2) * (height / 2)) * unitMeters;
    this.limit = haversineOfDistance(this.halfWidthMeters);
    const angle = toDegrees((this.halfHeightMeters / EARTH_RADIUS_METERS) * STRETCH);
    this.setRows(latitude - angle, latitude + angle);
    const farthest = Math.min(LATITUDE_MAX, Math.max(Math.abs(latitude - angle), Math.abs(latitude + angle)));
    const sine = Math.sqrt(this.limit) / Math.cos(toRadians(farthest));
    if (!(sine < 1)) return;
    const halfWidth = toDegrees(2 * Math.asin(sine) * STRETCH);
    this.setColumns(longitude - halfWidth, longitude + halfWidth);
  }

  searchedBox(): Box {
    return this.boxAround(this.halfWidthMeters, this.halfHeightMeters);
  }

  reachMeters(): number {
    return this.reach;
  }

  protected isInside(longitude: number, latitude: number): boolean {
    if (latitudeDistance(latitude, this.latitude) > this.halfHeightMeters) return false;
    const { limit } = this;
    if (limit === Infinity) return true;
    const cosine = Math.cos(toRadians(latitude));
    const half = cosine * Math.sin((this.longitudeRadians - toRadians(longitude)) / 2);
    const value = half * half;
    if (isClearlyBelow(value, limit)) return true;
    if (isClearlyBelow(limit, value)) return false;
    return exactDistance(longitude, latitude, this.longitude, latitude) <= this.halfWidthMeters;
  }
}

/** The smallest box that contains the points. */
function boxOf(longitudes: Float64Array, latitudes: Float64Array): Box {
  const box = { west: LONGITUDE_MAX, south: LATITUDE_MAX, east: -LONGITUDE_MAX, north: -LATITUDE_MAX };
  for (let index = 0; index < longitudes.length; index++) {
    box.west = Math.min(box.west, longitudes[index]);
    box.east = Math.max(box.east, longitudes[index]);
    box.south = Math.min(box.south, latitudes[index]);
    box.north = Math.max(box.north, latitudes[index]);
  }
  return box;
}

/** All places within the lines that join some points, on a map where longitude and latitude are straight. */
export class Polygon extends Shape {
  private readonly longitudes: Float64Array;
  private readonly latitudes: Float64Array;
  private readonly box: Box;

  private constructor(
    longitude: number,
    latitude: number,
    longitudes: Float64Array,
    latitudes: Float64Array,
  ) {
    super(longitude, latitude);
    this.longitudes = longitudes;
    this.latitudes = latitudes;
    this.box = boxOf(longitudes, latitudes);
    this.setRows(this.box.south, this.box.north);
    this.setColumns(this.box.west, this.box.east);
  }

  /**
   * Makes a polygon of at least three points in degrees. Distances count from the center of the points on the globe.
   */
  static of(longitudes: Float64Array, latitudes: Float64Array): Polygon {
    const { sin, cos, atan2 } = cMath();
    let x = 0;
    let y = 0;
    let z = 0;
    for (let index = 0; index < longitudes.length; index++) {
      const longitude = toRadians(longitudes[index]);
      const latitude = toRadians(latitudes[index]);
      x += cos(latitude) * cos(longitude);
      y += cos(latitude) * sin(longitude);
      z += sin(latitude);
    }
    const longitude = toDegrees(atan2(y, x));
    const latitude = toDegrees(atan2(z, Math.sqrt(x * x + y * y)));
    return new Polygon(longitude, latitude, longitudes, latitudes);
  }

  searchedBox(): Box {
    return this.box;
  }

  reachMeters(): number {
    const { west, south, east, north } = this.box;
    return Math.max(
      this.exactDistanceTo(west, north),
      this.exactDistanceTo(east, north),
      this.exactDistanceTo(west, south),
      this.exactDistanceTo(east, south),
    );
  }

  /** A line from an inside point to the east meets the border an odd number of times (Franklin's PNPOLY). */
  protected isInside(longitude: number, latitude: number): boolean {
    const { longitudes, latitudes } = this;
    let inside = false;
    let last = longitudes.length - 1;
    for (let index = 0; index < longitudes.length; last = index++) {
      const south = latitudes[index];
      const north = latitudes[last];
      if (south > latitude === north > latitude) continue;
      const west = longitudes[index];
      const border = ((longitudes[last] - west) * (latitude - south)) / (north - south) + west;
      if (longitude < border) inside = !inside;
    }
    return inside;
  }
}
