/**
 * LOLWUT: a picture of damselflies, another one each time, and the version.
 *
 * LOLWUT and LOLWUT VERSION 5 [columns [across [down]]] draw in braille, whose characters have 2 * 4 dots: a
 * damselfly is a straight body with two pairs of long narrow wings, which are ellipses that touch it.
 * LOLWUT VERSION 6 [columns [rows]] paints a pond in the evening with the background colours of terminals.
 * Other versions have no picture.
 */

import type { CommandContext } from '../../execution/context.js';
import type { Handler } from '../../execution/table/command-table.js';
import { REDIS_VERSION } from '../../system/version.js';

const DEFAULT_VERSION = 5;
const COLUMNS_MAX = 1000;
const ROWS_MAX = 1000;
const ACROSS_MAX = 200;

/** Dots in black and white; a character shows 2 * 4 of them. */
class BrailleCanvas {
  private readonly dots: Uint8Array;
  private readonly columns: number;

  constructor(
    private readonly width: number,
    private readonly height: number,
  ) {
    this.columns = Math.ceil(width / 2);
    this.dots = new Uint8Array(this.columns * Math.ceil(height / 4));
  }

  set(x: number, y: number): void {
    const column = Math.round(x);
    const row = Math.round(y);
    if (column < 0 || row < 0 || column >= this.width || row >= this.height) return;
    // The upper six dots are numbered down the columns, the two below them came later.
    const dot = (row & 3) === 3 ? 6 + (column & 1) : (row & 3) + 3 * (column & 1);
    this.dots[(row >> 2) * this.columns + (column >> 1)] |= 1 << dot;
  }

  toString(): string {
    let text = '';
    for (let start = 0; start < this.dots.length; start += this.columns) {
      for (let column = 0; column < this.columns; column++) {
        text += String.fromCharCode(0x2800 + this.dots[start + column]);
      }
      text += '\n';
    }
    return text;
  }
}

/** A number from -1 to 1. */
function random(): number {
  return 2 * Math.random() - 1;
}

/** Draws a damselfly around a point; `heading` is where its head is, in radians. */
function drawDamselfly(canvas: BrailleCanvas, x: number, y: number, size: number, heading: number): void {
  const cosine = Math.cos(heading);
  const sine = Math.sin(heading);
  const set = (along: number, across: number): void =>
    canvas.set(x + along * cosine - across * sine, y + along * sine + across * cosine);
  const step = 0.5;
  for (let along = -size; along <= 0.6 * size; along += step) set(along, 0);
  // The head is as wide as its eyes.
  for (let across = -0.12 * size; across <= 0.12 * size; across += step) set(0.6 * size, across);
  const spread = 0.15 + 0.1 * random();
  for (const side of [-1, 1]) {
    for (const [root, angle] of [
      [0.4 * size, Math.PI / 2 - spread],
      [0.2 * size, Math.PI / 2 + spread],
    ]) {
      const length = 0.45 * size;
      const width = 0.12 * size;
      const points = Math.ceil(8 * size);
      for (let point = 0; point < points; point++) {
        const turn = (2 * Math.PI * point) / points;
        const along = length * (1 + Math.cos(turn));
        const across = width * Math.sin(turn);
        set(
          root + along * Math.cos(angle) - across * Math.sin(angle),
          side * (along * Math.sin(angle) + across * Math.cos(angle)),
        );
      }
    }
  }
}

function damselflies(columns: number, across: number, down: number): string {
  const width = 2 * columns;
  const cell = width / across;
  const height = Math.min(Math.ceil((cell * down) / 4), ROWS_MAX);
  const canvas = new BrailleCanvas(width, 4 * height);
  for (let row = 0; row < down && row * cell < 4 * height; row++) {
    for (let column = 0; column < across; column++) {
      drawDamselfly(
        canvas,
        (column + 0.5 + 0.1 * random()) * cell,
        (row + 0.5 + 0.1 * random()) * cell,
        (0.42 + 0.06 * random()) * cell,
        -Math.PI / 2 + random() * Math.PI * 0.4,
      );
    }
  }
  return canvas.toString();
}

/** Colours 0 to 255 of terminals, from the top of the sky to the ground of the pond. */
const SKY = [17, 18, 54, 90, 126, 162, 203, 209, 215];
const WATER = [67, 61, 24, 23, 17];
const SUN = 221;
const REED = 22;

function pond(columns: number, rows: number): string {
  const horizon = Math.ceil(rows * 0.6);
  const sunColumn = columns * (0.5 + 0.3 * random());
  const sunRows = Math.max(2, rows / 5);
  const reeds = Array.from({ length: columns }, (_, column) => {
    const density = Math.abs(column - columns / 2) / columns;
    return Math.random() < density ? rows * (0.2 + 0.5 * Math.random()) : rows;
  });
  let text = '';
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      // A character is about twice as high as wide.
      const isSun = Math.hypot((column - sunColumn) / 2, row - horizon) < sunRows;
      const isGlitter = row >= horizon && Math.random() < 0.4 && Math.abs(column - sunColumn) < 2 * sunRows;
      let colour = SKY[Math.floor((row / horizon) * SKY.length)];
      if (row >= horizon) colour = WATER[Math.floor(((row - horizon) / (rows - horizon)) * WATER.length)];
      if (row < horizon ? isSun : isGlitter) colour = SUN;
      if (row > reeds[column] && row < rows * 0.9) colour = REED;
      text += `\x1b[48;5;${colour}m `;
    }
    text += '\x1b[0m\n';
  }
  return text;
}

/** A measure of the picture that may be given: what it is if it is not, and its largest value. */
type Measure = readonly [absent: number, max: number];

/** Reads arguments from `index` on, as far as there are any; null after an error. */
function readMeasures(context: CommandContext, index: number, measures: readonly Measure[]): number[] | null {
  const values: number[] = [];
  for (const [position, [absent, max]] of measures.entries()) {
    if (index + position >= context.argCount) {
      values.push(absent);
      continue;
    }
    if (!context.integer(index + position)) return null;
    values.push(Math.min(Math.max(context.number.value, 1), max));
  }
  return values;
}

export const lolwut: Handler = (context) => {
  let version = DEFAULT_VERSION;
  // Without VERSION arguments are ignored.
  let first = context.argCount;
  if (context.argCount > 2 && context.argIs(1, 'VERSION')) {
    if (!context.integer(2)) return;
    version = context.number.value;
    first = 3;
  }
  let picture = '';
  if (version === 5) {
    const measures = readMeasures(context, first, [
      [66, COLUMNS_MAX],
      [3, ACROSS_MAX],
      [2, ACROSS_MAX],
    ]);
    if (measures === null) return;
    const [columns, across, down] = measures;
    picture = `${damselflies(columns, across, down)}\nDamselflies over the water. `;
  } else if (version === 6) {
    const measures = readMeasures(context, first, [
      [80, COLUMNS_MAX],
      [20, ROWS_MAX],
    ]);
    if (measures === null) return;
    const [columns, rows] = measures;
    picture = `${pond(columns, rows)}\nA pond in the evening. `;
  }
  context.reply.verbatim(`${picture}Redis ver. ${REDIS_VERSION}\n`, 'txt');
};
