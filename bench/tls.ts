/**
 * What TLS costs, beside redis-server with TLS: processor time per command and per handshake, and what clients
 * that are there notice of a storm of new ones.
 *
 * Both servers run for the whole time and are measured in turns. Printed are medians over the rounds.
 */

import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { Authority } from '../test/tools/certificates.js';
import { freePort } from '../test/tools/free-port.js';
import { type ServerKind, TestServer } from '../test/tools/server.js';
import { cpuSeconds } from './process-cost.js';
import { formatNumber, formatTable, median } from './table.js';

const runFile = promisify(execFile);
const CONNECTIONS = 50;

const program = new Command()
  .description('measures TLS beside redis-server')
  .option('--rounds <n>', 'rounds per server and workload', '5')
  .option('--requests <n>', 'requests of a round without pipelining', '60000')
  .option('--handshakes <seconds>', 'length of a round of handshakes', '3')
  .option('--seconds <n>', 'length of a round of latencies', '5')
  .option('--storm <n>', 'new connections per second', '500')
  .option('--threads <n>', "Damselfly's threads; default: the cores", String(availableParallelism()))
  .option('--key <type>', 'ec or rsa: what certificates are signed with', 'rsa')
  .option('--only <text>', 'workloads whose names have this in them', '')
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
  /** Another server of the same kind. */
  readonly bystander: Omit<Subject, 'bystander'>;
}

async function start(kind: ServerKind): Promise<Subject> {
  return { ...(await startServer(kind)), bystander: await startServer(kind) };
}

async function startServer(kind: ServerKind): Promise<Omit<Subject, 'bystander'>> {
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

/** Processor time per request with a value of 16 KB, in µs. redis-benchmark waits for delayed acknowledgements with each. */
async function largeValues(
  { server, port }: Subject,
  command: 'GET' | 'SET',
  count: number,
): Promise<number> {
  const clients = new Script(LARGE_VALUES, String(port), command, String(Math.round(count)));
  await clients.line();
  const before = cpuSeconds(server.pid);
  await clients.line();
  clients.stop();
  return ((cpuSeconds(server.pid) - before) * 1e6) / count;
}

/** Twenty clients that send one request after the other about 1000 keys; tells when all keys are there, and when all is done. */
const LARGE_VALUES = `
const tls = require('node:tls');
const readline = require('node:readline');
const [port, command, count] = process.argv.slice(1);
const [CLIENTS, KEYS, BYTES] = [20, 1000, 16384];
const value = 'x'.repeat(BYTES);
const set = (key) => '*3\\r\\n$3\\r\\nSET\\r\\n$9\\r\\nlarge' + key + '\\r\\n$' + BYTES + '\\r\\n' + value + '\\r\\n';
const get = (key) => '*2\\r\\n$3\\r\\nGET\\r\\n$9\\r\\nlarge' + key + '\\r\\n';
const requests = Array.from({ length: KEYS }, (_, key) => (command === 'SET' ? set : get)(String(1000 + key)));
const replyBytes = command === 'SET' ? 5 : ('$' + BYTES + '\\r\\n' + value + '\\r\\n').length;
const options = { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false };

const connect = () => new Promise((resolve) => {
  const socket = tls.connect(options, () => resolve(socket));
  socket.setNoDelay();
});
async function fill() {
  const socket = await connect();
  for (let key = 0; key < KEYS; key++) socket.write(set(String(1000 + key)));
  for (let got = 0; got < KEYS * 5; ) got += (await new Promise((resolve) => socket.once('data', resolve))).length;
  socket.destroy();
}
function run(sockets) {
  let [sent, done] = [0, 0];
  return new Promise((resolve) => {
    for (const socket of sockets) {
      let missing = replyBytes;
      const send = () => {
        if (sent < count) socket.write(requests[(sent++ * 7919) % KEYS]);
      };
      socket.on('data', (data) => {
        missing -= data.length;
        if (missing > 0) return;
        missing = replyBytes;
        if (++done === Number(count)) resolve();
        send();
      });
      send();
    }
  });
}
readline.createInterface({ input: process.stdin }).once('line', async function () {
  await fill();
  const sockets = await Promise.all(Array.from({ length: CLIENTS }, connect));
  this.once('line', async () => {
    await run(sockets);
    console.log('done');
  });
  console.log('ready');
});
`;

/** Processor time per full handshake, in µs. */
async function handshakes({ server, port }: Subject): Promise<number> {
  const line = ['s_time', '-connect', `127.0.0.1:${port}`, '-new', '-time', options.handshakes!];
  const before = cpuSeconds(server.pid);
  const { stdout } = await runFile('openssl', line);
  const count = Number(/(\d+) connections in \d+ real seconds/.exec(stdout)![1]);
  return ((cpuSeconds(server.pid) - before) * 1e6) / count;
}

/** The 99th percentile of clients that are there, in ms. */
async function latency(port: number): Promise<number> {
  return Number(await new Script(PACED_CLIENTS, String(port), options.seconds!).line());
}

/**
 * The latency of clients while others connect, ÷ that of clients of a server of the same kind that nobody connects to, at the same time: on a
 * machine where the clients take the processors, too, everybody's latency grows.
 */
async function latencyInStorm({ port, bystander }: Subject): Promise<number> {
  const before = await latency(port);
  const storm = new Script(STORM, String(port), options.storm!);
  // A storm that has just begun is none yet: Node compiles its code.
  await delay(1000);
  const [begun, startMs] = [await storm.line(), performance.now()];
  const during = await latency(port);
  const apart = await latency(bystander.port);
  const [done, failed] = (await storm.line()).split(' ').map(Number) as [number, number];
  const rate = (done - Number(begun.split(' ')[0])) / ((performance.now() - startMs) / 1000);
  storm.stop();
  const [inMs, apartMs, beforeMs] = [during, apart, before].map(formatNumber);
  process.stderr.write(
    `  ${inMs} ms, ${apartMs} ms at the other server, ${beforeMs} ms before; ${formatNumber(rate)} handshakes/s, ${failed} failed\n`,
  );
  return during / apart;
}

/** A child that writes a line for each that it gets. */
class Script {
  private readonly child: ChildProcessByStdio<Writable, Readable, null>;
  private readonly lines: AsyncIterator<string>;

  constructor(source: string, ...args: readonly string[]) {
    this.child = spawn(process.execPath, ['-e', source, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    this.child.stdin.write('\n');
    const { value, done } = await this.lines.next();
    if (done) throw new Error('a script has ended');
    return value;
  }

  stop(): void {
    this.child.kill();
  }
}

/**
 * Opens connections at a rate, waits for the handshake of each, and closes it. Tells how many were done and how many failed.
 * It stands for other machines, so it runs when neither the server nor its clients want to.
 */
const STORM = `
require('node:child_process').execFileSync('chrt', ['--idle', '--all-tasks', '--pid', '0', String(process.pid)]);
const tls = require('node:tls');
const [port, rate] = process.argv.slice(1).map(Number);
const startMs = performance.now();
let [begun, done, failed] = [0, 0, 0];
setInterval(() => {
  for (const wanted = ((performance.now() - startMs) / 1000) * rate; begun < wanted; begun++) {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      done++;
      socket.destroy();
    });
    socket.on('error', () => failed++);
  }
}, 5);
process.stdin.on('data', () => console.log(done, failed));
`;

/** Ten clients, of which each asks 100 times a second, however long replies take. Tells their 99th percentile in ms. */
const PACED_CLIENTS = `
const tls = require('node:tls');
const [port, seconds] = process.argv.slice(1).map(Number);
const [CLIENTS, PER_SECOND, WARM_UP_MS] = [10, 100, 1000];
const times = [];
let open = CLIENTS;
for (let index = 0; index < CLIENTS; index++) {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
    const startMs = performance.now() + (index / CLIENTS) * (1000 / PER_SECOND);
    const sentMs = [];
    let got = 0;
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (nowMs < startMs + sentMs.length * (1000 / PER_SECOND) || sentMs.length === seconds * PER_SECOND) return;
      sentMs.push(nowMs);
      socket.write('GET key\\r\\n');
    }, 1);
    socket.on('data', (data) => {
      const nowMs = performance.now();
      for (let replies = data.toString().split('$').length - 1; replies > 0; replies--) {
        if (sentMs[got] > startMs + WARM_UP_MS) times.push(nowMs - sentMs[got]);
        got++;
      }
      if (got < seconds * PER_SECOND) return;
      clearInterval(timer);
      socket.destroy();
      if (--open === 0) report();
    });
  });
  socket.setNoDelay();
}
function report() {
  times.sort((a, b) => a - b);
  console.log(times[Math.ceil(times.length * 0.99) - 1]);
  process.exit();
}
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
  ['SET, 16 KB', 'CPU µs/op', (subject) => largeValues(subject, 'SET', requests / 2)],
  ['GET, 16 KB', 'CPU µs/op', (subject) => largeValues(subject, 'GET', requests / 2)],
  ['handshake', 'CPU µs/op', handshakes],
  [`p99 of 1000 GETs/s in a storm of ${options.storm}/s`, '÷ elsewhere', latencyInStorm],
];
const chosen = workloads.filter(([name]) => name.includes(options.only!));
const rows = [['workload', 'unit', 'redis', 'damselfly', 'ratio']];
for (const [name, unit, measure] of chosen) {
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
for (const { server, bystander } of subjects) await Promise.all([server.stop(), bystander.server.stop()]);
