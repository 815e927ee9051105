/**
 * The ordinary life of a server, in all its ways: `npm run test:lifecycle`.
 *
 * Every two values of these dimensions meet in at least one life (matrix.ts): the way to save or stop (ways.ts), threads,
 * transport, number of keys, elements of the largest collections, what expires, what came before, whether clients
 * write meanwhile. Prints one line a life; the exit code is 0 only if all is well.
 *
 *   --seed N      of the choice and of the clients (default 1)
 *   --only TEXT   only lives whose line contains this
 *   --lives N,M   only those of these numbers
 *   --list        only prints what would be tried
 */

import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { Random } from '../tools/random.js';
import { Life, type LifeOptions } from './life.js';
import { type Dimensions, eachPair } from './matrix.js';
import { WAYS } from './ways.js';

const DIMENSIONS: Dimensions<LifeOptions> = {
  way: WAYS,
  threads: [1, 2, 4],
  transport: ['io_uring', 'epoll', 'node'],
  keys: [10, 10_000, 500_000],
  largest: [10, 200_000],
  expiry: ['none', 'keys', 'fields'],
  history: ['grown', 'changed'],
  load: ['rest', 'writers'],
};

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    lives: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
  },
});

const WIDTHS = [4, 42, 7, 9, 7, 7, 6, 7, 7];

function line(cells: readonly (string | number)[]): string {
  return cells
    .map((cell, at) =>
      typeof cell === 'number' && at > 0
        ? String(cell).padStart(WIDTHS[at]!)
        : String(cell).padEnd(WIDTHS[at]!),
    )
    .join('  ');
}

function describe(number: number, options: LifeOptions): string {
  const { way, threads, transport, keys, largest, expiry, history, load } = options;
  return line([number, way.name, threads, transport, keys, largest, expiry, history, load]);
}

const seed = Number(values.seed);
const numbers = values.lives === '' ? null : values.lives.split(',').map(Number);
const lives = eachPair(DIMENSIONS, new Random(seed), ['keys', 'largest'])
  .map((options, index) => ({ number: index + 1, options, text: describe(index + 1, options) }))
  .filter(({ number, text }) => (numbers === null || numbers.includes(number)) && text.includes(values.only));

process.stdout.write(`seed ${seed}, ${lives.length} lives\n`);
process.stdout.write(
  `${line(['no.', 'way', 'threads', 'transport', 'keys', 'largest', 'expiry', 'history', 'load'])}  result\n`,
);
let failed = 0;
const startedAt = performance.now();
for (const { number, options, text } of lives) {
  process.stdout.write(text);
  if (!values.list) {
    const beganAt = performance.now();
    const problems = await new Life(options, seed + number).live();
    const seconds = ((performance.now() - beganAt) / 1000).toFixed(1);
    process.stdout.write(`  ${problems.length === 0 ? 'ok' : 'FAILED'} ${seconds} s`);
    for (const problem of problems) process.stdout.write(`\n    ${problem.replaceAll('\n', '\n    ')}`);
    if (problems.length > 0) failed++;
  }
  process.stdout.write('\n');
}
if (!values.list) {
  const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
  process.stdout.write(`${lives.length - failed} passed, ${failed} failed, ${minutes} minutes\n`);
}
process.exitCode = failed > 0 || lives.length === 0 ? 1 : 0;
