/** The places that a search has found, and their order. */

import { isClearlyBelow, roundDistance, roundedDistance } from '../../structures/geo/distance.js';
import { cell, latitudeOf, longitudeOf, readScore } from '../../structures/geo/geohash.js';
import type { SearchArea } from '../../structures/geo/search-area.js';
import type { Shape } from '../../structures/geo/shape.js';
import { sortPartially, sortStably } from '../../structures/partial-sort.js';
import type { SortedSetCursor, SortedSetValue } from '../../structures/sorted-set-value.js';

const INITIAL_LENGTH = 256;
/** Larger arrays are given back. */
const KEPT_LENGTH_MAX = 1 << 16;

export class FoundPlaces {
  count = 0;
  /** Where the elements are in their sorted set (SortedSetValue.placeOf). */
  private places = new Int32Array(INITIAL_LENGTH);
  private scores = new Float64Array(INITIAL_LENGTH);
  /** Haversines of their distances from the shape's center, if distances are wanted. */
  private haversines = new Float64Array(INITIAL_LENGTH);
  /** Their indices in the order of the reply. */
  private order = new Int32Array(INITIAL_LENGTH);
  private shape!: Shape;
  /** Takes values that are only read ahead, so that the reads are not optimised away. */
  sink = 0;

  private readonly ascending = (left: number, right: number): number => this.compare(left, right);
  private readonly descending = (left: number, right: number): number => this.compare(right, left);

  /**
   * Finds the elements of a sorted set that are in a shape, in the order in which the area has them.
   * @param limit more are not looked for; 0 for all
   * @param measures whether distances will be asked for
   */
  find(
    sets: SortedSetValue,
    reference: number,
    cursor: SortedSetCursor,
    shape: Shape,
    area: SearchArea,
    limit: number,
    measures: boolean,
  ): void {
    this.shape = shape;
    this.count = 0;
    if (this.places.length > KEPT_LENGTH_MAX) this.resize(INITIAL_LENGTH);
    for (let range = 0; range < area.count; range++) {
      if (limit !== 0 && this.count >= limit) return;
      const end = area.end[range];
      let more = sets.seekScore(cursor, reference, area.first[range]);
      for (; more && cursor.score < end; more = sets.nextScore(cursor)) {
        readScore(cursor.score);
        if (!shape.contains(cell.column, cell.row)) continue;
        this.add(sets.placeOf(cursor), cursor.score, measures);
        if (limit !== 0 && this.count >= limit) break;
      }
    }
  }

  private add(place: number, score: number, measures: boolean): void {
    const index = this.count++;
    if (index === this.places.length) this.resize(2 * index);
    this.places[index] = place;
    this.scores[index] = score;
    this.order[index] = index;
    if (measures)
      this.haversines[index] = this.shape.haversineTo(longitudeOf(cell.column), latitudeOf(cell.row));
  }

  private resize(length: number): void {
    const { places, scores, haversines, order } = this;
    const kept = Math.min(length, this.count);
    this.places = new Int32Array(length);
    this.places.set(places.subarray(0, kept));
    this.scores = new Float64Array(length);
    this.scores.set(scores.subarray(0, kept));
    this.haversines = new Float64Array(length);
    this.haversines.set(haversines.subarray(0, kept));
    this.order = new Int32Array(length);
    this.order.set(order.subarray(0, kept));
  }

  /** Sorts by distance, as far as needed to have the first `wanted` in their places. */
  sort(isDescending: boolean, wanted: number): void {
    const compare = isDescending ? this.descending : this.ascending;
    if (wanted === this.count) sortStably(this.order, this.count, compare);
    else sortPartially(this.order, this.count, wanted, compare);
  }

  private compare(left: number, right: number): number {
    const { haversines, scores } = this;
    if (isClearlyBelow(haversines[left], haversines[right])) return -1;
    if (isClearlyBelow(haversines[right], haversines[left])) return 1;
    if (scores[left] === scores[right]) return 0;
    return Math.sign(this.exactDistance(left) - this.exactDistance(right));
  }

  private exactDistance(index: number): number {
    readScore(this.scores[index]);
    return this.shape.exactDistanceTo(longitudeOf(cell.column), latitudeOf(cell.row));
  }

  /** Prefetches the first `count` of the elements found. */
  bringNear(sets: SortedSetValue, reference: number, count: number): void {
    this.sink ^= sets.bringPlacesNear(reference, this.places, this.order, count);
  }

  /** Reads the element at a position of the order into the cursor. */
  readElement(sets: SortedSetValue, reference: number, cursor: SortedSetCursor, position: number): void {
    sets.readPlace(cursor, reference, this.places[this.order[position]]);
  }

  /** Distance in ten thousandths of a unit of the element at a position of the order. */
  roundedDistance(position: number, unitMeters: number): number {
    const index = this.order[position];
    const rounded = roundedDistance(this.haversines[index], unitMeters);
    return rounded >= 0 ? rounded : roundDistance(this.exactDistance(index), unitMeters);
  }

  /** Distance in meters of the element at a position of the order, to the last bit. */
  distance(position: number): number {
    return this.exactDistance(this.order[position]);
  }
}
