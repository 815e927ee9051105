/** Load that redis-benchmark can't make: transactions of five commands on five random keys. */

import { once } from 'node:events';
import net from 'node:net';
import { keyName } from './load.js';
import { sampleOf } from './load-connection.js';
import type { Sample } from './workloads.js';

const CONNECTIONS = 50;
const COMMANDS = 5;
const KEYS = 1_000_000;
/** OK, QUEUED for each command, and the array of their OKs. */
const REPLY_BYTES = 5 + COMMANDS * 9 + 4 + COMMANDS * 5;
const BEGIN = '*1\r\n$5\r\nMULTI\r\n';
const END = '*1\r\n$4\r\nEXEC\r\n';

function transaction(): string {
  let text = BEGIN;
  for (let command = 0; command < COMMANDS; command++) {
    const key = keyName(Math.floor(Math.random() * KEYS));
    text += `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$3\r\nxxx\r\n`;
  }
  return text + END;
}

/** Runs transactions one after the other on a connection, and notes how long each takes, in ms. */
async function run(port: number, count: number, turns: number[]): Promise<void> {
  const socket = net.connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  await once(socket, 'connect');
  const ended = new Promise<void>((resolve, reject) => {
    let left = count;
    let gotBytes = 0;
    let startedAt = 0;
    const next = (): void => {
      startedAt = performance.now();
      socket.write(transaction());
    };
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      if (chunk.includes('-')) reject(new Error(`the server answered ${chunk.toString('latin1')}`));
      gotBytes += chunk.length;
      if (gotBytes < REPLY_BYTES) return;
      gotBytes = 0;
      turns.push(performance.now() - startedAt);
      if (--left > 0) next();
      else resolve();
    });
    next();
  });
  await ended;
  socket.destroy();
}

/** Serves as many transactions. */
export async function runTransactions(
  port: number,
  count: number,
  cpuSeconds: () => number,
): Promise<Sample> {
  const each = Math.max(1, Math.ceil(count / CONNECTIONS));
  return sampleOf(each * CONNECTIONS, cpuSeconds, async (turns) => {
    await Promise.all(Array.from({ length: CONNECTIONS }, () => run(port, each, turns)));
  });
}
