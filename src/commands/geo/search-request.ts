/** What GEOSEARCH, GEORADIUS and their kin ask for, read from their arguments. */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import { ValueType } from '../../keyspace/entry.js';
import { cell, latitudeOf, longitudeOf, readScore } from '../../structures/geo/geohash.js';
import { Circle, Polygon, Rectangle, type Shape } from '../../structures/geo/shape.js';
import { place, readNumber, readPlace, readUnit } from './arguments.js';

/** How the arguments of a command begin, and what may follow. */
export const enum Form {
  /** GEORADIUS: a place and a radius, then options. */
  AroundPlace = 0,
  /** GEORADIUSBYMEMBER: a member and a radius, then options. */
  AroundMember = 1,
  /** GEOSEARCH: options only. */
  Search = 2,
  /** GEOSEARCHSTORE: a destination in front of the source, then options. */
  SearchStore = 3,
}

export const enum Order {
  None = 0,
  Ascending = 1,
  Descending = -1,
}

const enum Outline {
  None = 0,
  Circle = 1,
  Rectangle = 2,
  Polygon = 3,
}

/** Larger numbers of vertices become this one: no request has so many arguments. */
const VERTICES_MAX = 0x7fffffff;

export class SearchRequest {
  /** Reference of the source's sorted set, 0 if there is none. */
  reference = 0;
  shape!: Shape;
  /** The length of the unit of distances, in meters. */
  unitMeters = 1;
  withDistance = false;
  withHash = false;
  withCoordinates = false;
  order = Order.None as Order;
  /** The most results that are wanted, 0 for all. */
  count = 0;
  /** Any results will do, not only the nearest ones. */
  takesAny = false;
  /** Argument of the key under which the results are stored, 0 for none. */
  destination = 0;
  storesDistances = false;

  // Where the shape is and how large.
  private hasCenter = false;
  private isFromMember = false;
  private longitude = 0;
  private latitude = 0;
  private outline = Outline.None as Outline;
  private radius = 0;
  private width = 0;
  private height = 0;
  private longitudes!: Float64Array;
  private latitudes!: Float64Array;

  /**
   * Reads the request; replies with an error and returns false if something is wrong. The source is the selected key.
   * @param mayStore whether STORE and STOREDIST are options
   */
  read(context: CommandContext, form: Form, mayStore: boolean): boolean {
    this.reset();
    this.reference = context.readCollection(form === Form.SearchStore ? 2 : 1, ValueType.SortedSet);
    if (this.reference < 0) return false;
    if (form === Form.SearchStore) this.destination = 1;
    const first = this.readBeginning(context, form);
    if (first < 0) return false;
    for (let index = first; index < context.argCount; ) {
      index = this.readOption(context, index, form, mayStore);
      if (index < 0) return false;
    }
    if (!this.isComplete(context, form)) return false;
    // COUNT without ANY wants the nearest ones.
    if (this.count !== 0 && this.order === Order.None && !this.takesAny) this.order = Order.Ascending;
    if (this.reference !== 0) this.shape = this.makeShape();
    return true;
  }

  private reset(): void {
    this.unitMeters = 1;
    this.withDistance = false;
    this.withHash = false;
    this.withCoordinates = false;
    this.order = Order.None;
    this.count = 0;
    this.takesAny = false;
    this.destination = 0;
    this.storesDistances = false;
    this.hasCenter = false;
    this.outline = Outline.None;
  }

  /** Reads what comes before the options; returns the first of them, or -1 after replying with an error. */
  private readBeginning(context: CommandContext, form: Form): number {
    switch (form) {
      case Form.AroundPlace:
        if (!this.readCenter(context, 2) || !this.readCircle(context, 4)) return -1;
        return 6;
      case Form.AroundMember:
        // Without a source, these arguments are not checked.
        if (this.reference === 0) return 5;
        if (!this.readMember(context, 2) || !this.readCircle(context, 3)) return -1;
        return 5;
      default:
        return form === Form.SearchStore ? 3 : 2;
    }
  }

  /** Reads one option; returns the index behind it, or -1 after replying with an error. */
  private readOption(context: CommandContext, index: number, form: Form, mayStore: boolean): number {
    const following = context.argCount - index - 1;
    if (context.argIs(index, 'WITHDIST')) this.withDistance = true;
    else if (context.argIs(index, 'WITHHASH')) this.withHash = true;
    else if (context.argIs(index, 'WITHCOORD')) this.withCoordinates = true;
    else if (context.argIs(index, 'ANY')) this.takesAny = true;
    else if (context.argIs(index, 'ASC')) this.order = Order.Ascending;
    else if (context.argIs(index, 'DESC')) this.order = Order.Descending;
    else if (context.argIs(index, 'COUNT') && following > 0) return this.readCount(context, index + 1);
    else if (form === Form.Search || form === Form.SearchStore) {
      return this.readSearchOption(context, index, following, form);
    } else if (mayStore && following > 0 && this.isStore(context, index)) return index + 2;
    else return this.refuse(context);
    return index + 1;
  }

  private refuse(context: CommandContext): number {
    context.reply.error(SYNTAX_ERROR);
    return -1;
  }

  private readCount(context: CommandContext, index: number): number {
    if (!context.integer(index)) return -1;
    this.count = context.number.value;
    if (this.count > 0) return index + 1;
    context.reply.error('ERR COUNT must be > 0');
    return -1;
  }

  /** STORE and STOREDIST of GEORADIUS; the last one counts. */
  private isStore(context: CommandContext, index: number): boolean {
    const storesDistances = context.argIs(index, 'STOREDIST');
    if (!storesDistances && !context.argIs(index, 'STORE')) return false;
    this.destination = index + 1;
    this.storesDistances = storesDistances;
    return true;
  }

  /** An option that only GEOSEARCH and GEOSEARCHSTORE have. */
  private readSearchOption(context: CommandContext, index: number, following: number, form: Form): number {
    if (form === Form.SearchStore && context.argIs(index, 'STOREDIST')) {
      this.storesDistances = true;
      return index + 1;
    }
    if (context.argIs(index, 'FROMMEMBER') && following > 0 && this.mayHaveCenter(true)) {
      return this.readMember(context, index + 1) ? index + 2 : -1;
    }
    if (context.argIs(index, 'FROMLONLAT') && following > 1 && this.mayHaveCenter(false)) {
      return this.readCenter(context, index + 1) ? index + 3 : -1;
    }
    if (context.argIs(index, 'BYRADIUS') && following > 1 && this.mayBe(Outline.Circle)) {
      return this.readCircle(context, index + 1) ? index + 3 : -1;
    }
    if (context.argIs(index, 'BYBOX') && following > 2 && this.mayBe(Outline.Rectangle)) {
      return this.readRectangle(context, index + 1) ? index + 4 : -1;
    }
    const mayBePolygon = this.outline === Outline.None && !this.hasCenter;
    if (context.argIs(index, 'BYPOLYGON') && following > 1 && mayBePolygon) {
      return this.readPolygon(context, index + 1);
    }
    return this.refuse(context);
  }

  /** Whether an outline may be given now: only the same one may be repeated. */
  private mayBe(outline: Outline): boolean {
    return this.outline === Outline.None || this.outline === outline;
  }

  /** FROMMEMBER and FROMLONLAT may be repeated, but not both given, and a polygon has a center of its own. */
  private mayHaveCenter(isMember: boolean): boolean {
    return this.outline !== Outline.Polygon && (!this.hasCenter || this.isFromMember === isMember);
  }

  private readCenter(context: CommandContext, index: number): boolean {
    if (!readPlace(context, index)) return false;
    this.longitude = place.longitude;
    this.latitude = place.latitude;
    this.hasCenter = true;
    this.isFromMember = false;
    return true;
  }

  private readMember(context: CommandContext, index: number): boolean {
    this.hasCenter = true;
    this.isFromMember = true;
    if (this.reference === 0) return true;
    const { sortedSets } = context.shard;
    const offset = context.argOffset(index);
    if (!sortedSets.find(this.reference, context.bytes, context.view, offset, context.argLength(index))) {
      context.reply.error('ERR could not decode requested zset member');
      return false;
    }
    readScore(sortedSets.score);
    this.longitude = longitudeOf(cell.column);
    this.latitude = latitudeOf(cell.row);
    return true;
  }

  private readCircle(context: CommandContext, index: number): boolean {
    const radius = readNumber(context, index, 'ERR need numeric radius');
    if (Number.isNaN(radius)) return false;
    if (radius < 0) {
      context.reply.error('ERR radius cannot be negative');
      return false;
    }
    this.radius = radius;
    this.outline = Outline.Circle;
    return this.readUnit(context, index + 1);
  }

  private readRectangle(context: CommandContext, index: number): boolean {
    const width = readNumber(context, index, 'ERR need numeric width');
    if (Number.isNaN(width)) return false;
    const height = readNumber(context, index + 1, 'ERR need numeric height');
    if (Number.isNaN(height)) return false;
    if (width < 0 || height < 0) {
      context.reply.error('ERR height or width cannot be negative');
      return false;
    }
    this.width = width;
    this.height = height;
    this.outline = Outline.Rectangle;
    return this.readUnit(context, index + 2);
  }

  private readUnit(context: CommandContext, index: number): boolean {
    const meters = readUnit(context, index);
    if (meters === 0) return false;
    this.unitMeters = meters;
    return true;
  }

  /** Reads the number of vertices and the vertices; returns the index behind them, or -1 after replying an error. */
  private readPolygon(context: CommandContext, index: number): number {
    if (!context.integer(index, 'ERR invalid number of vertices')) return -1;
    const count = Math.min(context.number.value, VERTICES_MAX);
    if (count < 3 || 2 * count > context.argCount - index - 1) {
      context.reply.error('ERR GEOSEARCH BYPOLYGON must have at least 3 vertices');
      return -1;
    }
    this.longitudes = new Float64Array(count);
    this.latitudes = new Float64Array(count);
    for (let vertex = 0; vertex < count; vertex++) {
      if (!readPlace(context, index + 1 + 2 * vertex)) return -1;
      this.longitudes[vertex] = place.longitude;
      this.latitudes[vertex] = place.latitude;
    }
    this.outline = Outline.Polygon;
    this.unitMeters = 1;
    return index + 1 + 2 * count;
  }

  /** Whether the options make a request; replies with an error if not. */
  private isComplete(context: CommandContext, form: Form): boolean {
    const { reply } = context;
    const isSearch = form === Form.Search || form === Form.SearchStore;
    if (this.destination !== 0 && (this.withDistance || this.withHash || this.withCoordinates)) {
      const what = isSearch ? 'GEOSEARCHSTORE' : 'STORE option in GEORADIUS';
      reply.error(`ERR ${what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options`);
    } else if (isSearch && !this.hasCenter && this.outline !== Outline.Polygon) {
      const name = context.argQuoted(0);
      reply.error(`ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ${name}`);
    } else if (isSearch && this.outline === Outline.None) {
      reply.error(`ERR exactly one of BYRADIUS and BYBOX can be specified for ${context.argQuoted(0)}`);
    } else if (this.takesAny && this.count === 0) {
      reply.error('ERR the ANY argument requires COUNT argument');
    } else {
      return true;
    }
    return false;
  }

  private makeShape(): Shape {
    const { longitude, latitude, unitMeters } = this;
    switch (this.outline) {
      case Outline.Rectangle:
        return new Rectangle(longitude, latitude, this.width, this.height, unitMeters);
      case Outline.Polygon:
        return Polygon.of(this.longitudes, this.latitudes);
      default:
        return new Circle(longitude, latitude, this.radius * unitMeters);
    }
  }
}
