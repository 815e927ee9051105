/**
 * Runs compiled test files through tap, each in a process of its own. At the end it lists the slowest files and once
 * more all that failed, so that the last page of a log tells what is wrong; the last line is `N passed, N failed`,
 * which counts assertions.
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

import type { ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import t from 'tap';
import { Random } from './random.js';
import { distDirectory } from './server.js';

/** For files that hang: on a machine with other work they take many times what they take alone. */
const FILE_TIMEOUT_MS = 600_000;
/** Then such a file has this long to say what its servers have logged. */
const LAST_WORDS_MS = 10_000;
/** What has not ended by then has failed: whoever waits for the outcome does not wait longer. */
const ALL_TIMEOUT_MS = 80 * 60_000;
const SLOWEST_COUNT = 20;
/** Of each file, and of each failure, the summary has no more than this. */
const FAILURES_MAX = 10;
const FAILURE_LINES_MAX = 40;

type Parser = typeof t.parser;
interface Result {
  readonly ok: boolean;
  readonly name: string;
  readonly fullname: string;
  readonly skip: boolean | string;
  readonly todo: boolean | string;
  readonly time: number | null;
  readonly diag: unknown;
}

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

interface FileResult {
  /** Null until it has ended. */
  timeMs: number | null;
  /** What failed in it, as it is printed at the end. */
  readonly failures: string[];
}

const results = new Map<string, FileResult>();

function describe({ name, fullname, diag }: Result): string {
  const lines = [`not ok: ${fullname || name}`];
  for (const [key, value] of Object.entries(diag ?? {})) {
    if (key === 'source') continue;
    lines.push(
      `${key}: ${typeof value === 'string' ? value : inspect(value, { depth: 8, breakLength: 110 })}`,
    );
  }
  const all = lines.join('\n').split('\n');
  return all
    .filter((line) => line.trim() !== '')
    .slice(0, FAILURE_LINES_MAX)
    .join('\n    ');
}

/** Notes what fails in a file, or in one of its tests. */
function watch(parser: Parser, failures: string[]): void {
  let noted = failures.length;
  parser.on('child', (child: Parser) => watch(child, failures));
  parser.on('assert', (result: Result) => {
    // That a test has failed says nothing new if something in it has.
    const isFailure = !result.ok && !result.skip && !result.todo && failures.length === noted;
    if (isFailure) failures.push(describe(result));
    noted = failures.length;
  });
}

/** The processes of the files that run. */
const processes = new Set<ChildProcess>();

t.on('spawn', (spawned) => {
  const failures: string[] = [];
  results.set(spawned.name, { timeMs: null, failures });
  watch(spawned.parser, failures);
  spawned.on('process', (child) => {
    processes.add(child);
    // Not tap's timeout for a file: one that turns off its own by t.setTimeout(0) turns off that one, too.
    const timers = [
      setTimeout(() => child.kill('SIGALRM'), FILE_TIMEOUT_MS),
      setTimeout(() => child.kill('SIGKILL'), FILE_TIMEOUT_MS + LAST_WORDS_MS),
    ];
    child.once('close', () => {
      processes.delete(child);
      timers.forEach(clearTimeout);
    });
  });
});
t.parser.on('assert', (result: Result) => {
  const file = results.get(result.name);
  if (!file) return;
  file.timeMs = result.time ?? 0;
  // A file may also fail as a whole: it crashes, or takes too long.
  if (!result.ok && file.failures.length === 0) file.failures.push(describe(result));
});

function printSummary(): void {
  const slowest = [...results]
    .map(([name, { timeMs }]) => ({ name, timeMs: timeMs ?? 0 }))
    .sort((one, other) => other.timeMs - one.timeMs)
    .slice(0, SLOWEST_COUNT);
  process.stdout.write('\nslowest files:\n');
  for (const { name, timeMs } of slowest) {
    process.stdout.write(`${(timeMs / 1000).toFixed(1).padStart(7)} s  ${name}\n`);
  }
  for (const [name, { failures }] of results) {
    if (failures.length === 0) continue;
    const more = failures.length > FAILURES_MAX ? `  and ${failures.length - FAILURES_MAX} more\n` : '';
    process.stdout.write(`\nfailed: ${name}\n  ${failures.slice(0, FAILURES_MAX).join('\n  ')}\n${more}`);
  }
}

t.jobs = Number(process.env.DAMSELFLY_TEST_JOBS ?? 2);
t.setTimeout(0);
// The limit of tap within each file is for tests that hang, not for slow machines.
const env = { ...process.env, TAP_TIMEOUT: String(FILE_TIMEOUT_MS / 1000) };
for (const file of files) {
  const name = path.relative(process.cwd(), file);
  const options = { buffered: true, timeout: 0, env };
  // tap has NODE_OPTIONS load a module into each process to note what it reads: servers would start half as fast.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, '--enable-source-maps', file];
  t.spawn('env', command, options, name);
}
if (files.length === 0) t.fail('there are test files');

setTimeout(() => {
  for (const child of processes) child.kill('SIGKILL');
  for (const file of files) {
    const name = path.relative(process.cwd(), file);
    const result = results.get(name) ?? { timeMs: null, failures: [] };
    results.set(name, result);
    if (result.timeMs === null) result.failures.push('not ok: it has not ended before the time was up');
  }
  process.exit(1);
}, ALL_TIMEOUT_MS).unref();

process.on('exit', (code) => {
  const { pass, fail } = t.assertTotals;
  // A file that crashes or times out fails without a failed assertion of its own.
  const failed = fail > 0 || (t.passing() && code === 0) ? fail : 1;
  printSummary();
  process.stdout.write(`${pass} passed, ${failed} failed\n`);
  if (failed > 0 && code === 0) process.exitCode = 1;
});
