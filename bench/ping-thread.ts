/**
 * A thread that asks a server all the time, one command after the other on each connection, and notes how long the
 * answers took. The thread that fills the server has no part in it.
 */

import { performance } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { type Argument, RawClient } from '../test/tools/raw-client.js';

export interface PingThreadData {
  readonly port: number;
  /** Commands that a connection sends by turns, for each connection. */
  readonly connections: readonly (readonly (readonly Argument[])[])[];
}

/** For each connection: the longest that an answer took since it was asked last. */
export interface PingReport {
  readonly longestMs: readonly number[];
  readonly counts: readonly number[];
}

/** Asked for a report; with commands, what the last connection sends from then on. */
export interface PingRequest {
  readonly last?: readonly (readonly Argument[])[];
}

const { port, connections } = workerData as PingThreadData;
const longestMs = connections.map(() => 0);
const counts = connections.map(() => 0);
const sent = connections.map((commands) => commands);

async function ping(index: number): Promise<void> {
  const client = await RawClient.connect({ port });
  for (let round = 0; ; round++) {
    const commands = sent[index]!;
    if (commands.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      continue;
    }
    const startedAt = performance.now();
    const reply = await client.command(...commands[round % commands.length]!);
    if (reply[0] === 0x2d && !reply.toString('latin1').startsWith('-WRONGTYPE')) {
      throw new Error(reply.toString('latin1'));
    }
    longestMs[index] = Math.max(longestMs[index]!, performance.now() - startedAt);
    counts[index]!++;
    await new Promise(setImmediate);
  }
}

parentPort!.on('message', ({ last }: PingRequest) => {
  if (last !== undefined) sent[sent.length - 1] = last;
  parentPort!.postMessage({ longestMs: [...longestMs], counts: [...counts] } satisfies PingReport);
  longestMs.fill(0);
  counts.fill(0);
});
await Promise.all(connections.map((_, index) => ping(index)));
