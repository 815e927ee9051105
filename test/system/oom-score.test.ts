/** The score by which the kernel chooses the process to kill. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { OomScore } from '../../src/system/oom-score.js';

const directory = mkdtempSync(path.join(tmpdir(), 'oom-score-'));
t.teardown(() => rmSync(directory, { recursive: true }));
const file = path.join(directory, 'oom_score_adj');

function words(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * OomScore.WORDS));
}

function written(): string {
  return readFileSync(file, 'latin1');
}

t.test('the score from before is kept, and comes back', async (t) => {
  writeFileSync(file, '100\n');
  const shared = words();
  const score = new OomScore(shared, file);
  t.equal(score.restore(), '', 'nothing to restore');
  t.equal(written(), '100\n');
  t.equal(score.set(20, true), '');
  t.equal(written(), '120\n');
  t.equal(score.set(30, true), '');
  t.equal(written(), '130\n', 'relative to the score from before, not to the last one');
  // Another thread.
  const other = new OomScore(shared, file);
  t.equal(other.set(30, false), '');
  t.equal(written(), '30\n');
  t.equal(other.restore(), '');
  t.equal(written(), '100\n');
  writeFileSync(file, '200\n');
  t.equal(score.set(1, true), '');
  t.equal(written(), '201\n', 'read again after it was given up');
});

t.test('the kernel takes -1000 to 1000', async (t) => {
  writeFileSync(file, '-500\n');
  const score = new OomScore(words(), file);
  for (const [value, isRelative, text] of [
    [2000, true, '1000\n'],
    [-600, true, '-1000\n'],
    [-2000, false, '-1000\n'],
    [1001, false, '1000\n'],
  ] as const) {
    t.equal(score.set(value, isRelative), '');
    t.equal(written(), text);
  }
});

t.test('failures', async (t) => {
  const missing = new OomScore(words(), path.join(directory, 'missing'));
  t.equal(missing.set(1, false), 'Unable to read oom_score_adj: no such file or directory');
  t.equal(missing.restore(), '', 'nothing was changed');
  const changing = path.join(directory, 'changing');
  writeFileSync(changing, '0\n');
  const score = new OomScore(words(), changing);
  t.equal(score.set(1, false), '');
  rmSync(changing);
  const folder = new OomScore(words(), directory);
  t.match(folder.set(1, false), /^Unable to read oom_score_adj: /);
});
