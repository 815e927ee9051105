/**
 * What idle connections cost: memory for each of many, and the processor's time while a few are open and
 * silent, for Damselfly over both transports and for redis-server. The connections are opened by a process of
 * their own, so that each process needs one descriptor for each.
 *
 *   npm run bench:connections -- [connections]
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TestServer } from '../test/tools/server.js';
import { cpuSeconds, residentDataBytes } from './process-cost.js';
import { formatTable, formatTarget } from './table.js';

const MANY_DEFAULT = 10_000;
const FEW = 100;
const IDLE_SECONDS = 5;
/** How many connections are being opened at any time. */
const OPENING_MAX = 200;
const MEMORY_TARGET = { limit: 20 };
const CPU_TARGET = { limit: 0.5 };
const THREADS = 2;

/** Opens `count` connections, sends a PING over each, reports, and keeps them until it is killed. */
async function openConnections(port: number, count: number): Promise<void> {
  const open = async (): Promise<void> => {
    const socket = net.connect(port, '127.0.0.1');
    await new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('data', resolve);
      socket.write('PING\r\n');
    });
  };
  for (let opened = 0; opened < count; opened += OPENING_MAX) {
    await Promise.all(Array.from({ length: Math.min(OPENING_MAX, count - opened) }, open));
  }
  process.send?.('open');
}

/** Starts a process that holds connections; settles once they are all open. */
async function holdConnections(port: number, count: number): Promise<ChildProcess> {
  const script = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [script, 'hold', String(port), String(count)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`the client process ended with code ${code}`)));
  });
  return child;
}

/** Percent of one core over a while of silence. */
async function idleCpuPercent(pid: number): Promise<number> {
  await delay(1000);
  const before = cpuSeconds(pid);
  await delay(IDLE_SECONDS * 1000);
  return ((cpuSeconds(pid) - before) / IDLE_SECONDS) * 100;
}

async function measure(name: string, transport: string | null, many: number): Promise<string[]> {
  const directives = { maxclients: many + 100, ...(transport === null ? {} : { transport }) };
  const kind = transport === null ? 'redis' : 'damselfly';
  const server = await TestServer.start({ kind, threads: THREADS, activeWorkers: 0, directives });
  const cost = { cpu: 0, kibPerConnection: 0 };
  try {
    const few = await holdConnections(server.port, FEW);
    cost.cpu = await idleCpuPercent(server.pid);
    const before = residentDataBytes(server.pid);
    const others = await holdConnections(server.port, many);
    await delay(1000);
    cost.kibPerConnection = (residentDataBytes(server.pid) - before) / many / 1024;
    few.kill();
    others.kill();
  } finally {
    await server.stop();
  }
  const verdict = (text: string) => (transport === 'epoll' ? text : '');
  return [
    name,
    cost.kibPerConnection.toFixed(1),
    verdict(formatTarget(MEMORY_TARGET, cost.kibPerConnection)),
    cost.cpu.toFixed(2),
    verdict(formatTarget(CPU_TARGET, cost.cpu)),
  ];
}

async function main(): Promise<void> {
  const many = Number(process.argv[2] ?? MANY_DEFAULT);
  const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  if (limit !== 'unlimited' && Number(limit) < many + FEW + 200)
    throw new Error(`${many} connections need more than ${limit} descriptors: raise ulimit -n`);
  const rows = [['server', 'KiB/connection', 'target', `% of a core, ${FEW} idle`, 'target']];
  rows.push(await measure('redis-server', null, many));
  rows.push(await measure('damselfly, epoll', 'epoll', many));
  rows.push(await measure('damselfly, node:net', 'node', many));
  process.stdout.write(`${many} idle connections, ${THREADS} threads\n\n${formatTable(rows)}\n`);
}

if (process.argv[2] === 'hold') await openConnections(Number(process.argv[3]), Number(process.argv[4]));
else await main();
