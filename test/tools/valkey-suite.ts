/**
 * Runs units of Valkey's own test suite against a Damselfly, in the suite's external mode.
 *
 *   node dist/test/tools/valkey-suite.js CHECKOUT [--units unit/type/string,unit/expire] [--threads N]
 *
 * CHECKOUT is a checkout of Valkey 7.2 (tag 7.2.7 is the closest to Redis 7.0); it stays outside of this
 * repository, is not built and not changed: the suite runs from a copy, with links to Redis's programs where
 * it asks for its own. Every unit gets a fresh server. `valkey-skip.txt` names the tests that are left
 * out and why; `--no-skip` runs them too, `--server redis` shows what fails even with redis-server.
 */

import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { distDirectory, hasProgram, run, type ServerKind, TestServer } from './server.js';

const UNITS = [
  'unit/type/string',
  'unit/type/incr',
  'unit/type/list',
  'unit/type/list-2',
  'unit/type/list-3',
  'unit/sort',
  'unit/type/zset',
  'unit/type/hash',
  'unit/type/set',
  'unit/type/stream',
  'unit/type/stream-cgroups',
  'unit/dump',
  'unit/aofrw',
  'unit/shutdown',
  'unit/keyspace',
  'unit/expire',
  'unit/scan',
  'unit/protocol',
  'unit/querybuf',
  'unit/info',
  'unit/info-command',
  'unit/introspection',
  'unit/introspection-2',
  'unit/bitops',
  'unit/bitfield',
  'unit/hyperloglog',
  'unit/geo',
  'unit/multi',
  'unit/auth',
  'unit/maxmemory',
  'unit/quit',
  'unit/limits',
  'unit/lazyfree',
  'unit/slowlog',
  'unit/latency-monitor',
  'unit/obuf-limits',
  'unit/client-eviction',
  'unit/pause',
  'unit/scripting',
  'unit/functions',
];

/** Units that the suite leaves out with an external server although nothing in them needs one of its own. */
const NOT_REALLY_INTERNAL = [
  'info',
  'obuf-limits',
  'client-eviction',
  'auth',
  'limits',
  'maxmemory',
  'aofrw',
  'shutdown',
];

/** What the servers of these units would have by themselves. */
const RESTORED_LIMITS = 'r config set client-output-buffer-limit {normal 0 0 0} maxmemory-clients 0';

/** A test sets every directive that CONFIG GET lists, but for the immutable ones that Redis has. */
const OWN_IMMUTABLE_DIRECTIVES = 'threads transport recover-until';

/** Where the suite looks for a free port; two runs at once look in different places. */
const BASE_PORT = 22_000 + (process.pid % 300) * 64;

const SKIP_LIST = path.join(distDirectory, '..', 'test', 'tools', 'valkey-skip.txt');

interface SkipEntry {
  unit: string;
  test: string;
  reason: string;
}

/** Lines `unit/name test name => reason`; the unit may be `*`. `#` starts a comment. */
function readSkipList(file: string): SkipEntry[] {
  const entries: SkipEntry[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const match = /^(\S+)\s+(.*?)\s+=>\s+(\S.*)$/.exec(line);
    if (!match) throw new Error(`${file}: a line is not "unit test => reason": ${line}`);
    entries.push({ unit: match[1]!, test: match[2]!, reason: match[3]! });
  }
  return entries;
}

interface UnitResult {
  unit: string;
  passed: string[];
  failed: string[];
  /** Left out by the suite itself in external mode, or by the skip list. */
  skipped: string[];
  /** Why the unit did not run to its end, if it did not. */
  aborted: string;
}

const COLOURS = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

function readReport(unit: string, output: string, exitCode: number | null): UnitResult {
  const result: UnitResult = { unit, passed: [], failed: [], skipped: [], aborted: '' };
  const lines = output.replace(COLOURS, '').split('\n');
  for (const [index, line] of lines.entries()) {
    const match = /^\[(ok|err|skip|ignore|exception|timeout)\]:? ?(.*)$/.exec(line);
    if (!match) continue;
    const text = match[2]!;
    if (match[1] === 'ok') result.passed.push(text.replace(/ \(\d+ ms\)$/, ''));
    else if (match[1] === 'err') result.failed.push(`${text}: ${lines[index + 1] ?? ''}`);
    else if (match[1] === 'skip' || match[1] === 'ignore') result.skipped.push(text);
    else result.aborted = text || 'exception';
  }
  if (exitCode !== 0 && result.failed.length === 0 && result.aborted === '') {
    result.aborted = `the suite exited with ${exitCode}`;
  }
  return result;
}

const program = new Command()
  .argument('<checkout>', 'directory of a Valkey checkout')
  .option('--units <names>', 'units, separated by commas', UNITS.join(','))
  .option('--threads <n>', 'worker threads of Damselfly', '2')
  .option('--server <kind>', 'damselfly or redis', 'damselfly')
  .option('--no-skip', 'run the tests of the skip list too')
  .option('--verbose', "print the suite's output as it comes")
  .option('--timeout <seconds>', 'per unit', '600')
  .parse();
const options = program.opts<{
  units: string;
  threads: string;
  server: string;
  skip: boolean;
  verbose?: boolean;
  timeout: string;
}>();
const checkout = path.resolve(program.args[0]!);

if (!existsSync(path.join(checkout, 'runtest'))) program.error(`${checkout} is no checkout of Valkey`);
if (!hasProgram('tclsh') && !hasProgram('tclsh8.6')) program.error('tclsh is not installed');
const skipList = options.skip ? readSkipList(SKIP_LIST) : [];
const scratch = mkdtempSync(path.join(tmpdir(), 'damselfly-valkey-'));

/** Copies what of the suite is needed. */
function prepareSuite(): void {
  cpSync(path.join(checkout, 'runtest'), path.join(scratch, 'runtest'));
  cpSync(path.join(checkout, 'tests'), path.join(scratch, 'tests'), { recursive: true });
  for (const unit of NOT_REALLY_INTERNAL) {
    const file = path.join(scratch, 'tests', 'unit', `${unit}.tcl`);
    const text = readFileSync(file, 'utf8').replaceAll('external:skip', '');
    writeFileSync(file, text.replaceAll('start_server {} {', `start_server {} {\n${RESTORED_LIMITS}`));
  }
  // A replica that the suite starts by itself.
  const authentication = path.join(scratch, 'tests', 'unit', 'auth.tcl');
  const withReplica = readFileSync(authentication, 'utf8');
  writeFileSync(authentication, withReplica.replace('{"masterauth"}', '{"masterauth external:skip"}'));
  const configTest = path.join(scratch, 'tests', 'unit', 'introspection.tcl');
  const skippedConfigs = `client-default-resp ${OWN_IMMUTABLE_DIRECTIVES}`;
  writeFileSync(configTest, readFileSync(configTest, 'utf8').replace('client-default-resp', skippedConfigs));
  mkdirSync(path.join(scratch, 'src'));
  for (const name of ['server', 'cli', 'benchmark']) {
    const found = run(['sh', '-c', `command -v redis-${name}`]).stdout.trim();
    if (found) symlinkSync(found, path.join(scratch, 'src', `valkey-${name}`));
  }
}
prepareSuite();

async function runUnit(unit: string): Promise<UnitResult> {
  const skipFile = path.join(scratch, 'skip.txt');
  const skipped = skipList.filter((entry) => entry.unit === unit || entry.unit === '*');
  // The suite knows a regular expression by its first slash and wants none at its end.
  const patterns = skipped.map(({ test }) => test.replace(/^(\/.*)\/$/, '$1'));
  writeFileSync(skipFile, patterns.map((pattern) => `${pattern}\n`).join(''));
  // What the suite's own configuration sets differently from the defaults.
  const server = await TestServer.start({
    kind: options.server as ServerKind,
    threads: Number(options.threads),
    directives: {
      'enable-protected-configs': 'yes',
      'enable-module-command': 'yes',
      'latency-monitor-threshold': '1',
      'notify-keyspace-events': 'KEA',
    },
  });
  const line = ['./runtest', '--host', '127.0.0.1', '--port', String(server.port), '--single', unit];
  line.push('--skipfile', skipFile, '--durable', '--no-latency', '--baseport', String(BASE_PORT));
  const suite = spawn(line[0]!, line.slice(1), { cwd: scratch, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (chunk: Buffer) => {
    output += chunk.toString('latin1');
    if (options.verbose) process.stdout.write(chunk);
  };
  suite.stdout.on('data', collect);
  suite.stderr.on('data', collect);
  const timer = setTimeout(() => suite.kill('SIGKILL'), Number(options.timeout) * 1000);
  const code = await new Promise<number | null>((resolve) => suite.on('close', resolve));
  clearTimeout(timer);
  const result = readReport(unit, output, code);
  if (server.process.exitCode !== null || server.process.signalCode !== null) {
    result.aborted = `the server ended: ${server.output().slice(-2000)}`;
  } else if (code === null) result.aborted = `no end after ${options.timeout} seconds`;
  else if (result.passed.length === 0 && result.aborted) result.aborted += `\n${output.slice(-1000)}`;
  await server.stop();
  return result;
}

const results: UnitResult[] = [];
for (const unit of options.units.split(',')) {
  const result = await runUnit(unit);
  results.push(result);
  const { passed, failed, skipped, aborted } = result;
  console.log(`${unit}: ${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`);
  for (const name of failed) console.log(`  failed: ${name}`);
  if (aborted) console.log(`  aborted: ${aborted}`);
}
rmSync(scratch, { recursive: true, force: true });

const total = (pick: (result: UnitResult) => number) =>
  results.reduce((sum, result) => sum + pick(result), 0);
const failures = total((result) => result.failed.length + (result.aborted ? 1 : 0));
console.log(`${total((result) => result.passed.length)} passed, ${failures} failed`);
process.exitCode = failures > 0 ? 1 : 0;
