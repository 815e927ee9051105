/**
 * Runs compiled test files through tap, each in a process of its own, and ends with a line
 * `N passed, N failed` that counts assertions.
 *
 * tap's own command is not used: its TypeScript loader needs the compiler's programming interface,
 * and the files are plain JavaScript by now. tap itself, as a library, runs and counts them just the same.
 *
 *   node dist/test/tools/run-tests.js [FILE ...]     default: every *.test.js under dist/test
 *
 * Environment:
 *   DAMSELFLY_TEST_JOBS     files at a time, default 2
 *   DAMSELFLY_TEST_SEED     run the files in the random order of this seed; `random` picks one
 *   DAMSELFLY_TEST_FILTER   only files whose path contains this
 */

import { readdirSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { Random } from './random.js';
import { distDirectory } from './server.js';

const FILE_TIMEOUT_MS = 300_000;

function findTestFiles(): string[] {
  const root = path.join(distDirectory, 'test');
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => path.join(root, name))
    .sort();
}

let files = process.argv.length > 2 ? process.argv.slice(2) : findTestFiles();

const filter = process.env.DAMSELFLY_TEST_FILTER;
if (filter) files = files.filter((file) => file.includes(filter));

const order = process.env.DAMSELFLY_TEST_SEED;
if (order) {
  const seed = order === 'random' ? Date.now() % 1_000_000 : Number(order);
  t.comment(`order of seed ${seed}`);
  new Random(seed).shuffle(files);
}

t.jobs = Number(process.env.DAMSELFLY_TEST_JOBS ?? 2);
t.setTimeout(0);
// The limit of tap within each file is for tests that hang, not for slow machines.
const env = { ...process.env, TAP_TIMEOUT: String(FILE_TIMEOUT_MS / 1000) };
for (const file of files) {
  const name = path.relative(process.cwd(), file);
  const options = { buffered: true, timeout: FILE_TIMEOUT_MS, env };
  // tap has NODE_OPTIONS load a module into each process to note what it reads: servers would start half as fast.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, '--enable-source-maps', file];
  t.spawn('env', command, options, name);
}
if (files.length === 0) t.fail('there are test files');

process.on('exit', (code) => {
  const { pass, fail } = t.assertTotals;
  // A file that crashes or times out fails without a failed assertion of its own.
  const failed = fail > 0 || (t.passing() && code === 0) ? fail : 1;
  process.stdout.write(`${pass} passed, ${failed} failed\n`);
  if (failed > 0 && code === 0) process.exitCode = 1;
});
