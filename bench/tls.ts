/**
 * What TLS costs, beside redis-server with TLS: processor time per command and per handshake, and what clients
 * that are there notice of a storm of new ones.
 *
 * Both servers run for the whole time and are measured in turns. Printed are medians over the rounds.
 */

import { execFile, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { Authority } from '../test/tools/certificates.js';
import { freePort, type ServerKind, TestServer } from '../test/tools/server.js';
import { cpuSeconds } from './process-cost.js';
import { formatNumber, formatTable, median } from './table.js';

const runFile = promisify(execFile);
const CONNECTIONS = 50;

const program = new Command()
  .description('measures TLS beside redis-server')
  .option('--rounds <n>', 'rounds per server and workload', '5')
  .option('--requests <n>', 'requests of a round without pipelining', '60000')
  .option('--handshakes <seconds>', 'length of a round of handshakes', '3')
  .option('--storm <n>', 'new connections per second', '500')
  .option('--threads <n>', "Damselfly's threads; default: the cores", String(availableParallelism()))
  .option('--key <type>', 'ec or rsa: what certificates are signed with', 'rsa')
  .parse();
const options = program.opts<Record<string, string>>();
const rounds = Number(options.rounds);
const requests = Number(options.requests);

const keyType = options.key === 'ec' ? 'ec' : 'rsa';
const authority = new Authority(keyType);
const identity = authority.sign('server', { type: keyType });
const client = authority.sign('client', { type: keyType });
const files = ['--tls', '--cacert', authority.ca.cert, '--cert', client.cert, '--key', client.key];

interface Subject {
  readonly server: TestServer;
  readonly port: number;
}

async function start(kind: ServerKind): Promise<Subject> {
  const port = await freePort();
  const directives = { ...authority.directives(identity, port), 'tls-auth-clients': 'no' };
  const server = await TestServer.start({
    kind,
    threads: Number(options.threads),
    activeWorkers: 0,
    directives,
  });
  return { server, port };
}

/** Processor time per request, in µs. */
async function benchmark({ server, port }: Subject, count: number, args: readonly string[]): Promise<number> {
  const line = [
    '-p',
    String(port),
    ...files,
    '-c',
    String(CONNECTIONS),
    '-n',
    String(count),
    '-r',
    '100000',
    ...args,
  ];
  const before = cpuSeconds(server.pid);
  await runFile('redis-benchmark', line, { maxBuffer: 1 << 26 });
  return ((cpuSeconds(server.pid) - before) * 1e6) / count;
}

/** Processor time per full handshake, in µs. */
async function handshakes({ server, port }: Subject): Promise<number> {
  const line = ['s_time', '-connect', `127.0.0.1:${port}`, '-new', '-time', options.handshakes!];
  const before = cpuSeconds(server.pid);
  const { stdout } = await runFile('openssl', line);
  const count = Number(/(\d+) connections in \d+ real seconds/.exec(stdout)![1]);
  return ((cpuSeconds(server.pid) - before) * 1e6) / count;
}

/** The 99th percentile of clients that are there, in ms, with so many new connections per second meanwhile. */
async function latency({ port }: Subject, stormPerSecond: number): Promise<number> {
  const storm =
    stormPerSecond === 0
      ? null
      : spawn(process.execPath, ['-e', STORM, String(port), String(stormPerSecond)], { stdio: 'inherit' });
  const line = ['-p', String(port), ...files, '-c', '10', '-n', String(Math.ceil(requests / 3)), '-t', 'get'];
  const { stdout } = await runFile('redis-benchmark', line, { maxBuffer: 1 << 26 });
  storm?.kill();
  const row = /latency summary \(msec\):\s+avg\s+min\s+p50\s+p95\s+p99\s+max\s+([\d. ]+)/.exec(stdout)![1]!;
  return Number(row.trim().split(/\s+/)[4]);
}

/** Opens connections at a rate, waits for the handshake of each, and closes it. */
const STORM = `
const tls = require('node:tls');
const [port, rate] = process.argv.slice(1).map(Number);
let owed = 0;
setInterval(() => {
  for (owed += rate / 100; owed >= 1; owed--) {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => socket.destroy());
    socket.on('error', () => {});
  }
}, 10);
`;

const subjects = [await start('redis'), await start('damselfly')];
const workloads: readonly (readonly [string, string, (subject: Subject) => Promise<number>])[] = [
  ['GET, 3 bytes', 'CPU µs/op', (subject) => benchmark(subject, requests, ['-t', 'get'])],
  ['SET, 3 bytes', 'CPU µs/op', (subject) => benchmark(subject, requests, ['-t', 'set'])],
  [
    'GET, pipeline 16',
    'CPU µs/op',
    (subject) => benchmark(subject, requests * 10, ['-t', 'get', '-P', '16']),
  ],
  [
    'SET, pipeline 16',
    'CPU µs/op',
    (subject) => benchmark(subject, requests * 10, ['-t', 'set', '-P', '16']),
  ],
  ['SET, 16 KB', 'CPU µs/op', (subject) => benchmark(subject, requests / 2, ['-t', 'set', '-d', '16384'])],
  ['GET, 16 KB', 'CPU µs/op', (subject) => benchmark(subject, requests / 2, ['-t', 'get', '-d', '16384'])],
  ['handshake', 'CPU µs/op', handshakes],
  ['GET, 10 clients', 'p99 ms', (subject) => latency(subject, 0)],
  [`the same, ${options.storm} handshakes/s`, 'p99 ms', (subject) => latency(subject, Number(options.storm))],
];
const rows = [['workload', 'unit', 'redis', 'damselfly', 'ratio']];
for (const [name, unit, measure] of workloads) {
  const samples: number[][] = subjects.map(() => []);
  // The first time shows how a server becomes warm.
  for (const subject of subjects) await measure(subject);
  for (let round = 0; round < rounds; round++) {
    for (const [index, subject] of subjects.entries()) samples[index]!.push(await measure(subject));
  }
  const [theirs, ours] = samples.map(median) as [number, number];
  rows.push([name, unit, ...[theirs, ours, ours / theirs].map(formatNumber)]);
  process.stderr.write(`${name}: ${formatNumber(ours / theirs)}\n`);
}
console.log(formatTable(rows));
for (const { server } of subjects) await server.stop();
