/**
 * The ranges of scores that a search must scan: those of a cell and its eight neighbours, in a grid so coarse that they
 * cover the shape. They are in Redis's order, since unsorted results are returned in this order.
 */

import {
  columnOf,
  columnStart,
  LATITUDE_MAX,
  rowOf,
  rowStart,
  STEPS_MAX,
  scoreBehind,
  scoreOf,
} from './geohash.js';
import type { Box, Shape } from './shape.js';

/** Half the way around the world on the maps' projection. */
const PROJECTED_METERS = 20037726.37;

/** The neighbours as columns and rows from the middle: north, south, east, west, then the corners. */
const NEIGHBOURS: readonly (readonly [columns: number, rows: number])[] = [
  [0, 0],
  [0, 1],
  [0, -1],
  [1, 0],
  [-1, 0],
  [1, 1],
  [-1, 1],
  [1, -1],
  [-1, -1],
];

/** Steps of the grid whose cells are about as large as the reach of a search. */
function estimateSteps(reachMeters: number, latitude: number): number {
  if (reachMeters === 0) return STEPS_MAX;
  let steps = -1;
  for (let reach = reachMeters; reach < PROJECTED_METERS && steps < 2 * STEPS_MAX; reach *= 2) steps++;
  // Cells get narrow towards the poles.
  if (Math.abs(latitude) > 66) steps--;
  if (Math.abs(latitude) > 80) steps--;
  return Math.min(STEPS_MAX, Math.max(1, steps));
}

/** Ranges of scores: `count` of them, each from `first` on up to but not including `end`. */
export class SearchArea {
  readonly first = new Float64Array(NEIGHBOURS.length);
  readonly end = new Float64Array(NEIGHBOURS.length);
  count = 0;

  private steps = 0;
  private column = 0;
  private row = 0;

  /** Covers a shape. */
  cover(shape: Shape): void {
    const box = shape.searchedBox();
    this.steps = estimateSteps(shape.reachMeters(), shape.latitude);
    this.place(shape);
    if (this.steps > 1 && !this.reaches(box)) {
      this.steps--;
      this.place(shape);
    }
    this.count = 0;
    let lastColumn = -1;
    let lastRow = -1;
    for (const [index, [columns, rows]] of NEIGHBOURS.entries()) {
      if (!this.isNeeded(box, columns, rows)) continue;
      const column = this.neighbourColumn(columns);
      const row = this.neighbourRow(rows);
      // In a grid of only two columns or rows, the neighbours on both sides are the same.
      if (column === lastColumn && row === lastRow) continue;
      if (index > 0) {
        lastColumn = column;
        lastRow = row;
      }
      const scale = 2 ** (2 * (STEPS_MAX - this.steps));
      this.first[this.count] = scoreOf(column, row) * scale;
      this.end[this.count++] = scoreBehind(column, row) * scale;
    }
  }

  /** Finds the cell of the shape's center. */
  private place(shape: Shape): void {
    const latitude = Math.max(-LATITUDE_MAX, Math.min(LATITUDE_MAX, shape.latitude));
    this.column = columnOf(shape.longitude, this.steps);
    this.row = rowOf(latitude, this.steps);
  }

  private neighbourColumn(columns: number): number {
    return columns === 0 ? this.column : (this.column + columns) & (2 ** this.steps - 1);
  }

  private neighbourRow(rows: number): number {
    return rows === 0 ? this.row : (this.row + rows) & (2 ** this.steps - 1);
  }

  /** Whether the neighbours reach the sides of a box. */
  private reaches({ west, south, east, north }: Box): boolean {
    const { steps } = this;
    return !(
      rowStart(this.neighbourRow(1) + 1, steps) < north ||
      rowStart(this.neighbourRow(-1), steps) > south ||
      columnStart(this.neighbourColumn(1) + 1, steps) < east ||
      columnStart(this.neighbourColumn(-1), steps) > west
    );
  }

  /** Whether a neighbour can cover a part of a box that the middle cell does not. */
  private isNeeded({ west, south, east, north }: Box, columns: number, rows: number): boolean {
    const { steps, column, row } = this;
    if (steps < 2) return true;
    if (rows < 0 && rowStart(row, steps) < south) return false;
    if (rows > 0 && rowStart(row + 1, steps) > north) return false;
    if (columns < 0 && columnStart(column, steps) < west) return false;
    return !(columns > 0 && columnStart(column + 1, steps) > east);
  }
}
